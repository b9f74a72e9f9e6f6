"""Training by the linear engine: each radius is an epoch of the run."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import replace

import torch

from napari_tomodrgn.data.volume import read_volume, write_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.inference.held_out import comparison_rows, errors_of
from napari_tomodrgn.learn.inference.shrinkage import COMPARISONS, ShrinkageResult, shrinkage_steps
from napari_tomodrgn.learn.linear.decoder import LinearDecoder, save_linear_model
from napari_tomodrgn.learn.linear.engine import (
    FIT_STEPS,
    MIN_PARTICLES,
    Fit,
    LinearEngine,
    gaussian_kl,
)
from napari_tomodrgn.learn.linear.focus import make_engine, read_focus_mask
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
        begun = {"chosen_epoch": None, "shell_filter": None}
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


def find_support(
    engine: LinearEngine, fit: Fit
) -> Generator[Event, None, tuple[LinearDecoder, ShrinkageResult]]:
    """Find what held-out images support of the differences that a fit decodes; its decoder too."""
    count = engine.data.particle_count
    decoder = LinearDecoder.from_model(fit.model, engine.data.lattice.box_size_px)
    rows, latents = comparison_rows(count), torch.full(fit.training_mu.shape, torch.nan)
    latents[rows] = fit.training_mu[rows].float().cpu()
    steps = shrinkage_steps(decoder, latents, engine.data, engine.config)
    total, what = COMPARISONS * count, "Comparing held-out images"
    return decoder, (yield from engine.context.run_steps(steps, total, what))


def _fit_radii(run: Run, engine: LinearEngine) -> Generator[Event, None, Finished]:
    """Fit radius by radius until one brings nothing, or until it is stopped; how it ended."""
    epoch, started, support = 0, time.perf_counter(), None
    total = FIT_STEPS * len(engine.radii())
    try:
        for found in engine.fits_and_steps():
            if isinstance(found, int):
                yield WorkProgress(found, total, "Finding components")
                continue
            support = yield from _save_epoch(run, engine, found, epoch + 1, started)
            epoch += 1
    except Cancelled:  # what is complete stays, and can be looked at
        return Finished("stopped", epoch + 1 if epoch else 0)
    if support is not None:
        run.save_quality({"epoch": epoch, "latents": "linear", **support.to_dict()})
        ended = {"chosen_epoch": epoch, "shell_filter": support.shell_filter}
        replace(run, info=run.info.model_copy(update=ended)).save_info()
        yield Notice(support.verdict, lasting=True)
    return Finished("completed", epoch)


def _save_epoch(
    run: Run, engine: LinearEngine, fit: Fit, epoch: int, started: float
) -> Generator[Event, None, ShrinkageResult]:
    """Write what a radius leaves, then report it."""
    decoder, support = yield from find_support(engine, fit)
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
    return support


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
