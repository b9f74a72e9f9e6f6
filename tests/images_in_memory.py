"""The images of a small set in memory, for tests that need nothing of a run."""

from __future__ import annotations

import numpy as np

from napari_tomodrgn.config import DataConfig, WeightConfig
from napari_tomodrgn.data.fourier_images import ImageReader, prepare
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.physics.lattice import HalfPlane, half_plane


def load_all(
    particles: ParticleSet,
    data: DataConfig,
    weight: WeightConfig,
    *,
    sign: int,
    lattice: HalfPlane | None = None,
) -> TiltData:
    """All images of a set, the origin of Fourier space included unless a lattice is given."""
    lattice = lattice or half_plane(particles.optics.box_size_px, include_dc=True)
    reader = ImageReader(particles, lattice, data, sign)
    images = run_to_end(prepare(reader, len(lattice), np.inf, None))
    return TiltData(particles, images, lattice, weight)
