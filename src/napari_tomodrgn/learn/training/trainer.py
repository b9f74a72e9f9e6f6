"""What a step of training does: model, data and optimiser, one method a verb of the loop.

Whatever random is drawn in a step comes from a generator seeded by (seed, epoch, step). A resumed
run therefore needs no random state, and draws what the uninterrupted one would have drawn. Where
several processes train (`learn.runtime.distributed`), each draws the numbers of the whole step and
takes those of its own particles; what it adds up is divided by the counts of the whole step. So the
sums over all processes are what one process would have found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.tilt_data import TiltBatch, TiltData
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.inference.held_out import (
    held_out_points,
    mean_errors,
    particles_per_chunk,
)
from napari_tomodrgn.learn.inference.methods import encode
from napari_tomodrgn.learn.network.loss import (
    Points,
    beta_at,
    choose_points,
    kl_term,
    point_frequencies,
    points_drawn,
    squared_errors,
    uniforms,
)
from napari_tomodrgn.learn.network.model import Vae
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.run.checkpoint import Position
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.device import autocast
from napari_tomodrgn.learn.runtime.distributed import ProcessGroup
from napari_tomodrgn.learn.runtime.memory import ChunkSizes, exhausted_memory, particles_per_block
from napari_tomodrgn.learn.runtime.steps import Cancelled
from napari_tomodrgn.learn.training.embed import EMBED_BATCH_SIZE, embed

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class _Step:
    """What a step is about: its particles, and the random numbers of all of them."""

    position: Position
    rows: Tensor
    noise: Tensor
    uniform: Tensor
    drawn: int
    mean_kl: Tensor | None = None

    def parts(self, share: slice, size: int) -> Iterator[slice]:
        """The share in pieces of at most ``size`` particles."""
        for first in range(share.start, share.stop, size):
            yield slice(first, min(first + size, share.stop))


@dataclass(frozen=True, eq=False)
class Trainer:
    """Model, data and optimiser of a run; one method a verb of the loop."""

    config: RunConfig
    data: TiltData
    model: Vae
    optimiser: torch.optim.Optimizer
    device: torch.device
    context: RunContext = field(default_factory=RunContext)

    @property
    def processes(self) -> ProcessGroup:
        """The processes that share each step."""
        return self.context.processes

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return -(-self.data.particle_count // self.config.train.batch_size)

    @cached_property
    def chunk_sizes(self) -> ChunkSizes:
        """How much is computed at a time; less once memory has run out."""
        return ChunkSizes.on(
            self.device, self.config.train.batch_size, self.data.points_per_particle
        )

    def beta(self, position: Position) -> float:
        """Beta at a position of the run."""
        done = position.epoch - 1 + position.step / self.steps
        return beta_at(self.config, done / self.config.train.epochs)

    def generator(self, epoch: int, step: int) -> torch.Generator:
        """Random numbers of one step."""
        seed = np.random.SeedSequence([self.config.seed, epoch, step])
        return torch.Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))

    def order(self, epoch: int) -> Tensor:
        """Order of the particles in an epoch."""
        return torch.randperm(self.data.particle_count, generator=self.generator(epoch, 0))

    def step(self, position: Position, order: Tensor) -> Position:
        """One step of the optimiser, on the next particles of ``order``; the position after it.

        Raises
        ------
        Cancelled
            If someone asked to stop; the weights are then those of ``position``.
        BadInputError
            If loss or gradient are not finite; likewise.
        """
        work = self._draw_step(position, order)
        if self.config.train.capacity is not None:
            # The penalty is not linear in the mean, so that the mean must be known before.
            kl = self._retry_with_less_memory(lambda: self._sum_kl(work))
            work = replace(work, mean_kl=self.processes.all_reduce_sum(kl) / len(work.rows))
        sums = self._synchronize_gradients(
            self._retry_with_less_memory(lambda: self._gradients(work)), position
        )
        self.optimiser.step()
        count = len(work.rows)
        kl = sums[1] / count
        penalty = kl_term(kl, self.beta(position), self.config, self.data.points_per_particle)
        reconstruction = float(sums[0]) / max(work.drawn, 1)
        return replace(
            position,
            step=position.step + 1,
            particles=position.particles + count,
            reconstruction=position.reconstruction + reconstruction * count,
            kl=position.kl + float(kl) * count,
            total=position.total + (reconstruction + float(penalty)) * count,
        )

    def held_out(self) -> Tensor:
        """Reconstruction loss of each particle's held-out images, NaN for those without."""
        found = torch.zeros(self.data.particle_count, dtype=torch.float64)
        size = particles_per_chunk(self.data)
        for first in self._own_blocks(size):
            last = min(first + size, self.data.particle_count)
            found[first:last] = self._retry_with_less_memory(
                partial(self._held_out_errors, first, last)
            )
        return self.processes.all_reduce_sum(found)

    def embed(self) -> Posterior:
        """Posteriors of all particles, from all their images."""
        count, latent = self.data.particle_count, self.config.model.latent_dim
        found = torch.zeros((2, count, latent))
        size = particles_per_block(self.data.points_per_particle, EMBED_BATCH_SIZE)
        for first in self._own_blocks(size):
            rows = slice(first, min(first + size, count))
            posterior = self._retry_with_less_memory(lambda rows=rows: self._embed_rows(rows))  # type: ignore[misc]
            found[0, rows], found[1, rows] = posterior.mu, posterior.logvar
        return Posterior(*self.processes.all_reduce_sum(found))

    def _own_blocks(self, size: int) -> Iterator[int]:
        """First rows of this process's blocks of ``size`` particles, in step with the others."""
        block = size * self.processes.size
        for start in range(0, self.data.particle_count, block):
            self.context.raise_if_any_stopped()
            first = start + size * self.processes.launch.rank
            if first < self.data.particle_count:
                yield first

    def _embed_rows(self, rows: slice) -> Posterior:
        steps = embed(self.model.encoder, self.data, self.device, rows)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                posterior: Posterior = done.value
                return posterior

    def _held_out_errors(self, first: int, last: int) -> Tensor:
        batch = self.data.batch(torch.arange(first, last), self.device)
        points = held_out_points(batch, self.config.seed, first)
        total = torch.zeros(batch.size, dtype=torch.float64, device=self.device)
        with torch.no_grad(), autocast(self.config.train.precision, self.device):
            latent = encode(self.model.encoder, batch, training_only=True).mu
            for part in self._chunks(points):
                total.index_add_(0, part.particle_index, self._errors(batch, part, latent).double())
        return mean_errors(total, batch)

    def _draw_step(self, position: Position, order: Tensor) -> _Step:
        size, per_particle = self.config.train.batch_size, self.config.train.points_per_particle
        rows = order[position.step * size : (position.step + 1) * size]
        following = order[(position.step + 1) * size : (position.step + 2) * size]
        self.data.prefetch(following[self.processes.slice_for(len(following))])
        generator = self.generator(position.epoch, position.step + 1)
        noise = torch.randn((len(rows), self.config.model.latent_dim), generator=generator)
        uniform = uniforms(len(rows), per_particle, generator)
        drawn = points_drawn(self._training_images[rows], len(self.data.lattice), per_particle)
        return _Step(position, rows, noise, uniform, drawn)

    @cached_property
    def _training_images(self) -> Tensor:
        particle_index = torch.from_numpy(self.data.particles.arrays().particle)
        return torch.bincount(
            particle_index[self.data.training], minlength=self.data.particle_count
        )

    def _sum_kl(self, work: _Step) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for part in work.parts(
            self.processes.slice_for(len(work.rows)), self.chunk_sizes.particles
        ):
            batch = self.data.batch(work.rows[part], self.device)
            with torch.no_grad(), autocast(self.config.train.precision, self.device):
                total += encode(self.model.encoder, batch, training_only=True).kl().double().sum()
        return total

    def _gradients(self, work: _Step) -> Tensor:
        """Add this process's share of the gradient; sums of squared error and KL divergence."""
        self.optimiser.zero_grad(set_to_none=True)
        sums = torch.zeros(2, dtype=torch.float64)
        for part in work.parts(
            self.processes.slice_for(len(work.rows)), self.chunk_sizes.particles
        ):
            sums += self._accumulate_gradients(work, part)
        return sums

    def _accumulate_gradients(self, work: _Step, part: slice) -> Tensor:
        batch = self.data.batch(work.rows[part], self.device)
        with autocast(self.config.train.precision, self.device):
            posterior = encode(self.model.encoder, batch, training_only=True)
        z = posterior.sample(work.noise[part])
        points = choose_points(batch, work.uniform[part])
        # The decoder's share is run in pieces against a cut-off copy of z, then z's gradient is
        # handed on to the encoder: one piece's activations in memory, not the whole step's.
        latent = z.detach().requires_grad_()
        errors = sum(
            self._backward_chunk(batch, piece, latent, work.drawn) for piece in self._chunks(points)
        )
        kl = posterior.kl().sum()
        mean = kl / len(work.rows)
        if work.mean_kl is not None:
            mean = mean + (work.mean_kl.to(mean) - mean).detach()
        beta = self.beta(work.position)
        penalty = kl_term(mean, beta, self.config, self.data.points_per_particle)
        pulled = torch.zeros_like(z) if latent.grad is None else latent.grad
        torch.autograd.backward([z, penalty * self._loss_scale], [pulled, None])
        return torch.tensor([errors, float(kl.detach())], dtype=torch.float64)

    def _synchronize_gradients(self, sums: Tensor, position: Position) -> Tensor:
        """Sum gradients and ``sums`` over all processes; nobody goes on with what is not finite."""
        if self.processes.size > 1:
            sums = self._sum_over_processes(sums)
        found = [p.grad for p in self.model.parameters() if p.grad is not None]
        if self._loss_scale != 1.0:
            torch._foreach_div_(found, self._loss_scale)
        lost = not bool(sums.isfinite().all())
        if lost or not bool(torch.stack(torch._foreach_norm(found)).isfinite().all()):
            self.optimiser.zero_grad(set_to_none=True)
            raise _divergence_error(position, "loss" if lost else "gradient")
        return sums

    def _sum_over_processes(self, sums: Tensor) -> Tensor:
        stopping = torch.tensor([float(self.context.stop())], dtype=torch.float64)
        together = self.processes.all_reduce_sum(torch.cat([sums, stopping]))
        if together[-1] > 0:
            raise Cancelled
        parameters = list(self.model.parameters())
        flat = torch.cat([_gradient(parameter).flatten() for parameter in parameters])
        parts = self.processes.all_reduce_sum(flat).split(
            [parameter.numel() for parameter in parameters]
        )
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)
        return together[:-1]

    def _retry_with_less_memory(self, work: Callable[[], T]) -> T:
        """Do it; once memory runs out, with half as much at a time."""
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not exhausted_memory(error):
                    raise
                problem = error
            # Outside the handler: the traceback holds on to what is to be freed.
            self.chunk_sizes.halve(problem)
            del problem

    def _chunks(self, points: Points) -> Iterator[Points]:
        for part in points.chunks(self.chunk_sizes.points):
            self._check_stop()
            yield part

    def _backward_chunk(
        self, batch: TiltBatch, points: Points, latent: Tensor, drawn: int
    ) -> float:
        errors = self._errors(batch, points, latent).sum()
        (errors * (self._loss_scale / max(drawn, 1))).backward()
        return float(errors.detach())

    @property
    def _loss_scale(self) -> float:
        # float16 holds nothing below 6e-8: gradients are carried a thousand times larger.
        return 1024.0 if self.config.train.precision == "float16" else 1.0

    def _errors(self, batch: TiltBatch, points: Points, latent: Tensor) -> Tensor:
        frequencies = point_frequencies(batch, points, self.data.lattice.frequencies)
        with autocast(self.config.train.precision, self.device):
            amplitudes = self.model.decoder(frequencies, latent, points.particle_index)
        return squared_errors(batch, points, amplitudes)

    def _check_stop(self) -> None:
        """Stop if asked to; several processes stop only between steps, all at once."""
        if self.processes.size == 1:
            self.context.raise_if_stopped()


def _gradient(parameter: torch.nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _divergence_error(position: Position, what: str) -> BadInputError:
    return BadInputError(
        f"Training diverged: the {what} is not finite in epoch {position.epoch}, "
        f"step {position.step + 1}; the run keeps the state that was saved before.",
        remedy="Train anew with a smaller learning rate, or in float32.",
        code="diverged",
    )
