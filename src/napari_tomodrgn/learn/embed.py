"""Particles → posteriors, from all their images: the same latents every time."""

from __future__ import annotations

from collections.abc import Generator

import torch

from napari_tomodrgn.data.dataset import TiltBatch, TiltData
from napari_tomodrgn.learn.model import Encoder, Posterior

_PARTICLES_AT_A_TIME = 32


def encode(encoder: Encoder, batch: TiltBatch, *, training_only: bool = False) -> Posterior:
    """Posterior of each particle of a batch, from all images or from those not held out."""
    samples = batch.samples * batch.phase
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
