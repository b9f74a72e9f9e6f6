"""Places in latent space that are no particle's: clicked points, and paths between particles.

Pure functions of the latent table; how much data supports a place is said wherever one is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents.components import STRIP
from napari_tomodrgn.analysis.latents.paths import along_neighbours, evenly
from napari_tomodrgn.particle_columns import axes_of, latent_matrix, row_of
from napari_tomodrgn.session import LatentPath, LatentPoint

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
) -> LatentPoint:
    """The latent under a clicked place of the chart.

    Along axes that are latent directions it is exactly where the click was; in all others it is the
    mean of the particles that the chart shows nearest, so that the decoder is asked about a place
    where there are some.
    """
    points = latent_matrix(table)
    z = _latents_at(table, axes, xy, np.array([at]))[0]
    return _supported(points, z, reach_of(points))


def drawn(
    table: pd.DataFrame, axes: tuple[str, str], xy: FloatArray, line: FloatArray
) -> LatentPath:
    """Along a line (place, 2) that was drawn in the chart, each frame as `clicked_point`."""
    points = latent_matrix(table)
    places = evenly(line, _FRAMES, _extent(xy))
    return _path(points, _latents_at(table, axes, xy, places), "drawn")


def _latents_at(
    table: pd.DataFrame, axes: tuple[str, str], xy: FloatArray, places: FloatArray
) -> FloatArray:
    """Latents (place, dimension) under places (place, 2) of a chart of ``xy`` (particle, 2)."""
    points = latent_matrix(table)
    extent = _extent(xy)
    known = np.where(np.isfinite(xy), xy, np.inf) / extent
    count = min(TYPICAL, len(points))
    nearest = [np.argpartition(_distances(known, at / extent), count - 1)[:count] for at in places]
    latents = np.stack([points[rows].mean(axis=0) for rows in nearest])
    directions = [_direction(table, name) for name in axes]
    if axes[0] == axes[1] or any(one is None for one in directions):
        return latents
    base = np.stack([one[0] for one in directions if one is not None])
    origin = np.array([one[1] for one in directions if one is not None])
    # Two directions of PCs and dimensions need not be at right angles: least squares.
    return latents + (places + origin - latents @ base.T) @ np.linalg.pinv(base).T


def _extent(xy: FloatArray) -> FloatArray:
    """Width and height of a chart's cloud."""
    return np.maximum(np.nanmax(xy, axis=0) - np.nanmin(xy, axis=0), 1e-9)


def along_component(table: pd.DataFrame, number: int = 1) -> LatentPath:
    """Return the straight line along a principal component, through the median of all particles.

    It goes from the 2nd to the 98th percentile of the scores. All other components stay at their
    median, which a few false picks far off do not pull beside all others as they do the mean. Where
    that leaves the particles, the frames say how few are near.
    """
    points = latent_matrix(table)
    middle, vector = np.median(points, axis=0), axes_of(table).vectors[:, number - 1]
    low, high = np.percentile((points - middle) @ vector, [2.0, 98.0])
    frames = middle + np.linspace(low, high, _FRAMES)[:, None] * vector
    return _path(points, frames, f"PC {number}")


def between(table: pd.DataFrame, first: str, last: str) -> LatentPath:
    """The straight way from one particle to another: a morph."""
    points = latent_matrix(table)
    ends = points[[row_of(table, first), row_of(table, last)]]
    return _path(points, evenly(ends, _FRAMES), f"{first} → {last}")


def through(table: pd.DataFrame, anchors: Sequence[str]) -> LatentPath:
    """From particle to particle along neighbours, so that no frame is far from the data."""
    points = latent_matrix(table)
    rows = along_neighbours(points, [row_of(table, name) for name in anchors])
    frames = evenly(points[rows], _FRAMES)
    return _path(points, frames, f"{anchors[0]} ⇝ {anchors[-1]}")


def projected(
    table: pd.DataFrame, axes: tuple[str, str], xy: NDArray[np.floating], z: FloatArray
) -> FloatArray:
    """Places (place, 2) of latents (place, dimension) in a chart whose particles are at ``xy``.

    Along an axis that is no latent direction it is where the nearest particle is.
    """
    directions = [_direction(table, name) for name in axes]
    nearest: list[int] = []
    if any(direction is None for direction in directions):
        points = latent_matrix(table)
        nearest = [int(_distances(points, one).argmin()) for one in z]
    columns = [
        xy[nearest, column] if direction is None else z @ direction[0] - direction[1]
        for column, direction in enumerate(directions)
    ]
    return np.stack(columns, axis=-1)


def wide_components(names: list[str]) -> list[str]:
    """Components among the names of axes, without those beside one that are next to nothing."""
    components = [name for name in names if name.startswith("PC ")]
    return components[:1] if STRIP in names else components


def is_latent(name: str) -> bool:
    """Whether an axis is a latent direction: a dimension or a PC."""
    return name.startswith("PC ") or (name.startswith("z ") and name[2:].isdigit())


def _direction(table: pd.DataFrame, name: str) -> tuple[FloatArray, float] | None:
    """Unit vector of an axis and what is subtracted from the projection onto it."""
    if name.startswith("PC "):
        found = axes_of(table)
        vector = found.vectors[:, int(name[3:]) - 1]
        return vector, float(found.mean @ vector)
    if is_latent(name):
        return np.eye(len(axes_of(table).mean))[int(name[2:])], 0.0
    return None


def _path(points: FloatArray, frames: FloatArray, name: str) -> LatentPath:
    reach = reach_of(points)
    return LatentPath(name, tuple(_supported(points, z, reach) for z in frames))


def _supported(points: FloatArray, z: FloatArray, reach: float) -> LatentPoint:
    return LatentPoint(tuple(float(part) for part in z), near_count(points, z, reach))


def _distances(points: FloatArray, at: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(points - at, axis=1))
