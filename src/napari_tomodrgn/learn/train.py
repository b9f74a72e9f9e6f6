"""Training: a generator of frozen events. Nothing is shown here, and nobody is waited for."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.learn.checkpoint import Position, load_state, save_state, save_weights
from napari_tomodrgn.learn.contrast import run_to_end
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
from napari_tomodrgn.learn.model import Posterior, Vae
from napari_tomodrgn.learn.open_run import Stop, StoppedError, open_run
from napari_tomodrgn.learn.run import Run, metrics_row
from napari_tomodrgn.learn.start import start
from napari_tomodrgn.learn.trainer import Trainer

_SECONDS_BETWEEN_PROGRESS = 0.1
_SECONDS_BETWEEN_CHECKPOINTS = 120.0


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
