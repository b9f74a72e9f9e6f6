"""Seconds to the same quality: the defaults against training as tomoDRGN does, in the same code.

Run::

    python benchmarks/reference.py [--seed 0] [--epochs 4] [--bound 12] [--threads N]
    python benchmarks/reference.py --samples 15

A matched set: 144 particles in two states (maps correlate 0.92), 10 tilts, box 32, SNR 0.05, the
same dose, tilts and noise for both. Quality is the loss of images that neither run is trained on
(the same images, the same samples of them) and the adjusted Rand index of k-means of the latents
with the truth. The defaults train for some epochs; the quality of the first that tells the states
apart is then waited for in a run with ``train.reference``: every sample, batch 1, random weights.
Seconds are from the call of `train`, reading, mean map and linear start included. The reference is
given up after ``--bound`` times the seconds of the defaults.

``--samples S`` asks something else: how far training from nothing (no mean map, no linear start)
gets in S seconds of CPU time (one thread) with how many samples of each particle and how many
particles in a step.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from napari_tomodrgn.analysis.latents.clusters import agreement, k_means
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.events import EpochDone, LatentsReady
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.synthetic import SimulationConfig, simulate

SET = {
    "particles": 144,
    "tilts": 10,
    "box_size_px": 32,
    "snr": 0.05,
    "structures": ("motion_00.0_deg", "motion_16.0_deg"),
}
SEPARATED = 0.9
# Particles of a step, and samples of each (0: all).
STEPS = ((4, 128), (4, 512), (4, 2048), (16, 512), (1, 512), (1, 0))


@dataclass(frozen=True)
class Quality:
    """What an epoch has reached, and after how many seconds."""

    seconds: float
    epoch: int
    held_out: float
    ari: float

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch:3}: {self.seconds:6.1f} s, "
            f"held-out loss {self.held_out:.5f}, ARI {self.ari:.3f}"
        )


def follow(
    particles: ParticleSet,
    config: RunConfig,
    folder: Path,
    states: np.ndarray,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Quality]:
    """Train; the quality after each epoch. Measuring it is not counted."""
    spent, held_out = 0.0, float("nan")
    started = clock()
    for event in train(particles, config, folder):
        if isinstance(event, EpochDone):
            held_out = event.losses.held_out
        elif isinstance(event, LatentsReady):
            seconds = clock() - started - spent
            latents = Run.open(folder).latents(event.epoch).filter(like="mu_").to_numpy()
            ari = agreement(k_means(latents, len(np.unique(states))), states)
            yield Quality(seconds, event.epoch, held_out, ari)
            spent = clock() - started - seconds


def main() -> None:
    """Print the course of both, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=4, help="of the defaults")
    parser.add_argument("--bound", type=float, default=12.0, help="ratio at which to give up")
    parser.add_argument("--samples", type=float, help="seconds for each number of samples")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(1 if options.samples else options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = SimulationConfig.model_validate({**SET, "seed": options.seed})
        list(simulate(folder / "data", settings))
        star = folder / "data" / "warptools" / "particles_optimisation_set.star"
        particles = read_particles(star)
        truth = pd.read_csv(folder / "data" / "truth.csv").set_index("particle_id")
        states = truth.loc[particles.ids, "state"].to_numpy()
        if options.samples:
            per_second(particles, folder, states, options.samples)
        else:
            against_reference(particles, folder, states, options)


def per_second(particles: ParticleSet, folder: Path, states: np.ndarray, most: float) -> None:
    """How far each number of samples gets in the same time."""
    for batch, points in STEPS:
        settings = {"batch_size": batch, "points_per_particle": points, "epochs": 10_000}
        config = RunConfig.model_validate(
            {
                "model": {"mean_map": False, "linear_start": False},
                "train": {"device": "cpu", "patience": 0, "refine": False, **settings},
            }
        )
        quality, run = None, folder / f"{batch}-{points}"
        for quality in follow(particles, config, run, states, time.process_time):
            if quality.seconds > most:
                break
        print(f"batch {batch:2}, {points or 'all'} samples each: {quality}", flush=True)


def against_reference(
    particles: ParticleSet, folder: Path, states: np.ndarray, options: argparse.Namespace
) -> None:
    """The defaults, then the reference's way until it is as good."""
    train_settings = {"device": "cpu", "epochs": options.epochs}
    ours = RunConfig.model_validate({"seed": options.seed, "train": train_settings})
    print("defaults")
    reached = []
    for quality in follow(particles, ours, folder / "ours", states):
        reached.append(quality)
        print(f"  {quality}", flush=True)
    goal = next((one for one in reached if one.ari >= SEPARATED), reached[-1])
    print(f"reference, until held-out loss ≤ {goal.held_out:.5f} and ARI ≥ {SEPARATED}")
    way = {**train_settings, "reference": True, "epochs": 1000}
    slow = RunConfig.model_validate({"seed": options.seed, "train": way})
    compare(goal, follow(particles, slow, folder / "reference", states), options.bound)


def compare(goal: Quality, steps: Iterator[Quality], bound: float) -> None:
    """Follow the reference until it is as good, or for so many times longer; print the ratios."""
    first: dict[str, float] = {}
    for quality in steps:
        print(f"  {quality}", flush=True)
        loss, apart = quality.held_out <= goal.held_out, quality.ari >= SEPARATED
        there = {"held-out loss": loss, "ARI": apart, "both": loss and apart}
        for name in [name for name, found in there.items() if found]:
            first.setdefault(name, quality.seconds)
        if "both" in first or quality.seconds > bound * goal.seconds:
            break
    for name in ("held-out loss", "ARI", "both"):
        ratio = f"{first[name] / goal.seconds:.1f}" if name in first else f"> {bound:g}"
        print(f"seconds to the same {name}: ratio {ratio}")


if __name__ == "__main__":
    main()
