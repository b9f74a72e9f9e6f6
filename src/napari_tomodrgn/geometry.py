"""Euler angles, axis orders, rigid transforms. numpy and scipy only; degrees and Å at every door.

Conventions (all of them in ``docs/conventions.md``): a rotation matrix ``R`` acts on **xyz**
columns and takes reference axes to image axes, RELION's Euler matrix. A central slice reads the
volume at ``k_reference = R.T @ (kx, ky, 0)``. Arrays of voxels are indexed ``zyx``.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

FloatArray = NDArray[np.float64]


def euler_to_matrix(rot_tilt_psi_deg: ArrayLike) -> FloatArray:
    """RELION's Euler matrix, reference → image.

    Parameters
    ----------
    rot_tilt_psi_deg
        Angles ``rlnAngleRot, rlnAngleTilt, rlnAnglePsi`` in degrees, shape ``(..., 3)``.

    Returns
    -------
    Matrices of shape ``(..., 3, 3)`` acting on xyz columns, float64.
    """
    angles = np.asarray(rot_tilt_psi_deg, dtype=np.float64)
    # scipy's intrinsic ZYZ is image → reference; RELION's A is its inverse.
    matrices = Rotation.from_euler("ZYZ", angles.reshape(-1, 3), degrees=True).inv().as_matrix()
    return np.asarray(matrices).reshape(*angles.shape[:-1], 3, 3)


def matrix_to_euler(matrices: ArrayLike) -> FloatArray:
    """Angles rot, tilt, psi in degrees, shape ``(..., 3)``, of reference → image matrices.

    The nearest rotation is taken, so a matrix written with few digits is orthonormalised.
    """
    stacked = np.asarray(matrices, dtype=np.float64)
    rotation = Rotation.from_matrix(stacked.reshape(-1, 3, 3)).inv()
    # At tilt = 0 only rot + psi is defined: scipy then puts psi to 0 and warns; that is a valid
    # representative, so the warning is not passed on.
    angles = rotation.as_euler("ZYZ", degrees=True, suppress_warnings=True)
    return np.asarray(angles).reshape(*stacked.shape[:-2], 3)


def tilt_matrix(stage_tilt_deg: ArrayLike) -> FloatArray:
    """Specimen → image rotation of a stage tilted about y, shape ``(..., 3, 3)``."""
    angle = np.deg2rad(np.asarray(stage_tilt_deg, dtype=np.float64))
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.zeros((*angle.shape, 3, 3))
    matrix[..., 0, 0], matrix[..., 0, 2] = cos, sin
    matrix[..., 1, 1] = 1.0
    matrix[..., 2, 0], matrix[..., 2, 2] = -sin, cos
    return matrix


def xyz_to_zyx(vectors: ArrayLike) -> FloatArray:
    """Reverse the last axis: xyz ↔ zyx."""
    # Copied: torch takes no array with negative strides.
    return np.asarray(vectors, dtype=np.float64)[..., ::-1].copy()


def random_rotations(count: int, rng: np.random.Generator) -> FloatArray:
    """Rotation matrices drawn uniformly from SO(3), shape ``(count, 3, 3)``."""
    return np.asarray(Rotation.random(count, rng=rng).as_matrix()).reshape(count, 3, 3)


def rotation_angles_deg(matrices: ArrayLike) -> FloatArray:
    """Angles by which rotations ``(..., 3, 3)`` turn, ``(...)``, 0 to 180."""
    stacked = np.asarray(matrices, dtype=np.float64)
    turned = Rotation.from_matrix(stacked.reshape(-1, 3, 3)).magnitude()
    return np.asarray(np.rad2deg(turned)).reshape(stacked.shape[:-2])


def symmetry_rotations(group: str) -> FloatArray:
    """Rotations of a cyclic or dihedral point group, ``(operation, 3, 3)`` on xyz, identity first.

    As RELION has them: the n-fold axis of ``C<n>`` and ``D<n>`` is z, and a two-fold axis of
    ``D<n>`` is x. Groups with other conventions than one (T, O, I) are not made here.

    Raises
    ------
    ValueError
        If it is no such group.
    """
    named = re.fullmatch(r"([CD])([1-9]\d{0,2})", group.strip().upper())
    if named is None:
        raise ValueError(f"{group!r} is not C or D with a number, such as C6 or D2")
    order = int(named[2])
    about_z = np.outer(np.arange(order) * 2 * np.pi / order, [0.0, 0.0, 1.0])
    turns = Rotation.from_rotvec(about_z).as_matrix()
    if named[1] == "C":
        return np.asarray(turns)
    return np.concatenate([turns, turns @ np.diag([1.0, -1.0, -1.0])])


def inside_polygon(points: ArrayLike, corners: ArrayLike) -> NDArray[np.bool_]:
    """Mark the points ``(point, xy)`` inside a closed line ``(corner, xy)``, ``(point,)``.

    By the even-odd rule: what a line winds around twice is outside.
    """
    points, corners = np.asarray(points), np.asarray(corners)
    x, y = points[:, 0], points[:, 1]
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside
