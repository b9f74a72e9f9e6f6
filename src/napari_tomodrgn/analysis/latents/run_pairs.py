"""Two runs on the same particles: latents laid over each other, who moved, do classes agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents.clusters import agreement, k_means
from napari_tomodrgn.analysis.latents.components import latent_matrix
from napari_tomodrgn.errors import BadInputError

FloatArray = NDArray[np.float64]

_ROUNDING = 1e-9  # of the spread of all
_PERMUTATIONS = 999  # of classes between particles, for the chance of their agreement


@dataclass(frozen=True, eq=False)
class RunPair:
    """What two runs say of the same particles.

    Attributes
    ----------
    ids
        Particles of both.
    first, second
        ``(particle, latent)``: of the first run, centred; of the second, laid over it.
    explained
        Share of the variance of the first that the second explains after that, 0 to 1.
    canonical
        Canonical correlations, largest first.
    moved
        ``(particle,)`` distance between both places, in root mean square distances from the middle.
    cluster_agreement, cluster_p
        Adjusted Rand index of k-means classes (0 by chance), and the chance of so large a one.
    """

    ids: list[str]
    first: FloatArray
    second: FloatArray
    explained: float
    canonical: FloatArray
    moved: FloatArray
    cluster_agreement: float
    cluster_p: float

    def table(self) -> pd.DataFrame:
        """One row a particle: both places and how far apart they are."""
        columns = {"particle_id": self.ids, "moved": self.moved}
        for name, points in (("first", self.first), ("second", self.second)):
            columns |= {f"{name}_{axis}": column for axis, column in enumerate(points.T)}
        return pd.DataFrame(columns)

    def sentence(self) -> str:
        """The result in a line."""
        return (
            f"{len(self.ids)} particles in both; the second run's latents explain "
            f"{self.explained:.0%} of the first's, and along the direction they share best both "
            f"correlate {self.canonical[0]:.2f}; clusters agree {self.cluster_agreement:.2f} "
            f"beyond chance (p {self.cluster_p:.2g})."
        )


def compare_latents(
    first: pd.DataFrame, second: pd.DataFrame, clusters: int = 4, seed: int = 0
) -> RunPair:
    """Compare latents of two runs, rows by identity, with columns ``mu_0…``

    The second is turned, mirrored and scaled to lie over the first (orthogonal Procrustes;
    Schönemann, Psychometrika 31 (1966) 1), the narrower one filled up with zeros.

    Raises
    ------
    BadInputError
        If fewer than eight particles are in both, or there are not 2 classes, or fewer than two
        particles for each.
    """
    shared = first.index.intersection(second.index, sort=False)
    if len(shared) < 8:
        raise BadInputError(
            f"The runs share {len(shared)} particles; comparing them needs at least 8.",
            code="few-particles",
        )
    if not 2 <= clusters <= len(shared) // 2:
        raise BadInputError(
            f"{clusters} clusters of {len(shared)} particles say nothing of whether runs agree.",
            remedy=f"Ask for 2 to {len(shared) // 2}.",
            code="bad-clusters",
        )
    one, two = (latent_matrix(table.loc[shared]) for table in (first, second))
    one, two = one - one.mean(axis=0), two - two.mean(axis=0)
    laid = _procrustes(one, two)
    width = laid.shape[1]
    wide = np.pad(one, ((0, 0), (0, width - one.shape[1])))
    apart = np.linalg.norm(wide - laid, axis=1)
    apart[apart < _ROUNDING * np.linalg.norm(wide)] = 0.0  # else it is coloured as if it moved
    total = np.square(wide).sum()
    labels = [k_means(points, clusters, seed) for points in (one, two)]
    found = agreement(*labels)
    rng = np.random.default_rng([seed, 0xAB])
    random = [agreement(labels[0], rng.permutation(labels[1])) for _ in range(_PERMUTATIONS)]
    return RunPair(
        [str(name) for name in shared],
        wide,
        laid,
        float(max(0.0, 1 - np.square(apart).sum() / max(total, 1e-30))),
        _canonical(one, two),
        apart / max(float(np.sqrt(total / len(wide))), 1e-30),
        found,
        (1 + sum(value >= found for value in random)) / (1 + _PERMUTATIONS),
    )


def _procrustes(one: FloatArray, two: FloatArray) -> FloatArray:
    width = max(one.shape[1], two.shape[1])
    wide, other = (np.pad(x, ((0, 0), (0, width - x.shape[1]))) for x in (one, two))
    left, values, right = np.linalg.svd(other.T @ wide)
    scale = values.sum() / max(float(np.square(other).sum()), 1e-30)
    return np.asarray(scale * other @ left @ right)


def _canonical(one: FloatArray, two: FloatArray) -> FloatArray:
    bases = []
    for points in (one, two):
        left, values, _ = np.linalg.svd(points, full_matrices=False)
        bases.append(left[:, values > 1e-9 * values[0]])
    return np.asarray(np.linalg.svd(bases[0].T @ bases[1], compute_uv=False))
