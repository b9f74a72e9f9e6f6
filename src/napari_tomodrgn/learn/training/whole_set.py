"""What a trainer does with the whole set after its steps: held-out images, and all latents.

Several processes each take blocks of the particles; all of them get all the numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from napari_tomodrgn.data.tilt_data import TiltBatch
from napari_tomodrgn.learn.inference.held_out import (
    held_out_points,
    mean_errors,
    one_a_particle,
    particles_per_chunk,
)
from napari_tomodrgn.learn.inference.methods import encode
from napari_tomodrgn.learn.network.loss import Points, point_frequencies, squared_errors
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.runtime.device import autocast
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.embed import embed, particles_together
from napari_tomodrgn.learn.training.trainer import Trainer


def held_out_errors(trainer: Trainer) -> Tensor:
    """Reconstruction loss ``(particle,)`` of held-out images, NaN for particles without."""
    count = trainer.data.particle_count
    found = torch.zeros(count, dtype=torch.float64)
    size = particles_per_chunk(trainer.data)
    for first in _own_blocks(trainer, size):
        last = min(first + size, count)
        found[first:last] = trainer.retry_with_less_memory(
            partial(_errors_of_rows, trainer, first, last)
        )
    return one_a_particle(trainer.processes.all_reduce_sum(found), trainer.data)


def embed_all(trainer: Trainer) -> Posterior:
    """Posteriors of all particles, from all their images."""
    count, latent = trainer.data.particle_count, trainer.config.model.latent_dim
    found = torch.zeros((2, count, latent))
    size = particles_together(trainer.data)
    for first in _own_blocks(trainer, size):
        rows = slice(first, min(first + size, count))
        posterior = trainer.retry_with_less_memory(partial(_embed_rows, trainer, rows))
        found[0, rows], found[1, rows] = posterior.mu, posterior.logvar
    return Posterior(*trainer.processes.all_reduce_sum(found))


def _own_blocks(trainer: Trainer, size: int) -> Iterator[int]:
    """First rows of this process's blocks of ``size`` particles, in step with the others."""
    processes = trainer.processes
    block = size * processes.size
    for start in range(0, trainer.data.particle_count, block):
        trainer.context.raise_if_any_stopped()
        first = start + size * processes.launch.rank
        if first < trainer.data.particle_count:
            yield first


def _embed_rows(trainer: Trainer, rows: slice) -> Posterior:
    guess = run_to_end(embed(trainer.model.encoder, trainer.data, trainer.device, rows))
    return trainer.known.fill(guess, rows, training_only=False) if trainer.known else guess


def _errors_of_rows(trainer: Trainer, first: int, last: int) -> Tensor:
    batch = trainer.data.batch(torch.arange(first, last), trainer.device)
    points = held_out_points(batch, trainer.config.seed, first)
    total = torch.zeros(batch.size, dtype=torch.float64, device=trainer.device)
    with torch.no_grad(), autocast(trainer.config.train.precision, trainer.device):
        guess = encode(trainer.model.encoder, batch, training_only=True)
        if trainer.known is not None:
            guess = trainer.known.fill(guess, slice(first, last), training_only=True)
        latent = guess.mu
        for part in points.chunks(trainer.chunk_sizes.points):
            trainer.check_stop()
            errors = _errors(trainer, batch, part, latent)
            total.index_add_(0, part.particle_index, errors.double())
    return mean_errors(total, batch)


def _errors(trainer: Trainer, batch: TiltBatch, points: Points, latent: Tensor) -> Tensor:
    frequencies = point_frequencies(batch, points, trainer.data.lattice.frequencies)
    with autocast(trainer.config.train.precision, trainer.device):
        amplitudes = trainer.model.decoder(frequencies, latent, points.particle_index)
    return squared_errors(batch, points, amplitudes)
