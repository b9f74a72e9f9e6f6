"""Throughput of reading and transforming images, against reading the same bytes.

Run::

    python benchmarks/reading.py [--particles 200] [--tilts 41] [--box 64]

Files are in the page cache (just written), so the floor is a copy from memory: what is left is
number conversion, window, FFT, shift and gathering.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.fourier_images import ImageReader
from napari_tomodrgn.physics.lattice import half_plane
from napari_tomodrgn.synthetic import SimulationConfig, simulate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--particles", type=int, default=200)
    parser.add_argument("--tilts", type=int, default=41)
    parser.add_argument("--box", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"particles": options.particles, "tilts": options.tilts}
        list(simulate(Path(folder), SimulationConfig(box_size_px=options.box, **settings)))
        for star in ("warptools/particles_optimisation_set.star", "warp/particles.star"):
            particles = read_particles(Path(folder) / star)
            files = [Path(str(name)) for name in particles.images["stack"].cat.categories]
            started = time.perf_counter()
            size = sum(len(file.read_bytes()) for file in files)
            floor = time.perf_counter() - started
            lattice = half_plane(options.box)
            reader = ImageReader(particles, lattice, DataConfig())
            started = time.perf_counter()
            for start in range(0, len(reader), 256):
                reader.read(np.arange(start, min(start + 256, len(reader))))
            took = time.perf_counter() - started
            print(
                f"{star}: {len(reader) / took:.0f} images/s of box {options.box}, "
                f"{size / took / 1e6:.0f} MB/s, floor {size / floor / 1e6:.0f} MB/s, "
                f"ratio {took / floor:.1f}"
            )


if __name__ == "__main__":
    main()
