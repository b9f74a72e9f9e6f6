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
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.inference.known_latents import KnownLatents
from napari_tomodrgn.learn.network.loss import (
    DrawnPoints,
    beta_at,
    kl_term,
    uniforms,
)
from napari_tomodrgn.learn.network.model import Vae
from napari_tomodrgn.learn.posterior import LatentDraw, Posterior
from napari_tomodrgn.learn.run.checkpoint import Position
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.device import autocast, is_recording
from napari_tomodrgn.learn.runtime.distributed import ProcessGroup
from napari_tomodrgn.learn.runtime.memory import ChunkSizes, exhausted_memory
from napari_tomodrgn.learn.runtime.steps import Cancelled
from napari_tomodrgn.learn.training.step.image_tables import ImageTables
from napari_tomodrgn.learn.training.step.inputs import (
    SCALES,
    Step,
    StepDraw,
    StepInputs,
    TrainingRows,
)
from napari_tomodrgn.learn.training.step.loss_record import LossRecord
from napari_tomodrgn.learn.training.step.recorded import RecordedStep

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Trainer:
    """Model, data and optimiser of a run; one method a verb of the loop."""

    config: RunConfig
    data: TiltData
    model: Vae
    optimiser: torch.optim.Optimizer
    device: torch.device
    context: RunContext = field(default_factory=RunContext)
    known: KnownLatents | None = None  # on the device, of the set's particles
    fixed_shapes: bool | None = None  # None: not on a CPU, where what is padded costs time
    records_steps: bool = True  # where that can be (`recorded_step`)

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
        """Draw the order of the particles in an epoch, int64 ``(particle,)``."""
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
        self.check_stop()
        if self.recorded_step is None or not self.recorded_step.make(work):
            self.run(work.to(self.device))
        position = replace(
            position, step=position.step + 1, particles=position.particles + work.particles
        )
        return self.read_losses(position) if self.device.type == "cpu" else position

    def run(self, work: Step) -> None:
        """Do all of a step that is done on the device: nothing here waits for it."""
        if self.config.train.capacity is not None:
            # The penalty is not linear in the mean, so that the mean must be known before.
            kl = self.retry_with_less_memory(lambda: self._sum_kl(work))
            kl = self.processes.all_reduce_sum(kl)
            work = replace(work, mean_kl=kl * work.draw.scale("each_particle"))
        sums = self.retry_with_less_memory(lambda: self._gradients(work))
        sums = self._synchronize_gradients(sums)
        reconstruction = sums[0] * work.draw.scale("reconstruction")
        self.record.add(reconstruction, sums[1], self._penalty(work, sums[1]))
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
        fixed = self.device.type != "cpu" if self.fixed_shapes is None else self.fixed_shapes
        return TrainingRows(self.data, self.device, fixed=fixed)

    @cached_property
    def recorded_step(self) -> RecordedStep | None:
        """A step as a CUDA graph, where one process trains on a card."""
        if self.device.type != "cuda" or self.processes.size > 1 or not self.records_steps:
            return None
        return RecordedStep(self.run, self.optimiser, self.chunk_sizes, self.device)

    def _draw_step(self, position: Position, order: Tensor) -> Step:
        """Draw this process's share of a step, on the host."""
        size, per_particle = self.config.train.batch_size, self.config.train.points_per_particle
        rows = order[position.step * size : (position.step + 1) * size]
        following = order[(position.step + 1) * size : (position.step + 2) * size]
        self.data.prefetch(following[self.processes.slice_for(len(following))])
        generator = self.generator(position.epoch, position.step + 1)
        noise = torch.randn((len(rows), self.config.model.latent_dim), generator=generator)
        uniform = uniforms(len(rows), per_particle, generator)
        known = self._scales(position, rows)
        scales = torch.tensor([known[name] for name in SCALES], dtype=torch.float64)
        draw = StepDraw(rows, uniform, noise, scales)
        share = self.processes.slice_for(len(rows))
        draw = draw.part(share.start, share.stop)
        if self.training_rows.fixed and len(draw.rows):
            draw = draw.padded(-(-size // self.processes.size), self.training_rows.filling_row)
        width = self.training_rows.width(draw.rows) if len(draw.rows) else 1
        samples = self.training_rows.samples(draw.rows) if len(draw.rows) else None
        return Step(draw, len(rows), width, samples)

    def _scales(self, position: Position, rows: Tensor) -> dict[str, float]:
        """The numbers `SCALES` of a step on particles ``(row,)``."""
        drawn = self.training_rows.drawn(rows, self.config.train.points_per_particle)
        beta, size = self.beta(position), self.data.points_per_particle
        capacity = self.config.train.capacity
        each = self._loss_scale / (size * len(rows))
        return {
            "beta": beta,
            "each_particle": 1 / len(rows),
            "reconstruction": len(rows) / max(drawn, 1),
            "error_slope": self._loss_scale / max(drawn, 1),
            "kl_cost": beta / size,
            "kl_slope": beta * each if capacity is None else 2 * capacity * each,
        }

    def _parts(self, work: Step) -> Iterator[StepInputs]:
        """This process's share of a step, as many particles at a time as memory holds."""
        count, size = len(work.draw.rows), self.chunk_sizes.particles
        for first in range(0, count, size):
            last = min(first + size, count)
            samples = None if work.samples is None else work.samples[first:last]
            yield self.training_rows.inputs(work.draw.part(first, last), samples, work.width)

    @torch.no_grad()
    def _sum_kl(self, work: Step) -> Tensor:
        found = [torch.zeros((), dtype=self.record.dtype, device=self.device)]
        for inputs in self._parts(work):
            posterior, _, _ = self._encoded(inputs)
            found.append((posterior.kl() * inputs.real).sum().to(self.record.dtype))
        return torch.stack(found).sum()

    def _gradients(self, work: Step) -> Tensor:
        """Add this process's share of the gradient; sums of squared error and KL divergence."""
        self.optimiser.zero_grad(set_to_none=True)
        parts = [self._accumulate_gradients(work, inputs) for inputs in self._parts(work)]
        if not parts:  # fewer particles than processes, in the last batch
            return torch.zeros(2, dtype=self.record.dtype, device=self.device)
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)

    def _penalty(self, work: Step, kl: Tensor) -> Tensor:
        """The penalty of a step whose particles have this divergence in sum, times their number."""
        if self.config.train.capacity is None:
            return kl * work.draw.scale("kl_cost")
        each, beta = work.draw.scale("each_particle"), work.draw.scale("beta")
        return kl_term(kl * each, beta, self.config, self.data.points_per_particle) / each

    def _penalty_slope(self, work: Step) -> Tensor:
        """Derivative of the penalty with the divergence of a particle, times the loss scale."""
        slope = work.draw.scale("kl_slope")
        return slope if work.mean_kl is None else (work.mean_kl - work.draw.scale("beta")) * slope

    def _encoded(self, inputs: StepInputs) -> tuple[Posterior, Tensor, Tensor]:
        """Posteriors of the particles; transfer and factor of their images on the way."""
        transfer, factor = self.tables.transfer(inputs.images.flatten())
        samples = inputs.samples * factor.view(inputs.samples.shape)
        with autocast(self.config.train.precision, self.device):
            posterior = self.model.encoder.from_padded(samples, inputs.present, inputs.tilt_index)
        if self.known is not None:
            posterior = self.known.fill(posterior, inputs.rows, training_only=True)
        return posterior, transfer, factor

    def _accumulate_gradients(self, work: Step, inputs: StepInputs) -> Tensor:
        posterior, transfer, factor = self._encoded(inputs)
        draw = LatentDraw.of(posterior, inputs.noise)
        # The decoder's share is run in pieces against a cut-off copy of z, then z's gradient is
        # handed on to the encoder: one piece's activations in memory, not the whole step's.
        latent = draw.z().requires_grad_()
        errors = []
        for chunk in inputs.chunks(self.chunk_sizes.points):
            self.check_stop()
            points = self._points(inputs, chunk, transfer, factor)
            slope = work.draw.scale("error_slope")
            errors.append(self._backward_chunk(points, latent, slope))
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

    def _backward_chunk(self, points: DrawnPoints, latent: Tensor, slope: Tensor) -> Tensor:
        with autocast(self.config.train.precision, self.device):
            amplitudes = self.model.decoder(points.frequencies, latent, points.particle_index)
        errors = points.squared_errors(amplitudes).sum()
        errors.backward(slope.to(errors.dtype))
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

    def retry_with_less_memory(self, work: Callable[[], T]) -> T:
        """Do it; once memory runs out, with half as much at a time."""
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not exhausted_memory(error) or is_recording(self.device):
                    raise
                problem = error
            # Outside the handler: the traceback holds on to what is to be freed.
            self.chunk_sizes.halve(problem)
            del problem

    @property
    def _loss_scale(self) -> float:
        # float16 holds nothing below 6e-8: gradients are carried a thousand times larger.
        return 1024.0 if self.config.train.precision == "float16" else 1.0

    def check_stop(self) -> None:
        """Stop if asked to; several processes stop only between steps, all at once."""
        if self.processes.size == 1:
            self.context.raise_if_stopped()


def make_optimiser(model: Vae, config: RunConfig, device: torch.device) -> torch.optim.Optimizer:
    """The optimiser of a run; on a GPU one whose steps can be recorded."""
    return torch.optim.AdamW(
        model.parameters(),
        lr=config.train.learning_rate,
        weight_decay=config.train.weight_decay,
        fused=device.type in ("cpu", "cuda"),
        capturable=device.type == "cuda",
    )


def _gradient(parameter: torch.nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
