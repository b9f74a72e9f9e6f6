r"""A simulated project, from star file to final latents: time, memory, and what it tells apart.

Run::

    napari-tomodrgn simulate --out SET --particles 6000 --tilts 41 --box 48 --states 5 --snr 0.05 \
        --seed 7 --export warptools
    python benchmarks/project.py SET RUN [further options of train]

Trains with the command, as a user does, in a process of its own, then compares the latents with the
truth table of the set as `made_sets.told_apart` has it: ARI with the two states merged that differ
by the single protein Lso2, and of the two pairs the share that two-means within the pair gets
right, and the AUC of the best direction found on the other half. A run that is there is only
judged.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from made_sets import told_apart

from napari_tomodrgn.learn.run.directory import Run


def trained(star: Path, out: Path, options: list[str]) -> None:
    """Train, and print time and memory."""
    words = ["-m", "napari_tomodrgn", "train", str(star), "--out", str(out), *options]
    started = time.monotonic()
    subprocess.run([sys.executable, *words], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"{time.monotonic() - started:.0f} s in all, peak of memory {peak:.2f} GB", flush=True)


def main() -> None:
    """Train if there is no run yet, then judge it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path)
    parser.add_argument("run", type=Path)
    given, options = parser.parse_known_args()
    if not given.run.exists():
        star = given.set / "warptools" / "particles_optimisation_set.star"
        trained(star, given.run, options)
    run = Run.open(given.run)
    latents = run.latents()
    truth = pd.read_csv(given.set / "truth.csv").set_index("particle_id")
    states = truth.loc[latents.index, "state"].to_numpy()
    points = latents[[name for name in latents if name.startswith("mu_")]].to_numpy()
    print(told_apart(states, points))
    print({name: value for name, value in run.quality().items() if np.isscalar(value)})


if __name__ == "__main__":
    main()
