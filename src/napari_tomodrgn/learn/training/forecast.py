"""How much memory and time a run takes, from the size of the set and a few of its particles."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from functools import partial

import numpy as np
import torch

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.choice import choose_images
from napari_tomodrgn.data.fourier_images import FourierImages
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.linear.engine import (
    BYTES_PER_SAMPLE,
    FIRST_RADIUS,
    MIN_PARTICLES,
    RADIUS_STEP,
    TRAINING_PARTICLES,
)
from napari_tomodrgn.learn.network.model import Vae
from napari_tomodrgn.learn.run.checkpoint import Position
from napari_tomodrgn.learn.runtime.device import pick_device
from napari_tomodrgn.learn.training.embed import EMBED_BATCH_SIZE
from napari_tomodrgn.learn.training.forecast_stages import USUAL_RADII, StageCosts, StageTimes
from napari_tomodrgn.learn.training.read_images import on_device_if_it_fits
from napari_tomodrgn.learn.training.trainer import Trainer, make_optimiser
from napari_tomodrgn.learn.training.whole_set import embed_all, held_out_errors
from napari_tomodrgn.physics.lattice import half_plane

_BASE_GB = 0.6  # torch, pandas and this program, before any image
# Bounds of what is timed: images' samples in memory, and points decoded in a step. Time beyond is
# taken to grow in proportion.
_SAMPLES = 1 << 24
_POINTS = 1 << 15
# Particles on which the stages before and after the epochs are timed, if so many fit.
_STAGE_PARTICLES = 2 * MIN_PARTICLES
_FEWEST = 4  # one particle spans no basis; and so few are done in no time


def forecast(particles: ParticleSet, config: RunConfig) -> dict[str, float]:
    """What a training takes on this machine, measured on a few particles with noise as images.

    Returns
    -------
    dict
        ``ram_gb``, ``gpu_gb``; ``first_look_seconds`` before the first epoch, without reading the
        images; ``seconds_per_epoch``, its end included; ``refining_seconds`` after the last. Of the
        linear method all radii are in the first look.
    """
    *_, found = (known for known in forecast_steps(particles, config) if known)
    return found


def forecast_steps(particles: ParticleSet, config: RunConfig) -> Iterator[dict[str, float] | None]:
    """Yield what is known of `forecast` as it comes, and None where it may be broken off."""
    config = config.as_trained()
    particles = choose_images(particles, config.data).with_overrides(config.data)
    device = pick_device(config.train.device)
    known = _memory_gb(particles, config, device)
    yield dict(known)
    count = _particles_in_memory(particles, config, device)
    known["seconds_per_epoch"] = 0.0
    if config.method != "linear":
        data = _noise_data(particles, config, device, count)
        known["seconds_per_epoch"] = round(_seconds_per_epoch(particles, config, data), 2)
        yield dict(known)
    before = after = 0.0
    if count >= _FEWEST:
        stages = yield from _stage_costs(particles, config, device, count)
        before, after = _seconds_around(stages, config)
    yield known | {"first_look_seconds": round(before, 2), "refining_seconds": round(after, 2)}


def _memory_gb(particles: ParticleSet, config: RunConfig, device: torch.device) -> dict[str, float]:
    lattice = half_plane(particles.optics.box_size_px)
    sample_gb = len(particles.images) * len(lattice) * 8 / 1e9 + _engine_gb(particles, config)
    per_particle = _points_per_particle(particles, config, len(lattice))
    # Activations of each layer and their gradients, float32.
    per_point = 4 * 2 * config.model.decoder_dim * (config.model.decoder_layers + 2)
    step_gb = min(per_particle * config.train.batch_size, 1 << 20) * per_point / 1e9
    return {
        "ram_gb": round(_BASE_GB + min(sample_gb, config.data.memory_gb), 2),
        "gpu_gb": round(step_gb, 2) if device.type == "cuda" else 0.0,
    }


def _engine_gb(particles: ParticleSet, config: RunConfig) -> float:
    """What the linear engine keeps of what it learns from, at the finest radius that is usual."""
    if config.method != "linear" and not config.model.linear_start:
        return 0.0
    box = particles.optics.box_size_px
    finest = box // 2
    if config.linear.focus_mask is not None:  # its components stay as coarse as they were found
        finest = min(finest, FIRST_RADIUS + RADIUS_STEP * (USUAL_RADII - 1))
    samples = len(half_plane(box)) * (finest / (box / 2)) ** 2
    samples *= len(particles.images) / len(particles) * min(len(particles), TRAINING_PARTICLES)
    return samples * BYTES_PER_SAMPLE / 1e9


def _points_per_particle(particles: ParticleSet, config: RunConfig, width: int) -> float:
    everything = len(particles.images) / len(particles) * width
    asked = config.train.points_per_particle
    return min(everything, asked) if asked else everything


def _seconds_around(stages: StageCosts, config: RunConfig) -> tuple[float, float]:
    """Seconds before the first epoch and after the last."""
    if config.method == "linear":
        return stages.linear_method(), stages.finishing_maps()
    before = 0.0
    if config.model.mean_map:
        before = stages.first_look(linear_start=config.model.linear_start)
    return before, stages.refining() if config.train.refine else 0.0


def _stage_costs(
    particles: ParticleSet, config: RunConfig, device: torch.device, most: int
) -> Generator[None, None, StageCosts]:
    """Measure the stages on `_STAGE_PARTICLES`, and on half of them."""
    many = min(_STAGE_PARTICLES, most) // 2 * 2
    times = []
    for count in (many // 2, many):
        data = _noise_data(particles, config, device, count)
        times.append(StageTimes(data, config, _model(data, config)))
    for _ in range(2):  # what is done first is slower than afterwards
        for stages in times:
            yield from stages.measure()
    return StageCosts.measured(len(particles), *times)


def _seconds_per_epoch(particles: ParticleSet, config: RunConfig, data: TiltData) -> float:
    """Steps of a batch, or of as much of it as is timed, and the end of an epoch."""
    device = data.lattice.frequencies.device
    here = min(config.train.batch_size, data.particle_count)
    wanted = _points_per_particle(particles, config, len(data.lattice))
    timed = min(round(wanted), max(2, _POINTS // here))
    trainer = _trainer(data, config, here, timed)
    step = _measure_seconds(_step_of(trainer), device)
    if wanted > timed:
        # Two sizes tell what grows with the points from what does not.
        half = _measure_seconds(_step_of(_trainer(data, config, here, timed // 2)), device)
        step += (wanted - timed) * max(step - half, 0.0) / (timed - timed // 2)
    ending = sum(
        _measure_seconds(partial(work, trainer), device) for work in (held_out_errors, embed_all)
    )
    return step * len(particles) / here + ending * len(particles) / data.particle_count


def _particles_in_memory(particles: ParticleSet, config: RunConfig, device: torch.device) -> int:
    """How many particles of the set are timed."""
    lattice = half_plane(particles.optics.box_size_px)
    tilts = -(-len(particles.images) // len(particles))
    most = max(1, _SAMPLES // (tilts * len(lattice)))
    return min(max(config.train.batch_size, EMBED_BATCH_SIZE[device.type]), most, len(particles))


def _noise_data(
    particles: ParticleSet, config: RunConfig, device: torch.device, count: int
) -> TiltData:
    """The first particles of the set with noise as images."""
    lattice = half_plane(particles.optics.box_size_px)
    few = particles.take(np.arange(len(particles)) < count)
    shape = (len(few.images), len(lattice))
    samples = torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    data = TiltData(few, FourierImages(samples, 1.0), lattice.to(device), config.weight)
    data.hold_out(config.data.held_out_fraction, config.seed)
    data.images = on_device_if_it_fits(data.images, device)
    return data


def _trainer(data: TiltData, config: RunConfig, batch_size: int, points: int) -> Trainer:
    device = data.lattice.frequencies.device
    changes = {"batch_size": batch_size, "points_per_particle": points}
    config = config.model_copy(update={"train": config.train.model_copy(update=changes)})
    model = _model(data, config)
    return Trainer(config, data, model, make_optimiser(model, config, device), device)


def _model(data: TiltData, config: RunConfig) -> Vae:
    box, device = data.lattice.box_size_px, data.lattice.frequencies.device
    return Vae(config.model, box, len(data.lattice), data.tilts).to(device)


def _step_of(trainer: Trainer) -> Callable[[], object]:
    order = trainer.order(1)
    return lambda: trainer.step(Position(epoch=1, step=0), order)


def _measure_seconds(work: Callable[[], object], device: torch.device) -> float:
    """The shortest of three calls, after some to warm up."""
    best = float("inf")
    warm_up = 5 if device.type == "cuda" else 1  # until a step is recorded
    for repeat in range(warm_up + 3):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if repeat >= warm_up:
            best = min(best, time.perf_counter() - started)
    return best
