"""Which sign makes density positive, asked of the data: reconstruct a few particles and look."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import numpy as np
import torch

from napari_tomodrgn.config import DataConfig, WeightConfig
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.learn.backproject import back_project, load_all

# Enough to see a particle's density above noise, few enough to take a second or two.
_PARTICLES = 100
T = TypeVar("T")


def run_to_end(steps: Generator[object, None, T]) -> T:
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            value: T = done.value
            return value


def decide_sign(particles: ParticleSet, config: DataConfig) -> int:
    """+1 to keep the contrast of the images, −1 to invert it.

    ``auto`` reconstructs up to 100 particles, spread over the set, as they are, and compares the
    middle of the box with its rim: a particle is denser than what is around it.
    """
    if config.contrast != "auto":
        return 1 if config.contrast == "keep" else -1
    return 1 if density_contrast(particles, config) >= 0 else -1


def density_contrast(particles: ParticleSet, config: DataConfig) -> float:
    """Mean density within a quarter box of the centre minus that around, over the map's SD."""
    rows = np.unique(np.linspace(0, len(particles) - 1, _PARTICLES).astype(int))
    few = particles.take(np.isin(np.arange(len(particles)), rows))
    data = load_all(few, config, WeightConfig(), sign=1)
    volume = run_to_end(back_project(data, torch.arange(len(few)))).volume().numpy()
    axis = np.arange(volume.shape[0]) - volume.shape[0] // 2
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2)
    half = volume.shape[0] / 2
    inside, around = radius < 0.45 * half, (radius > 0.7 * half) & (radius < 0.95 * half)
    return float((volume[inside].mean() - volume[around].mean()) / volume.std())
