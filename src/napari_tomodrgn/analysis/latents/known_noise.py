"""What a particle's images say of its latent, without the prior: the likelihood of any point.

A posterior of mean μ and covariance C under the prior N(0, I) is that of a likelihood
exp(b·z − zᵀPz/2) with P = C⁻¹ − I and b = C⁻¹μ. Written as features of the particle times
features of the point, the likelihoods of all particles at all points are one product of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents.components import (
    latent_matrix,
    mean_columns,
    principal_axes,
)

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

# Variance of a posterior, in that of the prior: what is above says nothing, but for rounding.
_NOTHING_SAID = 1 - 1e-6
_NARROWEST = 1e-8
# Particles at a time: what is between covariances and likelihoods takes some MB, not some 100.
_ROWS = 8192


@dataclass(frozen=True, eq=False)
class KnownNoise:
    """Likelihoods of particles.

    Attributes
    ----------
    means
        ``(particle, latent)`` means of the posteriors.
    precision
        ``(particle, latent, latent)``, P, positive semidefinite.
    pull
        ``(particle, latent)``, b, within what P sees.
    """

    means: FloatArray
    precision: FloatArray
    pull: FloatArray

    @classmethod
    def of(cls, means: FloatArray, spreads: FloatArray) -> KnownNoise:
        """Likelihoods of posteriors, along the components that carry something.

        ``means`` are ``(particle, latent)``; ``spreads`` covariances ``(particle, latent, latent)``
        or variances ``(particle, latent)``.
        """
        wide = principal_axes(means).wide
        if wide.shape[1] in (0, means.shape[1]):
            wide = np.eye(means.shape[1])
        means = means @ wide
        parts = []
        for start in range(0, len(means), _ROWS):
            rows = slice(start, start + _ROWS)
            part = spreads[rows]
            covariances = part if part.ndim == 3 else part[:, :, None] * np.eye(len(wide))
            parts.append(cls._of_covariances(means[rows], wide.T @ covariances @ wide))
        return cls(
            means,
            np.concatenate([part.precision for part in parts]),
            np.concatenate([part.pull for part in parts]),
        )

    @classmethod
    def _of_covariances(cls, means: FloatArray, covariances: FloatArray) -> KnownNoise:
        widths, axes = np.linalg.eigh(covariances)
        widths = np.clip(widths, _NARROWEST, None)
        # Where P says nothing of a direction, nothing may pull along it either.
        said = widths < _NOTHING_SAID
        inverse = np.where(said, 1 / widths, 0.0)
        strength = inverse - said
        along = np.einsum("nji,nj->ni", axes, means)
        pull = np.einsum("nij,nj->ni", axes, inverse * along)
        return cls(means, (axes * strength[:, None, :]) @ axes.transpose(0, 2, 1), pull)

    @classmethod
    def of_latents(cls, latents: pd.DataFrame) -> KnownNoise | None:
        """Of a run's table; None where it has no widths."""
        spreads = spreads_of(latents)
        return None if spreads is None else cls.of(latent_matrix(latents), spreads)

    def __len__(self) -> int:
        return len(self.means)

    def part(self, rows: NDArray[np.int64] | slice) -> KnownNoise:
        """Some of the particles, ``(row,)``."""
        return KnownNoise(self.means[rows], self.precision[rows], self.pull[rows])

    @cached_property
    def features(self) -> FloatArray:
        """``(particle, feature)``: times `point_features` it is b·z − zᵀPz/2."""
        rows, columns = np.triu_indices(self.means.shape[1])
        return np.concatenate([self.pull, self.precision[:, rows, columns]], axis=1)

    def scaled(self, scale: float) -> KnownNoise:
        """The same with the variance of the noise multiplied."""
        return KnownNoise(self.means, self.precision / scale, self.pull / scale)

    def widened(self, spread: FloatArray) -> tuple[KnownNoise, FloatArray]:
        """Likelihoods of the middle of a Gaussian that latents are drawn from.

        Parameters
        ----------
        spread
            Its covariance E, ``(latent, latent)``.

        Returns
        -------
        P' = (I + PE)⁻¹P and b' = (I + PE)⁻¹b; and the logarithm of what is left over, which hangs
        on E but not on the middle: bᵀE(I + PE)⁻¹b/2 − log|I + PE|/2, ``(particle,)``.
        """
        inner = np.eye(len(spread)) + self.precision @ spread
        both = np.concatenate([self.precision, self.pull[:, :, None]], axis=2)
        solved = np.linalg.solve(inner, both)
        precision, pull = solved[:, :, :-1], solved[:, :, -1]
        height = (self.pull @ spread * pull).sum(axis=1) - np.linalg.slogdet(inner)[1]
        return KnownNoise(self.means, precision, pull), height / 2

    def anywhere(self) -> FloatArray:
        """Log-likelihood of coming from anywhere that latents are, ``(particle,)``.

        Anywhere is a Gaussian of the mean and covariance of all.
        """
        middle = self.means.mean(axis=0)
        wide, height = self.widened(np.cov(self.means.T).reshape(len(middle), len(middle)))
        return height + (wide.features @ point_features(middle[None]))[:, 0]


def point_features(points: FloatArray) -> FloatArray:
    """What `KnownNoise.features` is multiplied by, ``(feature, point)``, of ``(point, latent)``."""
    rows, columns = np.triu_indices(points.shape[1])
    factor = np.where(rows == columns, -0.5, -1.0)
    return np.concatenate([points.T, factor[:, None] * (points[:, rows] * points[:, columns]).T])


def spreads_of(latents: pd.DataFrame) -> FloatArray | None:
    """Covariances of a run's posteriors ``(particle, latent, latent)``; None if none are finite.

    Of tables that have variances alone, as what an epoch leaves, these on the diagonal.
    """
    count = len(mean_columns(latents))
    names = [f"logvar_{axis}" for axis in range(count)]
    if not all(name in latents for name in names):
        return None
    found = np.zeros((len(latents), count, count))
    axes = np.arange(count)
    found[:, axes, axes] = np.exp(latents[names].to_numpy(np.float64))
    for one in range(count):
        for two in range(one, count):
            if f"cov_{one}_{two}" in latents:
                values = latents[f"cov_{one}_{two}"].to_numpy(np.float64)
                found[:, one, two] = found[:, two, one] = values
    return found if np.isfinite(found).all() else None
