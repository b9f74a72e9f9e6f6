"""MRC files as they are on disk: the header, judged by the size of the file; the block, mapped.

The field's own programs write files without a MAP stamp, and a lenient reader turns a cut-off file
into "no data" with a warning: so headers are judged here. Only their layout and their number types
are ``mrcfile``'s.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import mrcfile.dtypes
import mrcfile.utils
import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically

_HEADER_BYTES = 1024  # of any MRC file, before its extended header
# mrcfile's own has the time of day: the same map would be another file a second later.
_LABEL = b"written by napari-tomodrgn"
_READABLE_MODES = (0, 1, 2, 6, 12)  # int8, int16, float32, uint16, float16
# IMOD's stamp and flags, 40 bytes into the second "extra" of the header.
_IMOD_STAMP, _IMOD_OFFSET, _IMOD_SIGNED_BYTES = 1146047817, 40, 1


@dataclass(frozen=True)
class MrcHeader:
    """What the header of an MRC file says, checked against the size of the file."""

    path: Path
    shape_zyx: tuple[int, int, int]
    voxel_size_zyx_angstrom: tuple[float, float, float]  # 0 where the header gives none
    is_stack: bool  # sections are images that have no depth between them
    dtype: np.dtype[np.generic]  # with byte order
    offset_bytes: int


def read_mrc_header(path: str | Path, kind: str = "a map") -> MrcHeader:
    """Read and check the header of an MRC file; ``kind`` is what it should be, in words.

    Raises
    ------
    BadInputError
        If the file is absent, not MRC, of an unreadable number type or cut off.
    """
    path = Path(path)
    code = kind.split()[-1]
    try:
        with open(path, "rb", buffering=0) as stream:
            raw = stream.read(_HEADER_BYTES)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise BadInputError(
            f"{path}: cannot be read ({error.strerror or error}).",
            remedy="Check that the file is there and may be read.",
            code=f"unreadable-{code}",
        ) from error
    if len(raw) < _HEADER_BYTES:
        raise _unreadable(path, kind, f"only {len(raw)} bytes, shorter than an MRC header")
    header = _in_byte_order(raw)
    if header is None:
        raise _unreadable(path, kind, "not an MRC file")
    if int(header["mode"]) not in _READABLE_MODES:
        words = f"MRC mode {int(header['mode'])} is not one of {_READABLE_MODES}"
        raise _unreadable(path, kind, words)
    found = _described(path, header)
    needed = found.offset_bytes + int(np.prod(found.shape_zyx)) * found.dtype.itemsize
    if size < needed:
        raise BadInputError(
            f"{path}: the file is cut off: {found.shape_zyx[0]} sections need {needed} bytes, "
            f"it has {size}.",
            remedy="Copy or extract it again.",
            code=f"truncated-{code}",
        )
    _reject_hidden_sections(found, size, int(header["mode"]), code)
    return found


def _reject_hidden_sections(found: MrcHeader, size: int, mode: int, code: str) -> None:
    """Raise where a file holds more than its header says: by a wrong mode all would be noise."""
    section = int(np.prod(found.shape_zyx[1:])) * found.dtype.itemsize
    said = found.offset_bytes + found.shape_zyx[0] * section
    if size - said >= max(section, 1):
        raise BadInputError(
            f"{found.path}: {found.shape_zyx[0]} sections of mode {mode} are {said} bytes, but the "
            f"file has {size}: the mode or the number of sections in its header is wrong.",
            remedy="Write it again with the program that made it.",
            code=f"longer-{code}",
        )


def mapped(header: MrcHeader) -> NDArray[np.generic]:
    """The sections ``(z, y, x)``, mapped: read from disk as they are looked at."""
    return np.memmap(header.path, header.dtype, "r", header.offset_bytes, header.shape_zyx)


class _MrcFile(mrcfile.mrcfile.MrcFile):  # type: ignore[misc]
    """Lets go of its file even where what is left in memory finds no room on the disk."""

    def close(self) -> None:
        """Write what is left, and close."""
        try:
            super().close()
        except OSError:
            with suppress(OSError):
                self._close_file()
            raise


def write_mrc(
    path: str | Path,
    data: NDArray[np.generic],
    voxel_size_zyx_angstrom: tuple[float, float, float],
    *,
    stack: bool = False,
) -> None:
    """Write sections as MRC2014 float32 with their voxel size, atomically.

    Parameters
    ----------
    path
        The file.
    data
        ``(section, row, column)``: a map zyx, or images yx.
    voxel_size_zyx_angstrom
        Of the map; the first of a stack says nothing.
    stack
        Whether sections are images that have no depth between them.
    """
    z, y, x = voxel_size_zyx_angstrom
    with written_atomically(path) as temporary, _MrcFile(temporary, "w+", overwrite=True) as mrc:
        mrc.set_data(np.ascontiguousarray(data, dtype=np.float32))
        if stack:
            mrc.set_image_stack()
        mrc.voxel_size = (x, y, z)
        mrc.header.label[0] = _LABEL


def _described(path: Path, header: np.void) -> MrcHeader:
    nx, ny, nz = (int(header[name]) for name in ("nx", "ny", "nz"))
    dtype = mrcfile.utils.dtype_from_mode(int(header["mode"]))
    if int(header["mode"]) == 0 and _bytes_are_unsigned(header):
        dtype = np.dtype(np.uint8)
    stack = path.suffix.lower() == ".mrcs" or (
        int(header["ispg"]) == 0 and int(header["mz"]) == 1 and nz > 1
    )
    return MrcHeader(
        path,
        (nz, ny, nx),
        (_voxel(header, "z"), _voxel(header, "y"), _voxel(header, "x")),
        stack,
        dtype.newbyteorder(header.dtype["nx"].byteorder),
        _HEADER_BYTES + int(header["nsymbt"]),
    )


def _voxel(header: np.void, axis: str) -> float:
    cell, samples = float(header["cella"][axis]), int(header[f"m{axis}"])
    return cell / samples if samples > 0 and np.isfinite(cell) and cell > 0 else 0.0


def _bytes_are_unsigned(header: np.void) -> bool:
    """Whether IMOD wrote mode 0 as it long did, unsigned; its stamp says so."""
    extra = header["extra2"].tobytes()
    stamp, flags = np.frombuffer(extra, header.dtype["nx"], 2, _IMOD_OFFSET)
    return int(stamp) == _IMOD_STAMP and not int(flags) & _IMOD_SIGNED_BYTES


def _in_byte_order(raw: bytes) -> np.void | None:
    """The header in the byte order in which it makes sense, whatever its machine stamp says."""
    for order in ("<", ">"):
        header = np.frombuffer(raw, mrcfile.dtypes.HEADER_DTYPE.newbyteorder(order))[0]
        sizes = [int(header[name]) for name in ("nx", "ny", "nz")]
        # Read in the wrong order, a small positive number is huge or negative.
        plausible = all(0 < size < 1 << 24 for size in sizes) and 0 <= int(header["mode"]) < 1024
        if plausible and int(header["nsymbt"]) >= 0:
            found: np.void = header
            return found
    return None


def _unreadable(path: Path, kind: str, found: str) -> BadInputError:
    return BadInputError(
        f"{path}: cannot be read as {kind} ({found}).",
        remedy="Copy or extract it again.",
        code=f"unreadable-{kind.split()[-1]}",
    )
