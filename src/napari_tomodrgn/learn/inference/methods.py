"""Ways from images to posteriors, of any particles and from any of their images.

`EncoderInference` guesses, `RefinedInference` moves the guess to where the images are most likely,
`LinearInference` has the closed form of the linear engine, `ShrunkInference` draws any of them to
the middle.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.tilt_data import TiltBatch, TiltData
from napari_tomodrgn.learn.decoding.volume_decoder import FourierModel
from napari_tomodrgn.learn.inference.refinement import Refinement, maximize_posterior
from napari_tomodrgn.learn.linear.expectation_maximization import posteriors, sufficient_statistics
from napari_tomodrgn.learn.linear.image_samples import LinearSamples
from napari_tomodrgn.learn.linear.linear_model import LinearModel
from napari_tomodrgn.learn.network.model import Encoder
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.runtime.memory import particles_per_block
from napari_tomodrgn.learn.runtime.resumable import ResumableWork

# Particles encoded together, at most.
_PARTICLES_AT_A_TIME = {"cpu": 32, "cuda": 512, "mps": 64}


class Inference(Protocol):
    """Posteriors, on the CPU, of particles (rows of the set, ascending).

    ``images`` is a mask of the set's images: those that may be looked at, at least one of each
    particle.
    """

    def __call__(self, rows: Tensor, images: Tensor) -> Posterior: ...


def encode(encoder: Encoder, batch: TiltBatch, *, training_only: bool = False) -> Posterior:
    """Posterior of each particle of a batch, from all images or from those not held out."""
    samples = batch.samples * (batch.phase * batch.precision.sqrt())
    if not training_only:
        return encoder(samples, batch.particle_index, batch.tilt_index, batch.size)  # type: ignore[no-any-return]
    used = batch.training
    return encoder(  # type: ignore[no-any-return]
        samples[used], batch.particle_index[used], batch.tilt_index[used], batch.size
    )


@dataclass(frozen=True, eq=False)
class EncoderInference:
    """The encoder of an autoencoder; the first latents as they are ``known`` without it."""

    encoder: Encoder
    data: TiltData
    known: Inference | None = None

    @torch.no_grad()
    def __call__(self, rows: Tensor, images: Tensor) -> Posterior:
        """See `Inference`."""
        device = self.data.lattice.frequencies.device
        mu, logvar = [], []
        size = _PARTICLES_AT_A_TIME[device.type]
        if device.type != "cpu":
            size = particles_per_block(self.data.points_per_particle, size, device)
        for part in rows.split(size):
            batch = self.data.batch(part, device)
            used = images[self.data.images_of(part)].to(device)
            found = encode(self.encoder, replace(batch, training=used), training_only=True)
            mu.append(found.mu.cpu())
            logvar.append(found.logvar.cpu())
        guess = Posterior(torch.cat(mu), torch.cat(logvar))
        return guess if self.known is None else guess.beginning_with(self.known(rows, images))


@dataclass(frozen=True, eq=False)
class LinearInference:
    """Closed form, by a fitted linear model."""

    model: LinearModel
    data: TiltData
    config: RunConfig

    @cached_property
    def samples(self) -> LinearSamples:
        """The images as the model needs them."""
        return _samples(self.data, self.config, self.model)

    def __call__(self, rows: Tensor, images: Tensor) -> Posterior:
        """See `Inference`."""
        ball = self.model.ball
        shells = self.samples.shells(ball.radius_px).to(self.model.noise.device)
        mu, covariance, _ = posteriors(
            self.model, lambda: self.samples.blocks(ball, rows, images), shells
        )
        mu, covariance = self.model.marginal(mu, covariance)
        return Posterior.of(mu.cpu(), covariance.cpu())


@dataclass(frozen=True, eq=False)
class RefinedInference:
    """The encoder's guess, then the likelihood."""

    guess: EncoderInference
    decoder: FourierModel
    refinement: Refinement
    config: RunConfig

    @cached_property
    def model(self) -> LinearModel:
        """Decoded maps as a small basis."""
        return self.refinement.linear_model()

    @cached_property
    def samples(self) -> LinearSamples:
        """The images as the basis needs them."""
        return _samples(self.guess.data, self.config, self.model)

    @torch.no_grad()
    def __call__(self, rows: Tensor, images: Tensor) -> Posterior:
        """See `Inference`."""
        device = self.model.noise.device
        ball = self.model.ball
        shells = self.samples.shells(ball.radius_px).to(device)
        quadratic, linear = sufficient_statistics(
            self.model, lambda: self.samples.blocks(ball, rows, images), shells
        )
        statistics = (quadratic[:, 1:, 1:], linear[:, 1:] - quadratic[:, 1:, 0])
        start = self.guess(rows, images).mu.to(device)
        mu, covariance = maximize_posterior(self.refinement, self.decoder, statistics, start)
        return Posterior.of(mu.cpu(), covariance.cpu())


@dataclass(frozen=True, eq=False)
class ShrunkInference:
    """Posteriors drawn to the prior's mean.

    With a prior N(0, I), what means no longer say is unknown again: C becomes I − s² (I − C).
    """

    inference: Inference
    factor: float

    def __call__(self, rows: Tensor, images: Tensor) -> Posterior:
        """See `Inference`."""
        found, share = self.inference(rows, images), self.factor**2
        if found.covariance is None:
            variance = 1 - share * (1 - found.logvar.exp())
            return Posterior(found.mu * self.factor, variance.log())
        eye = torch.eye(found.mu.shape[1]).to(found.covariance)
        return Posterior.of(found.mu * self.factor, eye - share * (eye - found.covariance))


def _samples(data: TiltData, config: RunConfig, model: LinearModel) -> LinearSamples:
    radius = model.ball.radius_px
    return LinearSamples(data, config.data, radius_px=radius, device=model.noise.device)


def infer_in_chunks(
    inference: Inference,
    rows: Tensor,
    images: Tensor,
    size: int = 128,
    resumable: ResumableWork | None = None,
) -> Generator[int, None, Posterior]:
    """Infer posteriors of particles ``(row,)`` in chunks, yielding how many are done.

    ``images`` is the mask ``(image,)`` of those that may be used. What ``resumable`` holds of an
    earlier attempt is gone on from.
    """
    done, tensors = resumable.load() if resumable else (0, {})
    parts = [Posterior(**tensors)] if tensors else []
    for some in rows[done:].split(size) if done < len(rows) else ():
        parts.append(inference(some, images))
        done += len(some)
        if resumable and resumable.due(last=done == len(rows)):
            parts = [_concatenate(parts)]
            known = {name: value for name, value in vars(parts[0]).items() if value is not None}
            resumable.save(done, known)
        yield done
    return _concatenate(parts)


def _concatenate(parts: list[Posterior]) -> Posterior:
    covariances = [part.covariance for part in parts if part.covariance is not None]
    return Posterior(
        torch.cat([part.mu for part in parts]),
        torch.cat([part.logvar for part in parts]),
        torch.cat(covariances) if covariances else None,
    )
