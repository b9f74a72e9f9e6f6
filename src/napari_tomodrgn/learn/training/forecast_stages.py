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
from napari_tomodrgn.learn.network.model import Vae
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.reconstruction.backprojection import back_project
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.initialize import (
    MAX_SAMPLES_PER_PASS,
    encoder_steps,
    fit_encoder,
)
from napari_tomodrgn.learn.training.train_linear import find_support

# Radii that the linear engine fits before a larger one brings nothing: one to four where it was
# looked at, four with 6,000 particles of five compositions.
USUAL_RADII = 3
# Of the passes at the finest radius, those over what is learnt from; the last is over all.
_SHARE_OF_LEARNERS = 0.85
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
        self._timed("full resolution", lambda: fit_full_resolution(engine, fit))
        yield
        linear = LinearInference(fit.model, data, config)
        self._timed("linear", lambda: linear(self._rows, data.training))
        yield
        teaching = fit_encoder(model.encoder, data, fit.posterior, config.seed)
        self._timed("encoder", lambda: next(teaching))
        yield
        model.decoder.start_from(decoder.without_mean(config.model.latent_dim))

    def _run_network_stages(self) -> Iterator[None]:
        data, config, decoder = self._data, self._config, self._model.decoder
        device = data.lattice.frequencies.device
        averaging = back_project(data, self._rows, device, training_only=True)
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
class StageCosts:
    """What the stages of a set cost, from `StageTimes` of few particles and of twice as many.

    Attributes
    ----------
    particles
        In all.
    costs
        By stage.
    engine
        That of the few, which knows radii and samples; None if they are too few for it.
    """

    particles: int
    costs: dict[str, Cost]
    engine: LinearEngine | None

    @classmethod
    def measured(cls, particles: int, few: StageTimes, many: StageTimes) -> StageCosts:
        """Compare the seconds of few particles and of twice as many."""
        count = few.particle_count
        costs = {
            name: cost_of(few.seconds[name], seconds, count)
            for name, seconds in many.seconds.items()
            if name in few.seconds
        }
        return cls(particles, costs, many.engine if few.engine else None)

    @property
    def _compared(self) -> int:
        return min(self.particles, MAX_COMPARED)

    @property
    def _judged(self) -> int:
        """Embeddings by which a method is judged: of those compared, and of halves of the tilts."""
        return self._compared + 2 * min(self.particles, MAX_EMBEDDED_TWICE)

    def first_look(self, *, linear_start: bool) -> float:
        """Seconds before the first epoch, images not read yet."""
        seconds = self.costs["averaging"].of(self.particles)
        if not linear_start or self.engine is None:
            return seconds
        engine = self.engine
        radii = [
            radius
            for radius in engine.radii()
            if self._rows(radius) * self._samples_a_particle(radius) <= MAX_SAMPLES_PER_PASS
        ]
        seconds += sum(self._fit(radius) for radius in (radii or engine.radii())[:USUAL_RADII])
        seconds += self.costs["support"].of(self._compared) + self._full_resolution()
        # A step is of as many particles as were timed, or nearly.
        step = self.costs["encoder"].of(2 * MIN_PARTICLES)
        return seconds + encoder_steps(self.particles) * step

    def linear_method(self) -> float:
        """Seconds of a training by the linear engine alone."""
        if self.engine is None:
            return 0.0
        each = self.costs["support"].of(self._compared) + 2 * self.costs["linear errors"].of(
            self._compared
        )
        return sum(self._fit(radius) + each for radius in self.engine.radii()[:USUAL_RADII])

    def refining(self) -> float:
        """Seconds after the last epoch."""
        costs, compared, judged = self.costs, self._compared, self._judged
        seconds = costs["guess"].of(judged + self.particles) + costs["errors"].of(compared)
        seconds += costs["basis"].of(min(self.particles, DECODED_MAPS))
        # Judged again where the noise is scaled, which is nearly always.
        seconds += 2 * (costs["refined"].of(judged) + costs["errors"].of(compared))
        seconds += costs["shrinkage"].of(compared) + costs["refined"].of(self.particles)
        if self.engine is not None:
            finest = min(USUAL_RADII, len(self.engine.radii())) - 1
            wider = self._widening(self.engine.radii()[finest])
            seconds += wider * costs["linear"].of(judged) + costs["support"].of(compared)
        return seconds

    def _fit(self, radius_px: int) -> float:
        """Seconds of the linear engine at a radius: halves, all learners, all latents."""
        engine, embedding, costs = self.engine, 2 * self.costs["linear"].each, self.costs["engine"]
        assert engine is not None
        rows = self._rows(radius_px)
        learners = (rows + min(rows, 2 * half_size(self.particles))) / 2
        growing = max(costs.each - embedding, 0.0) * learners + embedding * self.particles
        voxels = (radius_px / engine.radii()[0]) ** 3
        return voxels * costs.fixed + self._widening(radius_px) * growing

    def _full_resolution(self) -> float:
        engine, cost = self.engine, self.costs["full resolution"]
        assert engine is not None
        measured = engine.radii()[-1]
        least = min(self._rows(engine.radii()[0]), MIN_FOR_FINER_RADIUS)
        radius = [r for r in engine.radii() if self._rows(r) >= least][-1]
        rows = _SHARE_OF_LEARNERS * self._rows(radius) + (1 - _SHARE_OF_LEARNERS) * self.particles
        share = self._widening(radius) / self._widening(measured)
        return (radius / measured) ** 3 * cost.fixed + share * cost.each * rows

    def _rows(self, radius_px: int) -> int:
        assert self.engine is not None
        return min(self.engine.most_training_rows(radius_px), self.particles)

    def _samples_a_particle(self, radius_px: int) -> float:
        assert self.engine is not None
        data = self.engine.data
        return data.image_count / data.particle_count * len(self.engine.samples.points(radius_px))

    def _widening(self, radius_px: int) -> float:
        """Samples within a radius over those within the first."""
        assert self.engine is not None
        first = self.engine.radii()[0]
        return self._samples_a_particle(radius_px) / self._samples_a_particle(first)
