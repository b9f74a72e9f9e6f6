"""How far particles are off in their tomogram: placed maps, fitted to it by shift and rotation.

Gauss and Newton's least squares on the voxels around each particle: what the tomogram has beyond
the maps as placed is explained by the change of the maps along six directions, and a scale. It is
local: errors of some voxels and some ten degrees are found, wrong hands and axes are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_tomodrgn.analysis.tomogram.placement import Placement, stamp
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.geometry import FloatArray

# By so much, either way, maps are moved for their change along each direction.
_SHIFT_STEP_VOXELS = 0.125
_TURN_STEP_DEG = 2.0


@dataclass(frozen=True, eq=False)
class PoseErrors:
    """What is left between particles as placed and the tomogram, one row a particle.

    Attributes
    ----------
    shifts_zyx_angstrom
        From where it was placed to where it fits, ``(particle, 3)``.
    turns_xyz_deg
        Rotation vectors in the axes of the tomogram, from as placed to as it fits.
    rotations_xyz
        As placed: map → tomogram.
    """

    shifts_zyx_angstrom: FloatArray
    turns_xyz_deg: FloatArray
    rotations_xyz: FloatArray

    def common(self) -> tuple[float, float]:
        """Largest shift (Å) and turn (°) that all share, in the tomogram's or the map's axes.

        What is common to particles of all orientations is an error of conventions; what differs
        between them is noise.
        """
        shifts, turns = self.shifts_zyx_angstrom[:, ::-1], self.turns_xyz_deg
        here = (shifts.mean(axis=0), turns.mean(axis=0))
        # Row vectors times R are columns times its transpose: into the map.
        back = [np.einsum("pi,pij->pj", one, self.rotations_xyz) for one in (shifts, turns)]
        there = tuple(one.mean(axis=0) for one in back)
        pairs = zip(here, there, strict=True)
        shift, turn = (max(map(float, np.linalg.norm(pair, axis=1))) for pair in pairs)
        return shift, turn


def moved(placement: Placement, by: FloatArray) -> Placement:
    """Shifted by zyx Å and turned by a rotation vector (rad, xyz), both in tomogram axes."""
    turn = Rotation.from_rotvec(by[3:]).as_matrix()
    return replace(
        placement,
        position_zyx_angstrom=placement.position_zyx_angstrom + by[:3],
        rotation_xyz=turn @ placement.rotation_xyz,
    )


def fit_poses(
    tomogram: Volume,
    maps: Sequence[Volume],
    placed: Sequence[Placement],
    reach_angstrom: float,
    rounds: int = 2,
) -> PoseErrors:
    """Fit the placed maps to the tomogram, each by itself.

    Parameters
    ----------
    tomogram
        Density positive, or negative: the scale of each fit is free.
    maps
        One a particle.
    placed
        Their poses in this tomogram.
    reach_angstrom
        Radius around each particle that is fitted.
    rounds
        Of linearisation.
    """
    voxel = tomogram.voxel_size_angstrom
    steps = np.diag([_SHIFT_STEP_VOXELS * voxel] * 3 + [np.deg2rad(_TURN_STEP_DEG)] * 3)
    found = np.zeros((len(placed), 6))
    regions = [_region(one, tomogram, reach_angstrom) for one in placed]
    for _ in range(rounds):

        def drawn(step: FloatArray | float, now: FloatArray = found) -> NDArray[np.float32]:
            poses = [moved(p, v + step) for p, v in zip(placed, now, strict=True)]
            return stamp(maps, poses, _shape(tomogram), voxel).data

        base = drawn(0.0)
        slopes = [(drawn(step) - drawn(-step)) / 2 for step in steps]
        for row, region in enumerate(regions):
            found[row] += _solved(tomogram.data[region], base[region], slopes, region) @ steps
    turns = np.rad2deg(found[:, 3:])
    return PoseErrors(found[:, :3], turns, np.array([p.rotation_xyz for p in placed]))


def _solved(
    seen: NDArray[np.float32],
    base: NDArray[np.float32],
    slopes: list[FloatArray],
    region: tuple[NDArray[np.int64], ...],
) -> FloatArray:
    """Steps along the six directions; tomogram = scale · (base + Σ step · slope) + constant."""
    columns: list[NDArray[np.floating]] = [
        *(slope[region] for slope in slopes),
        base,
        np.ones_like(base),
    ]
    solution = np.linalg.lstsq(np.stack(columns, axis=1), seen, rcond=None)[0]
    scale = solution[6] if abs(solution[6]) > 1e-6 else 1.0
    return np.asarray(solution[:6] / scale, dtype=np.float64)


def _region(placement: Placement, tomogram: Volume, reach: float) -> tuple[NDArray[np.int64], ...]:
    """Indices of the voxels within a sphere, as far as the tomogram has them."""
    voxel = tomogram.voxel_size_angstrom
    count = int(np.ceil(reach / voxel)) + 1
    axis = np.arange(-count, count + 1)
    offsets = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    index = np.rint(placement.position_zyx_angstrom / voxel).astype(np.int64) + offsets
    away = index * voxel - placement.position_zyx_angstrom
    inside = ((index >= 0) & (index < np.array(tomogram.data.shape))).all(axis=1)
    return tuple(index[((away**2).sum(axis=1) < reach**2) & inside].T)


def _shape(tomogram: Volume) -> tuple[int, int, int]:
    z, y, x = tomogram.data.shape
    return z, y, x
