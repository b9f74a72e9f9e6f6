"""How far a part of a molecule moves between two maps of it.

One part is taken to have moved as a rigid body, and all else to have stayed. Two steps take turns:
the motion that best carries map B onto map A within the part (Gauss and Newton, in three turns and
three shifts), and the part, which is where B looks more like A once it is moved. Coarse maps come
first, so that a part is followed that moved farther than the finest details are wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_tomodrgn.analysis.fsc import fourier_cropped, low_pass
from napari_tomodrgn.data.volume import Volume

Real = NDArray[np.float64]

_COARSER = (3.0, 2.0, 1.4, 1.0)  # resolutions one after the other, times the finest
_ROUNDS = 4  # of motion and part, at each resolution
_NEWTON_STEPS = 6  # of a round
_VOXELS_A_DETAIL = 3.0  # finer voxels take time and say no more
_FARTHEST = 95.0  # percentile of how far the part's voxels move
_IN_PART = 0.5
# Of the squared difference in the part, so much has to go with the motion; both ways, A to B and
# B to A, have to give as much; and it moves by less than this share of its own diameter, and turns
# by less than this: what comes or goes is "explained" by moving something out of the way.
_LEAST_EXPLAINED = 0.5
_WAYS_AGREE = 0.25
_LARGEST_SHARE = 0.4
_LARGEST_TURN_DEG = 35.0


@dataclass(frozen=True)
class PartMotion:
    """A rigid motion of a part.

    Attributes
    ----------
    farthest_angstrom
        How far the part's density moves, all but the twentieth of it that moves farthest.
    error_angstrom
        Its standard error: by half maps, or half of what both ways differ by if that is more.
    turn_deg
        Angle of the turn.
    explained
        Share of the squared difference of both maps, in the part, that goes with the motion.
    """

    farthest_angstrom: float
    error_angstrom: float
    turn_deg: float
    explained: float


@dataclass(frozen=True, eq=False)
class _Motion:
    """x ↦ R x + t from the middle of the box, in voxels and the order zyx."""

    rotation: Real
    shift: Real

    def moved(self, density: Real) -> Real:
        """A density after the motion."""
        back = self.rotation.T
        middle = np.full(3, density.shape[0] // 2, float)
        offset = middle - back @ (middle + self.shift)
        return np.asarray(ndimage.affine_transform(density, back, offset, order=1), float)

    def then(self, turn_xyz: Real, shift_zyx: Real) -> _Motion:
        """This motion and a small one after it."""
        # Reversing the order of axes makes a mirror image, in which turns go the other way.
        step = Rotation.from_rotvec(-turn_xyz[::-1]).as_matrix()
        return _Motion(step @ self.rotation, step @ self.shift + shift_zyx)

    def path_to(self, places: Real) -> Real:
        """From where what is at ``places``, ``(n, 3)`` from the middle, came."""
        return np.asarray(places - (places - self.shift) @ self.rotation)


@dataclass(frozen=True, eq=False)
class _Found:
    """One way: the motion, where the part is, ``(z, y, x)`` from 0 to 1, and what it explains."""

    motion: _Motion
    part: Real
    explained: float
    paths: Real

    @property
    def farthest(self) -> float:
        return float(np.percentile(np.linalg.norm(self.paths, axis=1), _FARTHEST))

    @property
    def turn_deg(self) -> float:
        return float(np.degrees(Rotation.from_matrix(self.motion.rotation).magnitude()))

    @property
    def diameter(self) -> float:
        """Of a sphere as large as the part."""
        return float(np.cbrt(6 / np.pi * np.count_nonzero(self.part > _IN_PART)))

    @property
    def credible(self) -> bool:
        """Whether it is what a part that moves looks like."""
        near = self.farthest < _LARGEST_SHARE * self.diameter
        return near and self.turn_deg < _LARGEST_TURN_DEG and self.explained > _LEAST_EXPLAINED


def find_part_motion(
    a: Volume, b: Volume, halves: Sequence[tuple[Volume, Volume]], resolution_angstrom: float
) -> PartMotion | None:
    """Find the rigid motion of one part between two maps; None where no motion explains them.

    Parameters
    ----------
    a, b
        Maps of one box and voxel size.
    halves
        Two pairs of half maps, (of A, of B) each, for the error.
    resolution_angstrom
        Finer details are left out.
    """
    one_way = _find(a, b, resolution_angstrom)
    back = _find(b, a, resolution_angstrom)
    if one_way is None or back is None or not (one_way.credible and back.credible):
        return None
    farthest = (one_way.farthest + back.farthest) / 2
    apart = abs(one_way.farthest - back.farthest)
    if apart > _WAYS_AGREE * farthest:
        return None
    voxel = _coarse(a, resolution_angstrom, resolution_angstrom).voxel_size_angstrom
    by_halves = _error_by_halves(halves, one_way, resolution_angstrom)
    return PartMotion(
        farthest * voxel,
        max(by_halves, apart / 2) * voxel,
        (one_way.turn_deg + back.turn_deg) / 2,
        min(one_way.explained, back.explained),
    )


def _find(a: Volume, b: Volume, resolution_angstrom: float) -> _Found | None:
    """The motion from B to A; None where nothing moves."""
    motion = _Motion(np.eye(3), np.zeros(3))
    one = other = part = np.zeros((1, 1, 1))
    for coarser in _COARSER:
        resolution = coarser * resolution_angstrom
        maps = [_coarse(volume, resolution, resolution_angstrom) for volume in (a, b)]
        one, other = (np.asarray(volume.data, float) for volume in maps)
        width = resolution / 2 / maps[0].voxel_size_angstrom
        for _ in range(_ROUNDS):
            part = _part(one, other, motion, width)
            motion = _fitted(one, other, part, motion)
    places = np.argwhere((part > _IN_PART) & (one > one.std())) - len(one) // 2
    before = float((part * (one - other) ** 2).sum())
    if not len(places) or before == 0:
        return None
    after = float((part * (one - motion.moved(other)) ** 2).sum())
    return _Found(motion, part, 1 - after / before, motion.path_to(places.astype(float)))


def _error_by_halves(
    halves: Sequence[tuple[Volume, Volume]], found: _Found, resolution_angstrom: float
) -> float:
    """Standard error of how far the part moves, in voxels: its motion fitted to half maps each."""
    places = np.argwhere(found.part > _IN_PART) - len(found.part) // 2
    paths = []
    for pair in halves:
        maps = [_coarse(half, resolution_angstrom, resolution_angstrom).data for half in pair]
        one, other = (np.asarray(density, float) for density in maps)
        motion = _fitted(one, other, found.part, found.motion)
        paths.append(motion.path_to(places.astype(float)))
    squared = np.square(paths[0] - paths[1]).sum(axis=1)
    return float(np.sqrt(squared.mean())) / 2


def _coarse(volume: Volume, resolution_angstrom: float, finest_angstrom: float) -> Volume:
    """A map up to a resolution, its voxels a third of the finest detail where they were less."""
    edge = volume.box_size_px * volume.voxel_size_angstrom
    box = 2 * int(np.ceil(edge / finest_angstrom * _VOXELS_A_DETAIL / 2))
    smooth = low_pass(volume, resolution_angstrom)
    return fourier_cropped(smooth, box) if box < volume.box_size_px else smooth


def _part(a: Real, b: Real, motion: _Motion, width_px: float) -> Real:
    """Where A is more like the moved B than like B; before anything moved, where they differ."""
    unmoved = ndimage.gaussian_filter((a - b) ** 2, width_px)
    highest = float(unmoved.max()) or 1.0
    if np.array_equal(motion.rotation, np.eye(3)) and not motion.shift.any():
        return np.asarray(unmoved / highest)
    moved = ndimage.gaussian_filter((a - motion.moved(b)) ** 2, width_px)
    gained = (unmoved - moved) / (unmoved + moved + 0.05 * highest)
    return np.asarray(np.clip(2 * gained, 0, 1))


def _fitted(a: Real, b: Real, part: Real, motion: _Motion) -> _Motion:
    """The motion that carries B onto A in the part, looked for from ``motion`` on."""
    inside = part > 0.02
    places = np.argwhere(inside) - a.shape[0] // 2
    if not len(places):
        return motion
    weight = np.sqrt(part[inside])[:, None]
    radius = max(1.0, float(np.sqrt(np.mean(places**2))))
    for _ in range(_NEWTON_STEPS):
        moved = motion.moved(b)
        slope = np.array(np.gradient(moved))[:, inside].T
        turns = np.cross(places[:, ::-1], slope[:, ::-1]) / radius
        columns = -np.concatenate([turns, slope], axis=1) * weight
        curvature = columns.T @ columns
        ridge = (1e-3 * np.trace(curvature) / 6 + 1e-30) * np.eye(6)
        left = ((a - moved)[inside][:, None] * weight)[:, 0]
        step = np.linalg.solve(curvature + ridge, columns.T @ left)
        motion = motion.then(step[:3] / radius, step[3:])
    return motion
