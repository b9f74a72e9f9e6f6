"""Clusters of latents. scikit-learn and scipy are imported when first needed: they take seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_tomodrgn.analysis.latents.components import latent_matrix
from napari_tomodrgn.analysis.latents.known_noise import KnownNoise
from napari_tomodrgn.analysis.latents.point_states import find_states
from napari_tomodrgn.errors import BadInputError

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["k-means", "mixture", "states"]
DEFAULT_CLUSTERS = 8


@dataclass(frozen=True, eq=False)
class Clusters:
    """Particles in groups, numbered from 1 so that neighbours in number are neighbours in space.

    Attributes
    ----------
    labels
        ``(particle,)`` number of each particle's cluster.
    centers
        ``(cluster,)`` row of the particle nearest to the mean of each cluster: of cluster 1, 2, …
    """

    labels: NDArray[np.int64]
    centers: NDArray[np.int64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Count the particles of each cluster, ``(cluster,)``."""
        return np.bincount(self.labels, minlength=len(self.centers) + 1)[1:]


def clusters_of(
    latents: ArrayLike, clusters: int, seed: int = 0, method: Method = "k-means"
) -> Clusters:
    """Clusters of ``(particle, latent)``, ordered, each centre a particle; the same for one seed.

    There are never more clusters than different latents. ``mixture``: of a mixture of Gaussians,
    whose clusters may be long, and of unequal width and number. States need more than latents:
    `clusters_of_table`.
    """
    points = np.asarray(latents, dtype=np.float64)
    count = min(clusters, len(np.unique(points, axis=0)))
    found = (gaussian_mixture if method == "mixture" else k_means)(points, count, seed)
    return _ordered(points, found)


def clusters_of_table(
    latents: pd.DataFrame, clusters: int | None, seed: int = 0, method: Method = "k-means"
) -> Clusters:
    """Clusters of a run's latents, by any method.

    Of ``states`` there are so many at most, or as many as are told apart if it is None; of the
    other methods so many, or `DEFAULT_CLUSTERS`.

    Raises
    ------
    BadInputError
        If states are asked for and it is not known how sure latents are.
    """
    points = latent_matrix(latents)
    if method != "states":
        return clusters_of(points, clusters or DEFAULT_CLUSTERS, seed, method)
    noise = KnownNoise.of_latents(latents)
    if noise is None:
        raise BadInputError(
            "The latents have no widths; states are found by how sure each latent is.",
            remedy="Take k-means or a mixture of Gaussians, which need none.",
            code="no-widths",
        )
    return _ordered(points, find_states(noise, seed, most=clusters).labels(noise))


def _ordered(points: NDArray[np.float64], labels: NDArray[np.int64]) -> Clusters:
    """Clusters numbered along their order in space; numbers that no particle has are left out.

    A Gaussian that is no particle's likeliest has none.
    """
    labels = np.unique(labels, return_inverse=True)[1].reshape(-1)
    means = np.array([points[labels == old].mean(axis=0) for old in range(labels.max() + 1)])
    order = _order(means)
    rank = np.argsort(order)
    nearest = [nearest_to_middle(points, labels == old) for old in order]
    return Clusters(rank[labels] + 1, np.array(nearest, dtype=np.int64))


def nearest_to_middle(points: NDArray[np.float64], members: NDArray[np.bool_]) -> int:
    """Row of the member that is nearest to the mean of all members.

    ``points`` are ``(particle, latent)``; ``members`` ``(particle,)`` is true for those of the
    group, of which there is at least one.
    """
    rows = np.flatnonzero(members)
    distances = np.linalg.norm(points[rows] - points[rows].mean(axis=0), axis=1)
    return int(rows[distances.argmin()])


def _order(means: NDArray[np.float64]) -> NDArray[np.int64]:
    """Leaves of a tree of the means, turned so that neighbours are as near as can be."""
    if len(means) < 3:
        return np.argsort(means[:, 0], kind="stable")
    from scipy.cluster.hierarchy import leaves_list, linkage

    order = leaves_list(linkage(means, method="average", optimal_ordering=True))
    # A tree has no direction: the end with the smaller first latent comes first.
    ends = means[order[[0, -1]], 0]
    return np.asarray(order if ends[0] <= ends[1] else order[::-1], dtype=np.int64)


def k_means(latents: ArrayLike, clusters: int, seed: int = 0) -> NDArray[np.int64]:
    """Cluster of each row of ``(particle, latent)``; the same for the same seed."""
    from sklearn.cluster import KMeans

    model = KMeans(clusters, n_init=10, random_state=seed)
    return np.asarray(model.fit_predict(np.asarray(latents, dtype=np.float64)), dtype=np.int64)


def gaussian_mixture(latents: ArrayLike, clusters: int, seed: int = 0) -> NDArray[np.int64]:
    """Likeliest Gaussian of each row of ``(particle, latent)``; the same for the same seed."""
    from sklearn.mixture import GaussianMixture

    points = np.asarray(latents, dtype=np.float64)
    # Widths of a thousandth of the spread: no Gaussian may shrink onto one particle.
    floor = 1e-6 + 1e-3 * float(points.var(axis=0).mean())
    # From particles: a start from k-means keeps its cuts across long clusters.
    model = GaussianMixture(
        clusters,
        n_init=10,
        max_iter=300,
        init_params="random_from_data",
        random_state=seed,
        reg_covar=floor,
    )
    return np.asarray(model.fit_predict(points), dtype=np.int64)


def agreement(labels: ArrayLike, truth: ArrayLike) -> float:
    """Adjusted Rand index of two labellings: 1 the same, 0 by chance."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(np.asarray(truth), np.asarray(labels)))
