"""Where the autoencoder starts: the mean map, the linear engine's components, and its latents.

An autoencoder that begins with noise has to find what all particles share, then what tells them
apart, and whether it finds the latter depends on luck. Both are known in seconds in closed form
(`learn.linear.engine`): the decoder begins as mean plus components, the latents along them are
known (`learn.inference.known_latents`), and the encoder is to find what is beyond.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.inference.held_out import EarlyStopping, error_steps
from napari_tomodrgn.learn.inference.known_latents import KnownLatents
from napari_tomodrgn.learn.linear.decoder import LinearDecoder, save_linear_model
from napari_tomodrgn.learn.linear.engine import (
    EMBED_STEPS,
    FIT_STEPS,
    MIN_PARTICLES,
    Fit,
    LinearEngine,
)
from napari_tomodrgn.learn.linear.full_resolution import (
    decoder_at_full_resolution,
    fit_full_resolution,
)
from napari_tomodrgn.learn.network.model import Vae
from napari_tomodrgn.learn.reconstruction.mean_map import mean_map, with_solved_shells
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.events import Event, LatentsReady, Notice, WorkProgress
from napari_tomodrgn.learn.training.train_linear import compared_latents, find_support, look_again

if TYPE_CHECKING:
    from torch import Tensor

# Samples that the linear engine looks at in one pass over those that it learns from: beyond it, a
# radius takes minutes on a CPU, and what is finer is left to the finished components and to the
# network. With 2,000 particles of 41 tilts it is reached at a radius of 12 Fourier pixels.
MAX_SAMPLES_PER_PASS = 2e7


def initialize(
    run: Run, data: TiltData, model: Vae, context: RunContext
) -> Generator[Event, None, None]:
    """Fill a new model with mean map and components of the data; save them in the run directory."""
    if model.decoder.mean is None:
        return
    count = data.particle_count
    resumable = (run.resumable("mean-one"), run.resumable("mean-two"))
    mean = yield from context.run_steps(mean_map(data, resumable), count, "Averaging particles")
    model.decoder.mean.fill(mean)
    if not run.config.model.linear_start or count < MIN_PARTICLES:
        return
    start = yield from _linear_engine(run, data, mean, context)
    known = min(start.model.components, run.config.model.latent_dim)
    KnownLatents.of(start.training_posterior, start.posterior, known).save(run.known_latents_file)
    run = Run.open(run.path)  # it knows of the first look by now
    replace(run, info=run.info.model_copy(update={"known_latents": known})).save_info()
    whole = LinearDecoder.read(run.components_file).to(mean.device)
    solved = whole.basis_volumes(data.lattice.box_size_px, with_level=True)[0]
    model.decoder.mean.fill(with_solved_shells(mean, solved))
    # Read back, as a resumed run will: the same numbers to the bit.
    model.decoder.start_from(run.linear_components(data.lattice.frequencies.device))


def _linear_engine(
    run: Run, data: TiltData, mean: Tensor, context: RunContext
) -> Generator[Event, None, Fit]:
    """Fit the linear engine, save it in the run, bring its components to full resolution.

    Returns the latents along these. ``mean`` is the mean map ``(box, box, box)``.
    """
    engine = LinearEngine.of(data, run.config, context)
    radii = [radius for radius in engine.radii() if engine.work(radius) <= MAX_SAMPLES_PER_PASS]
    radii, fit = radii or engine.radii()[:1], None
    for found in engine.fits_and_steps(radii):
        if isinstance(found, int):
            yield WorkProgress(found, FIT_STEPS * len(radii), "Finding components")
        else:
            fit = found
            yield _show_fit(run, data, fit)
    if fit is None:
        raise RuntimeError("the linear engine gave no fit")
    deeper = yield from look_again(engine, fit)
    if deeper is not None:
        fit = deeper
        yield _show_fit(run, data, fit)
    _, support = yield from find_support(engine, fit)
    run.save_quality({"epoch": FIRST_LOOK, "latents": "linear", **support.to_dict()})
    yield Notice(f"First look: {support.verdict}")
    yield LatentsReady(FIRST_LOOK, run.latents_file(FIRST_LOOK))  # with their verdict by now
    return (yield from _to_full_resolution(run, engine, fit, mean))


def _show_fit(run: Run, data: TiltData, fit: Fit) -> LatentsReady:
    """Let latents and coarse maps be seen: the first radius comes long before the last."""
    decoder = LinearDecoder.from_model(fit.model, data.lattice.box_size_px)
    run.save_latents(FIRST_LOOK, data.particles, fit.posterior)
    return _save_first_look(run, fit, decoder, int(fit.model.ball.radius_px))


def _to_full_resolution(
    run: Run, engine: LinearEngine, fit: Fit, mean: Tensor
) -> Generator[Event, None, Fit]:
    """Bring a fit to full resolution, for the decoder to begin with, and as the first look."""
    what, data, context = "Refining components", engine.data, engine.context
    yield WorkProgress(0, 1, what)
    finished, box = fit_full_resolution(engine, fit), data.lattice.box_size_px
    start = yield from context.run_steps(finished.embed_steps(engine, fit), EMBED_STEPS, what)
    components = LinearDecoder.from_model(start.model, box)
    save_linear_model(run.components_file, start.model, components)
    decoder = decoder_at_full_resolution(finished.along, mean, box)
    errors = error_steps(decoder, compared_latents(fit), data, run.config)
    first_look = yield from context.run_steps(errors, data.particle_count, what)
    EarlyStopping(first_look=first_look).save(run.early_stopping_file)
    yield _save_first_look(run, fit, decoder, box // 2)
    return start


def _save_first_look(run: Run, fit: Fit, decoder: LinearDecoder, radius_px: int) -> LatentsReady:
    """Save decoder and latents' model of what was found so far, as the first look.

    ``radius_px`` is that to which maps are known by now.
    """
    save_linear_model(run.weights_file(FIRST_LOOK), fit.model, decoder)
    radius = {"first_look_radius_px": radius_px}
    replace(run, info=run.info.model_copy(update=radius)).save_info()
    return LatentsReady(FIRST_LOOK, run.latents_file(FIRST_LOOK))
