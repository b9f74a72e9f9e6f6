"""How fast `simulate` makes images, against the least that it could cost.

Run::

    python benchmarks/simulate.py [--particles 500] [--tilts 41] [--box 64]

The floor is done in the same process on as many threads, one particle at a time: one image's worth
of normal random numbers and three two-dimensional FFTs per image, and the bytes of both exports
written. The ratio says how much of the time is not that.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from napari_tomodrgn.synthetic import SimulationConfig, simulate
from napari_tomodrgn.synthetic.threads import in_order, one_core_threads


def floor_images(particle: int, config: SimulationConfig) -> tuple[bytes, bytes]:
    """Random numbers, FFT, inverse FFT and inverse FFT of one particle's images."""
    box = config.box_size_px
    rng = np.random.default_rng(particle)
    noise = torch.from_numpy(rng.standard_normal((config.tilts, box, box), dtype=np.float32))
    spectrum = torch.fft.rfft2(noise)
    first, second = torch.fft.irfft2(spectrum), torch.fft.irfft2(spectrum)
    return first.numpy().tobytes(), second.numpy().astype(np.float16).tobytes()


def floor_seconds(folder: Path, config: SimulationConfig) -> float:
    """Wall time of the floor."""
    start = time.perf_counter()
    with one_core_threads() as pool, open(folder / "warp", "wb") as warp:
        made = in_order(pool, lambda row: floor_images(row, config), range(config.particles))
        for row, (single, half) in enumerate(made):
            warp.write(single)
            (folder / f"{row:06d}").write_bytes(half)
    return time.perf_counter() - start


def simulation_seconds(folder: Path, config: SimulationConfig) -> float:
    """Wall time of a whole simulation: images, tomograms, star files."""
    start = time.perf_counter()
    for _ in simulate(folder, config):
        pass
    return time.perf_counter() - start


def main() -> None:
    """Print both times, images per second and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--particles", type=int, default=500)
    parser.add_argument("--tilts", type=int, default=41)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--continuous", action="store_true")
    options = parser.parse_args()
    config = SimulationConfig(
        particles=options.particles,
        tilts=options.tilts,
        box_size_px=options.box,
        continuous=options.continuous,
    )
    images = config.particles * config.tilts
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "floor").mkdir()
        floor = floor_seconds(folder / "floor", config)
        whole = simulation_seconds(folder / "simulation", config)
    print(f"{config.particles} particles x {config.tilts} tilts, box {config.box_size_px}")
    print(f"simulate  {whole:6.1f} s   {images / whole:7.0f} images/s")
    print(f"floor     {floor:6.1f} s   {images / floor:7.0f} images/s")
    print(f"ratio     {whole / floor:6.1f}")


if __name__ == "__main__":
    main()
