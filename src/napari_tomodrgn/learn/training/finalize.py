"""How a run ends: which epoch, latents refined by the likelihood, and how far they can be trusted.

Measured on every run, by the same means for encoder, refined latents and linear engine: how well
held-out images are predicted, and whether posteriors are as wide as they say. The latents that a
run ends with are drawn to the middle as far as held-out images ask for it
(`learn.inference.shrinkage`). What is measured is in ``analysis/quality.json`` and told in a
sentence each.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import torch

from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.decoding.volume_decoder import FourierModel
from napari_tomodrgn.learn.inference.calibration import calibrate
from napari_tomodrgn.learn.inference.held_out import (
    EarlyStopping,
    compared_rows,
    difference,
    error_steps,
)
from napari_tomodrgn.learn.inference.methods import (
    EncoderInference,
    Inference,
    LinearInference,
    RefinedInference,
    ShrunkInference,
    in_parts,
)
from napari_tomodrgn.learn.inference.refinement import Refinement, fit_refinement
from napari_tomodrgn.learn.inference.shrinkage import COMPARISONS, ShrinkageResult, support_steps
from napari_tomodrgn.learn.linear.decoder import LinearDecoder, read_fitted
from napari_tomodrgn.learn.network.model import Posterior
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.cancellable import Stop, run_cancellable
from napari_tomodrgn.learn.runtime.events import Event, LatentsReady, Notice, WorkProgress
from napari_tomodrgn.learn.runtime.resumable import ResumableWork
from napari_tomodrgn.learn.training.quality_report import LatentEstimate, best_of, sentences, told

_WHAT = "Refining latents"
_COMPARING = "Comparing held-out images"
# Noise is scaled by what calibration finds, at most so much either way.
_MOST_SCALE = 4.0
# Fewer particles do not tell how wide posteriors should be.
_ENOUGH = 50


@dataclass(frozen=True, eq=False)
class _End:
    """What the end of a run works on."""

    run: Run
    data: TiltData
    stop: Stop

    def posterior(
        self, inference: Inference, kept: ResumableWork
    ) -> Generator[Event, None, Posterior]:
        """Posteriors of all particles from all images, gone on from, heeding a stop."""
        rows = torch.arange(self.data.particle_count)
        steps = in_parts(inference, rows, torch.ones_like(self.data.training), kept=kept)
        return (yield from run_cancellable(steps, len(rows), _WHAT, self.stop))

    def judged(
        self, inference: Inference, decoder: FourierModel
    ) -> Generator[Event, None, LatentEstimate]:
        """Calibration of a way, and the error of held-out images from the other images."""
        count = self.data.particle_count
        rows = compared_rows(count)
        guessing = in_parts(inference, rows, self.data.training)
        known = yield from run_cancellable(guessing, len(rows), _WHAT, self.stop)
        latents = torch.full((count, known.mu.shape[1]), torch.nan)
        latents[rows] = known.mu.float()
        steps = error_steps(decoder, latents, self.data, self.run.config)
        errors = yield from run_cancellable(steps, count, _COMPARING, self.stop)
        twice = calibrate(inference, self.data)
        found = yield from run_cancellable(twice, count, "Comparing halves of the tilts", self.stop)
        return LatentEstimate(inference, decoder, found, latents, errors)

    def shrunk(
        self, way: LatentEstimate
    ) -> Generator[Event, None, tuple[LatentEstimate, ShrinkageResult]]:
        """A way drawn to the middle as far as held-out images ask for it."""
        steps = support_steps(way.decoder, way.latents, self.data, self.run.config)
        total = COMPARISONS * self.data.particle_count
        found = yield from run_cancellable(steps, total, _COMPARING, self.stop)
        inference = way.inference
        if found.factor < 1:
            inference = ShrunkInference(inference, found.factor)
        way = replace(way, inference=inference, held_out=found.held_out, support=found)
        return way, found


def finalize(
    run: Run, data: TiltData, watch: EarlyStopping, stop: Stop
) -> Generator[Event, None, None]:
    """Choose the epoch, refine its latents where that helps, compare, and tell.

    May be repeated, to the same end: a run that was killed here is concluded when it is resumed.
    """
    epoch, end = watch.chosen or run.epochs()[-1], _End(run, data, stop)
    device = data.lattice.frequencies.device
    model = run.model(epoch, device)
    guess = EncoderInference(model.encoder, data)
    ways = {"encoder": (yield from end.judged(guess, model.decoder))}
    yield from _said_of_epochs(run, watch)
    refinement = None
    if run.config.train.refine and data.particle_count > 1:  # one map spans no basis
        refinement, way = yield from _refined(end, epoch, guess, model.decoder)
        worse, error = difference(way.held_out, ways["encoder"].held_out)
        if worse > 2 * error:
            refinement = None
            yield Notice("Latents stay as the encoder gives them: refined ones explain less.")
        else:
            ways["refined"] = way
    best = best_of(ways)
    ways[best], support = yield from end.shrunk(ways[best])
    if refinement is not None or support.factor < 1:
        kept = run.kept("latents", f"{epoch}")
        everything = yield from end.posterior(ways[best].inference, kept)
        if refinement is not None:
            refinement.save(run.refinement_file, epoch)
        table = run.save_latents(epoch, data.particles, everything)
        yield LatentsReady(epoch, table)
    if run.linear_file.exists():
        ways["linear"] = yield from _linear(end)
    run.save_quality(told(watch, ways))
    run.drop_kept()
    # Last: a run with a chosen epoch is over, and resuming it means to go on.
    ended = {"chosen_epoch": epoch, "shrinkage": support.factor}
    replace(run, info=run.info.model_copy(update=ended)).save_info()
    yield from (Notice(text) for text in sentences(ways))
    yield Notice(support.verdict, lasting=True)


def _refined(
    end: _End, epoch: int, guess: EncoderInference, decoder: FourierModel
) -> Generator[Event, None, tuple[Refinement, LatentEstimate]]:
    refinement = yield from _fitted(end, epoch, guess, decoder)
    refined = RefinedInference(guess, decoder, refinement, end.run.config)
    way = yield from end.judged(refined, decoder)
    return (yield from _rescaled(end, refinement, way, guess))


def _fitted(
    end: _End, epoch: int, guess: EncoderInference, decoder: FourierModel
) -> Generator[Event, None, Refinement]:
    yield WorkProgress(0, end.data.particle_count, _WHAT)
    posterior = yield from end.posterior(guess, end.run.kept("guess", f"{epoch}"))
    device = end.data.lattice.frequencies.device
    on_device = Posterior(posterior.mu.to(device), posterior.logvar.to(device))
    return fit_refinement(decoder, end.data, end.run.config, on_device)


def _rescaled(
    end: _End, refinement: Refinement, way: LatentEstimate, guess: EncoderInference
) -> Generator[Event, None, tuple[Refinement, LatentEstimate]]:
    """The same with noise scaled so that posteriors are as wide as they should be."""
    found = way.calibration
    if found is None or found.particles < _ENOUGH or not found.off:
        return refinement, way
    scale = min(max(found.ratio, 1 / _MOST_SCALE), _MOST_SCALE)
    refinement = replace(refinement, noise=refinement.noise * scale)
    inference = RefinedInference(guess, way.decoder, refinement, end.run.config)
    return refinement, (yield from end.judged(inference, way.decoder))


def _linear(end: _End) -> Generator[Event, None, LatentEstimate]:
    device = end.data.lattice.frequencies.device
    model = read_fitted(end.run.linear_file, device)
    decoder = LinearDecoder.read(end.run.linear_file).to(device)
    inference = LinearInference(model, end.data, end.run.config)
    return (yield from end.judged(inference, decoder))


def _said_of_epochs(run: Run, watch: EarlyStopping) -> Generator[Event, None, None]:
    if watch.over(run.config.train.patience):
        yield Notice(
            f"Stopped after epoch {watch.seen}: held-out images have not been explained better "
            f"since epoch {watch.best}."
        )
    if watch.chosen != watch.seen:
        yield Notice(f"Weights and latents are those of epoch {watch.chosen}.")
