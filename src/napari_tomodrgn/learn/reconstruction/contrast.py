"""Which sign makes density positive, asked of the data: reconstruct a few particles and look."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.reconstruction.backprojection import back_project
from napari_tomodrgn.learn.reconstruction.subsample import chosen_rows, read_sample
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.physics.shells import (
    FSC_THRESHOLD,
    filter_by_shell,
    shell_correlation,
    soft_sphere,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def decide_sign(particles: ParticleSet, config: DataConfig) -> int:
    """+1 to keep the contrast of the images, −1 to invert it.

    ``auto`` reconstructs halves of up to 150 particles, spread over the set, as they are, and
    compares the middle of the box with its rim: a particle is denser than what is around it.
    """
    return run_to_end(sign_steps(particles, config))


def sign_steps(particles: ParticleSet, config: DataConfig) -> Generator[int, None, int]:
    """Decide the sign as `decide_sign` does, in steps, yielding a count that grows."""
    if config.contrast != "auto":
        return 1 if config.contrast == "keep" else -1
    sample = yield from read_sample(particles, config)
    data = sample.data()
    if len(sample.particles) < 2:
        whole = (yield from back_project(data, torch.arange(1))).volume()
        return 1 if density_contrast(whole) >= 0 else -1
    one, two = yield from half_steps(data, sample.first_half)
    sphere = soft_sphere(one.shape[0]).float()
    correlation = shell_correlation(one * sphere, two * sphere)
    if correlation[1] >= FSC_THRESHOLD:
        one, two = denoise_half_map(one, correlation), denoise_half_map(two, correlation)
    return 1 if density_contrast(one) + density_contrast(two) >= 0 else -1


def half_volumes(data: TiltData, first_half: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    """Reconstruct halves of the particles, mask ``(particle,)``: ``(box, box, box)`` zyx each."""
    return run_to_end(half_steps(data, first_half))


def half_steps(
    data: TiltData, first_half: NDArray[np.bool_]
) -> Generator[int, None, tuple[Tensor, Tensor]]:
    """Reconstruct two halves as `half_volumes`, yielding how many particles ``(row,)`` are done."""
    one = yield from back_project(data, chosen_rows(first_half))
    two = yield from back_project(data, chosen_rows(~first_half))
    return one.volume(), two.volume()


def denoise_half_map(half: Tensor, correlation: Tensor) -> Tensor:
    """Shrink shells of a half map ``(box, box, box)`` by the FSC, to 0 where below 0.143."""
    factors = correlation.clamp(0, 1)
    below = torch.nonzero(correlation[1:] < FSC_THRESHOLD)
    if len(below):
        factors[int(below[0]) + 1 :] = 0.0
    factors[0] = 1.0
    return filter_by_shell(half, factors)


def density_contrast(volume: Tensor) -> float:
    """Compare the middle of a map ``(box, box, box)`` with its rim, in SDs of the map."""
    axis = torch.arange(volume.shape[0]) - volume.shape[0] // 2
    radius = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt() / (len(axis) / 2)
    inside, around = radius < 0.45, (radius > 0.7) & (radius < 0.95)
    difference = volume[inside].mean() - volume[around].mean()
    return float(difference / volume.std(correction=0).clamp(min=1e-30))
