"""Fourier samples in a file: sets larger than memory, several processes, and going on later.

    cache/samples.npy     (image, point, 2) float16 or float32: real and imaginary part
    cache/samples.json    of what (a digest), and how many images are in it so far

Rows are read into memory of their own, not mapped: what is mapped counts as memory of the process,
and comes in 4 kB at a time from a shared disk.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import write_text


@dataclass(frozen=True)
class StoredSamples:
    """Rows of complex samples in a file; indexed by rows like a tensor, complex64.

    Attributes
    ----------
    file
        A ``.npy`` of shape ``(image, point, 2)``.
    shape
        ``(image, point)``.
    dtype
        float16 or float32.
    offset
        Bytes before the first row.
    """

    file: Path
    shape: tuple[int, int]
    dtype: np.dtype[np.floating]
    offset: int

    @classmethod
    def open(cls, file: Path) -> StoredSamples:
        """The samples of a finished file."""
        with open(file, "rb") as stream:
            version = np.lib.format.read_magic(stream)
            if version != (1, 0):
                raise ValueError(f"version {version}")
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            return cls(file, (shape[0], shape[1]), dtype, stream.tell())

    @property
    def bytes_per_row(self) -> int:
        """What an image takes."""
        return self.shape[1] * 2 * self.dtype.itemsize

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Samples of some images, ``(row, point)``; a run of following rows is one read."""
        wanted = rows.numpy()
        precision = torch.float16 if self.dtype == np.float16 else torch.float32
        samples = torch.empty((len(wanted), self.shape[1], 2), dtype=precision)
        found = samples.numpy()
        # Opened each time: processes and threads that share a file would share its position.
        with open(self.file, "rb", buffering=0) as stream:
            for first, last in _runs(wanted):
                stream.seek(self.offset + int(wanted[first]) * self.bytes_per_row)
                _fill(stream, found[first:last], self.file)
        return torch.view_as_complex(samples.to(torch.float32))

    def prefetch(self, rows: Tensor) -> None:
        """Have the system read ``rows`` ``(row,)`` while other work is done.

        Does nothing where the system takes no such hints.
        """
        if not hasattr(os, "posix_fadvise"):
            return
        wanted = rows.numpy()
        with open(self.file, "rb", buffering=0) as stream:
            for first, last in _runs(wanted):
                start = self.offset + int(wanted[first]) * self.bytes_per_row
                size = (last - first) * self.bytes_per_row
                os.posix_fadvise(stream.fileno(), start, size, os.POSIX_FADV_WILLNEED)


def _runs(rows: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """First and last place, exclusive, of each run of rows that follow one another."""
    if len(rows):
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        yield from itertools.pairwise([0, *breaks.tolist(), len(rows)])


def _fill(stream: FileIO, target: NDArray[np.floating], file: Path) -> None:
    left = target.view(np.uint8).reshape(-1).data
    while left:
        count = stream.readinto(left)
        if not count:
            raise BadInputError(
                f"{file}: ends before its last image.",
                remedy="Delete it; resuming makes it anew.",
                code="bad-cache",
            )
        left = left[count:]


class SamplesWriter:
    """Fills a file of samples row by row, or goes on with one that is of the same set.

    Parameters
    ----------
    file
        The ``.npy``; what it holds is said in the ``.json`` beside it.
    key
        Digest of everything that decides the samples.
    shape
        ``(image, point)``.
    dtype
        float16 or float32.
    writes
        Whether this process may make it; if not, it has to be there.
    """

    def __init__(
        self,
        file: Path,
        key: str,
        shape: tuple[int, int],
        dtype: np.dtype[np.floating],
        *,
        writes: bool = True,
    ) -> None:
        self.file, self._note = file, file.with_suffix(".json")
        self._about = {"key": key, "shape": list(shape), "dtype": dtype.name}
        known = self._known()
        self.scale: float | None = None
        self.done = 0
        if known is not None:
            self.done, self.scale = int(known["done"]), float(known["scale"])
            return
        if not writes:
            raise BadInputError(
                f"{file}: is not what the first process of this run wrote.",
                remedy="Put particles and run directory on a disk that all nodes share.",
                code="bad-launch",
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        # First the note, so that no kill leaves the note of one set beside samples of another.
        self._note.unlink(missing_ok=True)
        file.unlink(missing_ok=True)
        _need(file.parent, shape[0] * shape[1] * 2 * dtype.itemsize)
        np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=(*shape, 2))

    def write(self, samples: Tensor) -> None:
        """Write the next rows, complex64 ``(row, point)``."""
        stored = StoredSamples.open(self.file)
        values = torch.view_as_real(samples)
        if stored.dtype == np.float16:
            # Half precision holds ±65504; scaled samples beyond that would be a broken image.
            values = values.clamp(-6e4, 6e4).to(torch.float16)
        with open(self.file, "r+b", buffering=0) as stream:
            stream.seek(stored.offset + self.done * stored.bytes_per_row)
            stream.write(values.numpy().tobytes())
        self.done += len(samples)

    def save(self, scale: float) -> None:
        """Make sure that what was written stays, and say so in the note."""
        with open(self.file, "rb+") as stream:
            os.fsync(stream.fileno())
        write_text(self._note, json.dumps({**self._about, "done": self.done, "scale": scale}))

    def _known(self) -> dict[str, float] | None:
        """The note, if it is about these samples and the file is as long as it says."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            stored = StoredSamples.open(self.file)
            size = stored.offset + stored.shape[0] * stored.bytes_per_row
            same = {name: note.get(name) for name in self._about} == self._about
            if same and self.file.stat().st_size == size and {"done", "scale"} <= note.keys():
                return note  # type: ignore[no-any-return]
        except (OSError, ValueError, AttributeError):
            pass
        return None


def _need(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise BadInputError(
            f"{folder}: the images need {size / 1e9:.1f} GB there, {free / 1e9:.1f} GB are free.",
            remedy="Choose a run directory on a larger disk, or raise data.memory_gb.",
            code="disk-full",
        )
