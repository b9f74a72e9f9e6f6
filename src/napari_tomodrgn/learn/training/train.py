"""Training: a generator of frozen events. Nothing is shown here, and nobody is waited for."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from napari_tomodrgn.config import RunConfig, resumed
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.inference.held_out import EarlyStopping
from napari_tomodrgn.learn.inference.shrinkage import NO_FILTERS
from napari_tomodrgn.learn.network.fast_linear import ProductTable
from napari_tomodrgn.learn.network.model import Vae
from napari_tomodrgn.learn.run.checkpoint import Position, load_state, save_state
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.lock import training_lock
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.distributed import ProcessGroup, launch
from napari_tomodrgn.learn.runtime.events import Event, Finished, Notice, Started
from napari_tomodrgn.learn.runtime.memory import translate_memory_errors
from napari_tomodrgn.learn.runtime.steps import Cancelled, Stop, never, run_to_end
from napari_tomodrgn.learn.training.embed import known_latents
from napari_tomodrgn.learn.training.epochs import EpochLoop
from napari_tomodrgn.learn.training.finalize import finalize
from napari_tomodrgn.learn.training.initialize import initialize
from napari_tomodrgn.learn.training.prepare_run import RunRequest, prepare_run
from napari_tomodrgn.learn.training.train_linear import train_linear
from napari_tomodrgn.learn.training.trainer import Trainer, make_optimiser


def train(
    particles: ParticleSet,
    config: RunConfig | None = None,
    out: str | Path = "run",
    *,
    resume: bool = False,
    stop: Stop | None = None,
) -> Iterator[Event]:
    """Train on the tilt images of particles and report by frozen events.

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
    request = RunRequest(particles, (config or RunConfig()).as_trained(), Path(out), resume)
    alone = training_lock(out) if launch().rank == 0 else nullcontext()
    with alone:
        yield from translate_memory_errors(_train(request, stop or never))


def _train(request: RunRequest, stop: Stop) -> Iterator[Event]:
    if request.config.method == "linear":
        if launch().size > 1:
            raise BadInputError(
                "The linear method runs in one process.",
                remedy="Start it without torchrun or srun.",
                code="bad-launch",
            )
        yield from train_linear(request, RunContext(stop))
        return
    if request.config.linear.focus_mask is not None:
        raise BadInputError(
            "A focus mask is of the linear method; the autoencoder has no such region.",
            remedy="Train with --method linear, or leave --focus out.",
            code="focus-without-linear",
        )
    processes = ProcessGroup.join(request.config.train.device)
    try:
        yield from _train_vae(request, RunContext(stop, processes))
    finally:
        processes.leave()


def _train_vae(request: RunRequest, context: RunContext) -> Iterator[Event]:
    try:
        run, trainer, position = yield from _prepare_together(request, context)
    except Cancelled:
        yield Finished("stopped", 0)
        return
    epochs = run.config.train.epochs
    yield Started(
        run=run.path,
        particles=trainer.data.particle_count,
        images=trainer.data.image_count,
        first_epoch=position.epoch,
        epochs=epochs,
        device=run.info.device,
        earlier=_earlier_rows(run, position.epoch),
    )
    particles, batch_size = trainer.data.particle_count, run.config.train.batch_size
    if batch_size > particles:
        yield Notice(
            f"A batch of {batch_size:,} is more than the {particles:,} particles that there are: "
            "each epoch is one step."
        )
    loop = EpochLoop(run, trainer, _early_stopping(run, position, context), position)
    try:
        while not loop.is_over:
            yield from loop.run_epoch()
        if not context.is_first:
            context.wait_for_first()
            return
        yield from context.run_on_first(finalize(run, trainer.data, loop.stopping, context))
    except Cancelled:
        yield Finished("stopped", min(loop.position.epoch, epochs))
        return
    yield Finished("completed", loop.position.epoch - 1)


def _earlier_rows(run: Run, first_epoch: int) -> tuple[dict[str, float], ...]:
    """Rows of the loss table of a resumed run, of the epochs that are not done again."""
    if first_epoch == 1:
        return ()
    table = run.metrics()
    rows = table[table["epoch"] < first_epoch].to_dict("records")
    return tuple({str(name): float(value) for name, value in row.items()} for row in rows)


def _early_stopping(run: Run, position: Position, context: RunContext) -> EarlyStopping:
    """The record of held-out errors as it stands.

    Of a run that was over and is to go on, the patience starts anew, and no epoch is chosen.
    """
    stopping = EarlyStopping.read(run.early_stopping_file)
    if run.info.chosen_epoch is None or position.epoch > run.config.train.epochs:
        return stopping
    if context.is_first:
        reopened = {"chosen_epoch": None, "shrinkage": 1.0, **NO_FILTERS}
        Run(run.path, run.info.model_copy(update=reopened)).save_info()
    return stopping.with_patience_reset()


def prepare_trainer(
    particles: ParticleSet, config: RunConfig, out: str | Path
) -> tuple[Trainer, Position]:
    """Prepare a new run up to where training begins: for measuring single steps."""
    request = RunRequest(particles, config.as_trained(), Path(out))
    _, trainer, position = run_to_end(_prepare_together(request, RunContext()))
    return trainer, position


def _prepare_together(
    request: RunRequest, context: RunContext
) -> Generator[Event, None, tuple[Run, Trainer, Position]]:
    """Do everything up to the first step; with several processes, the first one prepares the run.

    The others then join it as if they went on with it, from the files that the first one left.
    """
    if not context.is_first:
        context.wait_for_first()
        request = replace(request, resume=True)
    run, trainer, position = yield from context.run_on_first(_build_trainer(request, context))
    processes, batch_size = context.processes, run.config.train.batch_size
    if batch_size < processes.size:
        raise BadInputError(
            f"{processes.size} processes cannot share a batch of {batch_size}.",
            remedy=f"Give --batch-size {processes.size} or more.",
            code="bad-launch",
        )
    weights = sum(float(value.double().sum()) for value in trainer.model.state_dict().values())
    data = trainer.data
    here = [data.particle_count, data.image_count, position.epoch, position.step, weights]
    if not processes.all_equal(here):
        raise BadInputError(
            f"{run.path}: the processes that train together see different files.",
            remedy="Put the particles and the run directory on a disk that all nodes share.",
            code="bad-launch",
        )
    return run, trainer, position


def _build_trainer(
    request: RunRequest, context: RunContext
) -> Generator[Event, None, tuple[Run, Trainer, Position]]:
    """Prepare the run and build model and optimiser, as they start or as they were saved."""
    run, data = yield from prepare_run(request, context)
    config, lattice = run.config, data.lattice
    device = lattice.frequencies.device
    box = lattice.box_size_px
    products = ProductTable.of_machine(run.info.products)
    model = Vae(config.model, box, len(lattice), run.info.slots, config.seed, products).to(device)
    run = replace(run, info=run.info.model_copy(update={"products": model.choose_products(device)}))
    if context.is_first:
        run.save_info()
    optimiser = make_optimiser(model, config, device)
    trainer = Trainer(config, data, model, optimiser, device, context)
    if request.resume and (run.resume_file.exists() or not context.is_first):
        model.decoder.start_from(run.linear_components(device))
        position = load_state(run.resume_file, model, optimiser)
        return run, replace(trainer, known=known_latents(run, device)), position
    yield from initialize(run, data, model, context)
    position = Position(epoch=1, step=0)
    if context.is_first:
        save_state(run.resume_file, model, optimiser, position)
    run.clear_resumable()
    run = Run.open(run.path)  # it knows of the first look by now, and was read by others
    return run, replace(trainer, known=known_latents(run, device)), position
