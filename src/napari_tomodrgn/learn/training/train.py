"""Training: a generator of frozen events. Nothing is shown here, and nobody is waited for."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch

from napari_tomodrgn.config import RunConfig, resumed
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.inference.held_out import EarlyStopping
from napari_tomodrgn.learn.linear.engine import train_linear
from napari_tomodrgn.learn.network.model import Posterior, Vae
from napari_tomodrgn.learn.reconstruction.contrast import run_to_end
from napari_tomodrgn.learn.run.checkpoint import Position, load_state, save_state, save_weights
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.lock import training_lock
from napari_tomodrgn.learn.run.tables import metrics_row
from napari_tomodrgn.learn.runtime.cancellable import Stop
from napari_tomodrgn.learn.runtime.distributed import Cancelled, ProcessGroup, launch
from napari_tomodrgn.learn.runtime.events import (
    EpochDone,
    Event,
    Finished,
    LatentsReady,
    Losses,
    Notice,
    Progress,
    Started,
)
from napari_tomodrgn.learn.runtime.memory import translate_memory_errors
from napari_tomodrgn.learn.training.finalize import finalize
from napari_tomodrgn.learn.training.initialize import start
from napari_tomodrgn.learn.training.prepare_run import prepare_run
from napari_tomodrgn.learn.training.trainer import Trainer

_SECONDS_BETWEEN_PROGRESS = 0.1


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
        Everything that decides the result; defaults if None. A resumed run keeps its own: fields
        that are set here and differ are refused, but more epochs, device and memory are taken.
    out
        Run directory: a new one, or the one to resume.
    resume
        Go on with the run in ``out`` from where it was last saved.
    stop
        Asked often; once it answers True the run is saved and ends with ``Finished("stopped")``
        within about a second.

    Yields
    ------
    Frozen events (`learn.runtime.events`). What an event tells of is on disk before it is yielded.

    Raises
    ------
    BadInputError
        If the images cannot be used, ``out`` is not what ``resume`` needs or another process trains
        into it, memory is not enough, or
        the loss is no longer finite (code ``diverged``); the state saved last can be resumed.
    """
    if resume:
        run = Run.open(out)
        config = resumed(run.path, run.config, config)
    config = (config or RunConfig()).as_trained()
    steps = _train(particles, config, Path(out), resume=resume, stop=stop or _never)
    alone = training_lock(out) if launch().rank == 0 else nullcontext()
    with alone:
        yield from translate_memory_errors(steps)


def _train(
    particles: ParticleSet, config: RunConfig, out: Path, *, resume: bool, stop: Stop
) -> Iterator[Event]:
    if config.method == "linear":
        if launch().size > 1:
            raise BadInputError(
                "The linear method runs in one process.",
                remedy="Start it without torchrun or srun.",
                code="bad-launch",
            )
        yield from train_linear(particles, config, out, resume=resume, stop=stop)
        return
    ranks = ProcessGroup.join(config.train.device)
    try:
        yield from _together(ranks, particles, config, out, resume=resume, stop=stop)
    finally:
        ranks.leave()


def _together(
    ranks: ProcessGroup,
    particles: ParticleSet,
    config: RunConfig,
    out: Path,
    *,
    resume: bool,
    stop: Stop,
) -> Iterator[Event]:
    try:
        run, trainer, position = yield from _begin(ranks, particles, config, out, resume, stop)
    except Cancelled:
        yield Finished("stopped", 0)
        return
    config = run.config
    yield Started(
        run=run.path,
        particles=trainer.data.particle_count,
        images=trainer.data.image_count,
        first_epoch=position.epoch,
        epochs=config.train.epochs,
        device=run.info.device,
    )
    told, watch = _Every(_SECONDS_BETWEEN_PROGRESS), _watch(run, trainer, position)
    try:
        while position.epoch <= config.train.epochs and not watch.over(config.train.patience):
            position, watch = yield from _epoch(run, trainer, position, told, watch)
        if not ranks.first:
            ranks.follow(stop)
            return
        yield from ranks.lead(finalize(run, trainer.data, watch, stop), stop)
    except Cancelled:
        yield Finished("stopped", min(position.epoch, config.train.epochs))
        return
    yield Finished("completed", position.epoch - 1)


def _watch(run: Run, trainer: Trainer, position: Position) -> EarlyStopping:
    """The watch over held-out images as it stands; a run that was over and is to go on starts anew.

    Such a run has no chosen epoch any more.
    """
    watch = EarlyStopping.read(run.watch_file)
    if run.info.chosen_epoch is None or position.epoch > run.config.train.epochs:
        return watch
    if trainer.ranks.first:
        Run(
            run.path, run.info.model_copy(update={"chosen_epoch": None, "shrinkage": 1.0})
        ).save_info()
    return watch.rested()


def prepare_trainer(
    particles: ParticleSet, config: RunConfig, out: str | Path
) -> tuple[Trainer, Position]:
    """A new run up to where training begins: for measuring single steps."""
    steps = _begin(
        ProcessGroup(), particles, config.as_trained(), Path(out), resume=False, stop=_never
    )
    _, trainer, position = run_to_end(steps)
    return trainer, position


def _never() -> bool:
    return False


def _begin(
    ranks: ProcessGroup,
    particles: ParticleSet,
    config: RunConfig,
    out: Path,
    resume: bool,
    stop: Stop,
) -> Generator[Event, None, tuple[Run, Trainer, Position]]:
    """Everything up to the first step; with several processes, the first one prepares the run.

    The others then join it as if they went on with it, from the files that the first one left.
    """
    if not ranks.first:
        ranks.follow(stop)
        resume = True
    steps = _prepare(ranks, particles, config, out, resume, stop)
    run, trainer, position = yield from ranks.lead(steps, stop)
    if run.config.train.batch_size < ranks.size:
        raise BadInputError(
            f"{ranks.size} processes cannot share a batch of {run.config.train.batch_size}.",
            remedy=f"Give --batch-size {ranks.size} or more.",
            code="bad-launch",
        )
    weights = sum(float(value.double().sum()) for value in trainer.model.state_dict().values())
    here = [len(particles), trainer.data.image_count, position.epoch, position.step, weights]
    if not ranks.agree(here):
        raise BadInputError(
            f"{run.path}: the processes that train together see different files.",
            remedy="Put the particles and the run directory on a disk that all nodes share.",
            code="bad-launch",
        )
    return run, trainer, position


def _prepare(
    ranks: ProcessGroup,
    particles: ParticleSet,
    config: RunConfig,
    out: Path,
    resume: bool,
    stop: Stop,
) -> Generator[Event, None, tuple[Run, Trainer, Position]]:
    """Read and transform the images, make or reopen the run, build the model."""
    run, data = yield from prepare_run(
        particles, config, out, resume=resume, stop=stop, ranks=ranks
    )
    config, lattice = run.config, data.lattice
    device = lattice.frequencies.device
    model = Vae(config.model, lattice.box_size_px, len(lattice), run.info.slots, config.seed).to(
        device
    )
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=config.train.learning_rate,
        weight_decay=config.train.weight_decay,
        fused=device.type in ("cpu", "cuda"),
    )
    trainer = Trainer(config, data, model, optimiser, device, stop, ranks)
    if resume and (run.resume_file.exists() or not ranks.first):
        model.decoder.start_from(run.linear_components(device))
        return run, trainer, load_state(run.resume_file, model, optimiser)
    yield from start(run, data, model, stop)
    position = Position(epoch=1, step=0)
    _save(run, trainer, position)
    run.drop_kept()
    return run, trainer, position


class _Every:
    """Says when so many seconds have gone by since it last said so."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last = time.perf_counter()

    def due(self, share: float = 1.0) -> bool:
        """Whether they have, or a share of them."""
        now = time.perf_counter()
        if now - self._last <= self.seconds * share:
            return False
        self._last = now
        return True


def _epoch(
    run: Run, trainer: Trainer, position: Position, told: _Every, watch: EarlyStopping
) -> Generator[Event, None, tuple[Position, EarlyStopping]]:
    """The rest of an epoch, its losses and its latents; the position of the next one."""
    started, before = time.perf_counter(), position.seconds
    saved = _Every(trainer.config.train.save_seconds)
    order = trainer.order(position.epoch)
    try:
        while position.step < trainer.steps:
            position = trainer.step(position, order)
            position = replace(position, seconds=before + time.perf_counter() - started)
            if saved.due():
                _save(run, trainer, position)
            if told.due():
                yield _progress(trainer, position)
            yield from _notices(trainer)
        if saved.due(0.1):
            # What follows takes long for large sets, too.
            _save(run, trainer, position)
        errors = trainer.held_out()
        posterior = trainer.embed()
    except (Cancelled, GeneratorExit):
        # A step that was cut short has not touched the weights: `position` is still true of them.
        _save(run, trainer, position)
        raise
    epoch = position.epoch
    watch = watch.after(epoch, errors, kept=_kept(trainer.config, epoch))
    losses = replace(_losses(position), held_out=float(errors.nanmean()))
    if trainer.ranks.first:
        watch.save(run.watch_file)
        yield from _close_epoch(run, trainer, position, losses, posterior)
    return Position(epoch=epoch + 1, step=0), watch


def _kept(config: RunConfig, epoch: int) -> bool:
    return epoch % config.train.checkpoint_every == 0 or epoch == config.train.epochs


def _close_epoch(
    run: Run, trainer: Trainer, position: Position, losses: Losses, posterior: Posterior
) -> Generator[Event, None, None]:
    """Write what an epoch leaves, then tell of it."""
    epoch, kept = position.epoch, _kept(trainer.config, position.epoch)
    learning_rate = trainer.optimiser.param_groups[0]["lr"]
    row = metrics_row(epoch, position.seconds, losses, trainer.beta(position), learning_rate)
    run.append_metrics(row)
    if kept:
        save_weights(run.weights_file(epoch), trainer.model)
        table = run.save_latents(epoch, trainer.data.particles, posterior)
    _save(run, trainer, Position(epoch=epoch + 1, step=0))
    yield EpochDone(epoch, position.seconds, losses, run.weights_file(epoch) if kept else None)
    if kept:
        yield LatentsReady(epoch, table)


def _save(run: Run, trainer: Trainer, position: Position) -> None:
    """Write what resuming needs; one process does it for all."""
    if trainer.ranks.first:
        save_state(run.resume_file, trainer.model, trainer.optimiser, position)


def _notices(trainer: Trainer) -> Iterator[Notice]:
    """What has happened to memory since it was last asked."""
    said = trainer.at_a_time.said
    while said:
        yield Notice(said.pop(0))


def _losses(position: Position) -> Losses:
    count = max(position.particles, 1)
    return Losses(position.reconstruction / count, position.kl / count, position.total / count)


def _progress(trainer: Trainer, position: Position) -> Progress:
    total = trainer.data.particle_count
    return Progress(position.epoch, position.particles, total, _losses(position))
