"""Tilt images → Fourier samples: read, window, transform, sign, shift, scale.

One path for all uses.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.fourier_cache import SamplesWriter, StoredSamples
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.stack import ImageStacks
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.physics.binning import bin_images, bin_weights
from napari_tomodrgn.physics.fourier import shift_phases, transform_images
from napari_tomodrgn.physics.lattice import HalfPlane

# Images transformed at a time: large enough for the FFT to be busy, small enough to cancel soon.
_CHUNK = 256
_SURELY = 3.0  # standard errors by which the level around a particle has to differ from 0
# The scale of the data is taken from this many images, spread evenly over the set.
_SCALE_IMAGES = 1000


@dataclass(frozen=True, eq=False)
class FourierImages:
    """Samples of all images of a set, ready to learn from.

    Attributes
    ----------
    samples
        ``(image, point)`` complex64, in memory or read from a file when they are asked for, scaled
        so that their mean square is 1.
    scale
        What they were divided by, in units of the images' transform.
    """

    samples: Tensor | StoredSamples
    scale: float

    def take(self, rows: Tensor) -> Tensor:
        """Samples of some images, complex64 ``(row, point)``."""
        return self.samples[rows]

    def prefetch(self, rows: Tensor) -> None:
        """Say that ``rows`` ``(row,)`` are wanted soon.

        If they are in a file, the system may read it meanwhile.
        """
        if isinstance(self.samples, StoredSamples):
            self.samples.prefetch(rows)


def soft_window(box_size_px: int, inner: float, outer: float) -> Tensor:
    """Disc of ones with a cosine edge; radii are fractions of half the box. ``(box, box)``."""
    return soft_windows(torch.zeros(1, 2), box_size_px, inner, outer)[0]


def soft_windows(centers_px: Tensor, box_size_px: int, inner: float, outer: float) -> Tensor:
    """`soft_window` about other middles, ``(window, box, box)``.

    ``centers_px`` ``(window, xy)`` are pixels from the middle of the box.
    """
    axis = torch.arange(box_size_px) - box_size_px // 2
    along = axis - centers_px[:, :, None]
    radius = torch.hypot(along[:, 1, :, None], along[:, 0, None, :]) / (box_size_px / 2)
    if outer <= inner:
        return (radius <= inner).float()
    edge = ((radius - inner) / (outer - inner)).clamp_(0, 1)
    return (1 + torch.cos(torch.pi * edge)) / 2


class ImageReader:
    """Reads rows of a particle set as Fourier samples.

    Parameters
    ----------
    particles
        The set; its image table decides order, files and shifts, its optics how images are binned.
    lattice
        Which samples to keep.
    config
        Window radii, and a scale that is not to be measured.
    sign
        +1 to keep the contrast of the files, −1 to invert it.
    """

    def __init__(
        self, particles: ParticleSet, lattice: HalfPlane, config: DataConfig, sign: int = 1
    ) -> None:
        particles.refuse_mixed()
        table, optics = particles.images, particles.optics
        self._files = [str(name) for name in table["stack"].cat.categories]
        self._stored = list(dict.fromkeys(optics.stored))
        places = np.array([self._stored.index(one) for one in optics.stored])
        self._sampling = places[table["optics_group"].to_numpy(np.int64)]
        self._stacks = [
            ImageStacks(self._files, box_size_px=one.box_size_px) for one in self._stored
        ]
        self._pixel = optics.pixel_size_angstrom
        self._weights: list[Tensor] = []
        if optics.stored_box_size_px is not None:
            self._weights = [
                bin_weights(
                    one.box_size_px, lattice.box_size_px, self._pixel / one.pixel_size_angstrom
                )
                for one in self._stored
            ]
        self._codes = table["stack"].cat.codes.to_numpy(np.int64)
        self._indices = table["stack_index"].to_numpy(np.int64)
        shifts = np.array(table[["shift_x_px", "shift_y_px"]], dtype=np.float32)
        self._shifts = torch.from_numpy(shifts) if np.any(shifts) else None
        self._radii = config.window_inner, config.window_outer
        self._window = soft_window(lattice.box_size_px, *self._radii)
        whole = config.window_inner >= math.sqrt(2)  # reaches the corners: there is no window
        about_particle = config.window_center == "particle" and not whole
        self._follows = self._shifts is not None and about_particle
        self._lattice = lattice
        self._sign = sign
        self.scale = config.image_scale

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._codes)

    def name(self, row: int) -> str:
        """Which image a row is, in words."""
        return f"{self._files[self._codes[row]]}: image {self._indices[row] + 1}"

    def digest(self, points: int) -> str:
        """Of everything that decides the samples: files and their dates, rows, shifts, window."""
        found = hashlib.sha256(f"1 {points} {self._sign}".encode())
        found.update(self._window.numpy().tobytes())
        if self.scale is not None:
            found.update(f"scale {self.scale}".encode())
        if self._weights:
            found.update(f"binned to {self._pixel} of {self._stored}".encode())
            found.update(self._sampling.tobytes())
        for name in self._files:
            about = os.stat(name)
            found.update(f"{name} {about.st_size} {about.st_mtime_ns}\n".encode())
        for column in (self._codes, self._indices):
            found.update(column.tobytes())
        if self._shifts is not None:
            found.update(self._shifts.numpy().tobytes())
        if self._follows:
            found.update(b"less what is around the particle")
        return found.hexdigest()

    def read(self, rows: NDArray[np.int64]) -> Tensor:
        """Unscaled samples of these rows, complex64 ``(row, point)``."""
        images = self._images(rows) * self._sign
        if self._shifts is None:
            return transform_images(images * self._window, self._lattice)
        shifts = self._shifts[torch.from_numpy(rows)]
        images = self._about_particle(images, shifts) if self._follows else images * self._window
        return transform_images(images, self._lattice) * shift_phases(self._lattice, shifts)

    def _about_particle(self, images: Tensor, shifts_px: Tensor) -> Tensor:
        """Images ``(row, box, box)`` windowed where their particle is, less what is around it.

        A window in the middle of the box cuts one side of a particle that is shifted, the other
        not: a difference between particles that is none of the molecule. Of one structure, 300
        particles at SNR 20, shifts of 1.5 px of 48, held-out images supported components that were
        the shift as the particle sees it (R² 0.68, 3.7 σ); about the particle none (0.9 σ).

        The mean of what is outside is taken off where it is surely not 0: windows that are moved
        with the particles would leave it as a disc around each, the same in all, which the average
        of a set shows (of 72 particles its correlation with the truth was 0.816 with it, 0.823
        without). Taken off always, its own noise hid a motion that is hardly seen (0.5 σ for 4.2).
        """
        window = soft_windows(-shifts_px, self._lattice.box_size_px, *self._radii)
        outside = 1 - window
        # Of few pixels the mean is noise: of less than a twentieth of the image it is drawn to 0.
        count = outside.sum(dim=(1, 2)).clamp(min=images[0].numel() / 20)
        level = (images * outside).sum(dim=(1, 2)) / count
        apart = (images - level[:, None, None]).square() * outside
        error = (apart.sum(dim=(1, 2)) / count / count).sqrt()
        level = torch.where(level.abs() > _SURELY * error, level, 0.0)
        return (images - level[:, None, None]) * window

    def _images(self, rows: NDArray[np.int64]) -> Tensor:
        """These rows as they are worked with, ``(row, box, box)``, each from its own sampling."""
        if len(self._stored) == 1:
            return self._read_alike(0, rows)
        images = torch.empty((len(rows), self._lattice.box_size_px, self._lattice.box_size_px))
        for number in np.unique(self._sampling[rows]).tolist():
            mine = np.flatnonzero(self._sampling[rows] == number)
            images[torch.from_numpy(mine)] = self._read_alike(number, rows[mine])
        return images

    def _read_alike(self, number: int, rows: NDArray[np.int64]) -> Tensor:
        """Rows that are all of one sampling in their files."""
        stored = self._stacks[number].read(self._codes[rows], self._indices[rows])
        images = torch.from_numpy(stored)
        return bin_images(images, self._weights[number]) if self._weights else images


@dataclass(frozen=True)
class Cache:
    """A file for the samples of sets larger than memory, or that several processes read.

    Attributes
    ----------
    file
        Where it is.
    shared
        Whether it is needed whatever the size, as other processes read it.
    writes
        Whether this is the process that makes it.
    save_seconds
        As much reading is lost if the process is killed.
    """

    file: Path
    shared: bool = False
    writes: bool = True
    save_seconds: float = 120.0


def prepare(
    reader: ImageReader, points: int, memory_gb: float, cache: Cache | None
) -> Generator[int, None, FourierImages]:
    """Transform all images, yielding how many are done, and return them.

    Sets larger than ``memory_gb`` go to a file, in half precision, and are read from there. Smaller
    ones that several processes read go there in full, so that these see what one would see.

    Raises
    ------
    BadInputError
        If an image holds what is not a number, or the disk is too small.
    """
    count = len(reader)
    fits = cache is None or count * points * 8 <= memory_gb * 1e9
    if cache is None or (fits and not cache.shared):
        scale = yield from _scale(reader)
        target = torch.empty((count, points), dtype=torch.complex64)
        for start in range(0, count, _CHUNK):
            stop = min(start + _CHUNK, count)
            target[start:stop] = _scaled(reader, start, stop, scale)
            yield stop
        return FourierImages(target, scale)
    return (yield from _to_file(reader, (count, points), cache, "float32" if fits else "float16"))


def _to_file(
    reader: ImageReader, shape: tuple[int, int], cache: Cache, dtype: str
) -> Generator[int, None, FourierImages]:
    """The samples in a file: as it is there from before, or made now, or the rest of it."""
    writer = SamplesWriter(
        cache.file, reader.digest(shape[1]), shape, np.dtype(dtype), writes=cache.writes
    )
    scale = writer.scale
    if scale is None:
        scale = yield from _scale(reader)
    saved, before = time.monotonic(), writer.done
    while writer.done < shape[0]:
        writer.write(_scaled(reader, writer.done, min(writer.done + _CHUNK, shape[0]), scale))
        if time.monotonic() - saved > cache.save_seconds:
            writer.save(scale)
            saved = time.monotonic()
        yield writer.done
    if writer.done > before:
        writer.save(scale)
    return FourierImages(StoredSamples.open(cache.file), scale)


def _scale(reader: ImageReader) -> Generator[int, None, float]:
    """Root mean square of the samples of some images, spread over the set, unless it is given."""
    if reader.scale is not None:
        return reader.scale
    count = len(reader)
    sample = np.unique(np.linspace(0, count - 1, min(count, _SCALE_IMAGES)).astype(np.int64))
    power, rows = 0.0, 0
    for chunk in np.array_split(sample, max(1, len(sample) // _CHUNK)):
        power += float(reader.read(chunk).abs().square().mean(dim=1).double().sum())
        rows += len(chunk)
        yield 0
    return math.sqrt(power / rows) if power > 0 else 1.0


def _scaled(reader: ImageReader, start: int, stop: int, scale: float) -> Tensor:
    samples = reader.read(np.arange(start, stop)) / scale
    # The sum of squares is finite only if all are, and takes a tenth of the time of looking.
    if not np.isfinite(float(torch.view_as_real(samples).square().sum())):
        broken = ~torch.view_as_real(samples).isfinite().all(dim=(1, 2))
        first = start + int(broken.nonzero()[0]) if bool(broken.any()) else start
        raise BadInputError(
            f"{reader.name(first)} holds values that are not numbers, or are beyond all bounds.",
            remedy="Export that image anew, or leave its particle out (--particles).",
            code="not-finite",
        )
    return samples
