"""How much memory and time a run will take, from the set's size and a few steps on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.choice import choose_images
from napari_tomodrgn.data.fourier_images import FourierImages
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.network.model import Vae
from napari_tomodrgn.learn.run.checkpoint import Position
from napari_tomodrgn.learn.runtime.device import pick_device
from napari_tomodrgn.learn.training.embed import EMBED_BATCH_SIZE
from napari_tomodrgn.learn.training.read_images import on_device_if_it_fits
from napari_tomodrgn.learn.training.trainer import Trainer, make_optimiser
from napari_tomodrgn.learn.training.whole_set import embed_all, held_out_errors
from napari_tomodrgn.physics.lattice import half_plane

_BASE_GB = 0.6  # torch, pandas and this program, before any image
# Bounds of what is timed: images' samples in memory, and points decoded in a step. Time beyond is
# taken to grow in proportion.
_SAMPLES = 1 << 24
_POINTS = 1 << 15


def forecast(particles: ParticleSet, config: RunConfig) -> dict[str, float]:
    """``ram_gb``, ``gpu_gb`` and ``seconds_per_epoch`` of training on this machine.

    The time is that of steps with noise in the place of images, of the held-out loss and of the
    latents at the end of an epoch. Reading images and the linear start come before the first.
    """
    config = config.as_trained()
    particles = choose_images(particles, config.data).with_overrides(config.data)
    lattice = half_plane(particles.optics.box_size_px)
    images = len(particles.images)
    sample_gb = images * len(lattice) * 8 / 1e9
    per_particle = _points_per_particle(particles, config, len(lattice))
    device = pick_device(config.train.device)
    # Activations of each layer and their gradients, float32.
    per_point = 4 * 2 * config.model.decoder_dim * (config.model.decoder_layers + 2)
    step_gb = min(per_particle * config.train.batch_size, 1 << 20) * per_point / 1e9
    return {
        "ram_gb": round(_BASE_GB + min(sample_gb, config.data.memory_gb), 2),
        "gpu_gb": round(step_gb, 2) if device.type == "cuda" else 0.0,
        "seconds_per_epoch": round(_seconds_per_epoch(particles, config, device), 2),
    }


def _points_per_particle(particles: ParticleSet, config: RunConfig, width: int) -> float:
    everything = len(particles.images) / len(particles) * width
    asked = config.train.points_per_particle
    return min(everything, asked) if asked else everything


def _seconds_per_epoch(particles: ParticleSet, config: RunConfig, device: torch.device) -> float:
    """Steps of a batch, or of as much of it as is timed, and the end of an epoch."""
    data = _noise_data(particles, config, device)
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


def _noise_data(particles: ParticleSet, config: RunConfig, device: torch.device) -> TiltData:
    """Some particles of the set with noise as images."""
    lattice = half_plane(particles.optics.box_size_px)
    tilts = -(-len(particles.images) // len(particles))
    most = max(1, _SAMPLES // (tilts * len(lattice)))
    wanted = max(config.train.batch_size, EMBED_BATCH_SIZE[device.type])
    few = particles.take(np.arange(len(particles)) < min(wanted, most))
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
    box = data.lattice.box_size_px
    model = Vae(config.model, box, len(data.lattice), data.tilts).to(device)
    return Trainer(config, data, model, make_optimiser(model, config, device), device)


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
