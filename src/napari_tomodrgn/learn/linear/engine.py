"""The linear engine: a first latent space in seconds, without an encoder to train.

Radius by radius, coarse to fine: fit both halves of the set, let each judge the other's
components (`linear_select`), then fit the whole set along what both accept. Stops where a larger
radius brings nothing to particles that were not fitted. Each radius is an epoch of the run.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.decoding.volume_decoder import solvent_at_zero
from napari_tomodrgn.learn.inference.held_out import compared_rows, errors_of
from napari_tomodrgn.learn.inference.shrinkage import COMPARISONS, ShrinkageResult, support_steps
from napari_tomodrgn.learn.linear.cross_validation import count_components, transfer
from napari_tomodrgn.learn.linear.decoder import LinearDecoder, save_fitted
from napari_tomodrgn.learn.linear.expectation_maximization import (
    Blocks,
    LinearModel,
    expect,
    maximise,
    noise_of,
    posteriors,
    principal,
)
from napari_tomodrgn.learn.linear.fourier_ball import FourierBall, around_density, make_ball, sphere
from napari_tomodrgn.learn.linear.image_samples import LinearSamples, SampleBlock
from napari_tomodrgn.learn.linear.initial_model import (
    leading_latents,
    mean_model,
    residual_maps,
    with_components,
)
from napari_tomodrgn.learn.network.model import Posterior
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.tables import metrics_row
from napari_tomodrgn.learn.runtime.cancellable import Stop, run_cancellable
from napari_tomodrgn.learn.runtime.distributed import Cancelled
from napari_tomodrgn.learn.runtime.events import (
    EpochDone,
    Event,
    Finished,
    LatentsReady,
    Losses,
    Notice,
    Progress,
    Started,
)
from napari_tomodrgn.learn.training.prepare_run import prepare_run

_MOST_COMPONENTS = 6
# At later radii so many more are tried than were confirmed before.
_MORE_COMPONENTS = 1
_FIRST_RADIUS = 6
_RADIUS_STEP = 2
_HALF_ITERATIONS = 8
_FULL_ITERATIONS = 8
# A larger radius is kept that does not lower the gain on unseen particles by more than chance
# does, and a still larger one is tried where it has raised it by so much.
_KEPT, WORTH_IT = 0.95, 1.15
# What a kept sample takes: both directions of interpolation, its statistics, a pass over it.
_BYTES_PER_SAMPLE = 200
# So many particles fix the components; a finer radius is worth no fewer.
_ENOUGH = 1000
# Halves of fewer say nothing about each other.
FEWEST_PARTICLES = 8
# However little memory is allowed, so many are learnt from.
_FEWEST_LEARNERS = 32
# Particles in each half that judge the other's components; more add time and no certainty.
_MOST_IN_HALF = 300


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted set.

    Attributes
    ----------
    model
        Basis, noise and prior.
    mu, covariance
        Posteriors of all particles from all their images, in the order of the set.
    training_mu
        Means from the images that were not held out.
    gains
        Nats per component on unseen particles.
    """

    model: LinearModel
    mu: Tensor
    covariance: Tensor
    training_mu: Tensor
    gains: Tensor

    @property
    def posterior(self) -> Posterior:
        """Of all particles from all their images."""
        return Posterior.of(self.mu, self.covariance)


@dataclass(frozen=True, eq=False)
class LinearEngine:
    """Samples of a set, and what is asked of them; one method a verb of the loop."""

    data: TiltData
    samples: LinearSamples
    config: RunConfig
    stop: Stop
    support: NDArray[np.float64]

    @classmethod
    def of(cls, data: TiltData, config: RunConfig, stop: Stop) -> LinearEngine:
        """The engine for a set."""
        device = data.lattice.frequencies.device
        radius = data.lattice.box_size_px // 2 - 1
        samples = LinearSamples(data, config.data, radius_px=radius, device=device)
        window = config.data
        window_radius = min((window.window_inner + window.window_outer) / 2, 1.0)
        engine = cls(data, samples, config, stop, sphere(window_radius))
        return replace(engine, support=engine.particle_support())

    def radii(self) -> list[int]:
        """Radii in Fourier pixels, coarse to fine.

        Raises
        ------
        BadInputError
            If a smaller one was asked for than that at which noise can be measured.
        """
        wanted, least = self.config.linear.radius_px, self._least_radius
        if wanted is not None and wanted < least:
            raise BadInputError(
                f"linear.radius_px is {wanted}: within it the CTF of pre-multiplied images leaves "
                "too little to measure their noise.",
                remedy=f"Set it to {least} or more, or leave it out.",
                code="bad-radius",
            )
        last = min(wanted or self.samples.radius_px, self.samples.radius_px)
        first = min(max(_FIRST_RADIUS, least), last)
        steps = list(range(first, last, _RADIUS_STEP))
        return [*steps, last]

    @cached_property
    def _least_radius(self) -> int:
        return self.samples.noise_radius()

    def ball(self, radius_px: int) -> FourierBall:
        """The unknowns at a radius."""
        return make_ball(radius_px, support=self.support, device=self.samples.device)

    def particle_support(self) -> NDArray[np.float64]:
        """A soft mask around the mean map of the whole set at the first radius."""
        radius = self.radii()[0]
        ball = self.ball(radius)
        shells = self.samples.shells(radius).to(self.samples.device)
        blocks = self.blocks(ball, self.training_rows(radius))
        model = mean_model(ball, blocks, shells, self.samples.independent_share)
        decoder = LinearDecoder.from_model(model, self.data.lattice.box_size_px)
        density = solvent_at_zero(decoder.basis_volumes(len(self.support))[0].cpu().numpy())
        return around_density(density.astype(np.float64), self.support)

    def blocks(self, ball: FourierBall, particles: Tensor) -> Blocks:
        """Blocks of particles, kept, with their training images."""
        kept = list(self._heeding(self.samples.blocks(ball, particles, self.data.training)))
        return lambda: self._heeding(kept)

    def training_rows(self, radius_px: int) -> Tensor:
        """Rows of the particles that are learnt from: all, or as many as fit into memory, drawn
        with the seed. Latents are found for all, in a stream.
        """
        samples = self.data.image_count / self.data.particle_count
        samples *= len(self.samples.points(radius_px))
        room = int(self.config.data.memory_gb * 1e9 / (_BYTES_PER_SAMPLE * samples))
        return self._order()[: max(room, _FEWEST_LEARNERS)].sort().values

    def largest_affordable_radius(self) -> int:
        """The largest radius at which as many particles fit into memory as learn at the first."""
        wanted = len(self.training_rows(self.radii()[0]))
        radii = [r for r in self.radii() if len(self.training_rows(r)) >= min(wanted, _ENOUGH)]
        return radii[-1]

    def halves(self, training_rows: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of two disjoint halves of the particles, or of as many as can judge well."""
        order = self._order()
        order = order[torch.isin(order, training_rows)][: 2 * _MOST_IN_HALF]
        first, second = order.chunk(2)
        return first.sort().values, second.sort().values

    def _order(self) -> Tensor:
        rng = np.random.default_rng([self.config.seed, 0x11A1F])
        return torch.from_numpy(rng.permutation(self.data.particle_count))

    def work(self, radius_px: int) -> int:
        """Samples of the whole set within a radius."""
        return self.data.image_count * len(self.samples.points(radius_px))

    def fits(self, radii: list[int] | None = None) -> Iterator[Fit]:
        """Fits at larger and larger radii, as long as unseen particles gain; the last is best."""
        best, width = 0.0, _MOST_COMPONENTS
        for radius in radii or self.radii():
            fit = self.fit(radius, width)
            gain = float(fit.gains.sum())
            if best and gain < best * _KEPT:
                return
            yield fit
            if best and gain < best * WORTH_IT:
                return
            best, width = gain, fit.model.components + _MORE_COMPONENTS

    def fit(self, radius_px: int, width: int = _MOST_COMPONENTS) -> Fit:
        """Halves, judgement, and the whole set at one radius, trying ``width`` components."""
        ball = self.ball(radius_px)
        shells = self.samples.shells(radius_px).to(self.samples.device)
        training_rows = self.training_rows(radius_px)
        halves = self.halves(training_rows)
        # As many components as the smaller half has particles less its mean.
        width = min(max(width, self.config.linear.components or 0), min(map(len, halves)) - 1)
        sides = [self.blocks(ball, rows) for rows in halves]
        models = [self._start(ball, blocks, shells, width) for blocks in sides]
        models = [
            self._iterate(model, blocks, shells, _HALF_ITERATIONS)
            for model, blocks in zip(models, sides, strict=True)
        ]
        judged = [transfer(models[0], sides[1], shells), transfer(models[1], sides[0], shells)]
        gains = judged[0].gains + judged[1].gains
        count = min(self.config.linear.components or max(1, count_components(gains)), width)
        better = int(judged[1].gains[:count].sum() > judged[0].gains[:count].sum())
        del sides
        accepted = judged[better].applied(models[better], count)
        model = self._whole(accepted, training_rows, shells)
        return self._embedded(model, shells, gains[:count])

    def _start(self, ball: FourierBall, blocks: Blocks, shells: Tensor, width: int) -> LinearModel:
        """Mean and leading components of some particles."""
        model = mean_model(ball, blocks, shells, self.samples.independent_share)
        maps = residual_maps(model, blocks, shells)
        power = (1 / model.prior[:, 0])[ball.shells]
        return with_components(model, blocks, shells, leading_latents(maps, power, width))

    def _whole(self, accepted: LinearModel, training_rows: Tensor, shells: Tensor) -> LinearModel:
        """All learners, along axes that were fitted to one half and accepted by the other."""
        ball = accepted.ball
        blocks = self.blocks(ball, training_rows)
        latents = posteriors(accepted, blocks, shells)[0]
        mean = mean_model(ball, blocks, shells, self.samples.independent_share)
        spread = latents.std(0, correction=0).clamp(min=1e-9)
        model = with_components(mean, blocks, shells, (latents - latents.mean(0)) / spread)
        return self._iterate(model, blocks, shells, _FULL_ITERATIONS)

    def _embedded(self, model: LinearModel, shells: Tensor, gains: Tensor) -> Fit:
        """Posteriors of all particles, in a stream."""
        everything = torch.arange(self.data.particle_count)
        training, every = self.data.training, torch.ones_like(self.data.training)
        training_mu, covariance, _ = posteriors(
            model, self.stream(model, everything, training), shells
        )
        mu = training_mu
        if not bool(training.all()):
            mu, covariance, _ = posteriors(model, self.stream(model, everything, every), shells)
        return Fit(model, mu, covariance, training_mu, gains)

    def stream(self, model: LinearModel, particles: Tensor, images: Tensor) -> Blocks:
        """Blocks of particles made anew at each pass, of the images where ``images`` is true."""
        return lambda: self._heeding(self.samples.blocks(model.ball, particles, images))

    def _heeding(self, blocks: Iterable[SampleBlock]) -> Iterator[SampleBlock]:
        """The same blocks; between any two of them the engine can be stopped."""
        for block in blocks:
            if self.stop():
                raise Cancelled
            yield block

    def _iterate(
        self, model: LinearModel, blocks: Blocks, shells: Tensor, iterations: int
    ) -> LinearModel:
        for _ in range(iterations):
            found = expect(model, blocks, shells)
            noise = noise_of(found, shells, len(model.prior))
            model = replace(maximise(model, blocks, shells, found), noise=noise)
            model, _, _ = principal(model, found)
        return model

    def losses(self, fit: Fit, decoder: LinearDecoder) -> Losses:
        """The losses of the autoencoder for the same images, so that both compare."""
        latents = fit.training_mu.float()
        reconstruction, held_out = (
            float(errors_of(decoder, latents, self.data, self.config, held_out=which).nanmean())
            for which in (False, True)
        )
        kl = float(gaussian_kl(fit.mu, fit.covariance).mean())
        total = reconstruction + kl / self.data.points_per_particle
        return Losses(reconstruction, kl, total, held_out)


def gaussian_kl(mu: Tensor, covariance: Tensor) -> Tensor:
    """Divergence of each posterior from the unit Gaussian in nats, ``(particle,)``."""
    trace = torch.diagonal(covariance, dim1=1, dim2=2).sum(-1)
    return (trace + mu.square().sum(-1) - mu.shape[1] - torch.logdet(covariance)) / 2


def train_linear(
    particles: ParticleSet,
    config: RunConfig,
    out: str | Path,
    *,
    resume: bool = False,
    stop: Stop,
) -> Iterator[Event]:
    """Fit the linear model, telling what happens; parameters and events as of `train`.

    A run that is resumed is computed again from the start, to the same result: it takes seconds.

    Raises
    ------
    BadInputError
        If there are too few particles to compare halves of them.
    """
    if len(particles) < FEWEST_PARTICLES:
        raise BadInputError(
            f"{particles.source.path}: {len(particles)} particles; the linear method compares "
            f"halves of the set and needs at least {FEWEST_PARTICLES}.",
            remedy="Take more particles, or train the autoencoder.",
            code="few-particles",
        )
    try:
        run, data = yield from prepare_run(particles, config, Path(out), resume=resume, stop=stop)
        run = replace(run, info=run.info.model_copy(update={"chosen_epoch": None}))
        run.save_info()
        engine = LinearEngine.of(data, run.config, stop)
        radii = engine.radii()
        yield Started(
            run.path, data.particle_count, data.image_count, 1, len(radii), run.info.device
        )
        last = yield from _radii(run, engine)
    except Cancelled:
        yield Finished("stopped", 0)
        return
    yield Finished("completed", last)


def supported(
    engine: LinearEngine, fit: Fit
) -> Generator[Event, None, tuple[LinearDecoder, ShrinkageResult]]:
    """The decoder of a fit with components as strong as held-out images ask for, and what they say.

    Latents stay as they are: it is maps that must not show what nothing supports.
    """
    count = engine.data.particle_count
    decoder = LinearDecoder.from_model(fit.model, engine.data.lattice.box_size_px)
    rows, latents = compared_rows(count), torch.full(fit.training_mu.shape, torch.nan)
    latents[rows] = fit.training_mu[rows].float().cpu()
    steps = support_steps(decoder, latents, engine.data, engine.config)
    total, what = COMPARISONS * count, "Comparing held-out images"
    support = yield from run_cancellable(steps, total, what, engine.stop)
    return decoder.weakened(support.factor), support


def _radii(run: Run, engine: LinearEngine) -> Generator[Event, None, int]:
    """Radius by radius until one brings nothing; the last epoch that was kept."""
    epoch, started, support = 0, time.perf_counter(), None
    for epoch, fit in enumerate(engine.fits(), start=1):
        support = yield from _save(run, engine, fit, epoch, started)
    if support is not None:
        run.save_quality({"epoch": epoch, "latents": "linear", **support.told()})
        replace(run, info=run.info.model_copy(update={"chosen_epoch": epoch})).save_info()
        yield Notice(support.verdict, lasting=True)
    return epoch


def _save(
    run: Run, engine: LinearEngine, fit: Fit, epoch: int, started: float
) -> Generator[Event, None, ShrinkageResult]:
    """Write what a radius leaves, then tell of it."""
    decoder, support = yield from supported(engine, fit)
    seconds = time.perf_counter() - started
    losses = engine.losses(fit, decoder)
    run.append_metrics(metrics_row(epoch, seconds, losses, 1.0, 0.0))
    save_fitted(run.weights_file(epoch), fit.model, decoder)
    run.save_latents(epoch, engine.data.particles, fit.posterior)
    count = engine.data.particle_count
    yield Progress(epoch, count, count, losses)
    yield EpochDone(epoch, seconds, losses, run.weights_file(epoch))
    yield LatentsReady(epoch, run.latents_file(epoch))
    return support
