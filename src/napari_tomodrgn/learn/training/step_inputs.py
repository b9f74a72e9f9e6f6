"""What a training step works on, drawn on the host before the device begins with it.

Every number that decides a shape is known here, from tables made beforehand, so that nothing in
the step itself has to be read back. Where shapes are to be the same in every step (on a GPU), each
particle has as many places for images as the longest tilt series, and the last batch of an epoch
as many particles as the others; what is too much weighs 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_tomodrgn.data.tilt_data import TiltData


@dataclass(frozen=True, eq=False)
class StepInputs:
    """Particles of a step, or a part of them, on the device.

    Attributes
    ----------
    images
        ``(particle, tilt)`` rows of the set; the row after the last one where there is no image.
    present
        ``(particle, tilt)`` where there is one.
    tilt_index
        ``(particle, tilt)`` index of the image's tilt in its series.
    samples
        ``(particle, tilt, point)`` complex64 Fourier samples.
    noise
        ``(particle, latent)`` unit Gaussian.
    image, sample, at
        ``(particle · drawn,)`` rows of the set, samples of these images, and where both stand in
        the flattened ``samples``: there image and model are compared.
    particle_index
        ``(particle · drawn,)`` whose they are.
    real
        ``(particle,)`` 1, or 0 for a particle that only fills a batch.
    """

    images: Tensor
    present: Tensor
    tilt_index: Tensor
    samples: Tensor
    noise: Tensor
    image: Tensor
    sample: Tensor
    at: Tensor
    particle_index: Tensor
    real: Tensor

    def chunks(self, size: int) -> list[slice]:
        """Slices of the drawn samples, of at most ``size``."""
        count = len(self.at)
        return [slice(first, min(first + size, count)) for first in range(0, count, size)]


class TrainingRows:
    """Which images of each particle are learnt from, as tables on the host.

    Parameters
    ----------
    data
        The set; its held-out images are marked.
    fixed
        Whether all batches are to have the same shapes.
    """

    def __init__(self, data: TiltData, *, fixed: bool) -> None:
        self.data, self.fixed = data, fixed
        arrays = data.particles.arrays()
        rows = np.flatnonzero(data.training.numpy())
        owner = arrays.particle[rows]
        self.counts = np.bincount(owner, minlength=data.particle_count)
        first = np.cumsum(self.counts) - self.counts
        shape = (data.particle_count, max(int(self.counts.max()), 1))
        self._rows = np.full(shape, data.image_count, dtype=np.int64)
        self._rows[owner, np.arange(len(rows)) - first[owner]] = rows
        index = data.particles.images["tilt_index"].to_numpy(np.int64)
        self._tilt_index = np.append(index, 0)

    def images(self, particles: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """Rows ``(particle, tilt)`` of the images of some particles, padded."""
        rows = particles.numpy()
        width = self._rows.shape[1] if self.fixed else max(int(self.counts[rows].max()), 1)
        found: np.ndarray[tuple[int, ...], np.dtype[np.int64]] = self._rows[rows, :width]
        return found

    def inputs(
        self, particles: Tensor, noise: Tensor, uniform: Tensor, size: int, device: torch.device
    ) -> StepInputs:
        """Gather what a step needs of particles ``(particle,)``, filled up to ``size`` if fixed.

        ``uniform`` ``(particle, drawn)`` in [0, 1) chooses the samples, every one of a particle
        alike, with replacement; all of them are taken if it has no columns.
        """
        images = self.images(particles)
        count, missing = len(images), (size - len(particles) if self.fixed else 0)
        counts = self.counts[particles.numpy()]
        if missing:
            images = np.pad(images, ((0, missing), (0, 0)), constant_values=self.data.image_count)
            counts = np.pad(counts, (0, missing))
            noise = torch.nn.functional.pad(noise, (0, 0, 0, missing))
            uniform = torch.nn.functional.pad(uniform, (0, 0, 0, missing))
        image, sample, at, particle_index = self._points(images, counts, uniform.numpy())
        real = np.arange(len(images)) < count
        present = images < self.data.image_count
        # No particle is without an image, or pooling would divide by none.
        present[count:, 0] = True

        def on_device(values: Tensor) -> Tensor:
            if device.type == "cuda" and not values.is_cuda:
                values = values.pin_memory()
            return values.to(device, non_blocking=True)

        flat = torch.from_numpy(np.minimum(images, self.data.image_count - 1).reshape(-1))
        stored = self.data.images.samples
        if isinstance(stored, Tensor) and stored.device.type == device.type:
            flat = on_device(flat)  # the set lies there: rows travel, not samples
        samples = self.data.images.take(flat).reshape(*images.shape, -1)

        return StepInputs(
            on_device(torch.from_numpy(images)),
            on_device(torch.from_numpy(present)),
            on_device(torch.from_numpy(self._tilt_index[images])),
            on_device(samples),
            on_device(noise),
            on_device(torch.from_numpy(image)),
            on_device(torch.from_numpy(sample)),
            on_device(torch.from_numpy(at)),
            on_device(torch.from_numpy(particle_index)),
            on_device(torch.from_numpy(real.astype(np.float32))),
        )

    def _points(
        self,
        images: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
        counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
        uniform: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    ) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], ...]:
        """Image, sample, place of both, and particle of each drawn sample."""
        particles, tilts = images.shape
        width = len(self.data.lattice)
        if uniform.shape[1] == 0:
            flat = np.broadcast_to(np.arange(tilts * width), (particles, tilts * width))
        else:
            flat = (uniform * (counts * width)[:, None]).astype(np.int64)
        first = np.arange(particles)[:, None]
        at = first * (tilts * width) + flat
        image = np.take_along_axis(images, flat // width, axis=1)
        owner = np.broadcast_to(first, flat.shape)
        found = (image, flat % width, at, owner)
        return tuple(np.ascontiguousarray(values.reshape(-1)) for values in found)

    def drawn(self, particles: Tensor, per_particle: int) -> int:
        """How many samples are drawn from these particles together."""
        if per_particle == 0:
            return int(self.counts[particles.numpy()].sum()) * len(self.data.lattice)
        return int((self.counts[particles.numpy()] > 0).sum()) * per_particle
