"""Time to decode one map, by box, against the bare matrix products of the same size.

Run::

    python benchmarks/decoding.py [--threads N] [--device auto|cpu|cuda]

Default network, random weights (the time does not depend on them), float32. `preview` is the first
answer of a click, at box 32.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from napari_tomodrgn.config import ModelConfig
from napari_tomodrgn.learn.decode import VolumeDecoder
from napari_tomodrgn.learn.device import pick_device
from napari_tomodrgn.learn.model import Vae

_REPEATS = 7


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    for box in (32, 64, 96, 128):
        model = Vae(ModelConfig(), box, points=8, slots=1).eval().to(device)
        decoder = VolumeDecoder(
            model.decoder, box_size_px=box, pixel_size_angstrom=4.0, latent_dim=8, device=device
        )
        times = []
        for _ in range(_REPEATS):
            started = time.perf_counter()
            decoder.decode([0.0] * 8)
            times.append(time.perf_counter() - started)
        points = int(2 / 3 * torch.pi * (box / 2) ** 3)
        sizes = [(96 * box // 32, 256), (256, 256), (256, 256), (256, 256), (256, 2)]
        floor = _products(points, sizes, device)
        took = statistics.median(times)
        print(
            f"box {box}: {took * 1e3:.0f} ms a map (worst {max(times) * 1e3:.0f}), "
            f"floor {floor * 1e3:.0f} ms, ratio {took / floor:.2f} on {device}"
        )


def _products(points: int, sizes: list[tuple[int, int]], device: torch.device) -> float:
    chunk = 1 << 15
    weights = [torch.randn(size, device=device) for size in sizes]
    inputs = [torch.randn((chunk, size[0]), device=device) for size in sizes]
    times = []
    for _ in range(3):
        started = time.perf_counter()
        for start in range(0, points, chunk):
            rows = min(chunk, points - start)
            for x, weight in zip(inputs, weights, strict=True):
                x[:rows] @ weight
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    main()
