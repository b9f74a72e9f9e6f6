"""MRC files that are the same to the byte whenever they are written again.

mrcfile puts the time of day into a label, and computes header statistics in the precision of the
file, which is slow and coarse for float16; here both are replaced.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from types import TracebackType
from typing import Literal

import mrcfile
import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.files import explained_write_errors, make_folder

_MODES = {"float32": 2, "float16": 12}
_HEADER_BYTES = 1024  # of an MRC file
_LABEL = b"simulated by napari-tomodrgn"


class StackWriter:
    """Fills an MRC file section by section; the header's statistics are right when it is closed.

    Parameters
    ----------
    path
        File to write; its folder is made.
    shape
        ``(section, row, column)``.
    voxel_size_angstrom
        Edge of a pixel in Å.
    dtype
        Precision in the file.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        voxel_size_angstrom: float,
        dtype: Literal["float32", "float16"] = "float32",
    ) -> None:
        make_folder(path.parent)
        with explained_write_errors(path):
            _reserve(path, _HEADER_BYTES + math.prod(shape) * np.dtype(dtype).itemsize)
            self._mrc = mrcfile.new_mmap(path, shape, mrc_mode=_MODES[dtype], overwrite=True)
            _reserve(path, path.stat().st_size)
        self._mrc.voxel_size = voxel_size_angstrom
        self._next = 0
        self._low, self._high = np.inf, -np.inf
        self._sum = self._squares = 0.0

    def append(self, sections: NDArray[np.float32]) -> None:
        """Write the next sections, ``(section, row, column)``."""
        self._mrc.data[self._next : self._next + len(sections)] = sections
        self._next += len(sections)
        # Rounding to the precision of the file keeps the order, so the extremes can be rounded.
        rounded = self._mrc.data.dtype.type
        self._low = min(self._low, float(rounded(sections.min())))
        self._high = max(self._high, float(rounded(sections.max())))
        self._sum += float(sections.sum(dtype=np.float64))
        self._squares += float(np.square(sections).sum(dtype=np.float64))

    def as_image_stack(self) -> StackWriter:
        """Say in the header that the sections are images, not a volume."""
        self._mrc.set_image_stack()
        return self

    def __enter__(self) -> StackWriter:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the header and close the file."""
        header = self._mrc.header
        mean = self._sum / self._mrc.data.size
        header.dmin, header.dmax, header.dmean = self._low, self._high, mean
        header.rms = max(self._squares / self._mrc.data.size - mean**2, 0.0) ** 0.5
        header.label[0] = _LABEL
        self._mrc.close()


def _reserve(path: Path, size: int) -> None:
    """Have the system find room for a whole file, where it can be asked to.

    A mapped file on a full disk ends the process (SIGBUS) when it is written to, without a word.
    """
    with open(path, "ab") as stream:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, size)


def write_mrc_map(path: Path, volume: Volume) -> Path:
    """Write a map as float32 with its voxel size, and return its path."""
    shape = volume.data.shape
    with StackWriter(path, (shape[0], shape[1], shape[2]), volume.voxel_size_angstrom) as writer:
        writer.append(volume.data)
    return path
