"""Tables of latents as arrays: principal components, and steps along them. numpy only.

Tables are indexed by identity ``"<tomogram>/<particle>"``; their columns ``mu_0…`` are the latents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


# Axis across the one component that is wide: particles side by side, the more the wider.
STRIP = "strip"
# Of the variance: a training that keeps one component leaves others of 1e-6 and less.
_NOTHING = 1e-3
# Of the variance: what an axis calls 0 %. Where a training keeps one component, latents that the
# encoder gives from epoch to epoch curl a little (0.04 to 0.42 % in 19 epochs of 220 particles in
# two states); of the refined ones at its end 1e-7 is left.
_UNSEEN = 5e-3
# Of how unsure particles are in all: what they are along any axis, that numbers stay numbers.
_LEAST_UNSURE = 1e-9


@dataclass(frozen=True, eq=False)
class PrincipalAxes:
    """Directions of latents, those that particles differ by most first.

    Attributes
    ----------
    mean
        ``(dimension,)``.
    vectors
        ``(dimension, component)``, orthonormal.
    share
        ``(component,)`` of the variance; where it is known how unsure particles are, of the
        variance in units of that.
    spread
        ``(component,)`` of the variance as it is.
    """

    mean: NDArray[np.float64]
    vectors: NDArray[np.float64]
    share: NDArray[np.float64]
    spread: NDArray[np.float64]

    def scores(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places of points ``(particle, dimension)`` along the components."""
        return (points - self.mean) @ self.vectors

    @property
    def has_one_component(self) -> bool:
        """Whether all others are next to nothing."""
        return len(self.spread) == 1 or bool(self.spread[1:].max() < _UNSEEN)

    @property
    def wide(self) -> NDArray[np.float64]:
        """The unit vectors of the components that carry something, ``(dimension, component)``."""
        return self.vectors[:, self.spread >= _NOTHING]


def latent_matrix(latents: pd.DataFrame) -> NDArray[np.float64]:
    """The means ``mu_0…`` as an array (particle, dimension)."""
    return latents[mean_columns(latents)].to_numpy(np.float64)


def unsureness(latents: pd.DataFrame) -> NDArray[np.float64] | None:
    """The mean covariance of posteriors (dimension, dimension); None where it is not known."""
    axes = range(len(mean_columns(latents)))
    if not axes or not all(f"logvar_{axis}" in latents for axis in axes):
        return None
    found = np.zeros((len(axes), len(axes)))
    for one in axes:
        found[one, one] = np.exp(latents[f"logvar_{one}"].to_numpy(np.float64)).mean()
        for two in axes[one:]:
            if f"cov_{one}_{two}" in latents:
                found[one, two] = found[two, one] = latents[f"cov_{one}_{two}"].mean()
    return found if np.isfinite(found).all() else None


def principal_components(
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores (particle, component) and the share of the variance, see `principal_axes`."""
    axes = principal_axes(points)
    return axes.scores(points), axes.share


def axes_of_table(latents: pd.DataFrame) -> PrincipalAxes:
    """The principal components of a run's latents, as window, report and files show them."""
    return principal_axes(latent_matrix(latents), unsureness(latents))


def principal_axes(
    points: NDArray[np.float64], unsure: NDArray[np.float64] | None = None
) -> PrincipalAxes:
    """The principal components of points (particle, dimension), without any point's scores.

    Components are sorted by ``share``; the largest loading of each is positive, so that the picture
    does not flip from one call to the next. A prior leaves latents a variance of 1 along each axis
    that images say anything of, so that by variance alone any rotation is as good. ``unsure`` is
    the covariance C of a particle's own latent: with it components are the eigenvectors of
    S^½ C⁻¹ S^½, S being the covariance of the points: by variance where C is the same in all
    directions, by how surely images tell particles apart where S is.
    """
    mean = points.mean(axis=0)
    centred = points - mean
    covariance = centred.T @ centred / max(1, len(points) - 1)
    # Rounding leaves variances of -1e-17 where there is none.
    matrix = covariance
    if unsure is not None:
        variances, vectors = np.linalg.eigh(covariance)
        root = (vectors * np.sqrt(np.maximum(variances, 0.0))) @ vectors.T
        floor = _LEAST_UNSURE * max(float(np.trace(unsure)), _LEAST_UNSURE)
        matrix = root @ np.linalg.inv(unsure + floor * np.eye(len(unsure))) @ root
    shares, vectors = np.linalg.eigh(matrix)
    shares, vectors = _shares_of(shares[::-1]), vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    spread = _shares_of(np.einsum("ik,ij,jk->k", vectors, covariance, vectors))
    return PrincipalAxes(mean, vectors, shares, spread)


def _shares_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.maximum(values, 0.0)
    total = values.sum()
    return np.asarray(values / total if total > 0 else np.zeros_like(values))


def across_strip(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places across a strip (particle,), −1 to 1: wide where many particles have such values."""
    counts, edges = np.histogram(values, bins=int(np.clip(np.sqrt(len(values)), 5, 60)))
    smooth = np.convolve(counts, [0.25, 0.5, 0.25], mode="same")
    width = np.interp(values, (edges[:-1] + edges[1:]) / 2, smooth / max(smooth.max(), 1.0))
    # Multiples of the golden ratio fill any range evenly, and are the same each time.
    across = (np.arange(len(values)) * 0.6180339887498949) % 1.0
    return np.asarray((2 * across - 1) * width)


def with_columns(extras: pd.DataFrame | None, table: pd.DataFrame) -> pd.DataFrame:
    """Extras with the columns of a table added, those of the same names replaced.

    Rows are joined by identity; where one of the tables has no row the value is missing.
    """
    if extras is None:
        return table.rename_axis("particle_id")
    kept = extras.drop(columns=[name for name in table.columns if name in extras])
    if kept.index.equals(table.index):  # for a million rows a join takes seconds
        return kept.assign(**{str(name): table[name] for name in table}).rename_axis("particle_id")
    return kept.join(table, how="outer").rename_axis("particle_id")


def mean_columns(latents: pd.DataFrame) -> list[str]:
    """Names of the columns ``mu_0…``, in order."""
    names = [name for name in latents.columns if str(name).startswith("mu_")]
    return sorted(names, key=lambda name: int(name[3:]))


def traversal(
    latents: pd.DataFrame,
    component: int,
    frames: int = 10,
    limits_percent: tuple[float, float] = (5.0, 95.0),
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps along one principal component (from 1) of a table, all others at their mean.

    Returns
    -------
    Scores of the steps, from one percentile of the particles' scores to the other, and the latents
    ``(frame, dimension)`` that belong to them.
    """
    axes = axes_of_table(latents)
    vector = axes.vectors[:, component - 1]
    low, high = np.percentile((latent_matrix(latents) - axes.mean) @ vector, limits_percent)
    scores = np.linspace(low, high, frames)
    return scores, axes.mean + scores[:, None] * vector
