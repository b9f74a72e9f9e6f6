"""Tilt images → Fourier samples: read, window, transform, sign, shift, scale.

One path for all uses.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.stack import ImageStacks
from napari_tomodrgn.physics.fourier import shift_phases, transform_images
from napari_tomodrgn.physics.lattice import HalfPlane

# Images transformed at a time: large enough for the FFT to be busy, small enough to cancel soon.
_CHUNK = 256
# The scale of the data is taken from this many images, spread evenly over the set.
_SCALE_IMAGES = 1000


@dataclass(frozen=True, eq=False)
class FourierImages:
    """Samples of all images of a set, ready to learn from.

    Attributes
    ----------
    samples
        ``(image, point)`` complex64, or ``(image, point, 2)`` float16 mapped from a file, scaled so
        that their mean square is 1.
    scale
        What they were divided by, in units of the images' transform.
    """

    samples: Tensor
    scale: float

    def take(self, rows: Tensor) -> Tensor:
        """Samples of some images, complex64 ``(row, point)``."""
        chosen = self.samples[rows]
        return chosen if chosen.is_complex() else torch.view_as_complex(chosen.to(torch.float32))


def soft_window(box_size_px: int, inner: float, outer: float) -> Tensor:
    """Disc of ones with a cosine edge; radii are fractions of half the box. ``(box, box)``."""
    axis = torch.arange(box_size_px) - box_size_px // 2
    radius = torch.hypot(*torch.meshgrid(axis.float(), axis.float(), indexing="ij"))
    radius = radius / (box_size_px / 2)
    if outer <= inner:
        return (radius <= inner).float()
    edge = ((radius - inner) / (outer - inner)).clamp(0, 1)
    return (1 + torch.cos(torch.pi * edge)) / 2


class ImageReader:
    """Reads rows of a particle set as Fourier samples.

    Parameters
    ----------
    particles
        The set; its image table decides order, files and shifts.
    lattice
        Which samples to keep.
    config
        Window radii.
    sign
        +1 to keep the contrast of the files, −1 to invert it.
    """

    def __init__(
        self, particles: ParticleSet, lattice: HalfPlane, config: DataConfig, sign: int = 1
    ) -> None:
        table = particles.images
        self._stacks = ImageStacks([str(name) for name in table["stack"].cat.categories])
        self._codes = table["stack"].cat.codes.to_numpy(np.int64)
        self._indices = table["stack_index"].to_numpy(np.int64)
        shifts = np.array(table[["shift_x_px", "shift_y_px"]], dtype=np.float32)
        self._shifts = torch.from_numpy(shifts) if np.any(shifts) else None
        self._window = soft_window(lattice.box_size_px, config.window_inner, config.window_outer)
        self._lattice = lattice
        self._sign = sign

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._codes)

    def read(self, rows: NDArray[np.int64]) -> Tensor:
        """Unscaled samples of these rows, complex64 ``(row, point)``."""
        images = torch.from_numpy(self._stacks.read(self._codes[rows], self._indices[rows]))
        samples = transform_images(images * (self._window * self._sign), self._lattice)
        if self._shifts is not None:
            samples = samples * shift_phases(self._lattice, self._shifts[torch.from_numpy(rows)])
        return samples


def prepare(
    reader: ImageReader, points: int, memory_gb: float, cache: Path | None
) -> Generator[int, None, FourierImages]:
    """Transform all images, yielding how many are done, and return them.

    Sets larger than ``memory_gb`` go to a half-precision file ``cache`` and are mapped from there.
    """
    count = len(reader)
    sample = np.unique(np.linspace(0, count - 1, min(count, _SCALE_IMAGES)).astype(np.int64))
    power, rows = 0.0, 0
    for chunk in np.array_split(sample, max(1, len(sample) // _CHUNK)):
        power += float(reader.read(chunk).abs().square().mean(dim=1).double().sum())
        rows += len(chunk)
        yield 0
    scale = float(np.sqrt(power / rows)) or 1.0
    in_memory = cache is None or count * points * 8 <= memory_gb * 1e9
    target = torch.empty((count, points), dtype=torch.complex64) if in_memory else None
    mapped = None if cache is None or in_memory else _new_map(cache, (count, points, 2))
    for start in range(0, count, _CHUNK):
        rows_here = np.arange(start, min(start + _CHUNK, count))
        samples = reader.read(rows_here) / scale
        if target is not None:
            target[start : start + len(rows_here)] = samples
        elif mapped is not None:
            # Half precision holds ±65504; scaled samples beyond that would be a broken image.
            halves = torch.view_as_real(samples).clamp(-6e4, 6e4).to(torch.float16)
            mapped[start : start + len(rows_here)] = halves.numpy()
        yield min(start + _CHUNK, count)
    if target is not None:
        return FourierImages(target, scale)
    return FourierImages(torch.from_numpy(mapped), scale)


def _new_map(path: Path, shape: tuple[int, int, int]) -> NDArray[np.float16]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
