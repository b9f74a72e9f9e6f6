"""Batches of particles: the image table's columns as tensors, taken out once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_tomodrgn.config import WeightConfig
from napari_tomodrgn.data.fourier_images import FourierImages
from napari_tomodrgn.data.particles import Optics, ParticleSet
from napari_tomodrgn.physics.ctf import CtfParameters, ctf
from napari_tomodrgn.physics.exposure import dose_mask, dose_weights, tilt_weights
from napari_tomodrgn.physics.lattice import HalfPlane

# Means over the set are taken over this many images, spread evenly over it.
_MEAN_IMAGES = 1000
# Floor of the noise power of a filtered image, as a share of that of an unfiltered one: where the
# filter is smaller, what stands in the file is interpolation and rounding rather than its noise.
NOISE_FLOOR = 0.02


@dataclass(frozen=True, eq=False)
class TiltBatch:
    """Images of some particles, one row an image, rows of a particle together.

    Attributes
    ----------
    particles
        ``(particle,)`` rows of the particle set.
    particle_index
        ``(image,)`` which of ``particles`` each image shows, ascending.
    tilt_index
        ``(image,)`` index of the image's tilt in its tilt series.
    samples
        ``(image, point)`` complex64, scaled and signed.
    transfer
        ``(image, point)`` what the density is multiplied with to give the image: CTF, or its
        square for pre-multiplied images, with the dose filter if it was applied.
    phase
        ``(image, point)`` sign that undoes the CTF's phase flips; 1 for pre-multiplied images.
    weights
        ``(image, point)`` how much a sample counts; 0 where it does not; mean 1 over the set.
    precision
        ``(image, point)`` inverse noise power. An image that was multiplied by its CTF, and by a
        dose filter, has its noise multiplied too; 1 / filter² makes the noise white again.
        Scaled so that whitened samples have a mean square of 1.
    rotations
        ``(image, 3, 3)`` reference → image.
    training
        ``(image,)`` false for images held out.
    """

    particles: Tensor
    particle_index: Tensor
    tilt_index: Tensor
    samples: Tensor
    transfer: Tensor
    phase: Tensor
    weights: Tensor
    precision: Tensor
    rotations: Tensor
    training: Tensor

    @property
    def size(self) -> int:
        """Number of particles."""
        return int(self.particles.shape[0])


class TiltData:
    """All images of a set with everything that the forward model needs, served as batches.

    Parameters
    ----------
    particles
        The set; order of images and particles is its order.
    images
        Their Fourier samples, row by row.
    lattice
        Which samples these are.
    weight
        Which weights apply.
    """

    def __init__(
        self,
        particles: ParticleSet,
        images: FourierImages,
        lattice: HalfPlane,
        weight: WeightConfig,
    ) -> None:
        arrays = particles.arrays()
        self.particles = particles
        self.optics: Optics = particles.optics
        self.lattice = lattice
        self.images = images
        self.particle_count = len(particles)
        self.image_count = len(arrays.particle)
        counts = np.bincount(arrays.particle, minlength=self.particle_count)
        self._first = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]))
        self._rotations = torch.from_numpy(arrays.rotations.astype(np.float32))
        self._ctf = ctf_parameters(particles)
        self._dose = torch.from_numpy(arrays.dose_e_per_angstrom2.astype(np.float32))
        self._tilt = torch.from_numpy(arrays.stage_tilt_deg.astype(np.float32))
        self._tilt_index = torch.tensor(particles.images["tilt_index"].to_numpy(np.int64).tolist())
        self._weight = weight
        self._s = lattice.frequencies.cpu().norm(dim=-1) / self.optics.pixel_size_angstrom
        self.training = torch.ones(self.image_count, dtype=torch.bool)
        spread = np.linspace(0, self.image_count - 1, min(self.image_count, _MEAN_IMAGES))
        rows = torch.from_numpy(spread.astype(np.int64))
        self.mean_weight = 1.0
        self.mean_weight = float(self._weights(rows).mean())
        self.mean_power = 1.0
        _, _, precision = self._transfer(rows)
        self.mean_power = float((precision * images.take(rows).abs().square()).mean())

    @property
    def tilts(self) -> int:
        """Length of the longest tilt series, hidden tilts included."""
        return int(self._tilt_index.max()) + 1

    @property
    def points_per_particle(self) -> float:
        """Mean number of Fourier samples of one particle, over all its images."""
        return self.image_count / self.particle_count * len(self.lattice)

    def hold_out(self, fraction: float, seed: int) -> None:
        """Mark a share of each particle's images as held out, the same ones for the same seed.

        At least one image of each particle stays.
        """
        rng = np.random.default_rng([seed, 0x401D])
        order = rng.random(self.image_count)
        held = np.zeros(self.image_count, dtype=bool)
        first = self._first.numpy()
        for start, stop in itertools.pairwise(first):
            count = min(int(np.rint((stop - start) * fraction)), stop - start - 1)
            held[start + np.argsort(order[start:stop])[:count]] = True
        self.training = torch.from_numpy(~held)

    def images_of(self, particles: Tensor) -> Tensor:
        """Rows of the images of these particles, one particle after the other."""
        counts = self._first[particles + 1] - self._first[particles]
        begin = self._first[particles] - (counts.cumsum(0) - counts)
        return torch.arange(int(counts.sum())) + begin.repeat_interleave(counts)

    def prefetch(self, particles: Tensor) -> None:
        """These particles (rows of the set) are wanted soon."""
        if len(particles):
            self.images.prefetch(self.images_of(particles))

    def batch(self, particles: Tensor, device: torch.device | str = "cpu") -> TiltBatch:
        """The images of these particles (rows of the set), on ``device``."""
        rows = self.images_of(particles)
        counts = self._first[particles + 1] - self._first[particles]
        particle_index = torch.arange(len(particles)).repeat_interleave(counts)
        transfer, phase, precision = self._transfer(rows, device)
        return TiltBatch(
            particles=particles.to(device),
            particle_index=particle_index.to(device),
            tilt_index=self._tilt_index[rows].to(device),
            samples=self.images.take(rows).to(device),
            transfer=transfer,
            phase=phase,
            weights=self._weights(rows, device),
            precision=precision,
            rotations=self._rotations[rows].to(device),
            training=self.training[rows].to(device),
        )

    def _transfer(
        self, rows: Tensor, device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Transfer, phase and precision of some images."""
        contrast = ctf(self.lattice.frequencies.to(device), self._ctf.take(rows).to(device))
        ones = torch.ones_like(contrast)
        transfer, phase, applied = contrast, contrast.sign(), ones
        if self.optics.ctf_premultiplied:
            transfer, phase, applied = contrast.square(), ones, contrast
        if self.optics.dose_weighted:
            dose = dose_weights(
                self._s.to(device), self._dose[rows].to(device), self.optics.voltage_kv
            )
            transfer, applied = transfer * dose, applied * dose
        precision = (1 + NOISE_FLOOR) / (applied.square() + NOISE_FLOOR) / self.mean_power
        return transfer, phase, precision

    def _weights(self, rows: Tensor, device: torch.device | str = "cpu") -> Tensor:
        s, dose = self._s.to(device), self._dose[rows].to(device)
        weights = torch.ones((len(rows), len(s)), device=device)
        if self._weight.dose:
            weights = weights * dose_weights(s, dose, self.optics.voltage_kv)
        if self._weight.tilt:
            weights = weights * tilt_weights(self._tilt[rows].to(device))[:, None]
        if self._weight.dose_mask:
            weights = weights * dose_mask(s, dose, self.optics.voltage_kv)
        return weights / self.mean_weight


def ctf_parameters(particles: ParticleSet) -> CtfParameters:
    """CTF parameters of all images of a set, in the order of its image table."""
    arrays = particles.arrays()

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(getattr(arrays, name).astype(np.float32))

    optics = particles.optics
    return CtfParameters(
        tensor("defocus_u_angstrom"),
        tensor("defocus_v_angstrom"),
        tensor("defocus_angle_deg"),
        tensor("phase_shift_deg"),
        optics.voltage_kv,
        optics.spherical_aberration_mm,
        optics.amplitude_contrast,
        optics.pixel_size_angstrom,
    )
