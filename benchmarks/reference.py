"""Seconds to the same quality: the defaults against training as tomoDRGN does, in the same code.

Run::

    python benchmarks/reference.py [--seed 0] [--epochs 4] [--bound 12] [--threads N]

A matched set: 144 particles in two states (maps correlate 0.92), 10 tilts, box 32, SNR 0.05, the
same dose, tilts and noise for both. Quality is the loss of images that neither run is trained on
(the same images, the same samples of them) and the adjusted Rand index of k-means of the latents
with the truth. The defaults train for some epochs; the quality of the first that tells the states
apart is then waited for in a run with ``train.reference``: every sample, batch 1, random weights.
Seconds are from the call of `train`, reading, mean map and linear start included. The reference is
given up after ``--bound`` times the seconds of the defaults.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from napari_tomodrgn.analysis.clusters import agreement, k_means
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.learn.events import EpochDone, LatentsReady
from napari_tomodrgn.learn.run import Run
from napari_tomodrgn.learn.train import train
from napari_tomodrgn.synthetic import SimulationConfig, simulate

SET = {
    "particles": 144,
    "tilts": 10,
    "box_size_px": 32,
    "snr": 0.05,
    "structures": ("motion_00.0_deg", "motion_16.0_deg"),
}
SEPARATED = 0.9


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
    particles: ParticleSet, config: RunConfig, folder: Path, states: np.ndarray
) -> Iterator[Quality]:
    """Train; the quality after each epoch. Measuring it is not counted."""
    spent, held_out = 0.0, float("nan")
    started = time.perf_counter()
    for event in train(particles, config, folder):
        if isinstance(event, EpochDone):
            held_out = event.losses.held_out
        elif isinstance(event, LatentsReady):
            seconds = time.perf_counter() - started - spent
            latents = Run.open(folder).latents(event.epoch).filter(like="mu_").to_numpy()
            ari = agreement(k_means(latents, len(np.unique(states))), states)
            yield Quality(seconds, event.epoch, held_out, ari)
            spent = time.perf_counter() - started - seconds


def main() -> None:
    """Print the course of both, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=4, help="of the defaults")
    parser.add_argument("--bound", type=float, default=12.0, help="ratio at which to give up")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = SimulationConfig.model_validate({**SET, "seed": options.seed})
        list(simulate(folder / "data", settings))
        star = folder / "data" / "warptools" / "particles_optimisation_set.star"
        particles = read_particles(star)
        truth = pd.read_csv(folder / "data" / "truth.csv").set_index("particle_id")
        states = truth.loc[particles.ids, "state"].to_numpy()
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
        steps = follow(particles, slow, folder / "reference", states)
        compare(goal, steps, options.bound)


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
