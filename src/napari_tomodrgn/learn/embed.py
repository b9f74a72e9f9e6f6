"""Particles → posteriors, from all their images: the same latents every time."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pandas as pd
import torch

from napari_tomodrgn.data.checks import check_stacks
from napari_tomodrgn.data.dataset import TiltBatch, TiltData
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.preprocess import FourierImages, ImageReader
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.contrast import run_to_end
from napari_tomodrgn.learn.events import Preparing
from napari_tomodrgn.learn.model import Encoder, Posterior
from napari_tomodrgn.learn.run import Run, latent_table
from napari_tomodrgn.physics.lattice import half_plane

_PARTICLES_AT_A_TIME = 32
# Particles whose images are in memory at once when a set is embedded that is not trained on.
_PARTICLES_IN_MEMORY = 128


def encode(encoder: Encoder, batch: TiltBatch, *, training_only: bool = False) -> Posterior:
    """Posterior of each particle of a batch, from all images or from those not held out."""
    samples = batch.samples * (batch.phase * batch.precision.sqrt())
    if not training_only:
        return encoder(samples, batch.owner, batch.slot, batch.size)  # type: ignore[no-any-return]
    used = batch.training
    return encoder(  # type: ignore[no-any-return]
        samples[used], batch.owner[used], batch.slot[used], batch.size
    )


def embed(
    encoder: Encoder, data: TiltData, device: torch.device | str = "cpu"
) -> Generator[int, None, Posterior]:
    """Posteriors of all particles of a set, yielding how many are done."""
    mu, logvar = [], []
    for start in range(0, data.particle_count, _PARTICLES_AT_A_TIME):
        stop = min(start + _PARTICLES_AT_A_TIME, data.particle_count)
        with torch.inference_mode():
            posterior = encode(encoder, data.batch(torch.arange(start, stop), device))
        mu.append(posterior.mu.cpu())
        logvar.append(posterior.logvar.cpu())
        yield stop
    return Posterior(torch.cat(mu), torch.cat(logvar))


def embed_set(
    run: Run, particles: ParticleSet, epoch: int | None = None
) -> Generator[Preparing, None, pd.DataFrame]:
    """Latents of any particles by the encoder of a run, as `Run.latents` gives them.

    The particles may be others than those trained on, if box and pixel size are the same.

    Raises
    ------
    BadInputError
        If they are not.
    """
    trained = run.info.to_optics()
    given = particles.optics
    if given.box_size_px != trained.box_size_px:
        raise BadInputError(
            f"{particles.source.path}: images of {given.box_size_px} px, "
            f"the run was trained on {trained.box_size_px} px.",
            code="wrong-box",
        )
    check_stacks(particles)
    particles = particles.with_optics(
        ctf_premultiplied=trained.ctf_premultiplied, dose_weighted=trained.dose_weighted
    )
    model = run.model(epoch)
    lattice = half_plane(given.box_size_px)
    tables = []
    for start in range(0, len(particles), _PARTICLES_IN_MEMORY):
        rows = np.zeros(len(particles), dtype=bool)
        rows[start : start + _PARTICLES_IN_MEMORY] = True
        part = particles.take(rows)
        reader = ImageReader(part, lattice, run.config.data, run.info.sign)
        samples = reader.read(np.arange(len(reader))) / run.info.scale
        data = TiltData(part, FourierImages(samples, run.info.scale), lattice, run.config.weight)
        posterior = run_to_end(embed(model.encoder, data))
        tables.append(latent_table(part, posterior))
        yield Preparing(min(start + _PARTICLES_IN_MEMORY, len(particles)), len(particles))
    return pd.concat(tables)
