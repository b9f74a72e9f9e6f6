"""What training minimises: weighted squared error per Fourier sample, and the KL divergence.

reconstruction = mean w p |x − T F(k, z)|²      w: weights of mean 1, p: inverse noise power
kl             = mean −½ Σ (1 + logvar − μ² − exp logvar)
total          = reconstruction + β kl / M       M: Fourier samples of one particle
controlled:      reconstruction + γ (β − kl)² / M
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.tilt_data import TiltBatch


@dataclass(frozen=True, eq=False)
class Points:
    """Fourier samples to compare: which image and which sample of it, and whose they are.

    Attributes
    ----------
    image, sample, particle_index
        ``(point,)`` row of the image in its batch, sample of the lattice, particle of the batch.
    drawn
        How many were drawn, those of weight 0 included.
    """

    image: Tensor
    sample: Tensor
    particle_index: Tensor
    drawn: int

    def chunks(self, size: int) -> list[Points]:
        """The same points in pieces of at most ``size``."""
        if len(self.image) <= size:
            return [self]
        parts = zip(
            self.image.split(size),
            self.sample.split(size),
            self.particle_index.split(size),
            strict=True,
        )
        return [Points(*part, self.drawn) for part in parts]


@dataclass(frozen=True, eq=False)
class DrawnPoints:
    """Fourier samples of a training step with all that compares them with the model.

    Attributes
    ----------
    frequencies
        ``(point, 3)`` in cycles per pixel of the reference.
    samples, transfer
        ``(point,)`` complex sample, and what the model is multiplied with there.
    weights
        ``(point,)`` weight times inverse noise power.
    particle_index
        ``(point,)`` whose they are.
    """

    frequencies: Tensor
    samples: Tensor
    transfer: Tensor
    weights: Tensor
    particle_index: Tensor

    def squared_errors(self, amplitudes: Tensor) -> Tensor:
        """Weighted squared error ``(point,)`` of amplitudes F(k, z), complex ``(point,)``."""
        residual = self.samples - self.transfer * amplitudes
        return self.weights * torch.view_as_real(residual).square().sum(-1)


def uniforms(particles: int, per_particle: int, generator: torch.Generator) -> Tensor:
    """The random numbers that choose samples, ``(particle, per_particle)`` in [0, 1)."""
    return torch.rand((particles, per_particle), generator=generator, dtype=torch.float64)


def choose_points(batch: TiltBatch, uniform: Tensor, *, held_out: bool = False) -> Points:
    """Choose samples by random numbers; all that count if there are no numbers.

    Drawn with replacement, every sample of a particle alike, so that the mean of w |·|² over
    ``drawn`` points is an unbiased estimate of its mean over all; those of weight 0 are not
    evaluated. A particle's samples depend on its own row of ``uniform`` alone, so that a step may
    be divided by particle.

    Parameters
    ----------
    batch
        Images of some particles.
    uniform
        ``(particle, per_particle)`` in [0, 1), of `uniforms`; ``(particle, 0)`` for all samples.
    held_out
        Choose among the images that are held out, instead of those that are learnt from.
    """
    chosen = batch.training != held_out
    width = batch.samples.shape[1]
    per_particle = uniform.shape[1]
    rows = torch.nonzero(chosen)[:, 0]
    counts = torch.bincount(batch.particle_index[rows], minlength=batch.size)
    drawn = points_drawn(counts, width, per_particle)
    if per_particle == 0:
        image, sample = torch.nonzero(chosen[:, None] & (batch.weights > 0), as_tuple=True)
        return Points(image, sample, batch.particle_index[image], drawn)
    first = counts.cumsum(0) - counts
    # Number of a sample among all of its particle's, image by image.
    flat = (uniform.to(batch.samples.device) * (counts * width)[:, None]).to(torch.int64)
    filled = (counts > 0)[:, None].expand_as(flat)
    row = (first[:, None] + flat // width)[filled]
    image, sample = rows[row], (flat % width)[filled]
    counted = batch.weights[image, sample] > 0
    image, sample = image[counted], sample[counted]
    return Points(image, sample, batch.particle_index[image], drawn)


def points_drawn(images: Tensor, width: int, per_particle: int) -> int:
    """Count the samples drawn from particles with ``(particle,)`` images of ``width`` samples.

    ``per_particle`` of each that has an image; all samples if it is 0.
    """
    if per_particle == 0:
        return int(images.sum()) * width
    return int((images > 0).sum()) * per_particle


def squared_errors(batch: TiltBatch, points: Points, amplitudes: Tensor) -> Tensor:
    """Weighted squared error ``(point,)`` of amplitudes F(k, z), complex ``(point,)``."""
    at = (points.image, points.sample)
    residual = batch.samples[at] - batch.transfer[at] * amplitudes
    weights = batch.weights[at] * batch.precision[at]
    return weights * torch.view_as_real(residual).square().sum(-1)


def point_frequencies(batch: TiltBatch, points: Points, frequencies: Tensor) -> Tensor:
    """Reference frequencies ``(point, 3)`` of image samples: ``R.T @ (kx, ky, 0)``."""
    k = frequencies[points.sample]
    rotations = batch.rotations[points.image]
    return k[:, 0, None] * rotations[:, 0] + k[:, 1, None] * rotations[:, 1]


def kl_term(mean_kl: Tensor, beta: Tensor, config: RunConfig, points_per_particle: float) -> Tensor:
    """The part of the loss that holds latents near the unit Gaussian, a scalar.

    β KL / M; with a capacity γ, γ (β − KL)² / M, which holds the divergence at β (after Burgess et
    al. 2018, who take its modulus).

    Parameters
    ----------
    mean_kl, beta
        Scalars: mean divergence of the particles in nats, and β.
    config
        Has the capacity.
    points_per_particle
        M, Fourier samples of one particle.
    """
    if config.train.capacity is not None:
        return config.train.capacity * (beta - mean_kl).square() / points_per_particle
    return beta * mean_kl / points_per_particle


def beta_at(config: RunConfig, progress: float) -> float:
    """Beta after a share ``progress`` (0 … 1) of the run."""
    full = config.train.beta
    if config.train.beta_schedule == "linear":
        return full * min(1.0, 2 * progress)
    if config.train.beta_schedule == "cyclic":
        # Four cycles; in each the first half rises, the second stays.
        return full * min(1.0, 2 * ((4 * progress) % 1.0))
    return full
