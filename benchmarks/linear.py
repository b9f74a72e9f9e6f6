"""How soon and how well the linear engine tells like states apart, on data that only maps separate.

Run::

    python benchmarks/linear.py [--seeds 5] [--large] [--second]

Each set has 144 particles, 10 tilts, box 32, SNR 0.05, the same dose, tilts and noise for all;
``--second`` takes, instead of the ribosome's, sets of another molecule at 10 and at 21 tilts. The
table says what the standard deviation of a particle's images alone would give (AUC: 0.5 nothing,
1 all), how many components were chosen without labels, and the agreement of k-means of the latents
with the truth (or, for motion, Spearman's rank correlation of the first axis), with CPU seconds of
this process. ``--large`` adds 1,000 particles, four states, 41 tilts (minutes).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr

from napari_tomodrgn.analysis.latents.clusters import agreement, k_means
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.stack import ImageStacks
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.synthetic import SimulationConfig, simulate

SMALL = {"particles": 144, "tilts": 10, "box_size_px": 32, "snr": 0.05}
SETS: dict[str, dict[str, object]] = {
    "40S turned by 16°": {**SMALL, "structures": ("motion_00.0_deg", "motion_16.0_deg")},
    "60S, 5S RNP or not": {**SMALL, "structures": ("60S", "60S_without_5S_RNP")},
    "40S turning, 0 to 16°": {**SMALL, "continuous": True},
}
# A molecule that was never looked at while thresholds were set: long, a tenth of the mass.
_PAIRS: dict[str, dict[str, object]] = {
    "envelope, 2 scFv or none": {"structures": ("E3M3_2scFv", "E3M3")},
    "envelope, 2 scFv or 1": {"structures": ("E3M3_2scFv", "E3M3_1scFv")},
    "envelope, an M or not": {"structures": ("E3M3_2scFv", "E3M2_2scFv")},
    "envelope, E turning": {"continuous": True},
}
SECOND: dict[str, dict[str, object]] = {
    f"{name}, {tilts} tilts": {**SMALL, "tilts": tilts, "molecule": "envelope", **settings}
    for name, settings in _PAIRS.items()
    for tilts in (10, 21)
}
LARGE = {"particles": 1000, "tilts": 41, "box_size_px": 32, "snr": 0.05, "states": 4}


def image_deviation_auc(particles: ParticleSet, labels: np.ndarray) -> float:
    """How well the standard deviation of images alone tells two states apart, 0.5 to 1."""
    table = particles.images
    stacks = ImageStacks([str(name) for name in table["stack"].cat.categories])
    images = stacks.read(table["stack"].cat.codes.to_numpy(), table["stack_index"].to_numpy())
    deviation = pd.Series(images.std(axis=(1, 2))).groupby(table["particle_id"].cat.codes).mean()
    ranks = rankdata(deviation.to_numpy())
    positive = labels == 1
    count = positive.sum()
    auc = (ranks[positive].sum() - count * (count + 1) / 2) / (count * (~positive).sum())
    return float(max(auc, 1 - auc))


def measure(folder: Path, settings: dict[str, object], seed: int) -> str:
    """One set: simulate, train, compare."""
    for _ in simulate(folder / "data", SimulationConfig.model_validate({**settings, "seed": seed})):
        pass
    particles = read_particles(folder / "data" / "warptools" / "particles_optimisation_set.star")
    truth = pd.read_csv(folder / "data" / "truth.csv").set_index("particle_id").loc[particles.ids]
    config = RunConfig.model_validate({"method": "linear", "seed": seed})
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in train(particles, config, folder / "run"):
        pass
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    run = Run.open(folder / "run")
    table = run.latents()
    latents = table[[name for name in table if name.startswith("mu_")]].to_numpy()
    times = f"{cpu:6.1f} s CPU {wall:6.1f} s wall  {len(run.epochs())} radii"
    if "coordinate" in truth:
        score = abs(float(spearmanr(latents[:, 0], truth["coordinate"]).statistic))
        return f"J {latents.shape[1]}  rank correlation {score:.3f}  {times}"
    states = truth["state"].to_numpy()
    score = agreement(k_means(latents, len(np.unique(states))), states)
    auc = (
        f"  image SD AUC {image_deviation_auc(particles, states):.2f}" if states.max() == 1 else ""
    )
    return f"J {latents.shape[1]}  ARI {score:.3f}{auc}  {times}"


def main() -> None:
    """Print one line a set and seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="1,000 particles in four states too")
    parser.add_argument("--second", action="store_true", help="sets of another molecule instead")
    options = parser.parse_args()
    chosen = SECOND if options.second else SETS
    sets = [
        (name, settings, seed) for name, settings in chosen.items() for seed in range(options.seeds)
    ]
    if options.large:
        sets.append(("four states", LARGE, 0))
    for name, settings, seed in sets:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{name:>34}  seed {seed}  {measure(Path(folder), settings, seed)}", flush=True)


if __name__ == "__main__":
    main()
