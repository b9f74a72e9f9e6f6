"""Where particles are in relation to each other, to surfaces and to the tomogram, as columns.

All is done tomogram by tomogram, with KD-trees. Each function returns a `pandas.DataFrame` with
the index ``particle_id``, so that tables can be joined and used as colour, axis or filter. What
cannot be known (no neighbour, no position, no pose) is NaN, or an empty name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

from napari_tomodrgn.analysis.tomogram.placement import ANGLE_COLUMNS, POSITION_COLUMNS
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.geometry import FloatArray, euler_to_matrix, xyz_to_zyx

if TYPE_CHECKING:
    import pandas as pd

# Points around the nearest one that the plane of a surface is fitted to.
_PLANE_POINTS = 64
_CUBIC_ANGSTROM_PER_CUBIC_NM = 1e3


@dataclass(frozen=True, eq=False)
class _Members:
    """Particles of one tomogram that have positions; rotations are map → tomogram, on xyz.

    ``first`` are the members that are the first copy of their particle (all without copies), and
    ``original`` is the place among them of each member's.
    """

    tomogram: str
    rows: NDArray[np.int64]
    positions_zyx: FloatArray
    rotations_xyz: FloatArray
    first: NDArray[np.int64]
    original: NDArray[np.int64]


def neighbourhood(
    particles: ParticleSet, radius_angstrom: float, labels: pd.Series | None = None
) -> pd.DataFrame:
    """Nearest neighbours, crowding, and place in the tomogram.

    Parameters
    ----------
    particles
        With positions in their tomograms.
    radius_angstrom
        Centres within this distance count as neighbours.
    labels
        State of particles, index ``particle_id``; adds the column ``neighbour_state``.

    Returns
    -------
    Columns
        ``neighbour_id``, ``neighbour_distance_angstrom``: nearest in the same tomogram;
        ``neighbour_angle_deg``: of the rotation from its orientation to the particle's, 0 to 180;
        ``neighbour_polar_deg``, ``neighbour_azimuth_deg``: where it lies in the particle's own
        axes, from z (0 to 180) and about z from x (−180 to 180): neighbours of a chain, as
        ribosomes on one messenger, share distance, angle and place;
        ``neighbours_within``: number within the radius;
        ``density_per_nm3``: the same and the particle, by the volume of that sphere (not corrected
        at the walls of the tomogram);
        ``height_angstrom``: z above the middle of the tomogram, or, where its size is not known,
        above the middle of its particles;
        ``depth_angstrom``: distance from the nearer face of the slab that the particles fill,
        which may be inclined.
    """
    import pandas as pd

    count = len(particles)
    numbers = {name: np.full(count, np.nan) for name in _NUMBERS}
    ids = np.array(particles.ids, dtype=object)
    nearest = np.full(count, "", dtype=object)
    extents = {t.name: t.extent_xyz_angstrom for t in particles.source.tomograms}
    for members in _by_tomogram(particles):
        rows, at = members.rows, members.positions_zyx
        other, *relation = _nearest(members)
        known = other >= 0
        nearest[rows[known]] = ids[rows[other[known]]]
        tree = KDTree(at[members.first])
        within = tree.query_ball_point(at, radius_angstrom, return_length=True)
        sphere = 4 / 3 * np.pi * radius_angstrom**3 / _CUBIC_ANGSTROM_PER_CUBIC_NM
        extent = extents.get(members.tomogram)
        middle = extent[2] / 2 if extent else (at[:, 0].min() + at[:, 0].max()) / 2
        crowd, height = (within - 1, within / sphere), (at[:, 0] - middle, _depth(at))
        for name, values in zip(_NUMBERS, (*relation, *crowd, *height), strict=True):
            numbers[name][rows] = values
    index = pd.Index(ids, name="particle_id")
    table = pd.DataFrame({"neighbour_id": nearest, **numbers}, index=index)
    if labels is not None:
        table["neighbour_state"] = labels.reindex(nearest).to_numpy()
    return table


# What describes surroundings, for tests of all of it; a neighbour's identity stands for its state.
_NUMBERS = (
    "neighbour_distance_angstrom",
    "neighbour_angle_deg",
    "neighbour_polar_deg",
    "neighbour_azimuth_deg",
    "neighbours_within",
    "density_per_nm3",
    "height_angstrom",
    "depth_angstrom",
)


COLUMNS = (
    "neighbour_id",
    *_NUMBERS,
    "surface_distance_angstrom",
    "surface_angle_deg",
    "defocus_angstrom",
)


def surface_context(
    particles: ParticleSet,
    surfaces: Mapping[str, FloatArray],
    axis_xyz: tuple[float, float, float] = (0.0, 0.0, 1.0),
) -> pd.DataFrame:
    """Distance and angle to a surface, such as a membrane.

    Parameters
    ----------
    particles
        With positions in their tomograms.
    surfaces
        Points of the surface by tomogram: ``(point, 3)`` zyx in Å from the tomogram's corner; from
        a label array by `surface_points`, from a mesh its vertices.
    axis_xyz
        Axis of the map whose direction is asked for.

    Returns
    -------
    Columns
        ``surface_distance_angstrom``: from the particle's centre to the nearest point;
        ``surface_angle_deg``: between that axis of the particle and the surface's normal there,
        0 (along the normal) to 90; a surface seen as points has no inside.
    """
    import pandas as pd

    values = np.full((len(particles), 2), np.nan)
    axis = np.asarray(axis_xyz, dtype=np.float64) / np.linalg.norm(axis_xyz)
    for members in _by_tomogram(particles):
        points = np.asarray(surfaces.get(members.tomogram, np.zeros((0, 3))), dtype=np.float64)
        if not len(points):
            continue
        tree = KDTree(points)
        distance, nearest = tree.query(members.positions_zyx)
        around = tree.query(points[nearest], k=min(_PLANE_POINTS, len(points)))[1]
        axes = xyz_to_zyx(members.rotations_xyz @ axis)
        cosine = np.abs((_normals(points[around.reshape(len(nearest), -1)]) * axes).sum(axis=1))
        values[members.rows, 0] = distance
        values[members.rows, 1] = np.rad2deg(np.arccos(np.clip(cosine, 0.0, 1.0)))
    index = pd.Index(particles.ids, name="particle_id", dtype=object)
    return pd.DataFrame(values, index, ["surface_distance_angstrom", "surface_angle_deg"])


def defocus(particles: ParticleSet) -> pd.DataFrame:
    """``defocus_angstrom``: mean of both axes, in each particle's least tilted image."""
    import pandas as pd

    images = particles.images
    mean = (images["defocus_u_angstrom"] + images["defocus_v_angstrom"]) / 2
    least = images["stage_tilt_deg"].abs().groupby(images["particle_id"], observed=True).idxmin()
    values = mean.loc[least].to_numpy(np.float64)
    index = pd.Index(least.index.astype(str), name="particle_id", dtype=object)
    return pd.DataFrame({"defocus_angstrom": values}, index).reindex(particles.ids)


def surface_points(
    labels_zyx: NDArray[np.integer], voxel_size_angstrom: float, label: int | None = None
) -> FloatArray:
    """Centres of the outermost voxels of a label, ``(point, 3)`` zyx in Å from the corner.

    Parameters
    ----------
    labels_zyx
        Label array of the tomogram, or of a part from its corner.
    voxel_size_angstrom
        Edge of its voxels.
    label
        Which; all that are not 0 if None.
    """
    inside = labels_zyx != 0 if label is None else labels_zyx == label
    # What lies at the wall of the tomogram goes on outside: no surface there.
    rim = inside & ~binary_erosion(inside, border_value=1)
    return np.argwhere(rim).astype(np.float64) * voxel_size_angstrom


def _by_tomogram(particles: ParticleSet) -> Iterator[_Members]:
    table = particles.particles
    positions = xyz_to_zyx(table[POSITION_COLUMNS].to_numpy(np.float64))
    angles = table[ANGLE_COLUMNS].to_numpy(np.float64)
    posed = np.isfinite(angles).all(axis=1)
    rotations = np.full((len(table), 3, 3), np.nan)
    if posed.any():
        rotations[posed] = euler_to_matrix(angles[posed])
    names = table["tomogram"].astype(str).to_numpy()
    placed, copied = np.isfinite(positions).all(axis=1), particles.originals
    for name in np.unique(names):
        rows = np.flatnonzero((names == name) & placed)
        if len(rows):
            first, original = np.unique(copied[rows], return_index=True, return_inverse=True)[1:]
            yield _Members(
                str(name), rows, positions[rows], rotations[rows], first, original.reshape(-1)
            )


def _nearest(members: _Members) -> tuple[NDArray[np.int64], *tuple[FloatArray, ...]]:
    """Nearest other member of each (−1: none): distance in Å, angle between the two, direction."""
    count, first = len(members.rows), members.first
    if len(first) < 2:
        return np.full(count, -1), *np.full((4, count), np.nan)
    distances, found = KDTree(members.positions_zyx[first]).query(members.positions_zyx, k=2)
    # Of two particles at one place either may come first.
    second = np.where(found[:, 0] == members.original, 1, 0)
    rows = np.arange(count)
    other, distance = first[found[rows, second]], distances[rows, second]
    turn = np.einsum("pji,pjk->pik", members.rotations_xyz[other], members.rotations_xyz)
    cosine = (np.trace(turn, axis1=1, axis2=2) - 1) / 2
    angle = np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0)))
    away = (members.positions_zyx[other] - members.positions_zyx)[:, ::-1]
    x, y, z = np.einsum("pji,pj->ip", members.rotations_xyz, away)
    polar, azimuth = np.arctan2(np.hypot(x, y), z), np.arctan2(y, x)
    return other, distance, angle, np.rad2deg(polar), np.rad2deg(azimuth)


def _depth(positions_zyx: FloatArray) -> FloatArray:
    """Å from the nearer face of the slab of particles; faces are parallel to the fitted plane."""
    if len(positions_zyx) < 4:
        return np.full(len(positions_zyx), np.nan)
    centred = positions_zyx - positions_zyx.mean(axis=0)
    slopes = np.linalg.lstsq(centred[:, 1:], centred[:, 0], rcond=None)[0]
    height = (centred[:, 0] - centred[:, 1:] @ slopes) / np.sqrt(1 + (slopes**2).sum())
    return np.asarray(np.minimum(height - height.min(), height.max() - height))


def _normals(patches: FloatArray) -> FloatArray:
    """Normals of planes through patches of points, ``(patch, point, 3)`` → ``(patch, 3)``."""
    centred = patches - patches.mean(axis=1, keepdims=True)
    scatter = np.einsum("pki,pkj->pij", centred, centred)
    return np.asarray(np.linalg.eigh(scatter)[1][..., 0])
