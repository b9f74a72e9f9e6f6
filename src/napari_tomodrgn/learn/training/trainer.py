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
from napari_tomodrgn.learn.inference.held_out import (
    held_out_points,
    mean_errors,
    particles_per_chunk,
)
from napari_tomodrgn.learn.inference.methods import encode
from napari_tomodrgn.learn.network.loss import (
    DrawnPoints,
    Points,
    beta_at,
    kl_term,
    point_frequencies,
    squared_errors,
    uniforms,
)
from napari_tomodrgn.learn.network.model import Vae
from napari_tomodrgn.learn.posterior import LatentDraw, Posterior
from napari_tomodrgn.learn.run.checkpoint import Position
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.device import autocast
from napari_tomodrgn.learn.runtime.distributed import ProcessGroup
from napari_tomodrgn.learn.runtime.memory import ChunkSizes, exhausted_memory, particles_per_block
from napari_tomodrgn.learn.runtime.steps import Cancelled
from napari_tomodrgn.learn.training.embed import EMBED_BATCH_SIZE, embed
from napari_tomodrgn.learn.training.image_tables import ImageTables
from napari_tomodrgn.learn.training.loss_record import LossRecord
from napari_tomodrgn.learn.training.step_inputs import StepInputs, TrainingRows

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class _Step:
    """What a step is about: its particles, the random numbers of all of them, and its constants."""

    rows: Tensor
    noise: Tensor
    uniform: Tensor
    drawn: int
    beta: float
    mean_kl: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Trainer:
    """Model, data and optimiser of a run; one method a verb of the loop."""

    config: RunConfig
    data: TiltData
    model: Vae
    optimiser: torch.optim.Optimizer
    device: torch.device
    context: RunContext = field(default_factory=RunContext)
    fixed_shapes: bool | None = None  # None: not on a CPU, where what is padded costs time

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
        """Make one step of the optimiser, on the next particles ``(row,)`` of ``order``.

        Returns the position after it; its losses are those that `read_losses` read last, which on
        a CPU, where reading waits for nothing, are those of this step.

        Raises
        ------
        Cancelled
            If someone asked to stop; the weights are then those of ``position``.
        BadInputError
            If loss or gradient are not finite; likewise.
        """
        work = self._draw_step(position, order)
        self.record.begin_at(position)
        self._run(work)
        position = replace(
            position, step=position.step + 1, particles=position.particles + len(work.rows)
        )
        return self.read_losses(position) if self.device.type == "cpu" else position

    def _run(self, work: _Step) -> None:
        """Do all of a step that is done on the device: nothing here waits for it."""
        if self.config.train.capacity is not None:
            # The penalty is not linear in the mean, so that the mean must be known before.
            kl = self._retry_with_less_memory(lambda: self._sum_kl(work))
            work = replace(work, mean_kl=self.processes.all_reduce_sum(kl) / len(work.rows))
        sums = self._retry_with_less_memory(lambda: self._gradients(work))
        sums = self._synchronize_gradients(sums)
        count = len(work.rows)
        reconstruction = sums[0] * (count / max(work.drawn, 1))
        self.record.add(reconstruction, sums[1], self._penalty(work, sums[1]) * count)
        self.optimiser.step()

    def read_losses(self, position: Position) -> Position:
        """Wait for the device and put the losses of the epoch so far into the position.

        Raises
        ------
        BadInputError
            If loss or gradient have not been finite since they were read last; the weights are
            those before that.
        """
        return self.record.read(position)

    @cached_property
    def record(self) -> LossRecord:
        """Losses of the epoch, on the device."""
        return LossRecord(self.optimiser, self.device)

    @cached_property
    def tables(self) -> ImageTables:
        """What a step needs of each image, on the device."""
        return ImageTables.of(self.data, self.config.weight, self.device)

    @cached_property
    def training_rows(self) -> TrainingRows:
        """Which images of each particle are learnt from."""
        fixed = self.fixed_shapes
        return TrainingRows(self.data, fixed=self.device.type != "cpu" if fixed is None else fixed)

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
        drawn = self.training_rows.drawn(rows, per_particle)
        return _Step(rows, noise, uniform, drawn, self.beta(position))

    def _parts(self, work: _Step) -> Iterator[StepInputs]:
        """This process's share of a step, as many particles at a time as memory holds."""
        share, size = self.processes.slice_for(len(work.rows)), self.chunk_sizes.particles
        for first in range(share.start, share.stop, size):
            part = slice(first, min(first + size, share.stop))
            yield self.training_rows.inputs(
                work.rows[part], work.noise[part], work.uniform[part], size, self.device
            )

    @torch.no_grad()
    def _sum_kl(self, work: _Step) -> Tensor:
        found = [torch.zeros((), dtype=self.record.dtype, device=self.device)]
        for inputs in self._parts(work):
            posterior, _, _ = self._encoded(inputs)
            found.append((posterior.kl() * inputs.real).sum().to(self.record.dtype))
        return torch.stack(found).sum()

    def _gradients(self, work: _Step) -> Tensor:
        """Add this process's share of the gradient; sums of squared error and KL divergence."""
        self.optimiser.zero_grad(set_to_none=True)
        parts = [self._accumulate_gradients(work, inputs) for inputs in self._parts(work)]
        if not parts:  # fewer particles than processes, in the last batch
            return torch.zeros(2, dtype=self.record.dtype, device=self.device)
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)

    def _penalty(self, work: _Step, kl: Tensor) -> Tensor:
        """The penalty of a step whose particles have this divergence in sum."""
        size = self.data.points_per_particle
        if self.config.train.capacity is None:
            return kl * (work.beta / (size * len(work.rows)))
        return kl_term(kl / len(work.rows), work.beta, self.config, size)

    def _penalty_slope(self, work: _Step) -> float | Tensor:
        """Derivative of the penalty with the divergence of a particle, times the loss scale."""
        each = self._loss_scale / (self.data.points_per_particle * len(work.rows))
        if work.mean_kl is None:
            return work.beta * each
        return (work.mean_kl - work.beta) * (2 * (self.config.train.capacity or 0.0) * each)

    def _encoded(self, inputs: StepInputs) -> tuple[Posterior, Tensor, Tensor]:
        """Posteriors of the particles; transfer and factor of their images on the way."""
        transfer, factor = self.tables.transfer(inputs.images.flatten())
        samples = inputs.samples * factor.view(inputs.samples.shape)
        with autocast(self.config.train.precision, self.device):
            posterior = self.model.encoder.from_padded(samples, inputs.present, inputs.tilt_index)
        return posterior, transfer, factor

    def _accumulate_gradients(self, work: _Step, inputs: StepInputs) -> Tensor:
        posterior, transfer, factor = self._encoded(inputs)
        draw = LatentDraw.of(posterior, inputs.noise)
        # The decoder's share is run in pieces against a cut-off copy of z, then z's gradient is
        # handed on to the encoder: one piece's activations in memory, not the whole step's.
        latent = draw.z().requires_grad_()
        errors = []
        for chunk in inputs.chunks(self.chunk_sizes.points):
            self._check_stop()
            points = self._points(inputs, chunk, transfer, factor)
            errors.append(self._backward_chunk(points, latent, work.drawn))
        pulled = torch.zeros_like(latent) if latent.grad is None else latent.grad
        draw.backward(pulled, inputs.real * self._penalty_slope(work))
        error = errors[0] if len(errors) == 1 else torch.stack(errors).sum()
        return torch.stack([error, draw.divergence(inputs.real)]).to(self.record.dtype)

    def _points(
        self, inputs: StepInputs, chunk: slice, transfer: Tensor, factor: Tensor
    ) -> DrawnPoints:
        """What image and model are compared by at a chunk of the drawn samples."""
        at = inputs.at[chunk]
        frequencies, weights = self.tables.at_points(inputs.image[chunk], inputs.sample[chunk])
        if self.tables.is_filtered:
            weights = weights * factor.flatten()[at].square()
        return DrawnPoints(
            frequencies,
            inputs.samples.flatten()[at],
            transfer.flatten()[at],
            weights,
            inputs.particle_index[chunk],
        )

    def _backward_chunk(self, points: DrawnPoints, latent: Tensor, drawn: int) -> Tensor:
        with autocast(self.config.train.precision, self.device):
            amplitudes = self.model.decoder(points.frequencies, latent, points.particle_index)
        errors = points.squared_errors(amplitudes).sum()
        errors.backward(torch.full_like(errors, self._loss_scale / max(drawn, 1)))
        return errors.detach()

    def _synchronize_gradients(self, sums: Tensor) -> Tensor:
        """Sum gradients and ``sums`` over all processes; what is not finite touches no weight."""
        if self.processes.size > 1:
            sums = self._sum_over_processes(sums)
        found = [p.grad for p in self.model.parameters() if p.grad is not None]
        if self._loss_scale != 1.0:
            torch._foreach_div_(found, self._loss_scale)
        self.record.check(sums, found)
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
