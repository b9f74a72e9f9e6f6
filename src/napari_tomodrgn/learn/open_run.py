"""The start of any run: images read and transformed, the run directory made or reopened."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.checks import check_stacks
from napari_tomodrgn.data.dataset import TiltData
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.preprocess import Cache, FourierImages, ImageReader, prepare
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.contrast import decide_sign
from napari_tomodrgn.learn.device import pick_device
from napari_tomodrgn.learn.events import Event, Preparing
from napari_tomodrgn.learn.ranks import Ranks, StoppedError
from napari_tomodrgn.learn.run import Run, cache_file, clear_leftovers
from napari_tomodrgn.learn.run_info import describe
from napari_tomodrgn.physics.lattice import half_plane

Stop = Callable[[], bool]


def open_run(
    particles: ParticleSet,
    config: RunConfig,
    out: Path,
    *,
    resume: bool,
    stop: Stop,
    ranks: Ranks | None = None,
) -> Generator[Event, None, tuple[Run, TiltData]]:
    """Read and transform the images, make or reopen the run.

    The configuration that holds is the one of the run that is returned.
    """
    ranks = ranks or Ranks()
    check_stacks(particles)
    run = Run.open(out) if resume else None
    if ranks.first:
        clear_leftovers(out)
    if run is not None:
        run.refuse_imported()
        epochs = max(config.train.epochs, run.config.train.epochs)
        longer = run.config.train.model_copy(update={"epochs": epochs})
        config = run.config.model_copy(update={"train": longer})
        run = replace(run, info=run.info.model_copy(update={"config": config}))
        particles = _in_order_of(run, particles)
    particles = particles.as_said(config.data)
    device = ranks.device or pick_device(config.train.device)
    sign = run.info.sign if run else decide_sign(particles, config.data)
    lattice = half_plane(particles.optics.box_size_px)
    reader = ImageReader(particles, lattice, config.data, sign)
    cache = Cache(
        cache_file(out),
        shared=ranks.size > 1,
        writes=ranks.first,
        save_seconds=config.train.save_seconds,
    )
    images = yield from _prepare(reader, len(lattice), config.data.memory_gb, cache, stop)
    data = TiltData(particles, images, lattice.to(device), config.weight)
    data.hold_out(config.data.held_out_fraction, config.seed)
    if run is None:
        run = Run.create(out, describe(particles, data, config, sign, device), particles)
    elif ranks.first:
        run.save_info()
    return run, data


def _in_order_of(run: Run, particles: ParticleSet) -> ParticleSet:
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


def _prepare(
    reader: ImageReader, points: int, memory_gb: float, cache: Cache, stop: Stop
) -> Generator[Event, None, FourierImages]:
    steps = prepare(reader, points, memory_gb, cache)
    while True:
        try:
            done = next(steps)
        except StopIteration as finished:
            images: FourierImages = finished.value
            return images
        yield Preparing(done, len(reader))
        if stop():
            raise StoppedError
