"""The images of a finished run as it was trained on them, all of each particle."""

from __future__ import annotations

import copy
from collections.abc import Generator
from pathlib import Path

import torch
from torch import Tensor

from napari_tomodrgn.data.checks import check_stacks
from napari_tomodrgn.data.fourier_images import Cache, ImageReader, prepare
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.run.directory import Run, cache_file
from napari_tomodrgn.learn.runtime.events import WorkProgress
from napari_tomodrgn.physics.lattice import half_plane


def read_run_images(
    run: Run, images: str | Path | None = None
) -> Generator[WorkProgress, None, TiltData]:
    """Fourier samples of a run's images, in the order of its particles; none are held out.

    In memory where they fit into the run's ``data.memory_gb``, else in the run's cache.
    """
    particles = run.particles(images)
    check_stacks(particles)
    lattice = half_plane(particles.optics.box_size_px)
    reader = ImageReader(particles, lattice, run.config.data, run.info.sign)
    memory_gb = run.config.data.memory_gb
    steps = prepare(reader, len(lattice), memory_gb, Cache(cache_file(run.path)))
    while True:
        try:
            done = next(steps)
        except StopIteration as finished:
            return TiltData(particles, finished.value, lattice, run.config.weight)
        yield WorkProgress(done, len(reader), "Reading images")


def with_images(data: TiltData, used: Tensor) -> TiltData:
    """The same data of which only the images in the mask ``(image,)`` are learnt from."""
    part = copy.copy(data)
    part.training = used.to(torch.bool)
    return part
