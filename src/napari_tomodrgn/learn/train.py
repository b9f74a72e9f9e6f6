"""Training: a generator of frozen events. Nothing is shown here, and nobody is waited for.

Whatever random is drawn in a step comes from a generator seeded by (seed, epoch, step). A resumed
run therefore needs no random state, and draws what the uninterrupted one would have drawn.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dataset import TiltBatch, TiltData
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.learn.checkpoint import Position, load_state, save_state, save_weights
from napari_tomodrgn.learn.contrast import run_to_end
from napari_tomodrgn.learn.device import autocast
from napari_tomodrgn.learn.embed import embed, encode
from napari_tomodrgn.learn.events import (
    EpochDone,
    Event,
    Finished,
    LatentsReady,
    Losses,
    Progress,
    Started,
)
from napari_tomodrgn.learn.linear import train_linear
from napari_tomodrgn.learn.loss import (
    Points,
    beta_at,
    draw_points,
    kl_term,
    point_frequencies,
    squared_errors,
)
from napari_tomodrgn.learn.model import Posterior, Vae
from napari_tomodrgn.learn.open_run import Stop, StoppedError, open_run
from napari_tomodrgn.learn.run import Run, metrics_row
from napari_tomodrgn.learn.start import start

# Points decoded at a time: bounds memory, and how long a stop waits.
_POINTS_AT_A_TIME = {"cpu": 1 << 15, "cuda": 1 << 20, "mps": 1 << 18}
_SECONDS_BETWEEN_PROGRESS = 0.1
_SECONDS_BETWEEN_CHECKPOINTS = 120.0
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


def train(
    particles: ParticleSet,
    config: RunConfig | None = None,
    out: str | Path = "run",
    *,
    resume: bool = False,
    stop: Stop | None = None,
) -> Iterator[Event]:
    """Train a VAE on the tilt images of particles, telling what happens.

    Parameters
    ----------
    particles
        The set.
    config
        Everything that decides the result; defaults if None. Of a resumed run only the number of
        epochs, to extend it.
    out
        Run directory: a new one, or the one to resume.
    resume
        Go on with the run in ``out`` from where it was last saved.
    stop
        Asked often; once it answers True the run is saved and ends with ``Finished("stopped")``
        within about a second.

    Yields
    ------
    Frozen events (`learn.events`). What an event tells of is on disk before it is yielded.

    Raises
    ------
    BadInputError
        If the images cannot be used, or ``out`` is not what ``resume`` needs.
    """
    asked = stop or _never
    config = config or RunConfig()
    if config.method == "linear":
        yield from train_linear(particles, config, out, resume=resume, stop=asked)
        return
    try:
        run, trainer, position = yield from _begin(particles, config, Path(out), resume, asked)
    except StoppedError:
        yield Finished("stopped", 0)
        return
    config = run.config
    yield Started(
        run=run.path,
        particles=len(particles),
        images=trainer.data.image_count,
        first_epoch=position.epoch,
        epochs=config.train.epochs,
        device=run.info.device,
    )
    while position.epoch <= config.train.epochs:
        try:
            position = yield from _epoch(run, trainer, position)
        except StoppedError:
            yield Finished("stopped", position.epoch)
            return
    yield Finished("completed", config.train.epochs)


def prepare_trainer(
    particles: ParticleSet, config: RunConfig, out: str | Path
) -> tuple[Trainer, Position]:
    """A new run up to where training begins: for measuring single steps."""
    steps = _begin(particles, config, Path(out), resume=False, stop=_never)
    _, trainer, position = run_to_end(steps)
    return trainer, position


def _never() -> bool:
    return False


def _begin(
    particles: ParticleSet, config: RunConfig, out: Path, resume: bool, stop: Stop
) -> Generator[Event, None, tuple[Run, Trainer, Position]]:
    """Read and transform the images, make or reopen the run, build the model."""
    run, data = yield from open_run(particles, config, out, resume=resume, stop=stop)
    config, lattice = run.config, data.lattice
    device = lattice.frequencies.device
    model = Vae(config.model, lattice.box_size_px, len(lattice), run.info.slots, config.seed).to(
        device
    )
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=config.train.learning_rate,
        weight_decay=config.train.weight_decay,
    )
    position = Position(epoch=1, step=0)
    if resume and run.resume_file.exists():
        model.decoder.start_from(run.linear_components(device))
        position = load_state(run.resume_file, model, optimiser)
    else:
        yield from start(run, data, model, stop)
    return run, Trainer(config, data, model, optimiser, device, stop), position


def _epoch(run: Run, trainer: Trainer, position: Position) -> Generator[Event, None, Position]:
    """The rest of an epoch, its losses and its latents; the position of the next one."""
    started, before = time.perf_counter(), position.seconds
    told = saved = started
    order = trainer.order(position.epoch)
    try:
        while position.step < trainer.steps:
            position = trainer.step(position, order)
            now = time.perf_counter()
            position = replace(position, seconds=before + now - started)
            if now - saved > _SECONDS_BETWEEN_CHECKPOINTS:
                save_state(run.resume_file, trainer.model, trainer.optimiser, position)
                saved = now
            if now - told > _SECONDS_BETWEEN_PROGRESS:
                told = now
                yield _progress(trainer, position)
        losses = replace(_losses(position), held_out=trainer.held_out())
        posterior = trainer.embed()
    except (StoppedError, GeneratorExit):
        # A step that was cut short has not touched the weights: `position` is still true of them.
        save_state(run.resume_file, trainer.model, trainer.optimiser, position)
        raise
    return (yield from _close_epoch(run, trainer, position, losses, posterior))


def _close_epoch(
    run: Run, trainer: Trainer, position: Position, losses: Losses, posterior: Posterior
) -> Generator[Event, None, Position]:
    """Write what an epoch leaves, then tell of it."""
    epoch, train_config = position.epoch, trainer.config.train
    kept = epoch % train_config.checkpoint_every == 0 or epoch == train_config.epochs
    learning_rate = trainer.optimiser.param_groups[0]["lr"]
    row = metrics_row(epoch, position.seconds, losses, trainer.beta(position), learning_rate)
    run.append_metrics(row)
    if kept:
        save_weights(run.weights_file(epoch), trainer.model)
        table = run.save_latents(epoch, trainer.data.particles, posterior)
    following = Position(epoch=epoch + 1, step=0)
    save_state(run.resume_file, trainer.model, trainer.optimiser, following)
    yield EpochDone(epoch, position.seconds, losses, run.weights_file(epoch) if kept else None)
    if kept:
        yield LatentsReady(epoch, table)
    return following


def _losses(position: Position) -> Losses:
    count = max(position.particles, 1)
    return Losses(position.reconstruction / count, position.kl / count, position.total / count)


def _progress(trainer: Trainer, position: Position) -> Progress:
    total = trainer.data.particle_count
    return Progress(position.epoch, position.particles, total, _losses(position))
