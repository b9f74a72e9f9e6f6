"""Motive lists of AV3 and the TOM toolbox: EM files of 20 numbers a particle.

Counted from 1: 4 particle, 5 tomogram, 8–10 place, 11–13 shift (voxels), 17–19 phi, psi, theta.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.lists.common import ParticleList, whole_names, zxz_rotations
from napari_tomodrgn.extract.text_files import read_bytes

_HEADER_BYTES = 512  # of any EM file
_VALUES = 20  # numbers a particle
_TYPES: dict[int, np.dtype[np.floating]] = {5: np.dtype("f4"), 9: np.dtype("f8")}
# The first byte is the machine that wrote the file: 0 OS-9, 3 SGI, 5 Mac (big-endian), 6 PC.
_BIG_ENDIAN = (0, 3, 5)


def read_em_motl(path: Path) -> ParticleList:
    """Read a motive list in the EM format.

    Raises
    ------
    BadInputError
        If it is no EM file of 20 numbers a particle, or is cut off.
    """
    raw = read_bytes(path)
    values = _values(path, raw).astype(np.float64)

    def subset(chosen: NDArray[np.int64]) -> bytes:
        return em_bytes(raw, chosen)

    return ParticleList(
        path=path,
        format="motl",
        tomogram=whole_names(path, values[:, 4], "tomogram (row 5)"),
        particle=whole_names(path, values[:, 3], "particle (row 4)"),
        coordinates=values[:, 7:10] + values[:, 10:13],
        unit="voxels",
        rotations=zxz_rotations(values[:, 16], values[:, 18], values[:, 17]),
        subset=subset,
        origin=1,
    )


def _values(path: Path, raw: bytes) -> NDArray[np.floating]:
    if len(raw) < _HEADER_BYTES or raw[3] not in _TYPES:
        raise BadInputError(f"{path}: not an EM file of real numbers.", code="not-em")
    order: Literal["<", ">"] = ">" if raw[0] in _BIG_ENDIAN else "<"
    nx, ny, nz = (int(n) for n in np.frombuffer(raw, f"{order}i4", 3, 4))
    dtype = _TYPES[raw[3]].newbyteorder(order)
    # Some writers put the particles along z.
    count = ny * nz
    if nx != _VALUES or ny < 1 or nz < 1 or min(ny, nz) != 1:
        raise BadInputError(
            f"{path}: holds {nx} × {ny} × {nz} values, not {_VALUES} a particle.",
            remedy="Name a motive list, not a map.",
            code="not-a-list",
        )
    if len(raw) != _HEADER_BYTES + count * _VALUES * dtype.itemsize:
        raise BadInputError(
            f"{path}: {count} particles need {_HEADER_BYTES + count * _VALUES * dtype.itemsize} "
            f"bytes, it has {len(raw)}.",
            remedy="Copy it again.",
            code="truncated-list",
        )
    values: NDArray[np.floating] = np.frombuffer(raw, dtype, count * _VALUES, _HEADER_BYTES)
    return values.reshape(count, _VALUES)


def em_bytes(raw: bytes, chosen: NDArray[np.int64]) -> bytes:
    """Write an EM file with the particles ``chosen`` ``(row,)`` of another one.

    Its head stays but for the count.
    """
    order = ">" if raw[0] in _BIG_ENDIAN else "<"
    ny = int(np.frombuffer(raw, f"{order}i4", 3, 4)[1])
    head = bytearray(raw[:_HEADER_BYTES])
    at = 8 if ny != 1 or len(raw) == _HEADER_BYTES + _VALUES * _TYPES[raw[3]].itemsize else 12
    head[at : at + 4] = np.array(len(chosen), f"{order}i4").tobytes()
    rows = np.frombuffer(raw, np.uint8, offset=_HEADER_BYTES).reshape(
        -1, _VALUES * _TYPES[raw[3]].itemsize
    )
    return bytes(head) + rows[chosen].tobytes()
