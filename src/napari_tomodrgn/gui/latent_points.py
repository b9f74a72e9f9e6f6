"""Places in latent space that are no particle's: clicked points, and paths between particles.

Pure functions of the latent table; how much data supports a place is said wherever one is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.session import LatentPath, LatentPoint, latent_matrix, mean_and_components

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

# "Near" is nearer than the typical particle's neighbour of this rank, so this many are typical.
TYPICAL = 10
_SAMPLE = 500
_FRAMES = 21


def reach_of(points: FloatArray) -> float:
    """Distance within which a typical particle has `TYPICAL` neighbours."""
    rows = np.linspace(0, len(points) - 1, min(len(points), _SAMPLE)).astype(int)
    rank = min(TYPICAL, len(points) - 1)
    found = [np.partition(_distances(points, points[row]), rank)[rank] for row in rows]
    return float(np.median(found))


def near_count(points: FloatArray, z: FloatArray, reach: float) -> int:
    """Particles within ``reach`` of a place."""
    return int((_distances(points, z) <= reach).sum())


def clicked_point(
    table: pd.DataFrame, axes: tuple[str, str], xy: FloatArray, at: tuple[float, float]
) -> LatentPoint | None:
    """The latent under a clicked place of the chart; None if an axis is no latent direction.

    Along the axes it is exactly where the click was; in all other directions it is the mean of the
    particles that the chart shows nearest, so that the decoder is asked about a place where there
    are some.
    """
    points = latent_matrix(table)
    directions = [_direction(points, name) for name in axes]
    if any(one is None for one in directions) or axes[0] == axes[1]:
        return None
    extent = np.maximum(np.ptp(xy, axis=0), 1e-9)
    near = np.argsort(_distances(xy / extent, np.array(at) / extent))[:TYPICAL]
    z = points[near].mean(axis=0)
    base = np.stack([one[0] for one in directions if one is not None])
    origin = np.array([one[1] for one in directions if one is not None])
    # Two directions of PCs and dimensions need not be at right angles: least squares.
    z = z + np.linalg.pinv(base) @ (np.array(at) + origin - base @ z)
    return _supported(points, z, reach_of(points))


def along_component(table: pd.DataFrame, number: int = 1) -> LatentPath:
    """From one end of a principal component to the other, where the particles are.

    Each frame is the mean of the particles nearest along the component, put exactly on its step.
    """
    points = latent_matrix(table)
    mean, vectors = mean_and_components(points)
    vector = vectors[:, number - 1]
    scores = (points - mean) @ vector
    low, high = np.percentile(scores, [2.0, 98.0])
    count = max(1, min(len(points), max(TYPICAL, len(points) // 20)))
    frames = []
    for step in np.linspace(low, high, _FRAMES):
        local = points[np.argsort(np.abs(scores - step))[:count]].mean(axis=0)
        frames.append(local + (step - (local - mean) @ vector) * vector)
    return _path(points, np.array(frames), f"PC {number}")


def between(table: pd.DataFrame, first: str, last: str) -> LatentPath:
    """The straight way from one particle to another."""
    points = latent_matrix(table)
    ends = [points[int(np.flatnonzero(table.index == name)[0])] for name in (first, last)]
    share = np.linspace(0.0, 1.0, _FRAMES)[:, None]
    return _path(points, ends[0] * (1 - share) + ends[1] * share, f"{first} → {last}")


def projected(table: pd.DataFrame, axes: tuple[str, str], z: FloatArray) -> FloatArray | None:
    """Places (…, 2) of latents (…, dimension) in a chart; None if an axis is no direction."""
    points = latent_matrix(table)
    columns = []
    for name in axes:
        direction = _direction(points, name)
        if direction is None:
            return None
        columns.append(z @ direction[0] - direction[1])
    return np.stack(columns, axis=-1)


def _direction(points: FloatArray, name: str) -> tuple[FloatArray, float] | None:
    """Unit vector of an axis and what is subtracted from the projection onto it."""
    if name.startswith("PC "):
        mean, vectors = mean_and_components(points)
        vector = vectors[:, int(name[3:]) - 1]
        return vector, float(mean @ vector)
    if name.startswith("z ") and name[2:].isdigit():
        return np.eye(points.shape[1])[int(name[2:])], 0.0
    return None


def _path(points: FloatArray, frames: FloatArray, name: str) -> LatentPath:
    reach = reach_of(points)
    return LatentPath(name, tuple(_supported(points, z, reach) for z in frames))


def _supported(points: FloatArray, z: FloatArray, reach: float) -> LatentPoint:
    return LatentPoint(tuple(float(part) for part in z), near_count(points, z, reach))


def _distances(points: FloatArray, at: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(points - at, axis=1))
