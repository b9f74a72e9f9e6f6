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


@dataclass(frozen=True, eq=False)
class PrincipalAxes:
    """Mean (dimension,), unit vectors (dimension, component), and shares of the variance."""

    mean: NDArray[np.float64]
    vectors: NDArray[np.float64]
    share: NDArray[np.float64]

    @property
    def has_one_component(self) -> bool:
        """Whether all others are next to nothing."""
        return len(self.share) == 1 or bool(self.share[1] < _UNSEEN)

    @property
    def wide(self) -> NDArray[np.float64]:
        """The unit vectors of the components that carry something, ``(dimension, component)``."""
        return self.vectors[:, self.share >= _NOTHING]


def latent_matrix(latents: pd.DataFrame) -> NDArray[np.float64]:
    """The means ``mu_0…`` as an array (particle, dimension)."""
    return latents[mean_columns(latents)].to_numpy(np.float64)


def principal_components(
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores (particle, component) and the share of the variance that each component explains.

    Components are sorted by variance; the largest loading of each is positive, so that the picture
    does not flip from one call to the next.
    """
    axes = principal_axes(points)
    return (points - axes.mean) @ axes.vectors, axes.share


def mean_and_components(
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and unit vectors (dimension, component) of the principal components."""
    axes = principal_axes(points)
    return axes.mean, axes.vectors


def principal_axes(points: NDArray[np.float64]) -> PrincipalAxes:
    """The principal components of points (particle, dimension), without any point's scores."""
    mean = points.mean(axis=0)
    centred = points - mean
    variances, vectors = np.linalg.eigh(centred.T @ centred / max(1, len(points) - 1))
    # Rounding leaves variances of -1e-17 where there is none.
    variances, vectors = np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    total = variances.sum()
    share = variances / total if total > 0 else np.zeros_like(variances)
    return PrincipalAxes(mean, vectors * signs, share)


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
    latents: NDArray[np.float64],
    component: int,
    frames: int = 10,
    limits_percent: tuple[float, float] = (5.0, 95.0),
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps along one principal component (from 1), all others at their mean.

    Returns
    -------
    Scores of the steps, from one percentile of the particles' scores to the other, and the latents
    ``(frame, dimension)`` that belong to them.
    """
    mean, vectors = mean_and_components(latents)
    vector = vectors[:, component - 1]
    low, high = np.percentile((latents - mean) @ vector, limits_percent)
    scores = np.linspace(low, high, frames)
    return scores, mean + scores[:, None] * vector
