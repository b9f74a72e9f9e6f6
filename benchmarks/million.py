"""Latents of a million particles, embedded and stored: ``python benchmarks/million.py [COUNT]``.

A set of a million particles with two images each, whose samples are made up when they are asked
for, as if they were read from a file: what is measured is everything else that grows with the set.
Prints the peak of memory after each part. What is stored are random numbers with covariances, as a
refined run has them, which compress least.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.fourier_images import FourierImages
from napari_tomodrgn.data.optics import Optics
from napari_tomodrgn.data.particles import ParticleSet, StarSource
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.network.model import Vae
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.run.tables import read_latents, write_latents
from napari_tomodrgn.learn.training.trainer import Trainer, make_optimiser
from napari_tomodrgn.learn.training.whole_set import embed_all
from napari_tomodrgn.physics.lattice import half_plane

TILTS, BOX = 2, 16


class MadeUp:
    """Samples of any image, the same few again and again."""

    def __init__(self, images: int, points: int, few: int = 4096) -> None:
        self.shape = (images, points)
        noise = torch.Generator().manual_seed(0)
        self._few = torch.randn((few, points), dtype=torch.complex64, generator=noise)

    def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
        return self._few[rows % len(self._few)]


def particle_set(count: int, tilts: int, box: int) -> ParticleSet:
    """Particles of a thousand tomograms; all numbers plausible, none of them read."""
    images, rng = count * tilts, np.random.default_rng(0)
    tomogram = np.array([f"TS_{row % 1000:04d}" for row in range(count)], dtype=object)
    name = np.array([str(row // 1000) for row in range(count)], dtype=object)
    index = pd.Index(tomogram + "/" + name, name="particle_id", dtype=object)
    particles = pd.DataFrame({"tomogram": pd.Categorical(tomogram), "particle": name}, index=index)
    numbers = ("rot_deg", "tilt_deg", "psi_deg", "defocus_angle_deg", "stage_tilt_deg")
    table = {column: rng.uniform(-60, 60, images) for column in numbers}
    table |= dict.fromkeys(("shift_x_px", "shift_y_px", "phase_shift_deg"), np.zeros(images))
    table |= dict.fromkeys(("defocus_u_angstrom", "defocus_v_angstrom"), np.full(images, 3e4))
    table["dose_e_per_angstrom2"] = np.tile(np.arange(tilts) * 3.0, count)
    table["tilt_index"] = np.tile(np.arange(tilts), count)
    table["ctf_scale"] = np.ones(images)
    table["optics_group"] = np.zeros(images, np.int64)
    owner = pd.Categorical.from_codes(np.repeat(np.arange(count), tilts), categories=index)
    optics = Optics(3.0, 300.0, 2.7, 0.07, box, ctf_premultiplied=False, dose_weighted=False)
    source = StarSource(Path("made-up.star"), "warptools", {}, "particles", rows_are_images=True)
    return ParticleSet(pd.DataFrame({"particle_id": owner, **table}), particles, optics, source)


def peak_gb() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Make, embed, store, read."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(f"libraries alone: peak {peak_gb():.2f} GB")
    particles = particle_set(count, TILTS, BOX)
    print(f"set of {count:,} particles, {count * TILTS:,} images: peak {peak_gb():.2f} GB")
    images = particles.images.memory_usage(index=False, deep=False).sum() / len(particles.images)
    config, lattice = RunConfig(), half_plane(BOX)
    data = TiltData(
        particles,
        FourierImages(MadeUp(count * TILTS, len(lattice)), 1.0),  # type: ignore[arg-type]
        lattice,
        config.weight,
    )
    print(f"ready to be served as batches: peak {peak_gb():.2f} GB; {images:.0f} bytes an image")
    model = Vae(config.model, BOX, len(lattice), TILTS)
    optimiser = make_optimiser(model, config, torch.device("cpu"))
    trainer = Trainer(config, data, model, optimiser, torch.device("cpu"))
    began = time.perf_counter()
    posterior = embed_all(trainer)
    print(f"embedded in {time.perf_counter() - began:.0f} s: peak {peak_gb():.2f} GB", flush=True)
    mu, logvar = torch.randn((2, *posterior.mu.shape)).unbind()
    covariance = torch.randn((*mu.shape, mu.shape[1]))
    posterior = Posterior(mu, logvar, covariance)
    file, began = Path(tempfile.mkdtemp()) / "latents.parquet", time.perf_counter()
    write_latents(file, particles, posterior)
    size = file.stat().st_size / 1e6
    seconds = time.perf_counter() - began
    print(f"stored in {seconds:.1f} s, {size:.0f} MB: peak {peak_gb():.2f} GB")
    began = time.perf_counter()
    table = read_latents(file)
    print(f"read in {time.perf_counter() - began:.1f} s, {len(table):,}: peak {peak_gb():.2f} GB")
    sys.exit(peak_gb() > 4)


if __name__ == "__main__":
    main()
