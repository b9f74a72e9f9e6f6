"""Where the autoencoder starts: the mean map, the linear engine's components, and its latents.

An autoencoder that begins with noise has to find what all particles share, then what tells them
apart, and whether it finds the latter depends on luck. Both are known in seconds in closed form
(`learn.linear.engine`): the decoder begins as mean plus components, the encoder is fitted to the
posterior means that belong to them, and training goes on from there.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.inference.held_out import EarlyStopping, error_steps
from napari_tomodrgn.learn.inference.methods import encode
from napari_tomodrgn.learn.linear.decoder import LinearDecoder, save_linear_model
from napari_tomodrgn.learn.linear.engine import FIT_STEPS, MIN_PARTICLES, Fit, LinearEngine
from napari_tomodrgn.learn.linear.full_resolution import (
    FullResolutionFit,
    decoder_at_full_resolution,
    fit_full_resolution,
)
from napari_tomodrgn.learn.network.model import Encoder, Vae
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.reconstruction.mean_map import mean_map, with_solved_shells
from napari_tomodrgn.learn.run.checkpoint import save_weights
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.events import Event, LatentsReady, Notice, WorkProgress
from napari_tomodrgn.learn.training.train_linear import compared_latents, find_support, look_again

# The encoder sees each particle of a large set so often before the first epoch, and is taught in
# no fewer steps than these. With 6,000 particles of five compositions, of which 5S RNP or not is
# the third component, so many passes correlate with it as said: half a pass 0.13, two 0.22, six
# and a half 0.56; a pass takes a fifth of an epoch.
_FIT_PASSES = 4
_LEAST_FIT_STEPS = 200
_FIT_PARTICLES = 16
_FIT_RATE = 1e-3
# Samples that the linear engine looks at in one pass over those that it learns from: beyond it, a
# radius takes minutes on a CPU, and what is finer is left to the finished components and to the
# network. With 2,000 particles of 41 tilts it is reached at a radius of 12 Fourier pixels.
MAX_SAMPLES_PER_PASS = 2e7
T = TypeVar("T")


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
    kept_latents = run.resumable("components")
    _, latents = kept_latents.load()
    if not latents:
        finished = yield from _linear_engine(run, data, mean, context)
        latents = {"mu": finished.mu, "covariance": finished.covariance}
        if kept_latents.due():
            kept_latents.save(count, latents)
    known = min(latents["mu"].shape[1], run.config.model.latent_dim)
    mu, covariance = latents["mu"].cpu(), latents["covariance"].cpu()
    posterior = Posterior.of(mu[:, :known], covariance[:, :known, :known])
    whole = LinearDecoder.read(run.components_file).to(mean.device)
    solved = whole.basis_volumes(data.lattice.box_size_px, with_level=True)[0]
    model.decoder.mean.fill(with_solved_shells(mean, solved))
    # Read back, as a resumed run will: the same numbers to the bit.
    model.decoder.start_from(run.linear_components(data.lattice.frequencies.device))
    teaching = fit_encoder(model.encoder, data, posterior, run.config.seed)
    yield from context.run_steps(teaching, encoder_steps(count), "Initialising the encoder")


def _linear_engine(
    run: Run, data: TiltData, mean: Tensor, context: RunContext
) -> Generator[Event, None, FullResolutionFit]:
    """Fit the linear engine, save it in the run, bring its components to full resolution.

    ``mean`` is the mean map ``(box, box, box)``.
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
) -> Generator[Event, None, FullResolutionFit]:
    """Bring a fit to full resolution, for the decoder to begin with, and as the first look."""
    what, data, context = "Refining components", engine.data, engine.context
    yield WorkProgress(0, 1, what)
    finished = fit_full_resolution(engine, fit)
    components = LinearDecoder.from_model(finished.model, data.lattice.box_size_px)
    save_weights(run.components_file, components)
    box = data.lattice.box_size_px
    decoder = decoder_at_full_resolution(finished.along, mean, box)
    errors = error_steps(decoder, compared_latents(fit), data, run.config)
    first_look = yield from context.run_steps(errors, data.particle_count, what)
    EarlyStopping(first_look=first_look).save(run.early_stopping_file)
    yield _save_first_look(run, fit, decoder, box // 2)
    return finished


def _save_first_look(run: Run, fit: Fit, decoder: LinearDecoder, radius_px: int) -> LatentsReady:
    """Save decoder and latents' model of what was found so far, as the first look.

    ``radius_px`` is that to which maps are known by now.
    """
    save_linear_model(run.weights_file(FIRST_LOOK), fit.model, decoder)
    radius = {"first_look_radius_px": radius_px}
    replace(run, info=run.info.model_copy(update=radius)).save_info()
    return LatentsReady(FIRST_LOOK, run.latents_file(FIRST_LOOK))


def encoder_steps(particles: int) -> int:
    """In how many steps the encoder is taught what the linear engine found in so many particles."""
    return max(_LEAST_FIT_STEPS, _FIT_PASSES * particles // _FIT_PARTICLES)


def fit_encoder(
    encoder: Encoder, data: TiltData, target: Posterior, seed: int
) -> Generator[int, None, None]:
    """Teach the encoder posteriors of the first latents; of the others, the prior.

    Each step sees particles drawn by (seed, step), their held-out images left out.
    """
    device = data.lattice.frequencies.device
    optimiser = torch.optim.Adam(encoder.parameters(), lr=_FIT_RATE)
    for step in range(encoder_steps(data.particle_count)):
        rng = np.random.default_rng([seed, 0xF17, step])
        size = min(_FIT_PARTICLES, data.particle_count)
        rows = torch.from_numpy(rng.choice(data.particle_count, size, replace=False))
        found = encode(encoder, data.batch(rows, device), training_only=True)
        loss = _posterior_distance(
            found, target.mu[rows].float().to(device), target.logvar[rows].float().to(device)
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield step


def _posterior_distance(found: Posterior, mu: Tensor, logvar: Tensor) -> Tensor:
    known = mu.shape[1]
    wanted = torch.zeros_like(found.mu)
    wanted[:, :known] = mu
    spread = torch.zeros_like(found.logvar)
    spread[:, :known] = logvar
    # Means in units of their own uncertainty, as the likelihood sees them.
    means = (found.mu - wanted).square() * torch.exp(-spread)
    return (means.clamp(max=1e4) + (found.logvar - spread).square()).mean()
