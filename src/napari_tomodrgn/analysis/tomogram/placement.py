"""Where each particle's map stands in its tomogram: position, rotation, affine, stamped volume.

The pose of a particle (``rot_deg, tilt_deg, psi_deg`` of `ParticleSet.particles`) is the matrix
reference → specimen, and that is the very rotation that turns a map into the tomogram::

    point in the tomogram = position + R · (point in the map − centre of the map)

with the centre at voxel ``n // 2``, positions in Å from the tomogram's corner, and voxel 0 of the
tomogram at that corner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter

from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.geometry import FloatArray, euler_to_matrix, xyz_to_zyx

POSITION_COLUMNS = [f"position_{axis}_angstrom" for axis in "xyz"]
ANGLE_COLUMNS = ["rot_deg", "tilt_deg", "psi_deg"]


@dataclass(frozen=True, eq=False)
class Placement:
    """The pose of one particle in its tomogram.

    Attributes
    ----------
    tomogram, particle_id
        Whose pose it is.
    position_zyx_angstrom
        Centre of the particle from the corner of the tomogram, ``(3,)``, zyx.
    rotation_xyz
        Map axes → tomogram axes, ``(3, 3)``, acting on xyz columns.
    """

    tomogram: str
    particle_id: str
    position_zyx_angstrom: FloatArray
    rotation_xyz: FloatArray

    @property
    def rotation_zyx(self) -> FloatArray:
        """The same rotation, acting on zyx columns."""
        return self.rotation_xyz[::-1, ::-1].copy()

    def affine(self, volume: Volume) -> FloatArray:
        """Voxel index zyx of a map → Å in the tomogram zyx, homogeneous ``(4, 4)``."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation_zyx * volume.voxel_size_angstrom
        matrix[:3, 3] = self.position_zyx_angstrom - matrix[:3, :3] @ box_centre_index(volume)
        return matrix

    def place(self, points_zyx_angstrom: FloatArray) -> FloatArray:
        """Points ``(point, 3)`` zyx in Å from the map's centre → zyx in Å in the tomogram."""
        return points_zyx_angstrom @ self.rotation_zyx.T + self.position_zyx_angstrom


@dataclass(frozen=True, eq=False)
class Poses:
    """The poses of a tomogram's particles as arrays, one row a particle that has a position.

    Attributes
    ----------
    tomogram
        Its name.
    ids
        Identities.
    positions_zyx_angstrom
        ``(particle, 3)``, from the corner of the tomogram.
    rotations_xyz
        ``(particle, 3, 3)``, map → tomogram; NaN where no orientation is known.
    """

    tomogram: str
    ids: tuple[str, ...]
    positions_zyx_angstrom: FloatArray
    rotations_xyz: FloatArray

    def __len__(self) -> int:
        """Return the number of particles."""
        return len(self.ids)

    def __getitem__(self, row: int) -> Placement:
        """Return the pose of one particle."""
        at, turn = self.positions_zyx_angstrom[row], self.rotations_xyz[row]
        return Placement(self.tomogram, self.ids[row], at, turn)


def poses_of(particles: ParticleSet, tomogram: str) -> Poses:
    """The poses in one tomogram, of the particles that have a position there."""
    table = particles.particles
    table = table[table["tomogram"].astype(str) == tomogram]
    table = table[np.isfinite(table[POSITION_COLUMNS].to_numpy(np.float64)).all(axis=1)]
    angles = table[ANGLE_COLUMNS].to_numpy(np.float64)
    rotations = np.full((len(table), 3, 3), np.nan)
    known = np.isfinite(angles).all(axis=1)
    if known.any():
        rotations[known] = euler_to_matrix(angles[known])
    positions = xyz_to_zyx(table[POSITION_COLUMNS].to_numpy(np.float64))
    return Poses(tomogram, tuple(map(str, table.index)), positions, rotations)


def tomogram_of(particles: ParticleSet | None, particle: str | None) -> str:
    """The tomogram that a particle has a place in; empty where there is none."""
    if particles is None or particle not in particles.particles.index:
        return ""
    row = particles.particles.loc[particle]
    known = np.isfinite(row[POSITION_COLUMNS].to_numpy(np.float64)).all()
    return str(row["tomogram"]) if known else ""


def box_centre_index(volume: Volume) -> FloatArray:
    """Voxel index zyx of the centre of a map: ``n // 2`` along each axis."""
    return np.array(volume.data.shape, dtype=np.float64) // 2


def placements(
    particles: ParticleSet,
    *,
    tomogram: str | None = None,
    ids: Iterable[str] | None = None,
    orientations_needed: bool = True,
) -> tuple[Placement, ...]:
    """Poses of particles, in the order of the set.

    Parameters
    ----------
    particles
        From any dialect that gives positions and poses in the tomogram.
    tomogram
        Only the particles of this one; its name as `tomogram_called` understands it.
    ids
        Only these particles.
    orientations_needed
        False where places suffice: particles without a pose are not turned.

    Raises
    ------
    BadInputError
        If a name is unknown, or any of these particles has no position or pose.
    """
    chosen = particles if ids is None else particles.select(ids)
    table = chosen.particles
    if tomogram is not None:
        table = table[table["tomogram"].astype(str) == tomogram_called(particles, tomogram)]
    positions = table[POSITION_COLUMNS].to_numpy(np.float64)
    angles = table[ANGLE_COLUMNS].to_numpy(np.float64)
    if not orientations_needed:
        angles = np.nan_to_num(angles)
    _refuse_unknown(particles, positions, angles)
    rows = zip(
        table["tomogram"].astype(str),
        table.index.astype(str),
        xyz_to_zyx(positions),
        euler_to_matrix(angles),
        strict=True,
    )
    return tuple(Placement(*row) for row in rows)


def tomogram_called(particles: ParticleSet, name: str) -> str:
    """The tomogram of that name, or whose name goes on with an extension: TS_1 for TS_1.tomostar.

    Raises
    ------
    BadInputError
        If there is none.
    """
    known = sorted(set(particles.particles["tomogram"].astype(str)))
    if name in known:
        return name
    longer = [tomogram for tomogram in known if tomogram.startswith(f"{name}.")]
    if len(longer) == 1:
        return longer[0]
    shown = ", ".join(known[:6]) + (", …" if len(known) > 6 else "")
    raise BadInputError(
        f"{particles.source.path}: no tomogram is called {name!r}; there are: {shown}.",
        code="unknown-tomogram",
    )


def _refuse_unknown(particles: ParticleSet, positions: FloatArray, angles: FloatArray) -> None:
    for what, values in (("positions", positions), ("orientations", angles)):
        missing = int((~np.isfinite(values)).any(axis=1).sum())
        if missing:
            raise BadInputError(
                f"{particles.source.path}: {missing} of {len(values)} particles have no {what} "
                f"in their tomogram (dialect {particles.source.dialect}).",
                remedy="Export them with 3-D coordinates and angles, as an optimisation set of "
                "WarpTools or RELION 5 has them, or name a star file that has them with --places.",
                code="no-placement",
            )


def stamp(
    volumes: Volume | Sequence[Volume],
    placed: Sequence[Placement],
    shape_zyx: tuple[int, int, int],
    voxel_size_angstrom: float,
) -> Volume:
    """Add maps, at their poses, into an array as large as a tomogram.

    Parameters
    ----------
    volumes
        One map for all particles, or one for each.
    placed
        Poses, all of one tomogram.
    shape_zyx, voxel_size_angstrom
        Of the tomogram. Detail beyond its Nyquist frequency is cut off before resampling.

    Returns
    -------
    The sum of the maps, each within the sphere that its box holds; nothing elsewhere.
    """
    maps = [volumes] * len(placed) if isinstance(volumes, Volume) else list(volumes)
    if len(maps) != len(placed):
        raise ValueError(f"{len(maps)} maps for {len(placed)} placements")
    data = np.zeros(shape_zyx, dtype=np.float32)
    ready: dict[int, NDArray[np.float32]] = {}
    for volume, placement in zip(maps, placed, strict=True):
        if id(volume) not in ready:
            ready[id(volume)] = _spline(volume, voxel_size_angstrom)
        _stamp_one(data, (volume, ready[id(volume)]), placement, voxel_size_angstrom)
    return Volume(data, voxel_size_angstrom)


def _stamp_one(
    data: NDArray[np.float32],
    prepared: tuple[Volume, NDArray[np.float32]],
    placement: Placement,
    voxel: float,
) -> None:
    volume, spline = prepared
    radius = (min(volume.data.shape) // 2 - 1) * volume.voxel_size_angstrom
    centre = placement.position_zyx_angstrom / voxel
    limit = np.array(data.shape)
    low = np.clip(np.ceil(centre - radius / voxel).astype(int), 0, limit)
    high = np.clip(np.floor(centre + radius / voxel).astype(int) + 1, 0, limit)
    if (low >= high).any():
        return
    axes = [np.arange(start, stop) * voxel for start, stop in zip(low, high, strict=True)]
    away = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) - placement.position_zyx_angstrom
    inside = (away**2).sum(axis=-1) <= radius**2
    # Row vectors times R are columns times its transpose: from the tomogram back into the map.
    index = away[inside] @ placement.rotation_zyx / volume.voxel_size_angstrom
    values = map_coordinates(spline, (index + box_centre_index(volume)).T, order=3, prefilter=False)
    data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))][inside] += values


def _spline(volume: Volume, voxel: float) -> NDArray[np.float32]:
    """Cubic spline coefficients of the map, without what the tomogram's voxels cannot show."""
    data: NDArray[np.floating] = volume.data
    if voxel > volume.voxel_size_angstrom:
        shape = data.shape
        axes = [np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1]), np.fft.rfftfreq(shape[2])]
        radius2 = sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij"))
        kept = radius2 < (0.5 * volume.voxel_size_angstrom / voxel) ** 2
        data = np.fft.irfftn(np.fft.rfftn(data) * kept, s=shape, axes=(0, 1, 2))
    return np.asarray(spline_filter(data, order=3, output=np.float32), dtype=np.float32)
