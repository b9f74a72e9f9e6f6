"""What a training step works on: drawn on the host, looked up on the device.

Every number that decides a shape is known before the device begins, from tables made beforehand, so
that nothing in the step itself has to be read back. Where shapes are to be the same in every step
(on a GPU), each particle has as many places for images as the longest tilt series, and the last
batch of an epoch as many particles as the others; what is too much weighs 0. Then all that a step
is told fits into one buffer (`StepDraw.packed`), and what it does can be recorded once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.runtime.device import to_device

# Numbers of a step, computed on the host; what they are is said where they are used.
SCALES = ("beta", "each_particle", "reconstruction", "error_slope", "kl_cost", "kl_slope")


@dataclass(frozen=True, eq=False)
class StepDraw:
    """Which particles a step learns from, its random numbers, and what its sums are divided by.

    Attributes
    ----------
    rows
        ``(particle,)`` int64 rows of the set; the row after the last one fills a batch.
    uniform
        ``(particle, drawn)`` float64 in [0, 1), which chooses samples; without columns all of them
        are taken.
    noise
        ``(particle, latent)`` float32, unit Gaussian.
    scales
        ``(6,)`` float64, the `SCALES`.
    """

    rows: Tensor
    uniform: Tensor
    noise: Tensor
    scales: Tensor

    def scale(self, name: str) -> Tensor:
        """Look up one of the `SCALES`, a scalar on the device."""
        return self.scales[SCALES.index(name)]

    def padded(self, size: int, filling_row: int) -> StepDraw:
        """The same, filled up to ``size`` particles."""
        missing = size - len(self.rows)
        if missing <= 0:
            return self
        pad = torch.nn.functional.pad
        return StepDraw(
            pad(self.rows, (0, missing), value=filling_row),
            pad(self.uniform, (0, 0, 0, missing)),
            pad(self.noise, (0, 0, 0, missing)),
            self.scales,
        )

    def part(self, first: int, last: int) -> StepDraw:
        """Some of the particles."""
        chosen = slice(first, last)
        return StepDraw(self.rows[chosen], self.uniform[chosen], self.noise[chosen], self.scales)

    def packed(self) -> Tensor:
        """Lay all of it out as uint8 ``(byte,)``, to travel at once; `unpacked` undoes it."""
        return torch.cat([part.contiguous().view(-1).view(torch.uint8) for part in self._fields()])

    def unpacked(self, buffer: Tensor) -> StepDraw:
        """View a buffer of uint8 ``(byte,)`` that a draw of the same shapes was packed into."""
        found, first = [], 0
        for field in self._fields():
            last = first + field.nbytes
            found.append(buffer[first:last].view(field.dtype).view(field.shape))
            first = last
        rows, uniform, scales, noise = found
        return StepDraw(rows, uniform, noise, scales)

    def _fields(self) -> tuple[Tensor, ...]:
        # Numbers of eight bytes before those of four: every field is aligned where it lies.
        return self.rows, self.uniform, self.scales, self.noise


@dataclass(frozen=True, eq=False)
class Step:
    """What this process does of a step.

    Attributes
    ----------
    draw
        Its particles and their random numbers, where the step is computed.
    particles
        How many particles the whole step has.
    width
        Images of each particle, at most.
    samples
        ``(particle, tilt, point)`` where they do not all lie on the device.
    mean_kl
        Mean divergence of the step's particles, where the penalty asks for it.
    """

    draw: StepDraw
    particles: int
    width: int
    samples: Tensor | None = None
    mean_kl: Tensor | None = None

    def to(self, device: torch.device) -> Step:
        """The same where it is computed."""
        if device.type == "cpu":
            return self
        if device.type == "mps":  # looks up on the host, and has no double precision
            draw = replace(self.draw, scales=self.draw.scales.float().to(device))
            return replace(self, draw=draw)
        draw = self.draw.unpacked(to_device(self.draw.packed(), device))
        samples = None if self.samples is None else to_device(self.samples, device)
        return replace(self, draw=draw, samples=samples)


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
    rows
        ``(particle,)`` of the set; the row after the last one fills a batch.
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
    rows: Tensor

    def chunks(self, size: int) -> list[slice]:
        """Slices of the drawn samples, of at most ``size``."""
        count = len(self.at)
        return [slice(first, min(first + size, count)) for first in range(0, count, size)]


class TrainingRows:
    """Which images of each particle are learnt from, as tables on the device.

    Parameters
    ----------
    data
        The set; its held-out images are marked.
    device
        Where steps are computed.
    fixed
        Whether all batches are to have the same shapes.
    """

    def __init__(self, data: TiltData, device: torch.device, *, fixed: bool) -> None:
        self.data, self.fixed, self.device = data, fixed, device
        arrays = data.particles.arrays()
        rows = np.flatnonzero(data.training.numpy())
        owner = arrays.particle[rows]
        counts = np.bincount(owner, minlength=data.particle_count + 1)
        first = np.cumsum(counts) - counts
        shape = (data.particle_count + 1, max(int(counts.max()), 1))
        images = np.full(shape, data.image_count, dtype=np.int64)
        images[owner, np.arange(len(rows)) - first[owner]] = rows
        index = data.particles.images["tilt_index"].to_numpy(np.int64)
        self._counts, self._images = torch.from_numpy(counts), torch.from_numpy(images)
        # What looks up in these: a GPU itself; Apple's has no double precision to draw with.
        where = device if device.type == "cuda" else torch.device("cpu")
        self._device_counts = self._counts.to(where)
        self._device_images = self._images.to(where)
        self._tilt_index = torch.from_numpy(np.append(index, 0)).to(where)

    @property
    def filling_row(self) -> int:
        """The row of no particle."""
        return self.data.particle_count

    def drawn(self, rows: Tensor, per_particle: int) -> int:
        """Count the samples drawn from the particles ``rows`` ``(particle,)`` together.

        ``per_particle`` of each that has an image to learn from; all of its samples if it is 0. The
        rows are on the host.
        """
        counts = self._counts[rows]
        if per_particle == 0:
            return int(counts.sum()) * len(self.data.lattice)
        return int((counts > 0).sum()) * per_particle

    def samples(self, rows: Tensor) -> Tensor | None:
        """Samples ``(particle, tilt, point)`` of particles on the host; None if the device has all.

        Asked before the device begins, as they may have to be read from a file.
        """
        stored = self.data.images.samples
        if isinstance(stored, Tensor) and stored.device.type != "cpu":
            return None
        images = self._images[rows][:, : self.width(rows)]
        flat = images.reshape(-1).clamp(max=self.data.image_count - 1)
        return self.data.images.take(flat).reshape(*images.shape, -1)

    def inputs(self, draw: StepDraw, samples: Tensor | None, width: int) -> StepInputs:
        """Look up what a step needs of the particles of a draw, of ``width`` images at most each.

        Samples are drawn from all of a particle alike, with replacement. Nothing here waits for
        the device.

        Parameters
        ----------
        draw
            Particles and random numbers, on the device.
        samples
            ``(particle, tilt, point)`` of `samples`; None if the device has all.
        width
            Of `width`.
        """
        images = self._device_images[draw.rows][:, :width]
        real = draw.rows < self.filling_row
        present = images < self.data.image_count
        # No particle is without an image, or pooling would divide by none.
        present[:, 0] |= ~real
        if samples is None:
            flat = images.reshape(-1).clamp(max=self.data.image_count - 1)
            samples = self.data.images.take(flat).reshape(*images.shape, -1)
        found = StepInputs(
            images,
            present,
            self._tilt_index[images],
            samples,
            draw.noise,
            *self._points(images, self._device_counts[draw.rows], draw.uniform),
            real.float(),
            draw.rows,
        )
        if self.device.type in ("cpu", "cuda"):
            return found
        return StepInputs(**{name: value.to(self.device) for name, value in vars(found).items()})

    def width(self, rows: Tensor) -> int:
        """Places for images that each of the particles ``rows`` ``(particle,)`` is given.

        The rows are on the host.
        """
        return self._images.shape[1] if self.fixed else max(int(self._counts[rows].max()), 1)

    def _points(
        self, images: Tensor, counts: Tensor, uniform: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Image, sample, place of both, and particle of each drawn sample."""
        particles, tilts = images.shape
        width, device = len(self.data.lattice), images.device
        first = torch.arange(particles, device=device)[:, None]
        if uniform.shape[1] == 0:
            flat = torch.arange(tilts * width, device=device).expand(particles, -1)
        else:
            flat = (uniform * (counts * width)[:, None]).long()
        tilt = torch.div(flat, width, rounding_mode="floor")
        image = images.gather(1, tilt)
        found = (image, flat - tilt * width, first * (tilts * width) + flat, first.expand_as(flat))
        return tuple(values.reshape(-1) for values in found)  # type: ignore[return-value]
