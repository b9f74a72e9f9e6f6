"""Stacks of 2-D images in MRC files, read a few images at a time.

Headers are read and judged here, by the size of the file and the fields that matter, because the
field's own programs write files without a MAP stamp and because a lenient reader turns a cut-off
file into "no data" with a warning. Only the header's layout and its number types are ``mrcfile``'s.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mrcfile.dtypes
import mrcfile.utils
import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError

_HEADER_BYTES = 1024
_READABLE_MODES = (0, 1, 2, 6, 12)  # int8, int16, float32, uint16, float16


@dataclass(frozen=True)
class StackHeader:
    """What the header of an image stack says, checked against the size of the file."""

    path: Path
    box_size_px: int
    count: int
    pixel_size_angstrom: float  # 0 where the header gives none
    dtype: np.dtype[np.generic]  # with byte order
    offset_bytes: int

    @property
    def mode(self) -> str:
        """Number type of the images, such as ``"float16"``."""
        return self.dtype.name


def read_header(path: str | Path) -> StackHeader:
    """Read and check the header of an MRC stack of square images.

    Raises
    ------
    BadInputError
        If the file is absent, not MRC, of an unreadable number type, not square or cut off.
    """
    path = Path(path)
    try:
        with open(path, "rb", buffering=0) as stream:
            raw = stream.read(_HEADER_BYTES)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise BadInputError(
            f"{path}: cannot be read ({error.strerror or error}).",
            remedy="Check that the file is there and may be read.",
            code="unreadable-stack",
        ) from error
    if len(raw) < _HEADER_BYTES:
        raise _unreadable(path, f"only {len(raw)} bytes, shorter than an MRC header")
    header = _in_byte_order(raw)
    if header is None:
        raise _unreadable(path, "not an MRC file")
    nx, ny, nz = (int(header[name]) for name in ("nx", "ny", "nz"))
    mode, extended = int(header["mode"]), int(header["nsymbt"])
    if mode not in _READABLE_MODES:
        raise _unreadable(path, f"MRC mode {mode} is not one of {_READABLE_MODES}")
    if nx != ny:
        raise BadInputError(
            f"{path}: images must be square, found {nx} x {ny} px.",
            remedy="Extract all images with one square box.",
            code="wrong-box",
        )
    dtype = mrcfile.utils.dtype_from_mode(mode).newbyteorder(header.dtype["nx"].byteorder)
    needed = _HEADER_BYTES + extended + nx * ny * nz * dtype.itemsize
    if size < needed:
        raise BadInputError(
            f"{path}: the file is cut off: {nz} images need {needed} bytes, it has {size}.",
            remedy="Copy or extract it again.",
            code="truncated-stack",
        )
    cell = float(header["cella"]["x"])
    pixel = cell / int(header["mx"]) if int(header["mx"]) > 0 and np.isfinite(cell) else 0.0
    return StackHeader(path, nx, nz, pixel, dtype, _HEADER_BYTES + extended)


class ImageStacks:
    """Images of many stacks, memory-mapped; at most ``max_open`` files are mapped at a time.

    Safe to use from several threads.

    Parameters
    ----------
    paths
        Stack files; images are asked for by position in this list.
    box_size_px
        Box that all images must have; by default that of the stack read first.
    max_open
        Number of files kept mapped.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        *,
        box_size_px: int | None = None,
        max_open: int = 64,
    ) -> None:
        self.paths = tuple(Path(path) for path in paths)
        self._box = box_size_px
        self._max_open = max_open
        self._maps: OrderedDict[int, NDArray[np.generic]] = OrderedDict()
        self._lock = threading.Lock()

    def read(
        self, stacks: NDArray[np.integer], indices: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        """Read images as float32, shape ``(image, box, box)``.

        Parameters
        ----------
        stacks
            Position of each image's file in ``paths`` (the codes of the column ``stack``).
        indices
            0-based position of each image in its file.

        Raises
        ------
        BadInputError
            If a file cannot be read, is too short or has another box.
        """
        stacks, indices = np.asarray(stacks), np.asarray(indices)
        images = np.empty((len(stacks), 0, 0), np.float32)
        for code in np.unique(stacks):
            rows = np.flatnonzero(stacks == code)
            stack = self._mapped(int(code))
            wanted = indices[rows]
            if wanted.min() < 0 or wanted.max() >= len(stack):
                raise too_short(self.paths[code], len(stack), int(wanted.max()) + 1)
            if images.shape[1] == 0:
                images = np.empty((len(stacks), *stack.shape[1:]), np.float32)
            # A run of neighbours, the usual case, is sliced: no index array, one copy.
            run = np.array_equal(wanted, np.arange(wanted[0], wanted[0] + len(wanted)))
            images[rows] = stack[wanted[0] : wanted[-1] + 1] if run else stack[wanted]
        return images

    def header(self, stack: int) -> StackHeader:
        """Header of one of the files, read anew."""
        return read_header(self.paths[stack])

    def _mapped(self, code: int) -> NDArray[np.generic]:
        with self._lock:
            stack = self._maps.pop(code, None)
            if stack is None:
                stack = self._map(self.header(code))
            self._maps[code] = stack
            while len(self._maps) > self._max_open:
                self._maps.popitem(last=False)
            return stack

    def _map(self, header: StackHeader) -> NDArray[np.generic]:
        box = header.box_size_px
        self._box = self._box or box
        if box != self._box:
            raise wrong_box(header, self._box)
        return np.memmap(
            header.path, header.dtype, "r", header.offset_bytes, (header.count, box, box)
        )


def too_short(path: Path, count: int, needed: int) -> BadInputError:
    """The error of a stack with fewer images than the star file refers to."""
    return BadInputError(
        f"{path}: the stack has {count} images, but the star file refers to image {needed}.",
        remedy="Extract the images again, or pass the star file that belongs to them.",
        code="short-stack",
    )


def wrong_box(header: StackHeader, expected_px: int) -> BadInputError:
    """The error of a stack whose box is not the one expected."""
    return BadInputError(
        f"{header.path}: images of {header.box_size_px} px, but the set has {expected_px} px.",
        remedy="Extract all images with one box size.",
        code="wrong-box",
    )


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


def _unreadable(path: Path, found: str) -> BadInputError:
    return BadInputError(
        f"{path}: cannot be read as an image stack ({found}).",
        remedy="Copy or extract it again.",
        code="unreadable-stack",
    )
