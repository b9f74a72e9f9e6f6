"""Training by the linear engine: each radius is an epoch of the run."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import replace

import torch

from napari_tomodrgn.data.volume import read_volume, write_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.inference.held_out import comparison_rows, errors_of
from napari_tomodrgn.learn.inference.shrinkage import (
    COMPARISONS,
    NO_FILTERS,
    ShrinkageResult,
    shrinkage_steps,
)
from napari_tomodrgn.learn.linear.decoder import LinearDecoder, save_linear_model
from napari_tomodrgn.learn.linear.engine import (
    FIT_STEPS,
    MIN_PARTICLES,
    Fit,
    LinearEngine,
    gaussian_kl,
)
from napari_tomodrgn.learn.linear.focus import make_engine, read_focus_mask
from napari_tomodrgn.learn.linear.full_resolution import (
    decoder_at_full_resolution,
    fit_full_resolution,
)
from napari_tomodrgn.learn.linear.second_look import SECOND_LOOK_STEPS, may_look_again, second_look
from napari_tomodrgn.learn.reconstruction.mean_map import mean_map
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.events import (
    EpochDone,
    Event,
    Finished,
    LatentsReady,
    Losses,
    Notice,
    Progress,
    Started,
    WorkProgress,
)
from napari_tomodrgn.learn.runtime.steps import Cancelled
from napari_tomodrgn.learn.training.prepare_run import RunRequest, prepare_run


def train_linear(request: RunRequest, context: RunContext) -> Iterator[Event]:
    """Fit the linear model and report by the events of `train`.

    A run that is resumed is computed again from the start, to the same result: it takes seconds.

    Raises
    ------
    BadInputError
        If there are too few particles to compare halves of them.
    """
    particles = request.particles
    if len(particles) < MIN_PARTICLES:
        raise BadInputError(
            f"{particles.source.path}: {len(particles)} particles; the linear method compares "
            f"halves of the set and needs at least {MIN_PARTICLES}.",
            remedy="Take more particles, or train the autoencoder.",
            code="few-particles",
        )
    mask = request.config.linear.focus_mask
    if mask is not None:
        read_focus_mask(mask, particles.optics)
    try:
        run, data = yield from prepare_run(request, context)
        begun = {"chosen_epoch": None, "first_look_radius_px": None, **NO_FILTERS}
        run = replace(run, info=run.info.model_copy(update=begun))
        run.save_info()
        engine = make_engine(data, run.config, context)
        if run.config.linear.focus_mask is not None:
            write_volume(run.focus_mask_file, read_volume(run.config.linear.focus_mask))
        radii = engine.radii()
        yield Started(
            run.path, data.particle_count, data.image_count, 1, len(radii), run.info.device
        )
    except Cancelled:
        yield Finished("stopped", 0)
        return
    yield (yield from _fit_radii(run, engine))


def look_again(engine: LinearEngine, fit: Fit) -> Generator[Event, None, Fit | None]:
    """Look for smaller differences in more particles, where the set is large (`second_look`).

    Where it finds several at once there may be more.
    """
    if not may_look_again(engine, fit):
        return None
    last, what = fit, "Looking for smaller differences"
    while True:
        steps = second_look(engine, last)
        found = yield from engine.context.run_steps(steps, SECOND_LOOK_STEPS, what)
        if found is None:
            break
        several = found.model.components > last.model.components + 1
        last = found
        if not several:
            break
    more = last.model.components - fit.model.components
    words = f"{more or 'no'} smaller difference{'s' * (more > 1)}"
    yield Notice(f"A second look at the particles found {words}.")
    return last if more else None


def find_support(
    engine: LinearEngine, fit: Fit, finished: LinearDecoder | None = None
) -> Generator[Event, None, tuple[LinearDecoder, ShrinkageResult]]:
    """Find what held-out images support of the differences that a fit decodes; its decoder too.

    ``finished`` is its decoder at full resolution, where there is one by now. Whether particles
    differ at all is asked of the maps that latents were found with: of 40 particles that are alike
    the finer ones stand further above 0 (2.3 and 1.7 standard errors for 1.2 and 1.2).
    """
    count, data = engine.data.particle_count, engine.data
    decoder = LinearDecoder.from_model(fit.model, data.lattice.box_size_px)
    shown, latents = decoder if finished is None else finished, compared_latents(fit)
    steps = shrinkage_steps(shown, latents, data, engine.config, tested=decoder)
    total, what = COMPARISONS * count, "Comparing held-out images"
    return shown, (yield from engine.context.run_steps(steps, total, what))


def compared_latents(fit: Fit) -> torch.Tensor:
    """Latents ``(particle, J)`` of those whose held-out images are compared, NaN for the others."""
    rows, latents = comparison_rows(len(fit.mu)), torch.full(fit.training_mu.shape, torch.nan)
    latents[rows] = fit.training_mu[rows].float().cpu()
    return latents


def finish_maps(
    engine: LinearEngine, fit: Fit
) -> Generator[Event, None, tuple[LinearDecoder, ShrinkageResult]]:
    """Bring the maps of a fit to full resolution, its latents left as they are.

    With a focus the components stay at the radius of the fit, in their regions; the mean does not.
    """
    data, context = engine.data, engine.context
    mean = yield from context.run_steps(mean_map(data), data.particle_count, "Averaging particles")
    yield WorkProgress(0, 1, "Refining components")
    focused = engine.config.linear.focus_mask is not None
    model = fit.model if focused else fit_full_resolution(engine, fit).along
    decoder = decoder_at_full_resolution(model, mean, data.lattice.box_size_px)
    yield WorkProgress(1, 1, "Refining components")
    return (yield from find_support(engine, fit, decoder))


def _fit_radii(run: Run, engine: LinearEngine) -> Generator[Event, None, Finished]:
    """Fit radius by radius until one brings nothing, or until it is stopped; how it ended."""
    epoch, started, fit = 0, time.perf_counter(), None
    total = FIT_STEPS * len(engine.radii())
    try:
        for found in engine.fits_and_steps():
            if isinstance(found, int):
                yield WorkProgress(found, total, "Finding components")
                continue
            fit = found
            yield from _save_epoch(run, engine, fit, epoch + 1, started)
            epoch += 1
        if fit is not None and (deeper := (yield from look_again(engine, fit))) is not None:
            fit = deeper
            yield from _save_epoch(run, engine, fit, epoch + 1, started)
            epoch += 1
        if fit is not None:
            yield from _conclude(run, engine, fit, epoch)
    except Cancelled:  # what is complete stays, and can be looked at
        return Finished("stopped", epoch + 1 if epoch else 0)
    return Finished("completed", epoch)


def _conclude(run: Run, engine: LinearEngine, fit: Fit, epoch: int) -> Generator[Event, None, None]:
    """End a run with the maps of its last fit at full resolution, and a verdict."""
    decoder, support = yield from finish_maps(engine, fit)
    save_linear_model(run.weights_file(epoch), fit.model, decoder)
    run.save_quality({"epoch": epoch, "latents": "linear", **support.to_dict()})
    ended = {
        "chosen_epoch": epoch,
        **support.filters,
        "first_look_radius_px": engine.data.lattice.box_size_px // 2,
    }
    replace(run, info=run.info.model_copy(update=ended)).save_info()
    yield LatentsReady(epoch, run.latents_file(epoch))  # with other maps by now
    yield Notice(support.verdict, lasting=True)


def _save_epoch(
    run: Run, engine: LinearEngine, fit: Fit, epoch: int, started: float
) -> Generator[Event, None, None]:
    """Write what a radius leaves, then report it."""
    decoder = LinearDecoder.from_model(fit.model, engine.data.lattice.box_size_px)
    seconds = time.perf_counter() - started
    losses = _losses(engine, fit, decoder)
    done = EpochDone(epoch, seconds, losses, run.weights_file(epoch))
    run.append_metrics(done.row)
    save_linear_model(run.weights_file(epoch), fit.model, decoder)
    run.save_latents(epoch, engine.data.particles, fit.posterior)
    count = engine.data.particle_count
    yield Progress(epoch, count, count, losses)
    yield done
    yield LatentsReady(epoch, run.latents_file(epoch))


def _losses(engine: LinearEngine, fit: Fit, decoder: LinearDecoder) -> Losses:
    """Compute the losses of the autoencoder for the same images, so that both compare."""
    latents, data = fit.training_mu.float(), engine.data
    reconstruction, held_out = (
        float(errors_of(decoder, latents, data, engine.config, held_out=which).nanmean())
        for which in (False, True)
    )
    kl = float(gaussian_kl(fit.mu, fit.covariance).mean())
    total = reconstruction + kl / data.points_per_particle
    return Losses(reconstruction, kl, total, held_out)
