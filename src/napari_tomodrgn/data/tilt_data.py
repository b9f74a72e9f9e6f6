"""Batches of particles: the image table's columns as tensors, taken out once."""

from __future__ import annotations

import itertools
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.config import WeightConfig
from napari_tomodrgn.data.fourier_images import FourierImages
from napari_tomodrgn.data.halves import has_copies
from napari_tomodrgn.data.optics import Optics
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.physics.ctf import CtfParameters
from napari_tomodrgn.physics.exposure import tilt_weights
from napari_tomodrgn.physics.image_formation import (
    ImageFormation,
    ImageParameters,
    exposure_left,
    image_formation,
    looked_at,
)
from napari_tomodrgn.physics.lattice import HalfPlane

Device = torch.device | str
_ALL = slice(None)

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
        ``(image, point)`` what the density is multiplied with to give the image
        (`physics.image_formation`).
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
        self.originals = particles.originals
        self.image_count = len(arrays.particle)
        counts = np.bincount(arrays.particle, minlength=self.particle_count)
        self._first = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]))
        self._rotations = torch.from_numpy(arrays.rotations.astype(np.float32))
        self.parameters = image_parameters(particles)
        self._tilt_index = torch.tensor(particles.images["tilt_index"].to_numpy(np.int64).tolist())
        self._weight = weight
        self.training = torch.ones(self.image_count, dtype=torch.bool)
        spread = np.linspace(0, self.image_count - 1, min(self.image_count, _MEAN_IMAGES))
        rows = torch.from_numpy(spread.astype(np.int64))
        self.mean_weight = 1.0
        # `weights` and `transfer` divide by these means, which are 1 until they are known.
        self.mean_weight = float(self.weights(rows).mean())
        self.mean_power = 1.0
        _, _, precision = self.transfer(rows)
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
        if has_copies(self.originals):
            # Copies share their images, and hold out the same ones.
            tilts, of_particle = self._tilt_index.numpy(), np.diff(self._first.numpy())
            owner = np.repeat(self.originals, of_particle)
            order = rng.random((int(owner.max()) + 1, self.tilts))[owner, tilts]
        held = np.zeros(self.image_count, dtype=bool)
        first = self._first.numpy()
        for start, stop in itertools.pairwise(first):
            count = min(int(np.rint((stop - start) * fraction)), stop - start - 1)
            held[start + np.argsort(order[start:stop])[:count]] = True
        self.training = torch.from_numpy(~held)

    def turned(self, rotation: NDArray[np.float64]) -> TiltData:
        """The same images, of a reference that is turned by ``(3, 3)`` on xyz before they are made.

        If the molecule has this symmetry the poses are as right as those before.
        """
        other = copy(self)
        other._rotations = self._rotations @ torch.from_numpy(rotation.astype(np.float32))
        return other

    def images_of(self, particles: Tensor) -> Tensor:
        """Rows of the images of particles, one particle after the other.

        ``(particle,)`` rows of the set → ``(image,)`` int64.
        """
        counts = self._first[particles + 1] - self._first[particles]
        begin = self._first[particles] - (counts.cumsum(0) - counts)
        return torch.arange(int(counts.sum())) + begin.repeat_interleave(counts)

    def prefetch(self, particles: Tensor) -> None:
        """Say that particles, ``(particle,)`` rows of the set, are wanted soon."""
        if len(particles):
            self.images.prefetch(self.images_of(particles))

    def batch(self, particles: Tensor, device: torch.device | str = "cpu") -> TiltBatch:
        """Gather the images of particles, ``(particle,)`` rows of the set, on ``device``."""
        rows = self.images_of(particles)
        counts = self._first[particles + 1] - self._first[particles]
        particle_index = torch.arange(len(particles)).repeat_interleave(counts)
        transfer, phase, precision = self.transfer(rows, device)
        return TiltBatch(
            particles=particles.to(device),
            particle_index=particle_index.to(device),
            tilt_index=self._tilt_index[rows].to(device),
            samples=self.images.take(rows).to(device),
            transfer=transfer,
            phase=phase,
            weights=self.weights(rows, device),
            precision=precision,
            rotations=self._rotations[rows].to(device),
            training=self.training[rows].to(device),
        )

    def formation(
        self, rows: Tensor, points: Tensor | slice = _ALL, device: Device = "cpu"
    ) -> ImageFormation:
        """Model some images at some samples of the lattice: factors ``(image, point)``.

        Parameters
        ----------
        rows
            ``(image,)`` of the set.
        points
            ``(point,)`` samples of the lattice, or a slice of them.
        device
            Where to compute.
        """
        frequencies = self.lattice.frequencies.to(device)[points]
        return image_formation(
            frequencies,
            self.parameters.take(rows).to(device),
            dose_decay=self._weight.dose and self._weight.in_model,
            tilt_decay=self._weight.tilt and self._weight.in_model,
        )

    def weights_at(
        self, rows: Tensor, points: Tensor | slice = _ALL, device: Device = "cpu"
    ) -> Tensor:
        """Weigh some images at some samples, ``(image, point)``, the scale as it comes.

        Parameters
        ----------
        rows
            ``(image,)`` of the set.
        points
            ``(point,)`` samples of the lattice, or a slice of them.
        device
            Where to compute.
        """
        frequencies = self.lattice.frequencies.to(device)[points]
        parameters, asked = self.parameters.take(rows).to(device), self._weight
        weights = torch.ones((len(rows), len(frequencies)), device=frequencies.device)
        if asked.dose_mask:
            weights = weights * looked_at(frequencies, parameters)
        if asked.dose and not asked.in_model:
            weights = weights * exposure_left(frequencies, parameters)
        if asked.tilt and not asked.in_model:
            weights = weights * tilt_weights(parameters.stage_tilt_deg)[:, None]
        return weights

    def transfer(self, rows: Tensor, device: Device = "cpu") -> tuple[Tensor, Tensor, Tensor]:
        """Transfer, phase and precision ``(image, point)`` of images ``(row,)``."""
        model = self.formation(rows, device=device)
        precision = model.precision(NOISE_FLOOR).expand_as(model.contrast) / self.mean_power
        return model.transfer, model.phase, precision

    def weights(self, rows: Tensor, device: Device = "cpu") -> Tensor:
        """Weights ``(image, point)`` of images ``(row,)``, of mean 1 over the set."""
        return self.weights_at(rows, device=device) / self.mean_weight


def image_parameters(particles: ParticleSet) -> ImageParameters:
    """What decides how the images of a set came about, in the order of its image table.

    Raises
    ------
    BadInputError
        If images differ in pixel size or box and were not brought to one.
    """
    particles.refuse_mixed()
    arrays, optics = particles.arrays(), particles.optics
    groups = optics.groups

    def tensor(values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32))

    def shared(name: str) -> Tensor | float:
        values = np.array([getattr(group, name) for group in groups])
        return tensor(values[arrays.optics_group]) if np.ptp(values) else float(values[0])

    b_factor = np.array([group.b_factor_per_dose_angstrom2 for group in groups])
    contrast = CtfParameters(
        tensor(arrays.defocus_u_angstrom),
        tensor(arrays.defocus_v_angstrom),
        tensor(arrays.defocus_angle_deg),
        tensor(arrays.phase_shift_deg),
        shared("voltage_kv"),
        shared("spherical_aberration_mm"),
        shared("amplitude_contrast"),
        optics.pixel_size_angstrom,
    )
    return ImageParameters(
        contrast,
        tensor(arrays.dose_e_per_angstrom2),
        tensor(arrays.stage_tilt_deg),
        tensor(arrays.ctf_scale),
        tensor(b_factor[arrays.optics_group]) if b_factor.any() else None,
        ctf_premultiplied=optics.ctf_premultiplied,
        dose_weighted=optics.dose_weighted,
        ctf_phase_flipped=optics.ctf_phase_flipped,
        ctf_corrected=optics.ctf_corrected,
    )


def ctf_parameters(particles: ParticleSet) -> CtfParameters:
    """CTF parameters of all images of a set, in the order of its image table."""
    return image_parameters(particles).ctf
