"""From image files to training data: contrast decided, images transformed, some held out."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import torch

from napari_tomodrgn.config import DataConfig, RunConfig
from napari_tomodrgn.data.fourier_images import Cache, FourierImages, ImageReader, prepare
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.reconstruction.contrast import sign_steps
from napari_tomodrgn.learn.run.directory import cache_file
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.device import pick_device
from napari_tomodrgn.learn.runtime.events import Event
from napari_tomodrgn.physics.lattice import half_plane

# Of the free memory of a GPU that the samples of the set may take.
_SHARE_OF_DEVICE = 0.5


def decide_sign_of_images(
    particles: ParticleSet, config: DataConfig, context: RunContext
) -> Generator[Event, None, int]:
    """Decide the sign of the images of a new run: +1 as in the files, −1 inverted.

    A resumed run keeps the one that its ``run.json`` has.
    """
    steps = sign_steps(particles, config)
    return (yield from context.run_steps(steps, len(particles), "Determining contrast"))


def read_images(
    particles: ParticleSet, config: RunConfig, out: Path, sign: int, context: RunContext
) -> Generator[Event, None, TiltData]:
    """Read and transform all images, and hold a share of them out.

    The samples lie in memory, or in a file of the run directory ``out`` if they do not fit into
    ``config.data.memory_gb`` or if several processes read them.
    """
    device = context.processes.device or pick_device(config.train.device)
    lattice = half_plane(particles.optics.box_size_px)
    reader = ImageReader(particles, lattice, config.data, sign)
    cache = Cache(
        cache_file(out),
        shared=context.processes.size > 1,
        writes=context.is_first,
        save_seconds=config.train.save_seconds,
    )
    steps = prepare(reader, len(lattice), config.data.memory_gb, cache)
    images = yield from context.run_steps(steps, len(reader), "Reading images")
    data = TiltData(particles, images, lattice.to(device), config.weight)
    data.hold_out(config.data.held_out_fraction, config.seed)
    data.images = on_device_if_it_fits(images, device)
    return data


def on_device_if_it_fits(images: FourierImages, device: torch.device) -> FourierImages:
    """Put the samples of a set on a CUDA device if they take at most half of its free memory.

    A step then gathers them there; else only its own samples travel. The numbers are the same.
    """
    samples = images.samples
    if device.type != "cuda" or not isinstance(samples, torch.Tensor):
        return images
    free, _ = torch.cuda.mem_get_info(device)
    if samples.nbytes > _SHARE_OF_DEVICE * free:
        return images
    return FourierImages(samples.to(device), images.scale)
