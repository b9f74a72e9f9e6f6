"""Stacks of 2-D images in MRC files, read a few images at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.mrc import read_mrc_header
from napari_tomodrgn.errors import BadInputError


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
    header = read_mrc_header(path, "an image stack")
    count, ny, nx = header.shape_zyx
    if nx != ny:
        raise BadInputError(
            f"{path}: images must be square, found {nx} x {ny} px.",
            remedy="Extract all images with one square box.",
            code="wrong-box",
        )
    pixel = header.voxel_size_zyx_angstrom[2]
    return StackHeader(header.path, nx, count, pixel, header.dtype, header.offset_bytes)


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
