"""Time of a training step against the bare matrix products that it cannot do without.

Run::

    python benchmarks/training.py [--particles 64] [--tilts 21] [--box 32] [--threads N]

The floor are products of the same shapes in the same process: for each linear layer of encoder and
decoder one forward and two backward products, on as many rows as the step evaluates. The ratio says
how much of a step is not that: features, activations, loss, CTF, gathering, the optimiser.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.learn.train import prepare_trainer
from napari_tomodrgn.synthetic import SimulationConfig, simulate

_REPEATS = 15


def median_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Median wall time of a call, after two to warm up."""
    times = []
    for repeat in range(_REPEATS + 2):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if repeat >= 2:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def products(layers: list[tuple[int, int, int]], device: torch.device) -> Callable[[], object]:
    """For each (rows, inputs, outputs): x W, and its two gradients. Flops: 6 · rows · in · out."""
    made = [
        (
            torch.randn(rows, inputs, device=device),
            torch.randn(inputs, outputs, device=device),
            torch.randn(rows, outputs, device=device),
        )
        for rows, inputs, outputs in layers
    ]

    def work() -> None:
        for x, weight, gradient in made:
            x @ weight
            gradient @ weight.T
            x.T @ gradient

    return work


def linear_layers(module: nn.Module, rows: int) -> list[tuple[int, int, int]]:
    """Rows, inputs and outputs of all linear layers of a network."""
    return [
        (rows, layer.in_features, layer.out_features)
        for layer in module.modules()
        if isinstance(layer, nn.Linear)
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--particles", type=int, default=64)
    parser.add_argument("--tilts", type=int, default=21)
    parser.add_argument("--box", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        settings = {"particles": options.particles, "tilts": options.tilts}
        list(simulate(Path(folder), SimulationConfig(box_size_px=options.box, **settings)))
        star = Path(folder) / "warptools" / "particles_optimisation_set.star"
        for points, batch in ((512, 4), (4096, 8), (0, 1)):
            train = {
                "points_per_particle": points,
                "batch_size": batch,
                "device": options.device,
            }
            config = RunConfig.model_validate({"train": train})
            trainer, position = prepare_trainer(
                read_particles(star), config, Path(folder) / f"run-{points}"
            )
            order = trainer.order(1)
            took = median_seconds(lambda: trainer.step(position, order), trainer.device)  # noqa: B023
            images = batch * options.tilts
            rows = batch * (points or options.tilts * len(trainer.data.lattice))
            model = trainer.model
            layers = linear_layers(model.encoder.image, images)
            layers += linear_layers(model.encoder.particle, batch)
            layers += linear_layers(model.decoder.network, rows)
            floor = median_seconds(products(layers, trainer.device), trainer.device)
            flops = sum(6 * n * i * o for n, i, o in layers)
            print(
                f"box {options.box}, batch {batch}, {points or 'all'} points a particle: "
                f"step {took * 1e3:.1f} ms, floor {floor * 1e3:.1f} ms, "
                f"ratio {took / floor:.2f}, {flops / took / 1e9:.0f} GFLOP/s, "
                f"epoch {took * len(trainer.data.particles) / batch:.2f} s "
                f"of {len(trainer.data.particles)} particles on {trainer.device}"
            )


if __name__ == "__main__":
    main()
