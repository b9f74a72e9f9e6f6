"""What a step of training does: model, data and optimiser, one method a verb of the loop.

Whatever random is drawn in a step comes from a generator seeded by (seed, epoch, step). A resumed
run therefore needs no random state, and draws what the uninterrupted one would have drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dataset import TiltBatch, TiltData
from napari_tomodrgn.learn.checkpoint import Position
from napari_tomodrgn.learn.device import autocast
from napari_tomodrgn.learn.embed import embed, encode
from napari_tomodrgn.learn.loss import (
    Points,
    beta_at,
    draw_points,
    kl_term,
    point_frequencies,
    squared_errors,
)
from napari_tomodrgn.learn.model import Posterior, Vae
from napari_tomodrgn.learn.open_run import Stop, StoppedError

# Points decoded at a time: bounds memory, and how long a stop waits.
_POINTS_AT_A_TIME = {"cpu": 1 << 15, "cuda": 1 << 20, "mps": 1 << 18}
# Samples per particle on which held-out images are measured.
_HELD_OUT_POINTS = 256


@dataclass(frozen=True, eq=False)
class Trainer:
    """Model, data and optimiser of a run; one method a verb of the loop."""

    config: RunConfig
    data: TiltData
    model: Vae
    optimiser: torch.optim.Optimizer
    device: torch.device
    stop: Stop

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return -(-self.data.particle_count // self.config.train.batch_size)

    def beta(self, position: Position) -> float:
        """Beta at a position of the run."""
        done = position.epoch - 1 + position.step / self.steps
        return beta_at(self.config, done / self.config.train.epochs)

    def generator(self, epoch: int, step: int) -> torch.Generator:
        """Random numbers of one step."""
        seed = np.random.SeedSequence([self.config.seed, epoch, step])
        return torch.Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))

    def order(self, epoch: int) -> torch.Tensor:
        """Order of the particles in an epoch."""
        return torch.randperm(self.data.particle_count, generator=self.generator(epoch, 0))

    def step(self, position: Position, order: torch.Tensor) -> Position:
        """One step of the optimiser, on the next particles of ``order``; the position after it."""
        size = self.config.train.batch_size
        rows = order[position.step * size : (position.step + 1) * size]
        batch = self.data.batch(rows, self.device)
        generator = self.generator(position.epoch, position.step + 1)
        self.optimiser.zero_grad(set_to_none=True)
        with autocast(self.config.train.precision, self.device):
            posterior = encode(self.model.encoder, batch, training_only=True)
        z = posterior.sample(generator)
        points = draw_points(batch, self.config.train.points_per_particle, generator)
        # The decoder's share is run in pieces against a cut-off copy of z, then z's gradient is
        # handed on to the encoder: one piece's activations in memory, not the whole step's.
        latent = z.detach().requires_grad_()
        reconstruction = sum(self._piece(batch, part, latent) for part in self._pieces(points))
        kl = posterior.kl()
        penalty = kl_term(kl, self.beta(position), self.config, self.data.points_per_particle)
        pulled = torch.zeros_like(z) if latent.grad is None else latent.grad
        torch.autograd.backward([z, penalty * self._loss_scale], [pulled, None])
        self._unscale()
        self.optimiser.step()
        count = len(rows)
        return replace(
            position,
            step=position.step + 1,
            particles=position.particles + count,
            reconstruction=position.reconstruction + reconstruction * count,
            kl=position.kl + float(kl.detach().mean()) * count,
            total=position.total + (reconstruction + float(penalty.detach())) * count,
        )

    def held_out(self) -> float:
        """Reconstruction loss of images that the model has not been trained on, NaN if none."""
        if bool(self.data.training.all()):
            return float("nan")
        total, drawn = 0.0, 0
        for first in range(0, self.data.particle_count, self.config.train.batch_size):
            self._heed_stop()
            last = min(first + self.config.train.batch_size, self.data.particle_count)
            batch = self.data.batch(torch.arange(first, last), self.device)
            points = draw_points(batch, _HELD_OUT_POINTS, self.generator(0, first), held_out=True)
            with torch.no_grad(), autocast(self.config.train.precision, self.device):
                latent = encode(self.model.encoder, batch, training_only=True).mu
                for part in self._pieces(points):
                    total += float(self._errors(batch, part, latent).double().sum())
            drawn += points.drawn
        return total / max(drawn, 1)

    def embed(self) -> Posterior:
        """Posteriors of all particles, from all their images."""
        steps = embed(self.model.encoder, self.data, self.device)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                posterior: Posterior = done.value
                return posterior
            self._heed_stop()

    def _pieces(self, points: Points) -> Iterator[Points]:
        for part in points.chunks(_POINTS_AT_A_TIME[self.device.type]):
            self._heed_stop()
            yield part

    def _piece(self, batch: TiltBatch, points: Points, latent: torch.Tensor) -> float:
        loss = self._errors(batch, points, latent).sum() / max(points.drawn, 1)
        (loss * self._loss_scale).backward()
        return float(loss.detach())

    @property
    def _loss_scale(self) -> float:
        # float16 holds nothing below 6e-8: gradients are carried a thousand times larger.
        return 1024.0 if self.config.train.precision == "float16" else 1.0

    def _unscale(self) -> None:
        if self._loss_scale != 1.0:
            for parameter in self.model.parameters():
                if parameter.grad is not None:
                    parameter.grad /= self._loss_scale

    def _errors(self, batch: TiltBatch, points: Points, latent: torch.Tensor) -> torch.Tensor:
        frequencies = point_frequencies(batch, points, self.data.lattice.frequencies)
        with autocast(self.config.train.precision, self.device):
            amplitudes = self.model.decoder(frequencies, latent, points.owner)
        return squared_errors(batch, points, amplitudes)

    def _heed_stop(self) -> None:
        if self.stop():
            raise StoppedError
