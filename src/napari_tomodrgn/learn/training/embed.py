"""Particles → posteriors, from all their images: the same latents every time."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator

import numpy as np
import pandas as pd
import torch

from napari_tomodrgn.data.checks import check_stacks
from napari_tomodrgn.data.choice import choose_images
from napari_tomodrgn.data.fourier_images import FourierImages, ImageReader
from napari_tomodrgn.data.optics import Optics, Sampling
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.inference.known_latents import KnownInference, KnownLatents
from napari_tomodrgn.learn.inference.methods import (
    EncoderInference,
    Inference,
    LinearInference,
    RefinedInference,
    ShrunkInference,
    encode,
    infer_in_chunks,
)
from napari_tomodrgn.learn.linear.decoder import read_linear_model
from napari_tomodrgn.learn.network.model import Encoder
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK
from napari_tomodrgn.learn.run.tables import latent_table
from napari_tomodrgn.learn.runtime.events import WorkProgress
from napari_tomodrgn.learn.runtime.memory import particles_per_block
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.embed_imported import embed_imported
from napari_tomodrgn.physics.lattice import half_plane

# Particles embedded together, at most; on a GPU, as many as are launched as quickly as one.
EMBED_BATCH_SIZE = {"cpu": 32, "cuda": 512, "mps": 64}
# Pixel sizes that differ by less are the same: star files round them.
_SAME_PIXEL = 2e-3
# Of images that are in memory at once when a set is embedded that is not trained on.
_BYTES_IN_MEMORY = 5e8


def embed(
    encoder: Encoder,
    data: TiltData,
    device: torch.device | str = "cpu",
    rows: slice = slice(None),
) -> Generator[int, None, Posterior]:
    """Posteriors of particles of a set, all or those in ``rows``, yielding how many are done."""
    mu, logvar = [], []
    first, last, _ = rows.indices(data.particle_count)
    size = particles_together(data)
    for start in range(first, last, size):
        stop = min(start + size, last)
        with torch.inference_mode():
            posterior = encode(encoder, data.batch(torch.arange(start, stop), device))
        mu.append(posterior.mu.cpu())
        logvar.append(posterior.logvar.cpu())
        yield stop
    return Posterior(torch.cat(mu), torch.cat(logvar))


def known_latents(run: Run, device: torch.device | str) -> KnownLatents | None:
    """First latents of the particles that a run was trained on; None where all are guessed."""
    return KnownLatents.read(run.known_latents_file, device) if run.info.known_latents else None


def guess_latents(
    run: Run, encoder: Encoder, data: TiltData, tables: KnownLatents | None = None
) -> EncoderInference:
    """The encoder of a run for a set: ``tables`` hold what is known of it, if it is the run's."""
    if not run.info.known_latents:
        return EncoderInference(encoder, data)
    model = read_linear_model(run.components_file, data.lattice.frequencies.device)
    closed_form = LinearInference(model, data, run.config)
    known = KnownInference(data, closed_form, run.info.known_latents, tables)
    return EncoderInference(encoder, data, known)


def particles_together(data: TiltData) -> int:
    """How many particles of a set to embed together."""
    device = data.lattice.frequencies.device
    return particles_per_block(data.points_per_particle, EMBED_BATCH_SIZE[device.type], device)


def embed_set(
    run: Run, particles: ParticleSet, epoch: int | None = None
) -> Generator[WorkProgress, None, pd.DataFrame]:
    """Latents of any particles by a run of either method, as `Run.latents` gives them.

    The particles may be others than those trained on, if box and pixel size are the same, or were
    brought to those of the run.

    Raises
    ------
    BadInputError
        If they are not.
    """
    trained, asked = run.info.to_optics(), run.config.data
    particles = choose_images(particles, asked).with_overrides(asked)
    wanted = Sampling(trained.box_size_px, trained.pixel_size_angstrom)
    binned = asked.pixel_size_target_angstrom or asked.box_target_px
    if binned and particles.optics.covers(wanted):
        # Of other files the nearest even box may be another than the run's.
        particles = particles.sampled(wanted)
    _reject_other_sampling(particles, trained)
    check_stacks(particles)
    particles = particles.with_optics(
        ctf_premultiplied=trained.ctf_premultiplied, dose_weighted=trained.dose_weighted
    )
    if run.info.network is not None:
        return (yield from embed_imported(run, particles, epoch))
    inference_of = _make_inference(run, epoch)
    lattice = half_plane(trained.box_size_px)
    tables = []
    at_a_time = _particles_per_chunk(particles, len(lattice))
    for start in range(0, len(particles), at_a_time):
        rows = np.zeros(len(particles), dtype=bool)
        rows[start : start + at_a_time] = True
        part = particles.take(rows)
        reader = ImageReader(part, lattice, run.config.data, run.info.sign)
        samples = reader.read(np.arange(len(reader))) / run.info.scale
        data = TiltData(part, FourierImages(samples, run.info.scale), lattice, run.config.weight)
        # As in training: a latent must not depend on who else is embedded.
        data.mean_power = run.info.mean_power or data.mean_power
        every = torch.ones_like(data.training)
        posterior = run_to_end(
            infer_in_chunks(inference_of(data), torch.arange(data.particle_count), every)
        )
        tables.append(latent_table(part, posterior))
        yield WorkProgress(min(start + at_a_time, len(particles)), len(particles))
    return pd.concat(tables)


def _reject_other_sampling(particles: ParticleSet, trained: Optics) -> None:
    """Raise if images have another box or pixel size than those trained on."""
    optics = particles.optics
    if optics.box_size_px != trained.box_size_px:
        raise BadInputError(
            f"{particles.source.path}: images of {optics.box_size_px} px, "
            f"the run was trained on {trained.box_size_px} px.",
            code="wrong-box",
        )
    pixel = optics.pixel_size_angstrom
    if not math.isclose(pixel, trained.pixel_size_angstrom, rel_tol=_SAME_PIXEL):
        raise BadInputError(
            f"{particles.source.path}: images of {pixel:.4g} Å/px, "
            f"the run was trained on {trained.pixel_size_angstrom:.4g} Å/px.",
            code="wrong-pixel-size",
        )


def _particles_per_chunk(particles: ParticleSet, points: int) -> int:
    """So many that their images take half a gigabyte, and a bar still moves."""
    images = len(particles.images) / max(len(particles), 1)
    return max(1, min(int(_BYTES_IN_MEMORY / (images * points * 8)), -(-len(particles) // 10)))


def _make_inference(run: Run, epoch: int | None) -> Callable[[TiltData], Inference]:
    """Data → inference by the run's method, refined where the run's latents of that epoch are."""
    wanted = run.last_epoch(epoch)
    if run.config.method == "linear" or wanted == FIRST_LOOK:
        fitted = read_linear_model(run.weights_file(wanted))
        return lambda data: LinearInference(fitted, data, run.config)
    model, refinement = run.model(wanted), run.refinement(wanted)

    factor = run.info.shrinkage if wanted == run.info.chosen_epoch else 1.0

    def inference(data: TiltData) -> Inference:
        found: Inference = (guess := guess_latents(run, model.encoder, data))
        if refinement is not None:
            found = RefinedInference(guess, model.decoder, refinement, run.config)
        return ShrunkInference(found, factor) if factor < 1 else found

    return inference
