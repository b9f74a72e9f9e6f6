"""Images that were not learnt from: how well a model predicts them, and when to stop for it.

Each particle's held-out images are compared at the same samples in every epoch and for every
model, so that most of the noise of the images cancels in differences, particle by particle.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.halves import has_copies
from napari_tomodrgn.data.tilt_data import TiltBatch, TiltData
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.decoding.volume_decoder import FourierModel
from napari_tomodrgn.learn.network.loss import (
    Points,
    choose_points,
    point_frequencies,
    squared_errors,
    uniforms,
)
from napari_tomodrgn.learn.runtime.memory import particles_per_block
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.runtime.tensors import load_tensors

# Samples of each particle's held-out images that are compared.
_SAMPLES_PER_PARTICLE = 256
# Particles whose samples are drawn together; with another number they are other samples.
PARTICLES_AT_A_TIME = 32
# Blocks of these that are compared together on a GPU, at most.
_BLOCKS_ON_GPU = 32
# So many particles tell which model explains held-out images better.
MAX_COMPARED = 2048
# An epoch that is worse by so many standard errors is not what a run should end with.
_WORSE_STANDARD_ERRORS = 2.0


def held_out_points(
    batch: TiltBatch, seed: int, first: int, *, held_out: bool = True, draw: int = 0
) -> Points:
    """The samples of a batch that begins with particle ``first``; of a draw always the same."""
    start = first // PARTICLES_AT_A_TIME * PARTICLES_AT_A_TIME
    blocks = range(start, first + batch.size, PARTICLES_AT_A_TIME)
    uniform = torch.cat([_uniforms_of_block(seed, block, draw) for block in blocks])
    return choose_points(batch, uniform[first - start :][: batch.size], held_out=held_out)


def _uniforms_of_block(seed: int, block: int, draw: int) -> Tensor:
    entropy = [seed, 0, block, draw] if draw else [seed, 0, block]
    state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state >> 1))
    return uniforms(PARTICLES_AT_A_TIME, _SAMPLES_PER_PARTICLE, generator)


def comparison_rows(particles: int) -> Tensor:
    """Choose the particles that models are compared on: ``(row,)``, all or blocks of the set."""
    blocks = torch.arange(particles).split(PARTICLES_AT_A_TIME)
    most = min(len(blocks), MAX_COMPARED // PARTICLES_AT_A_TIME)
    chosen = torch.linspace(0, len(blocks) - 1, most).long().tolist()
    return torch.cat([blocks[number] for number in chosen])


def particles_per_chunk(data: TiltData) -> int:
    """How many particles to compare together: a power of two, so that blocks are not broken."""
    device = data.lattice.frequencies.device
    most = PARTICLES_AT_A_TIME * (1 if device.type == "cpu" else _BLOCKS_ON_GPU)
    return 1 << particles_per_block(data.points_per_particle, most, device).bit_length() - 1


def per_sample(sums: Tensor, batch: TiltBatch) -> Tensor:
    """Divide sums ``(…, particle, shell)`` by the samples drawn; NaN without held-out images."""
    return mean_errors(sums.movedim(-2, -1), batch).movedim(-1, -2)


def mean_errors(total: Tensor, batch: TiltBatch, *, held_out: bool = True) -> Tensor:
    """Divide sums ``(…, particle)`` by the samples compared; NaN without such images."""
    there = (
        torch.bincount(batch.particle_index[batch.training != held_out], minlength=batch.size) > 0
    )
    return torch.where(there, total / _SAMPLES_PER_PARTICLE, torch.nan).cpu()


def errors_of(
    decoder: FourierModel,
    latents: Tensor,
    data: TiltData,
    config: RunConfig,
    *,
    held_out: bool = True,
) -> Tensor:
    """Compute squared errors ``(particle,)`` of images that latents ``(particle, latent)`` predict.

    Of held-out images, or of those that were learnt from.
    """
    return run_to_end(error_steps(decoder, latents, data, config, held_out=held_out))


@torch.no_grad()
def error_steps(
    decoder: FourierModel,
    latents: Tensor,
    data: TiltData,
    config: RunConfig,
    *,
    held_out: bool = True,
) -> Generator[int, None, Tensor]:
    """Compute `errors_of` in steps: ``(particle,)``, yielding how many particles are done.

    Particles whose latents are NaN are left out; so are their errors.
    """
    device, found = data.lattice.frequencies.device, []
    for rows in torch.arange(data.particle_count).split(particles_per_chunk(data)):
        yield int(rows[-1]) + 1
        if not bool(latents[rows].isfinite().any()):
            found.append(torch.full((len(rows),), torch.nan, dtype=torch.float64))
            continue
        batch = data.batch(rows, device)
        points = held_out_points(batch, config.seed, int(rows[0]), held_out=held_out)
        where = point_frequencies(batch, points, data.lattice.frequencies)
        amplitudes = decoder(where, latents[rows].to(device), points.particle_index)
        errors = squared_errors(batch, points, amplitudes).double()
        total = torch.zeros(batch.size, dtype=torch.float64, device=device)
        total.index_add_(0, points.particle_index, errors)
        found.append(mean_errors(total, batch, held_out=held_out))
    return one_a_particle(torch.cat(found), data)


def one_a_particle(errors: Tensor, data: TiltData) -> Tensor:
    """Errors ``(particle,)`` in which a particle counts once, whatever copies there are of it.

    Copies in a symmetry-expanded set are compared with the same images, so that they would make
    standard errors too small: the first gets the mean of all, the others NaN.
    """
    if not has_copies(data.originals):
        return errors
    originals = torch.from_numpy(data.originals)
    count = int(originals.max()) + 1
    known = torch.isfinite(errors)
    total = torch.zeros(count, dtype=errors.dtype).index_add_(0, originals[known], errors[known])
    first = torch.from_numpy(np.unique(data.originals, return_index=True)[1])
    found = torch.full_like(errors, torch.nan)
    found[first] = total / torch.bincount(originals[known], minlength=count)
    return found


def mean_difference(one: Tensor, other: Tensor) -> tuple[float, float]:
    """Average ``one − other``, both ``(particle,)``, where both are known; standard error too."""
    apart = (one - other)[torch.isfinite(one - other)]
    if len(apart) < 2:
        return (float(apart.mean()) if len(apart) else 0.0), float("nan")
    return float(apart.mean()), float(apart.std() / len(apart) ** 0.5)


@dataclass(frozen=True, eq=False)
class EarlyStopping:
    """Which epoch explains held-out images best so far, and how long ago it was.

    Attributes
    ----------
    best
        Epoch, 0 before the first.
    seen
        Last epoch that was looked at.
    waited
        Epochs since the best one.
    last
        Last epoch whose weights were kept.
    last_is_worse
        Whether that one is worse than the best beyond chance.
    errors
        ``(particle,)`` of the best epoch.
    first_look
        ``(particle,)`` of the linear engine that training started from; NaN where it was not
        compared, empty if it did not.
    """

    best: int = 0
    seen: int = 0
    waited: int = 0
    last: int = 0
    last_is_worse: bool = False
    errors: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    first_look: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))

    @property
    def chosen(self) -> int:
        """The epoch that a run should end with: the last, unless an earlier one is better."""
        return self.best if self.last_is_worse else self.last

    def updated(self, epoch: int, errors: Tensor, *, has_checkpoint: bool) -> EarlyStopping:
        """Take in held-out errors ``(particle,)`` of an epoch; only a saved one can be the best.

        An epoch that was seen before (a run killed while it was written) changes nothing.
        """
        if epoch <= self.seen:
            return self
        later = replace(self, seen=epoch, waited=self.waited + 1)
        if not has_checkpoint:
            return later
        if not self.best:
            return replace(later, best=epoch, last=epoch, waited=0, errors=errors)
        mean, error = mean_difference(errors, self.errors)
        if mean < -error:
            return replace(
                later, best=epoch, waited=0, last=epoch, last_is_worse=False, errors=errors
            )
        return replace(later, last=epoch, last_is_worse=mean > _WORSE_STANDARD_ERRORS * error)

    def gain_over_first_look(self, errors: Tensor) -> float:
        """By how many standard errors errors ``(particle,)`` are below those of the first look.

        NaN where they cannot be compared.
        """
        if len(self.first_look) != len(errors):
            return float("nan")
        mean, error = mean_difference(self.first_look, errors)
        return mean / error if error else float("nan")

    def should_stop(self, patience: int) -> bool:
        """Whether to stop; never with a patience of 0, or without held-out images."""
        known = bool(torch.isfinite(self.errors).any())
        return 0 < patience <= self.waited and known

    def with_patience_reset(self) -> EarlyStopping:
        """Wait anew: for a run that someone wants to go on after it has stopped."""
        return replace(self, waited=0)

    def save(self, path: Path) -> None:
        """Write it."""
        saved = {
            "best": self.best,
            "seen": self.seen,
            "waited": self.waited,
            "last": self.last,
            "last_is_worse": self.last_is_worse,
        }
        with written_atomically(path) as temporary:
            save_file(
                {"errors": self.errors, "first_look": self.first_look},
                temporary,
                metadata={"watch": json.dumps(saved)},
            )

    @classmethod
    def read(cls, path: Path) -> EarlyStopping:
        """What was written; a new one where there is none."""
        if not path.exists():
            return cls()
        try:
            tensors, metadata = load_tensors(path)
            return cls(
                **json.loads(metadata["watch"]),
                errors=tensors["errors"],
                first_look=tensors.get("first_look", torch.zeros(0, dtype=torch.float64)),
            )
        except (OSError, SafetensorError, KeyError, ValueError, TypeError):
            # Worth no failure: the best epoch is then sought from here on.
            return cls()
