"""A mask from a file, checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.errors import BadInputError

# Headers of masks are written with few digits.
_SAME_EDGE = 0.01


def read_mask(
    path: str | Path, box_size_px: int, edge_angstrom: float = 0.0
) -> NDArray[np.float64]:
    """Read a mask, ``(z, y, x)`` between 0 and 1, cubic.

    Parameters
    ----------
    path
        MRC file.
    box_size_px
        Box of the maps that it is for.
    edge_angstrom
        Edge of that box: a mask in another box is welcome if its own edge is as long; 0: none is.

    Raises
    ------
    BadInputError
        If it cannot be read, has another box, is empty or has values that are not 0 to 1.
    """
    volume = read_volume(path)
    data = np.asarray(volume.data, np.float64)
    edge = volume.box_size_px * volume.voxel_size_angstrom
    same = data.shape == (box_size_px,) * 3
    fits = len(set(data.shape)) == 1 and abs(edge - edge_angstrom) <= _SAME_EDGE * edge_angstrom
    if not (same or fits):
        raise BadInputError(
            f"{path}: a mask of {' × '.join(map(str, data.shape[::-1]))} voxels of "
            f"{volume.voxel_size_angstrom:g} Å for maps of {box_size_px}³.",
            remedy="Make it in the box of the maps.",
            code="wrong-box",
        )
    if not np.isfinite(data).all() or data.min() < -1e-3 or data.max() > 1 + 1e-3:
        raise BadInputError(
            f"{path}: values from {data.min():.3g} to {data.max():.3g}; a mask has 0 to 1.",
            code="bad-mask",
        )
    if not (data > 0.5).any():
        raise BadInputError(f"{path}: the mask is empty.", code="bad-mask")
    return data.clip(0, 1)
