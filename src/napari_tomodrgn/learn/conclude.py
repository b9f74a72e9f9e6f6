"""How a run ends: which epoch, latents refined by the likelihood, and how far they can be trusted.

Measured on every run, by the same means for encoder, refined latents and linear engine: how well
held-out images are predicted, and whether posteriors are as wide as they say. What is measured is
in ``analysis/quality.json`` and told in a sentence each.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from napari_tomodrgn.data.dataset import TiltData
from napari_tomodrgn.learn.calibrate import Calibration, calibrate
from napari_tomodrgn.learn.decode import FourierModel
from napari_tomodrgn.learn.events import Event, LatentsReady, Notice, Preparing
from napari_tomodrgn.learn.heeding import Stop, heeding
from napari_tomodrgn.learn.held_out import (
    PARTICLES_AT_A_TIME,
    Watch,
    difference,
    error_steps,
)
from napari_tomodrgn.learn.inference import (
    EncoderInference,
    Inference,
    LinearInference,
    RefinedInference,
    in_parts,
)
from napari_tomodrgn.learn.linear_decode import LinearDecoder, read_fitted
from napari_tomodrgn.learn.model import Posterior
from napari_tomodrgn.learn.refine import Refinement, fit_refinement
from napari_tomodrgn.learn.run import Run

_WHAT = "Refining latents"
# So many particles tell which way explains held-out images better.
_MOST_COMPARED = 2048
# Noise is scaled by what calibration finds, at most so much either way.
_MOST_SCALE = 4.0
# Fewer particles do not tell how wide posteriors should be.
_ENOUGH = 50


@dataclass(frozen=True, eq=False)
class _Way:
    """A way to latents with its decoder, and what was found of it."""

    inference: Inference
    decoder: FourierModel
    calibration: Calibration | None
    held_out: Tensor  # (particle,)
    alike: Tensor  # the same, if all particles had the map of the prior's mean


@dataclass(frozen=True, eq=False)
class _End:
    """What the end of a run works on."""

    run: Run
    data: TiltData
    stop: Stop

    @property
    def compared(self) -> Tensor:
        """Rows of the particles that ways are compared on: all, or blocks spread over the set."""
        blocks = torch.arange(self.data.particle_count).split(PARTICLES_AT_A_TIME)
        most = min(len(blocks), _MOST_COMPARED // PARTICLES_AT_A_TIME)
        chosen = torch.linspace(0, len(blocks) - 1, most).long().tolist()
        return torch.cat([blocks[number] for number in chosen])

    def posterior(self, inference: Inference, images: Tensor) -> Generator[Event, None, Posterior]:
        """Posteriors of all particles, heeding a stop."""
        rows = torch.arange(self.data.particle_count)
        steps = in_parts(inference, rows, images)
        return (yield from heeding(steps, len(rows), _WHAT, self.stop))

    def judged(self, inference: Inference, decoder: FourierModel) -> Generator[Event, None, _Way]:
        """Calibration of a way, and the error of held-out images from the other images."""
        count, rows = self.data.particle_count, self.compared
        guessing = in_parts(inference, rows, self.data.training)
        known = yield from heeding(guessing, len(rows), _WHAT, self.stop)
        latents = torch.full((count, known.mu.shape[1]), torch.nan)
        latents[rows] = known.mu.float()
        steps = error_steps(decoder, latents, self.data, self.run.config)
        errors = yield from heeding(steps, count, "Comparing held-out images", self.stop)
        # One map for all: the prior's mean, whatever the particle.
        steps = error_steps(decoder, torch.zeros_like(latents), self.data, self.run.config)
        alike = yield from heeding(steps, count, "Comparing held-out images", self.stop)
        twice = calibrate(inference, self.data)
        found = yield from heeding(twice, count, "Comparing halves of the tilts", self.stop)
        return _Way(inference, decoder, found, errors, alike)


def conclude(run: Run, data: TiltData, watch: Watch, stop: Stop) -> Generator[Event, None, None]:
    """Choose the epoch, refine its latents where that helps, compare, and tell.

    May be repeated, to the same end: a run that was killed here is concluded when it is resumed.
    """
    epoch, end = watch.chosen or run.epochs()[-1], _End(run, data, stop)
    run = replace(run, info=run.info.model_copy(update={"chosen_epoch": epoch}))
    device = data.lattice.frequencies.device
    model = run.model(epoch, device)
    guess = EncoderInference(model.encoder, data)
    ways = {"encoder": (yield from end.judged(guess, model.decoder))}
    yield from _said_of_epochs(run, watch)
    if run.config.train.refine and data.particle_count > 1:  # one map spans no basis
        refinement = yield from _fitted(end, guess, model.decoder)
        refined = RefinedInference(guess, model.decoder, refinement, run.config)
        way = yield from end.judged(refined, model.decoder)
        refinement, way = yield from _rescaled(end, refinement, way, guess)
        ways["refined"] = way
        worse, error = difference(way.held_out, ways["encoder"].held_out)
        if not worse > 2 * error:
            everything = yield from end.posterior(way.inference, torch.ones_like(data.training))
            refinement.save(run.refinement_file, epoch)
            table = run.save_latents(epoch, data.particles, everything)
            yield LatentsReady(epoch, table)
        else:
            ways.pop("refined")
            yield Notice("Latents stay as the encoder gives them: refined ones explain less.")
    if run.linear_file.exists():
        ways["linear"] = yield from _linear(end)
    run.save_quality(_told(watch, ways))
    # Last: a run with a chosen epoch is over, and resuming it means to go on.
    run.save_info()
    yield from (Notice(text) for text in _sentences(ways))
    yield Notice(_verdict(ways), lasting=True)


def _fitted(
    end: _End, guess: EncoderInference, decoder: FourierModel
) -> Generator[Event, None, Refinement]:
    yield Preparing(0, end.data.particle_count, _WHAT)
    every = torch.ones_like(end.data.training)
    posterior = yield from end.posterior(guess, every)
    device = end.data.lattice.frequencies.device
    on_device = Posterior(posterior.mu.to(device), posterior.logvar.to(device))
    return fit_refinement(decoder, end.data, end.run.config, on_device)


def _rescaled(
    end: _End, refinement: Refinement, way: _Way, guess: EncoderInference
) -> Generator[Event, None, tuple[Refinement, _Way]]:
    """The same with noise scaled so that posteriors are as wide as they should be."""
    found = way.calibration
    if found is None or found.particles < _ENOUGH or not found.off:
        return refinement, way
    scale = min(max(found.ratio, 1 / _MOST_SCALE), _MOST_SCALE)
    refinement = replace(refinement, noise=refinement.noise * scale)
    inference = RefinedInference(guess, way.decoder, refinement, end.run.config)
    return refinement, (yield from end.judged(inference, way.decoder))


def _linear(end: _End) -> Generator[Event, None, _Way]:
    device = end.data.lattice.frequencies.device
    model = read_fitted(end.run.linear_file, device)
    decoder = LinearDecoder.read(end.run.linear_file).to(device)
    inference = LinearInference(model, end.data, end.run.config)
    return (yield from end.judged(inference, decoder))


def _said_of_epochs(run: Run, watch: Watch) -> Generator[Event, None, None]:
    if watch.over(run.config.train.patience):
        yield Notice(
            f"Stopped after epoch {watch.seen}: held-out images have not been explained better "
            f"since epoch {watch.best}."
        )
    if watch.chosen != watch.seen:
        yield Notice(f"Weights and latents are those of epoch {watch.chosen}.")


def _told(watch: Watch, ways: dict[str, _Way]) -> dict[str, object]:
    """What was measured, as plain numbers."""
    best = _best(ways)
    return {
        "epoch": watch.chosen,
        "best_epoch": watch.best,
        "epochs": watch.seen,
        "latents": best,
        "held_out": {name: float(way.held_out.nanmean()) for name, way in ways.items()},
        "better_than_linear": (
            dict(zip(("mean", "standard_error"), _gain(ways), strict=True))
            if "linear" in ways
            else None
        ),
        "better_than_one_map": dict(
            zip(("mean", "standard_error"), _told_apart(ways), strict=True)
        ),
        "calibration": {
            name: asdict(way.calibration) for name, way in ways.items() if way.calibration
        },
    }


def _best(ways: dict[str, _Way]) -> str:
    return "refined" if "refined" in ways else "encoder"


def _gain(ways: dict[str, _Way]) -> tuple[float, float]:
    """By how much held-out images are explained better than by the linear engine, and its error."""
    return difference(ways["linear"].held_out, ways[_best(ways)].held_out)


def _told_apart(ways: dict[str, _Way]) -> tuple[float, float]:
    """By how much a map of each particle's own explains held-out images better than one for all."""
    way = ways[_best(ways)]
    return difference(way.alike, way.held_out)


def _verdict(ways: dict[str, _Way]) -> str:
    """Whether particles differ at all, as far as images say that were kept from training."""
    gain, error = _told_apart(ways)
    if gain > 2 * error:
        return (
            "Held-out images tell the particles apart: a map of each one's own explains them "
            f"better than one map for all (by {gain:.4f} ± {error:.4f})."
        )
    if gain == gain:
        return (
            "Held-out images do not tell the particles apart: one map for all explains them as "
            f"well (own maps better by {gain:+.4f} ± {error:.4f}). Trust a difference only if a "
            "reconstruction of a selection shows it."
        )
    return "No images were held out, so nothing says whether the particles really differ."


def _sentences(ways: dict[str, _Way]) -> list[str]:
    """What else a user should know."""
    best, said = _best(ways), []
    if "linear" in ways:
        gain, error = _gain(ways)
        here, linear = (float(ways[name].held_out.nanmean()) for name in (best, "linear"))
        figures = f"{here:.4f} against {linear:.4f}, difference {gain:+.4f} ± {error:.4f}"
        if gain < -2 * error:
            said.append(
                f"Held-out images are explained worse than by the linear engine ({figures}): "
                "look at its latents (latents/linear.parquet), or train longer."
            )
        elif gain == gain:
            said.append(f"Held-out images: no worse than by the linear engine ({figures}).")
    calibration = ways[best].calibration
    if calibration is not None:
        said.append(
            f"Latents from halves of the tilts differ by {calibration.ratio:.2f} "
            f"± {calibration.standard_error:.2f} times what their widths say "
            "(mean square; 1 is right)."
        )
    return said
