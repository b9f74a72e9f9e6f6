"""The linear engine: a first latent space in seconds, without an encoder to train.

Radius by radius, coarse to fine: fit both halves of the set, let each judge the other's
components (`cross_validation`), then fit the whole set along what both accept. Stops where a larger
radius brings nothing to particles that were not fitted. Each radius is an epoch of the run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.linear.cross_validation import count_components, cross_validate
from napari_tomodrgn.learn.linear.decoder import LinearDecoder
from napari_tomodrgn.learn.linear.expectation_maximization import (
    Blocks,
    e_step,
    estimate_noise,
    m_step,
    posteriors,
    posteriors_from,
    sufficient_statistics,
)
from napari_tomodrgn.learn.linear.fourier_ball import FourierBall, around_density, make_ball, sphere
from napari_tomodrgn.learn.linear.image_samples import LinearSamples, SampleBlock
from napari_tomodrgn.learn.linear.initial_model import (
    leading_latents,
    mean_model,
    residual_maps,
    with_components,
)
from napari_tomodrgn.learn.linear.linear_model import LinearModel
from napari_tomodrgn.learn.linear.principal_axes import (
    like_signs,
    rotate_to_principal_axes,
    with_signs,
)
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.reconstruction.solvent import solvent_at_zero
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.steps import offset_steps, run_to_end

_MAX_COMPONENTS = 6  # that are tried at the first radius
# At later radii so many more are tried than were confirmed before.
_MORE_COMPONENTS = 1
FIRST_RADIUS = 6  # in Fourier pixels
RADIUS_STEP = 2  # by which the next radius is larger
_HALF_ITERATIONS = 8  # of expectation maximisation, on each half
_FULL_ITERATIONS = 8  # the same, on all that are learnt from
# Parts in which all particles are embedded, each of which is told: in a large set a pass over the
# images of all takes as long as several iterations.
EMBED_STEPS = 8
FIT_STEPS = 2 * _HALF_ITERATIONS + _FULL_ITERATIONS + EMBED_STEPS
# A larger radius is kept that does not lower the gain on unseen particles by more than chance
# does, and a still larger one is tried where it has raised it by so much.
_MIN_GAIN_RATIO, WORTHWHILE_GAIN_RATIO = 0.95, 1.15
# What a kept sample takes: both directions of interpolation, its statistics, a pass over it.
BYTES_PER_SAMPLE = 200
# So many particles fix the components; a finer radius is worth no fewer.
MIN_FOR_FINER_RADIUS = 1000
# Halves of fewer say nothing about each other.
MIN_PARTICLES = 8
# However little memory is allowed, so many are learnt from.
_MIN_TRAINING_ROWS = 32
# Mean, components and noise are first learnt from a random sample of so many particles, whatever
# the size of the set: enough for all but the smallest differences, which `second_look` looks for in
# more of them. Latents are found for all.
TRAINING_PARTICLES = 2000
# Of those, particles in each half that judge the other's components: an eighth of the set, so that
# a rare state is in both halves of a large one, and at least and at most so many.
_MIN_IN_HALF, _MAX_IN_HALF = 300, 1000


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted set.

    Attributes
    ----------
    model
        Basis, noise and prior.
    mu, covariance
        Posteriors of all particles from all their images, in the order of the set.
    training_mu, training_covariance
        The same from the images that were not held out.
    gains
        Nats per component on unseen particles.
    """

    model: LinearModel
    mu: Tensor
    covariance: Tensor
    training_mu: Tensor
    training_covariance: Tensor
    gains: Tensor

    @property
    def posterior(self) -> Posterior:
        """Of all particles from all their images."""
        return Posterior.of(self.mu, self.covariance)

    @property
    def training_posterior(self) -> Posterior:
        """Of all particles from the images that were not held out."""
        return Posterior.of(self.training_mu, self.training_covariance)

    def pointing_as(self, other: Fit) -> Fit:
        """The same fit, whose axes point as those of another do: no point changes sides."""
        signs = like_signs(self.mu, other.mu)
        every = signs.new_ones(self.model.components)
        every[self.model.groups[0]] = signs
        return replace(
            self,
            model=with_signs(self.model, every),
            mu=self.mu * signs,
            covariance=self.covariance * signs[:, None] * signs,
            training_mu=self.training_mu * signs,
            training_covariance=self.training_covariance * signs[:, None] * signs,
        )


@dataclass(frozen=True, eq=False)
class LinearEngine:
    """Samples of a set, and what is asked of them; one method a verb of the loop."""

    data: TiltData
    samples: LinearSamples
    config: RunConfig
    context: RunContext
    support: NDArray[np.float64]

    @classmethod
    def of(cls, data: TiltData, config: RunConfig, context: RunContext) -> LinearEngine:
        """The engine for a set."""
        device = data.lattice.frequencies.device
        radius = data.lattice.box_size_px // 2 - 1
        samples = LinearSamples(data, config.data, radius_px=radius, device=device)
        window = config.data
        window_radius = min((window.window_inner + window.window_outer) / 2, 1.0)
        engine = cls(data, samples, config, context, sphere(window_radius))
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
        first = min(max(FIRST_RADIUS, least), last)
        steps = list(range(first, last, RADIUS_STEP))
        return [*steps, last]

    @cached_property
    def _least_radius(self) -> int:
        return self.samples.noise_radius()

    def ball(self, radius_px: int) -> FourierBall:
        """The unknowns at a radius."""
        return make_ball(radius_px, support=self.support, device=self.samples.device)

    def particle_support(self) -> NDArray[np.float64]:
        """Make a soft mask ``(n, n, n)`` zyx around the mean map of the set at the first radius."""
        radius = self.radii()[0]
        ball = self.ball(radius)
        shells = self.samples.shells(radius).to(self.samples.device)
        blocks = self.blocks(ball, self.training_rows(radius))
        model = mean_model(ball, blocks, shells, self.samples.independent_share)
        decoder = LinearDecoder.from_model(model, self.data.lattice.box_size_px)
        density = solvent_at_zero(decoder.basis_volumes(len(self.support))[0].cpu().numpy())
        return around_density(density.astype(np.float64), self.support)

    def blocks(self, ball: FourierBall, particles: Tensor) -> Blocks:
        """Keep blocks of particles ``(row,)`` with their training images in memory."""
        kept = list(self._cancellable(self.samples.blocks(ball, particles, self.data.training)))
        return lambda: self._cancellable(kept)

    def training_rows(self, radius_px: int) -> Tensor:
        """Choose the particles ``(row,)`` that are learnt from: `TRAINING_PARTICLES` at most.

        Fewer if memory holds fewer. They are drawn with the seed. Latents are found for all
        particles, in a stream.
        """
        return self.random_rows(self.most_training_rows(radius_px))

    def random_rows(self, count: int) -> Tensor:
        """Draw so many particles ``(row,)`` with the seed, or all; fewer are a part of more."""
        return self._order()[:count].sort().values

    def most_training_rows(self, radius_px: int) -> int:
        """How many particles like these are learnt from: `TRAINING_PARTICLES`, or what fits."""
        samples = self.data.image_count / self.data.particle_count
        samples *= len(self.samples.points(radius_px))
        room = int(self.config.data.memory_gb * 1e9 / (BYTES_PER_SAMPLE * samples))
        return min(max(room, _MIN_TRAINING_ROWS), TRAINING_PARTICLES)

    def largest_affordable_radius(self) -> int:
        """The largest radius at which as many particles fit into memory as learn at the first."""
        wanted = len(self.training_rows(self.radii()[0]))
        radii = [
            r
            for r in self.radii()
            if len(self.training_rows(r)) >= min(wanted, MIN_FOR_FINER_RADIUS)
        ]
        return radii[-1]

    def halves(self, training_rows: Tensor) -> tuple[Tensor, Tensor]:
        """Draw two disjoint halves ``(row,)`` of the particles that are learnt from."""
        order = self._order()
        size = half_size(self.data.particle_count)
        order = order[torch.isin(order, training_rows)][: 2 * size]
        first, second = order.chunk(2)
        originals = torch.from_numpy(self.data.originals)
        second = second[~torch.isin(originals[second], originals[first])]
        return first.sort().values, second.sort().values

    def _order(self) -> Tensor:
        rng = np.random.default_rng([self.config.seed, 0x11A1F])
        # By particle: copies of one stand together.
        originals = self.data.originals
        place = np.argsort(rng.permutation(int(originals.max()) + 1))
        return torch.from_numpy(np.argsort(place[originals], kind="stable"))

    def work(self, radius_px: int) -> int:
        """Samples within a radius of all that is learnt from: those of one pass."""
        images = self.data.image_count / self.data.particle_count
        particles = len(self.training_rows(radius_px))
        return round(particles * images) * len(self.samples.points(radius_px))

    def fits(self, radii: list[int] | None = None) -> Iterator[Fit]:
        """Fits at larger and larger radii, as long as unseen particles gain; the last is best."""
        return (found for found in self.fits_and_steps(radii) if isinstance(found, Fit))

    def fits_and_steps(self, radii: list[int] | None = None) -> Iterator[Fit | int]:
        """The same `fits`, and before each of them how much is done: `FIT_STEPS` a radius."""
        best, width, last = 0.0, _MAX_COMPONENTS, None
        for number, radius in enumerate(radii or self.radii()):
            fit = yield from offset_steps(self.fit_steps(radius, width), number * FIT_STEPS)
            gain = float(fit.gains.sum())
            if best and gain < best * _MIN_GAIN_RATIO:
                return
            last = fit = fit if last is None else fit.pointing_as(last)
            yield fit
            if best and gain < best * WORTHWHILE_GAIN_RATIO:
                return
            best, width = gain, fit.mu.shape[1] + _MORE_COMPONENTS

    def fit(self, radius_px: int, width: int = _MAX_COMPONENTS) -> Fit:
        """Halves, judgement, and the whole set at one radius, trying ``width`` components."""
        return run_to_end(self.fit_steps(radius_px, width))

    def fit_steps(self, radius_px: int, width: int) -> Generator[int, None, Fit]:
        """The same as `fit`, yielding how much is done, of `FIT_STEPS`."""
        ball = self.ball(radius_px)
        shells = self.samples.shells(radius_px).to(self.samples.device)
        training_rows = self.training_rows(radius_px)
        halves = self.halves(training_rows)
        # As many components as the smaller half has particles less its mean.
        width = min(max(width, self.config.linear.components or 0), min(map(len, halves)) - 1)
        sides, models = [], []
        for side, rows in enumerate(halves):
            sides.append(self.blocks(ball, rows))
            model = self._fit_components(ball, sides[side], shells, width)
            steps = self.em_steps(model, sides[side], shells, _HALF_ITERATIONS)
            models.append((yield from offset_steps(steps, side * _HALF_ITERATIONS)))
        judged = [
            cross_validate(models[0], sides[1], shells),
            cross_validate(models[1], sides[0], shells),
        ]
        gains = judged[0].gains + judged[1].gains
        count = min(self.config.linear.components or max(1, count_components(gains)), width)
        better = int(judged[1].gains[:count].sum() > judged[0].gains[:count].sum())
        del sides
        accepted = judged[better].apply(models[better], count)
        steps = self._all_steps(accepted, training_rows, shells)
        model = yield from offset_steps(steps, 2 * _HALF_ITERATIONS)
        embedding = self.embed_steps(model, shells, gains[:count])
        return (yield from offset_steps(embedding, FIT_STEPS - EMBED_STEPS))

    def _fit_components(
        self, ball: FourierBall, blocks: Blocks, shells: Tensor, width: int
    ) -> LinearModel:
        """Mean and leading components of some particles."""
        model = mean_model(ball, blocks, shells, self.samples.independent_share)
        maps = torch.cat(list(residual_maps(model, blocks, shells)))
        power = (1 / model.prior[:, 0])[ball.shells]
        return with_components(model, blocks, shells, leading_latents(maps, power, width))

    def _all_steps(
        self, accepted: LinearModel, training_rows: Tensor, shells: Tensor
    ) -> Generator[int, None, LinearModel]:
        """All learners, along axes that were fitted to one half and accepted by the other."""
        ball = accepted.ball
        blocks = self.blocks(ball, training_rows)
        latents = posteriors(accepted, blocks, shells)[0]
        mean = mean_model(ball, blocks, shells, self.samples.independent_share)
        spread = latents.std(0, correction=0).clamp(min=1e-9)
        latents = (latents - latents.mean(0)) / spread
        model = with_components(mean, blocks, shells, latents, accepted.factors, accepted.focus)
        return (yield from self.em_steps(model, blocks, shells, _FULL_ITERATIONS))

    def embed_steps(
        self, model: LinearModel, shells: Tensor, gains: Tensor
    ) -> Generator[int, None, Fit]:
        """Infer posteriors of all particles, in a stream; yield how much is done of `EMBED_STEPS`.

        One pass: what images say of a particle adds up, of those that are held out and the others.
        """
        parts = []
        for done, rows in enumerate(torch.arange(self.data.particle_count).chunk(EMBED_STEPS)):
            yield done
            parts.append(self.posteriors_twice(model, rows, shells))
        columns = [torch.cat(column) for column in zip(*parts, strict=True)]
        known, every = model.marginal(*columns[:2]), model.marginal(*columns[2:])
        return Fit(model, *every, *known, gains)

    def posteriors_twice(
        self, model: LinearModel, rows: Tensor, shells: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Infer means ``(row, J)`` and covariances ``(row, J, J)``, twice, of some particles.

        From the images that are not held out, and from all.
        """
        training = self.data.training
        known = sufficient_statistics(model, self.stream(model, rows, training), shells)
        mu, covariance, _ = posteriors_from(*known)
        if bool(training[self.data.images_of(rows)].all()):
            return mu, covariance, mu, covariance
        others = sufficient_statistics(model, self.stream(model, rows, ~training), shells)
        both = (one + other for one, other in zip(known, others, strict=True))
        return mu, covariance, *posteriors_from(*both)[:2]

    def stream(self, model: LinearModel, particles: Tensor, images: Tensor) -> Blocks:
        """Make blocks of particles ``(row,)`` anew at each pass, of images ``(image,)``."""
        return lambda: self._cancellable(self.samples.blocks(model.ball, particles, images))

    def _cancellable(self, blocks: Iterable[SampleBlock]) -> Iterator[SampleBlock]:
        """The same blocks; between any two of them the engine can be stopped."""
        for block in blocks:
            self.context.raise_if_stopped()
            yield block

    def _run_em(
        self, model: LinearModel, blocks: Blocks, shells: Tensor, iterations: int
    ) -> LinearModel:
        return run_to_end(self.em_steps(model, blocks, shells, iterations))

    def em_steps(
        self, model: LinearModel, blocks: Blocks, shells: Tensor, iterations: int
    ) -> Generator[int, None, LinearModel]:
        """Iterate expectation maximisation; yield how many iterations are done."""
        for done in range(iterations):
            yield done
            found = e_step(model, blocks, shells)
            noise = estimate_noise(found.errors, shells, len(model.prior))
            model = replace(m_step(model, blocks, shells, found), noise=noise)
            model, _, _ = rotate_to_principal_axes(model, found)
        return model


def half_size(particles: int) -> int:
    """How many particles are in each half, of a set of so many, that judge the other's fit."""
    return min(max(_MIN_IN_HALF, particles // 8), _MAX_IN_HALF)


def gaussian_kl(mu: Tensor, covariance: Tensor) -> Tensor:
    """Divergence of each posterior from the unit Gaussian in nats, ``(particle,)``."""
    trace = torch.diagonal(covariance, dim1=1, dim2=2).sum(-1)
    return (trace + mu.square().sum(-1) - mu.shape[1] - torch.logdet(covariance)) / 2
