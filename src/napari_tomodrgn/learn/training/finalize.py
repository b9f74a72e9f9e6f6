"""How a run ends: which epoch, latents refined by the likelihood, and how far they can be trusted.

Where the linear engine that training started from explains held-out images better, the run ends
with what that found: epoch 0, the first look.

Measured on every run, by the same means for encoder, refined latents and linear engine: how well
held-out images are predicted, and whether posteriors are as wide as they say. Maps that a run ends
with differ, shell by shell, as far as held-out images ask for it (`learn.inference.shrinkage`).
What is measured is in ``analysis/quality.json`` and told in a sentence each.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import torch

from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.decoding.volume_decoder import FourierModel
from napari_tomodrgn.learn.inference.calibration import calibrate, calibration_particles
from napari_tomodrgn.learn.inference.held_out import (
    EarlyStopping,
    comparison_rows,
    error_steps,
    mean_difference,
)
from napari_tomodrgn.learn.inference.methods import (
    EncoderInference,
    Inference,
    LinearInference,
    RefinedInference,
    infer_in_chunks,
)
from napari_tomodrgn.learn.inference.refinement import Refinement, fit_refinement
from napari_tomodrgn.learn.inference.shrinkage import COMPARISONS, ShrinkageResult, shrinkage_steps
from napari_tomodrgn.learn.linear.decoder import LinearDecoder, read_linear_model
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.events import Event, LatentsReady, Notice, WorkProgress
from napari_tomodrgn.learn.runtime.resumable import ResumableWork
from napari_tomodrgn.learn.training.embed import guess_latents, known_latents
from napari_tomodrgn.learn.training.quality_report import (
    ENCODER,
    LINEAR,
    REFINED,
    LatentEstimate,
    best_method,
    network_method,
    report_sentences,
    to_dict,
)

_REFINING = "Refining latents"
_COMPARING = "Comparing held-out images"
# Noise is scaled by what calibration finds, at most so much either way.
_MAX_SCALE = 4.0
# Fewer particles do not tell how wide posteriors should be.
_MIN_PARTICLES_FOR_SCALE = 50
# Of what maps of one's own explain of held-out images, refined latents may lose this share. The
# encoder draws particles to the middles of groups, which explains clear differences a little better
# and wipes faint ones out: where it was better, by 0.5 to 1.6 % of the gain, it told the 5S RNP
# apart on 50 and 95 % of particles, and refined latents on 93 and 100 % (`benchmarks/refined.py`).
_MAX_SHARE_LOST = 0.05


@dataclass(frozen=True, eq=False)
class _FinalPass:
    """What the end of a run works on."""

    run: Run
    data: TiltData
    context: RunContext

    def posterior(
        self, inference: Inference, resumable: ResumableWork, part: str
    ) -> Generator[Event, None, Posterior]:
        """Infer posteriors of all particles from all images, resuming earlier work."""
        rows = torch.arange(self.data.particle_count)
        steps = infer_in_chunks(
            inference, rows, torch.ones_like(self.data.training), resumable=resumable
        )
        return (yield from self.context.run_steps(steps, len(rows), _REFINING, part))

    def evaluate(
        self, inference: Inference, decoder: FourierModel, whose: str
    ) -> Generator[Event, None, LatentEstimate]:
        """Measure how well a method is calibrated, and its error on held-out images."""
        run_steps = self.context.run_steps
        count = self.data.particle_count
        rows = comparison_rows(count)
        guessing = infer_in_chunks(inference, rows, self.data.training)
        known = yield from run_steps(guessing, len(rows), _REFINING, f"{whose} latents")
        latents = torch.full((count, known.mu.shape[1]), torch.nan)
        latents[rows] = known.mu.float()
        steps = error_steps(decoder, latents, self.data, self.run.config)
        errors = yield from run_steps(steps, count, _COMPARING, f"{whose} errors")
        # The encoder's own may be narrower than the prior and the same for all particles: unused.
        first = self.run.info.known_latents or None if whose == ENCODER else None
        twice, halves = calibrate(inference, self.data, first), "Comparing halves of the tilts"
        total = 2 * len(calibration_particles(self.data))
        found = yield from run_steps(twice, total, halves, f"{whose} halves")
        return LatentEstimate(inference, decoder, found, latents, errors)

    def loses_much(
        self, refined: LatentEstimate, encoder: LatentEstimate
    ) -> Generator[Event, None, bool]:
        """Whether refined latents explain held-out images so much less that they are in doubt."""
        worse, error = mean_difference(refined.held_out, encoder.held_out)
        if not worse > 2 * error:
            return False
        if self.run.info.known_latents:  # in closed form, which draws nothing to a middle
            return True
        steps = error_steps(encoder.decoder, encoder.latents * 0, self.data, self.run.config)
        count = self.data.particle_count
        one_map = yield from self.context.run_steps(steps, count, _COMPARING, "one map")
        gain, _ = mean_difference(one_map, encoder.held_out)
        return worse > _MAX_SHARE_LOST * max(gain, 0.0)

    def shrink(
        self, estimate: LatentEstimate, part: str, tested: FourierModel | None = None
    ) -> Generator[Event, None, tuple[LatentEstimate, ShrinkageResult]]:
        """Find how far maps may differ, shell by shell, and compare those that differ so.

        ``tested`` as of `shrinkage_steps`.
        """
        decoder, latents = estimate.decoder, estimate.latents
        steps = shrinkage_steps(decoder, latents, self.data, self.run.config, tested)
        total = COMPARISONS * self.data.particle_count
        found = yield from self.context.run_steps(steps, total, _COMPARING, part)
        return replace(estimate, held_out=found.held_out, support=found), found


def finalize(
    run: Run, data: TiltData, stopping: EarlyStopping, context: RunContext
) -> Generator[Event, None, None]:
    """Choose the epoch, refine its latents where that helps, compare with the first look, report.

    May be repeated, to the same end: a run that was killed here is concluded when it is resumed.
    """
    epoch, final = stopping.chosen or run.epochs()[-1], _FinalPass(run, data, context)
    device = data.lattice.frequencies.device
    model = run.model(epoch, device)
    guess = guess_latents(run, model.encoder, data, known_latents(run, device))
    estimates = {ENCODER: (yield from final.evaluate(guess, model.decoder, "encoder"))}
    yield from _epoch_notices(run, stopping)
    refinement = None
    if run.config.train.refine and data.particle_count > 1:  # one map spans no basis
        refinement, estimate = yield from _refine(final, epoch, guess, model.decoder)
        if (yield from final.loses_much(estimate, estimates[ENCODER])):
            refinement = None
            yield Notice("Latents stay as trained: refined ones do not explain the images better.")
        else:
            estimates[REFINED] = estimate
    network = network_method(estimates)
    estimates[network], support = yield from final.shrink(estimates[network], "filter")
    # What the epoch left has no covariances; or, of an earlier version, was drawn in.
    if refinement is not None or run.info.known_latents or run.info.shrinkage < 1:
        resumable = run.resumable("latents", f"{epoch}")
        inference = estimates[network].inference
        everything = yield from final.posterior(inference, resumable, "all latents")
        if refinement is not None:
            refinement.save(run.refinement_file, epoch)
        table = run.save_latents(epoch, data.particles, everything)
        yield LatentsReady(epoch, table)
    if run.has_first_look:
        estimates[LINEAR], of_linear = yield from _evaluate_linear(final)
        if best_method(estimates) == LINEAR:
            epoch, support = FIRST_LOOK, of_linear
    run.save_quality(to_dict(stopping, estimates, epoch))
    run.clear_resumable()
    # Last: a run with a chosen epoch is over, and resuming it means to go on.
    ended = {"chosen_epoch": epoch, "shrinkage": 1.0, **support.filters}
    replace(run, info=run.info.model_copy(update=ended)).save_info()
    yield from (Notice(text) for text in report_sentences(estimates, stopping.chosen))
    yield Notice(support.verdict, lasting=True)


def _refine(
    final: _FinalPass, epoch: int, guess: EncoderInference, decoder: FourierModel
) -> Generator[Event, None, tuple[Refinement, LatentEstimate]]:
    refinement = yield from _fit_basis(final, epoch, guess, decoder)
    refined = RefinedInference(guess, decoder, refinement, final.run.config)
    estimate = yield from final.evaluate(refined, decoder, "refined")
    return (yield from _rescale_noise(final, refinement, estimate, guess))


def _fit_basis(
    final: _FinalPass, epoch: int, guess: EncoderInference, decoder: FourierModel
) -> Generator[Event, None, Refinement]:
    resumable = final.run.resumable("guess", f"{epoch}")
    posterior = yield from final.posterior(guess, resumable, "guess")
    yield WorkProgress(0, 1, _REFINING, "basis")
    device = final.data.lattice.frequencies.device
    on_device = Posterior(posterior.mu.to(device), posterior.logvar.to(device))
    return fit_refinement(decoder, final.data, final.run.config, on_device)


def _rescale_noise(
    final: _FinalPass, refinement: Refinement, estimate: LatentEstimate, guess: EncoderInference
) -> Generator[Event, None, tuple[Refinement, LatentEstimate]]:
    """Scale the noise so that posteriors are as wide as they should be."""
    found = estimate.calibration
    if found is None or found.particles < _MIN_PARTICLES_FOR_SCALE or not found.miscalibrated:
        return refinement, estimate
    scale = min(max(found.ratio, 1 / _MAX_SCALE), _MAX_SCALE)
    refinement = replace(refinement, noise=refinement.noise * scale)
    inference = RefinedInference(guess, estimate.decoder, refinement, final.run.config)
    return refinement, (yield from final.evaluate(inference, estimate.decoder, "rescaled"))


def _evaluate_linear(
    final: _FinalPass,
) -> Generator[Event, None, tuple[LatentEstimate, ShrinkageResult]]:
    device = final.data.lattice.frequencies.device
    model = read_linear_model(final.run.weights_file(FIRST_LOOK), device)
    decoder = LinearDecoder.read(final.run.weights_file(FIRST_LOOK)).to(device)
    inference = LinearInference(model, final.data, final.run.config)
    estimate = yield from final.evaluate(inference, decoder, LINEAR)
    # As of a run by that method alone: `find_support`.
    tested = LinearDecoder.from_model(model, final.data.lattice.box_size_px)
    return (yield from final.shrink(estimate, "linear filter", tested))


def _epoch_notices(run: Run, stopping: EarlyStopping) -> Generator[Event, None, None]:
    if stopping.should_stop(run.config.train.patience):
        yield Notice(
            f"Epoch {stopping.seen} is the last: held-out images have not been explained better "
            f"since epoch {stopping.best}. Finishing."
        )
    if stopping.chosen != stopping.seen:
        yield Notice(f"Of all epochs, epoch {stopping.chosen} explains held-out images best.")
