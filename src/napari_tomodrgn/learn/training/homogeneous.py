"""One map of all particles by the decoder alone: a network without latents or encoder.

The same forward model, samples and loss as the autoencoder's (`learn.network.loss`), so that what a
decoder of its shape can hold at all is seen apart from what latents add.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_tomodrgn.config import DataConfig, ModelConfig, WeightConfig
from napari_tomodrgn.data.fourier_images import FourierImages, ImageReader, prepare
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder
from napari_tomodrgn.learn.network.loss import (
    choose_points,
    point_frequencies,
    squared_errors,
    uniforms,
)
from napari_tomodrgn.learn.network.model import Decoder
from napari_tomodrgn.learn.runtime.events import WorkProgress
from napari_tomodrgn.physics.lattice import half_plane

_PARTICLES_IN_STEP = 4  # in one step of gradient descent
# A network needs so many steps to hold a map at all, however few particles there are.
_MIN_STEPS = 600


@dataclass(frozen=True)
class HomogeneousConfig:
    """Passes over the particles (more where they are few), samples of each, rate, width, seed."""

    epochs: int = 20
    points_per_particle: int = 1024
    learning_rate: float = 2e-3
    width: int = 256
    seed: int = 0


def fit_homogeneous(
    particles: ParticleSet,
    data: DataConfig,
    weight: WeightConfig,
    sign: int,
    config: HomogeneousConfig | None = None,
) -> Generator[WorkProgress, None, Volume]:
    """Train a decoder on all images of a set; the map that it decodes to.

    Parameters
    ----------
    particles
        The set.
    data, weight
        Window and weights.
    sign
        +1 to keep the contrast of the files, −1 to invert it.
    config
        How long, and from which random numbers.
    """
    config = config or HomogeneousConfig()
    box = particles.optics.box_size_px
    lattice = half_plane(box)
    reader = ImageReader(particles, lattice, data, sign)
    images = yield from _read(reader, len(lattice), data.memory_gb)
    tilts = TiltData(particles, images, lattice, weight)
    generator = torch.Generator().manual_seed(config.seed)
    shape = ModelConfig(latent_dim=1, decoder_dim=config.width, mean_map=False, linear_start=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        decoder = Decoder(shape, box, generator)
    optimiser = torch.optim.Adam(decoder.parameters(), lr=config.learning_rate)
    epochs = max(config.epochs, -(-_MIN_STEPS * _PARTICLES_IN_STEP // len(particles)))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(particles), generator=generator)
        for rows in order.split(_PARTICLES_IN_STEP):
            uniform = uniforms(len(rows), config.points_per_particle, generator)
            _step(decoder, optimiser, tilts, rows.sort().values, uniform)
        schedule.step()
        yield WorkProgress(epoch, epochs, "Training the decoder")
    model = decoder.eval().requires_grad_(requires_grad=False)
    maps = VolumeDecoder(
        model,
        box_size_px=box,
        pixel_size_angstrom=particles.optics.pixel_size_angstrom,
        latent_dim=1,
        scale=images.scale,
    )
    return maps.decode(np.zeros(1))


def _read(
    reader: ImageReader, points: int, memory_gb: float
) -> Generator[WorkProgress, None, FourierImages]:
    steps = prepare(reader, points, memory_gb, None)
    while True:
        try:
            done = next(steps)
        except StopIteration as end:
            images: FourierImages = end.value
            return images
        yield WorkProgress(done, len(reader), "Reading images")


def _step(
    decoder: Decoder,
    optimiser: torch.optim.Optimizer,
    tilts: TiltData,
    rows: Tensor,
    uniform: Tensor,
) -> None:
    """One step of gradient descent on some particles ``(row,)``."""
    batch = tilts.batch(rows)
    points = choose_points(batch, uniform)
    frequencies = point_frequencies(batch, points, tilts.lattice.frequencies)
    nobody = torch.zeros((batch.size, decoder.latent.in_features))
    amplitudes = decoder(frequencies, nobody, points.particle_index)
    optimiser.zero_grad()
    (squared_errors(batch, points, amplitudes).sum() / max(points.drawn, 1)).backward()
    optimiser.step()
