"""How long a run takes before its first epoch and after its last, from a few of its particles.

Each stage is run twice with noise in the place of images, on some particles and on half of them:
what the two differ by grows with the set, the rest does not. Many stages look at so many particles
at most, whatever the size of the set; those limits are asked from where they are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.inference.calibration import MAX_EMBEDDED_TWICE
from napari_tomodrgn.learn.inference.held_out import MAX_COMPARED, errors_of
from napari_tomodrgn.learn.inference.methods import (
    EncoderInference,
    LinearInference,
    RefinedInference,
)
from napari_tomodrgn.learn.inference.refinement import DECODED_MAPS, fit_refinement
from napari_tomodrgn.learn.inference.shrinkage import shrinkage_steps
from napari_tomodrgn.learn.linear.engine import (
    MIN_FOR_FINER_RADIUS,
    MIN_PARTICLES,
    LinearEngine,
    half_size,
)
from napari_tomodrgn.learn.linear.full_resolution import fit_full_resolution
from napari_tomodrgn.learn.linear.second_look import looks_twice, what_is_held
from napari_tomodrgn.learn.network.model import Vae
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.reconstruction.backprojection import back_project
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.initialize import (
    MAX_SAMPLES_PER_PASS,
)
from napari_tomodrgn.learn.training.train_linear import find_support

# Radii that the linear engine fits before a larger one brings nothing: one to four where it was
# looked at, four with 6,000 particles of five compositions.
USUAL_RADII = 3
# What a second look takes, over the fit at the radius before: with particles in memory (800 of 21
# tilts, box 32), and where all are read anew in each pass (4,434 of 41, box 48).
_SECOND_LOOK, _SECOND_LOOK_STREAMED = 1.2, 4.5
T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """Seconds of a stage: those that do not grow with the particles, and those of each."""

    fixed: float
    each: float

    def of(self, particles: float) -> float:
        """Seconds for so many."""
        return self.fixed + self.each * particles


def cost_of(one: float, two: float, particles: int) -> Cost:
    """From the seconds of so many particles and of twice as many."""
    each = max(two - one, 0.05 * two) / particles
    return Cost(max(two - 2 * particles * each, 0.0), each)


class StageTimes:
    """The shortest seconds of what is done with a few particles of noise, stage by stage."""

    def __init__(self, data: TiltData, config: RunConfig, model: Vae) -> None:
        self._data, self._config, self._model = data, config, model
        self.particle_count = data.particle_count
        self._rows = torch.arange(data.particle_count)
        self.engine: LinearEngine | None = None
        self.seconds: dict[str, float] = {}

    def measure(self) -> Iterator[None]:
        """Run all stages once more; between any two of them it can be broken off."""
        if self.particle_count >= MIN_PARTICLES:
            yield from self._run_linear_stages()
        yield from self._run_network_stages()

    def _timed(self, name: str, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        done = work()
        if self._data.lattice.frequencies.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        self.seconds[name] = min(seconds, self.seconds.get(name, seconds))
        return done

    def _run_linear_stages(self) -> Iterator[None]:
        """And let the network begin from what they find, as in a run."""
        data, config, model = self._data, self._config, self._model
        self.engine = engine = LinearEngine.of(data, config, RunContext())
        fit = self._timed("engine", lambda: engine.fit(engine.radii()[0]))
        yield
        decoder, _ = self._timed("support", lambda: run_to_end(find_support(engine, fit)))
        yield
        latents = fit.training_mu.float().cpu()
        self._timed("linear errors", lambda: errors_of(decoder, latents, data, config))
        yield
        full = self._timed("full resolution", lambda: fit_full_resolution(engine, fit))
        yield
        self._timed("full embedding", lambda: run_to_end(full.embed_steps(engine, fit)))
        yield
        linear = LinearInference(fit.model, data, config)
        self._timed("linear", lambda: linear(self._rows, data.training))
        yield
        model.decoder.start_from(decoder.without_mean(config.model.latent_dim))

    def _run_network_stages(self) -> Iterator[None]:
        data, config, decoder = self._data, self._config, self._model.decoder
        device = data.lattice.frequencies.device
        averaging = back_project(data, self._rows, device, shares=data.training)
        self._timed("averaging", lambda: run_to_end(averaging).volume())
        yield
        guess = EncoderInference(self._model.encoder, data)
        posterior = self._timed("guess", lambda: guess(self._rows, data.training))
        yield
        latents = posterior.mu.float()
        on_device = Posterior(posterior.mu.to(device), posterior.logvar.to(device))
        self._timed("errors", lambda: errors_of(decoder, latents, data, config))
        yield
        shrinking = shrinkage_steps(decoder, latents, data, config)
        self._timed("shrinkage", lambda: run_to_end(shrinking))
        yield
        basis = self._timed("basis", lambda: fit_refinement(decoder, data, config, on_device))
        yield
        refined = RefinedInference(guess, decoder, basis, config)
        self._timed("refined", lambda: refined(self._rows, data.training))
        yield


@dataclass(frozen=True)
class LinearCosts:
    """What the linear engine costs a set, stage by stage.

    Attributes
    ----------
    particles
        In all.
    costs
        By stage, at the first radius or, of *full resolution*, at the finest.
    engine
        That of the few particles, which knows radii and samples.
    """

    particles: int
    costs: dict[str, Cost]
    engine: LinearEngine

    def first_look(self) -> float:
        """Seconds of finding what an autoencoder starts from."""
        radii = [
            radius
            for radius in self.engine.radii()
            if self._rows(radius) * self._samples_a_particle(radius) <= MAX_SAMPLES_PER_PASS
        ]
        fits = sum(self._fit(radius) for radius in (radii or self.engine.radii())[:USUAL_RADII])
        fits += self.second_look(radii or self.engine.radii())
        return fits + self._support() + self._full_resolution(embeds=True)

    def second_look(self, radii: list[int]) -> float:
        """Seconds of looking for smaller differences after the last of these radii."""
        if not looks_twice(self.particles):
            return 0.0
        radius = radii[:USUAL_RADII][-1]
        count, kept = what_is_held(self.engine, radius, self.particles)
        anew = 1 - kept / count
        factor = _SECOND_LOOK + anew * (_SECOND_LOOK_STREAMED - _SECOND_LOOK)
        return factor * self._fit(radius)

    def whole_method(self) -> float:
        """Seconds of all radii of a training by the linear engine alone."""
        errors = 2 * self.costs["linear errors"].of(compared(self.particles))
        radii = self.engine.radii()[:USUAL_RADII]
        fits = sum(self._fit(radius) + errors for radius in radii)
        return fits + self.second_look(radii)

    def finishing_maps(self) -> float:
        """Seconds of bringing its maps to full resolution, images averaged already."""
        focused = self.engine.config.linear.focus_mask is not None
        return self._support() + (0.0 if focused else self._full_resolution(embeds=False))

    def judging(self) -> float:
        """Seconds of what an autoencoder is compared with at its end."""
        radius = self.engine.radii()[:USUAL_RADII][-1]
        embedding = self.costs["linear"].of(judged(self.particles))
        return self._widening(radius) * embedding + self._support()

    def _support(self) -> float:
        return self.costs["support"].of(compared(self.particles))

    def _fit(self, radius_px: int) -> float:
        """Seconds at a radius: halves, all learners, all latents."""
        learnt = float(self.engine.data.training.float().mean())  # the others are read besides
        embedding, cost = self.costs["linear"].each / learnt, self.costs["engine"]
        rows = self._rows(radius_px)
        learners = (rows + min(rows, 2 * half_size(self.particles))) / 2
        growing = max(cost.each - embedding, 0.0) * learners + embedding * self.particles
        voxels = (radius_px / self.engine.radii()[0]) ** 3
        return voxels * cost.fixed + self._widening(radius_px) * growing

    def _full_resolution(self, *, embeds: bool) -> float:
        """Seconds of maps at full resolution, and of all latents where it ``embeds``."""
        radii = self.engine.radii()
        least = min(self._rows(radii[0]), MIN_FOR_FINER_RADIUS)
        radius = [r for r in radii if self._rows(r) >= least][-1]
        share = self._widening(radius) / self._widening(radii[-1])
        parts = [(self.costs["full resolution"], self._rows(radius))]
        if embeds:
            parts.append((self.costs["full embedding"], self.particles))
        voxels = (radius / radii[-1]) ** 3
        return sum(voxels * cost.fixed + share * cost.each * rows for cost, rows in parts)

    def _rows(self, radius_px: int) -> int:
        return min(self.engine.most_training_rows(radius_px), self.particles)

    def _samples_a_particle(self, radius_px: int) -> float:
        data = self.engine.data
        return data.image_count / data.particle_count * len(self.engine.samples.points(radius_px))

    def _widening(self, radius_px: int) -> float:
        """Samples within a radius over those within the first."""
        first = self.engine.radii()[0]
        return self._samples_a_particle(radius_px) / self._samples_a_particle(first)


@dataclass(frozen=True)
class StageCosts:
    """What the stages of a set cost, from `StageTimes` of few particles and of twice as many.

    Attributes
    ----------
    particles
        In all.
    costs
        By stage.
    linear
        Of the linear engine; None if the few are too few for it.
    """

    particles: int
    costs: dict[str, Cost]
    linear: LinearCosts | None

    @classmethod
    def measured(cls, particles: int, few: StageTimes, many: StageTimes) -> StageCosts:
        """Compare the seconds of few particles and of twice as many."""
        count = few.particle_count
        costs = {
            name: cost_of(seconds, many.seconds[name], count)
            for name, seconds in few.seconds.items()
        }
        linear = None
        if few.engine is not None and many.engine is not None:
            linear = LinearCosts(particles, costs, many.engine)
        return cls(particles, costs, linear)

    def first_look(self, *, linear_start: bool) -> float:
        """Seconds before the first epoch, images not read yet."""
        seconds = self.costs["averaging"].of(self.particles)
        return seconds + (self.linear.first_look() if linear_start and self.linear else 0.0)

    def linear_method(self) -> float:
        """Seconds of a training by the linear engine alone, but for what comes after the radii."""
        return self.linear.whole_method() if self.linear else 0.0

    def finishing_maps(self) -> float:
        """Seconds after the last radius of such a training."""
        seconds = self.costs["averaging"].of(self.particles)
        return seconds + (self.linear.finishing_maps() if self.linear else 0.0)

    def refining(self) -> float:
        """Seconds after the last epoch."""
        costs, some, embedded = self.costs, compared(self.particles), judged(self.particles)
        seconds = costs["guess"].of(embedded + self.particles) + costs["errors"].of(some)
        seconds += costs["basis"].of(min(self.particles, DECODED_MAPS))
        # Judged again where the noise is scaled, which is nearly always.
        seconds += 2 * (costs["refined"].of(embedded) + costs["errors"].of(some))
        seconds += costs["shrinkage"].of(some) + costs["refined"].of(self.particles)
        return seconds + (self.linear.judging() if self.linear else 0.0)


def compared(particles: int) -> int:
    """Of how many of a set's particles held-out images are compared."""
    return min(particles, MAX_COMPARED)


def judged(particles: int) -> int:
    """Embeddings by which a method is judged: of those compared, and of halves of the tilts."""
    return compared(particles) + embedded_twice(particles)


def embedded_twice(particles: int) -> int:
    """Embeddings of halves of the tilts, both counted."""
    return 2 * min(particles, MAX_EMBEDDED_TWICE)
