"""Masks of maps: none, a sphere, around the density, or one from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.fsc import low_pass, soft_sphere
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.data.volume_mask import read_mask

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
        return soft_sphere(like.box_size_px)
    if kind in ("tight", "soft"):
        return _around_density(like, soft=kind == "soft")
    return read_mask(kind, like.box_size_px)


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
