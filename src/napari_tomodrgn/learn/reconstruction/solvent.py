"""The free constant of a map: density is counted from the solvent."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def solvent_at_zero(data: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract from a map ``(box, box, box)`` its mean outside the sphere of 0.9 half boxes.

    The origin of Fourier space is not observed (images are normalised to a mean of 0), so the
    constant is free: this choice makes contour levels comparable between particles.
    """
    return np.asarray(data - data[_solvent(data.shape[0])].mean(), dtype=np.float32)


@lru_cache(maxsize=4)
def _solvent(box: int) -> NDArray[np.bool_]:
    axis = np.arange(box) - box // 2
    radius2 = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2
    outside: NDArray[np.bool_] = radius2 > (0.45 * box) ** 2
    outside.flags.writeable = False  # shared by all callers
    return outside
