"""What of a difference map is drawn: where it is beyond its standard error, without specks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.volume import Volume

# Standard errors at which a difference is drawn at first: chance reaches this in one voxel of
# sixteen thousand.
FIRST_ERRORS = 4.0
# Pieces narrower than this are no structure, however fine the resolution.
_LEAST_VOXELS = 3


def in_standard_errors(
    difference: Volume, standard_error: Volume, count: float, finest_angstrom: float = 0.0
) -> Volume:
    """A difference in its standard errors, voxel by voxel, to be contoured at ±``count``.

    Each voxel is held against its own error; where the error is next to none, as outside of what
    was compared, against a quarter of the median. Pieces beyond ``count`` smaller than a sphere of
    ``finest_angstrom`` are flattened, and what is outside of the soft sphere in which FSCs are
    taken: what stands in the corners of a box is no part of the particle.
    """
    from napari_tomodrgn.analysis.fsc import fsc_sphere  # torch, which a window starts without

    error, voxel = standard_error.data, difference.voxel_size_angstrom
    floor = 0.25 * float(np.median(error)) or 1.0
    z: NDArray[np.floating]
    z = difference.data / np.maximum(error, floor) * fsc_sphere(difference.box_size_px)
    least = np.pi / 6 * (finest_angstrom / voxel) ** 3
    for sign in (1, -1):
        z = sign * _without_dust(sign * z, count, least)
    return Volume(z.astype(np.float32), voxel)


def finest_piece(difference: Volume, resolution_angstrom: float) -> float:
    """Diameter in Å below which a piece of a difference is no structure: its resolution."""
    resolution = resolution_angstrom if math.isfinite(resolution_angstrom) else 0.0
    return max(_LEAST_VOXELS * difference.voxel_size_angstrom, resolution)


def _without_dust(values: NDArray[np.floating], level: float, least: float) -> NDArray[np.floating]:
    """``(z, y, x)`` in which pieces above a level of fewer voxels than ``least`` are flattened."""
    from scipy import ndimage

    pieces, count = ndimage.label(values > level)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    dust = (sizes < least)[pieces] & (pieces > 0)
    return np.where(dust, np.minimum(values, 0.5 * level), values)
