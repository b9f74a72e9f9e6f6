"""Masks of maps: none, a sphere, around the density, or one from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.fsc import fsc_sphere, low_pass
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.data.volume_mask import read_mask
from napari_tomodrgn.errors import BadInputError

KINDS = ("none", "sphere", "tight", "soft")
# Of the density mask: voxels above this percentile of the map low-passed to this share of Nyquist
# are its core, wide by this share of the box and as much more of cosine edge.
_PERCENTILE = 99.0
_LOWPASS_SHARE = 0.4
_WIDTH_SHARE = 1 / 30

FloatArray = NDArray[np.float64]


def make_mask(kind: str | Path, like: Volume) -> FloatArray | None:
    """A mask for maps such as ``like``, ``(z, y, x)`` between 0 and 1; None for ``"none"``.

    Parameters
    ----------
    kind
        ``none``; ``sphere``: 0.9 half boxes with a soft edge; ``tight``: the densest hundredth of
        the voxels of the low-passed map; ``soft``: the same, wider by 1/30 of the box, with a
        cosine edge as wide; or a mask's file.
    like
        The map: its box is that of the mask, its density makes ``tight`` and ``soft``.

    Raises
    ------
    BadInputError
        If the file is no mask of that box.
    """
    if kind == "none":
        return None
    if kind == "sphere":
        return fsc_sphere(like.box_size_px)
    if kind in ("tight", "soft"):
        return _around_density(like, soft=kind == "soft")
    box = like.box_size_px
    data = read_mask(kind, box, box * like.voxel_size_angstrom)
    return data if len(data) == box else _resampled(data, box)


def _resampled(mask: FloatArray, box: int) -> FloatArray:
    """The mask of the same field of view on other voxels, its middle at ``box // 2``."""
    from scipy.ndimage import map_coordinates

    axis = (np.arange(box) - box // 2) * (len(mask) / box) + len(mask) // 2
    where = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.asarray(map_coordinates(mask, where, order=1, mode="nearest"), np.float64)


def _around_density(volume: Volume, *, soft: bool) -> FloatArray:
    from scipy.ndimage import distance_transform_edt

    smooth = low_pass(volume, volume.voxel_size_angstrom * 2 / _LOWPASS_SHARE).data
    core = smooth > np.percentile(smooth, _PERCENTILE)
    if not soft:
        return core.astype(np.float64)
    width = max(1.0, volume.box_size_px * _WIDTH_SHARE)
    distance = distance_transform_edt(~core)
    edge = np.clip((distance - width) / width, 0, 1)
    return np.asarray((1 + np.cos(np.pi * edge)) / 2)


def sphere_mask(like: Volume, centre_xyz_angstrom: tuple[float, ...], radius: float) -> FloatArray:
    """A ball with a soft edge, ``(z, y, x)``; Å from the middle of the first voxel, as ChimeraX.

    The radius is in Å, too.
    """
    z, y, x = _axes(like)
    a, b, c = centre_xyz_angstrom
    return _soft(np.sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) - radius, like)


def box_mask(like: Volume, one_xyz: tuple[float, ...], other_xyz: tuple[float, ...]) -> FloatArray:
    """A cuboid with a soft edge between two corners, in Å as `sphere_mask` has them."""
    beyond = [
        np.maximum(min(one, other) - axis, axis - max(one, other))
        for one, other, axis in zip(one_xyz, other_xyz, _axes(like)[::-1], strict=True)
    ]
    return _soft(np.maximum(np.maximum(beyond[0], beyond[1]), beyond[2]), like)


def difference_mask(one: Volume, other: Volume, sigma: float) -> FloatArray:
    """Around the largest blob in which two maps of one box differ, with a soft edge.

    Parameters
    ----------
    one, other
        The maps.
    sigma
        Where the difference counts, in its standard deviations.

    Raises
    ------
    BadInputError
        If boxes differ, or nothing differs by so much.
    """
    from scipy.ndimage import distance_transform_edt, label

    if one.data.shape != other.data.shape:
        raise BadInputError(
            f"Maps of {one.box_size_px}³ and {other.box_size_px}³ do not compare.",
            remedy="Bring both into one box.",
            code="wrong-box",
        )
    difference = np.abs(one.data.astype(np.float64) - other.data)
    blobs, count = label(difference > sigma * difference.std())
    if not count:
        raise BadInputError(f"The maps differ nowhere by {sigma:g} sigma.", code="no-difference")
    weights = np.bincount(blobs.ravel(), weights=difference.ravel())
    weights[0] = 0
    distance = distance_transform_edt(blobs != weights.argmax()) * one.voxel_size_angstrom
    return _soft(distance - _width(one), one)


def _axes(like: Volume) -> tuple[FloatArray, FloatArray, FloatArray]:
    axis = np.arange(like.box_size_px) * like.voxel_size_angstrom
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    return z, y, x


def _width(like: Volume) -> float:
    """Of a soft edge in Å: two voxels, or a thirtieth of the box."""
    return max(2.0, like.box_size_px * _WIDTH_SHARE) * like.voxel_size_angstrom


def _soft(beyond: FloatArray, like: Volume) -> FloatArray:
    """1 inside, 0 beyond a cosine edge; ``beyond`` is the distance outside in Å."""
    edge = np.clip(beyond / _width(like), 0, 1)
    return np.asarray((1 + np.cos(np.pi * edge)) / 2)
