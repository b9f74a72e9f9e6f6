"""The start of any run, of either method: the run directory made or reopened, its images read."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.checks import stack_steps
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run, clear_leftovers
from napari_tomodrgn.learn.run.run_info import describe
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.events import Event
from napari_tomodrgn.learn.training.read_images import decide_sign_of_images, read_images


@dataclass(frozen=True, eq=False)
class RunRequest:
    """What is to be trained, how, and where to.

    Attributes
    ----------
    particles, config
        The set, and everything that decides the result.
    out
        Run directory: a new one, or the one to resume.
    resume
        Whether to go on with the run in ``out``.
    """

    particles: ParticleSet
    config: RunConfig
    out: Path
    resume: bool = False


def prepare_run(
    request: RunRequest, context: RunContext
) -> Generator[Event, None, tuple[Run, TiltData]]:
    """Check the image files, make or reopen the run, read its images.

    The configuration that holds from then on is the one of the run that is returned.
    """
    stacks = request.particles.images["stack"].cat.categories
    checking = stack_steps(request.particles)
    yield from context.run_steps(checking, len(stacks), "Checking image files")
    run = Run.open(request.out) if request.resume else None
    if context.is_first:
        clear_leftovers(request.out)
    if run is not None:
        run, request = _resumed(run, request)
    particles, config = request.particles.with_overrides(request.config.data), request.config
    if run is None:
        sign = yield from decide_sign_of_images(particles, config.data, context)
    else:
        sign = run.info.sign
    data = yield from read_images(particles, config, request.out, sign, context)
    if run is None:
        device = data.lattice.frequencies.device
        run = Run.create(request.out, describe(particles, data, config, sign, device), particles)
    elif context.is_first:
        run.save_info()
    return run, data


def _resumed(run: Run, request: RunRequest) -> tuple[Run, RunRequest]:
    """The run and what is to be trained, with the configuration of the run, extended in epochs."""
    run.refuse_imported()
    epochs = max(request.config.train.epochs, run.config.train.epochs)
    longer = run.config.train.model_copy(update={"epochs": epochs})
    config = run.config.model_copy(update={"train": longer})
    run = replace(run, info=run.info.model_copy(update={"config": config}))
    particles = _match_particles(run, request.particles)
    return run, replace(request, particles=particles, config=config)


def _match_particles(run: Run, particles: ParticleSet) -> ParticleSet:
    """The particles of a run, and only if the set given is the one that it was trained on."""
    trained = run.particles()
    if trained.ids == particles.ids:
        return particles  # as given: with the images folder that was given
    if set(trained.ids) != set(particles.ids):
        raise BadInputError(
            f"{run.path}: was trained on {len(trained)} particles, "
            f"the set given has {len(particles)}, or others.",
            remedy="Resume with the same particles.",
            code="other-particles",
        )
    return trained
