"""How many classes are proposed for sets of one, two and four states, and for a motion.

Run::

    python benchmarks/cluster_count.py [--seeds 10] [--first 0] [--out cluster_count.csv]

Latents are the linear engine's, of all images, as it makes them by default. One row a case and
seed, appended as it is there; rows that are in the table already are not computed again. 0 stands
for "continuous, no k".
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from evidence import SET, append, read_simulated

from napari_tomodrgn.analysis.latents.cluster_count import propose_clusters
from napari_tomodrgn.learn.linear.engine import LinearEngine
from napari_tomodrgn.learn.runtime.context import RunContext

CASES: dict[str, tuple[dict[str, object], int]] = {
    "one": ({**SET, "structures": ("60S",)}, 1),
    "two": ({**SET, "structures": ("60S", "60S_without_5S_RNP")}, 2),
    "four": (
        {**SET, "particles": 240, "structures": ("80S", "60S", "40S", "60S_without_5S_RNP")},
        4,
    ),
    "motion": ({**SET, "particles": 240, "continuous": True}, 0),
    # Each state goes on in its own way where poses are off.
    "four, poses off, crowded": (
        {
            **SET,
            "particles": 300,
            "snr": 0.08,
            "structures": ("80S", "60S", "40S", "60S_without_5S_RNP"),
            "nuisances": {"pose_error_deg": 2.0, "neighbors": 2.0},
        },
        4,
    ),
    "two, poses off, crowded": (
        {
            **SET,
            "particles": 300,
            "snr": 0.08,
            "structures": ("60S", "60S_without_5S_RNP"),
            "nuisances": {"pose_error_deg": 3.0, "neighbors": 3.0},
        },
        2,
    ),
    "three, poses off": (
        {
            **SET,
            "particles": 300,
            "snr": 0.08,
            "structures": ("80S", "60S", "40S"),
            "nuisances": {"pose_error_deg": 5.0},
        },
        3,
    ),
}


def main() -> None:
    """Compute what is missing, then print how often each number was right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--out", type=Path, default=Path("cluster_count.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed in range(options.first, options.first + options.seeds):
        for name, (settings, expected) in CASES.items():
            known = pd.read_csv(options.out) if options.out.exists() else pd.DataFrame()
            if len(known) and ((known["case"] == name) & (known["seed"] == seed)).any():
                continue
            with tempfile.TemporaryDirectory() as folder:
                data, run = read_simulated(Path(folder), settings, seed, None)
                *_, fit = LinearEngine.of(data, run, RunContext()).fits()
            latents = fit.mu.double().numpy()
            found = propose_clusters(latents, fit.covariance.double().numpy(), seed)
            append(
                options.out,
                {
                    "case": name,
                    "seed": seed,
                    "expected": expected,
                    "proposed": found.count,
                    "components": latents.shape[1],
                    "separation": found.separation,
                    "width": found.width,
                    "gains": " ".join(f"{gain:.3f}" for gain in np.ravel(found.gains[:, 0])),
                },
            )
    table = pd.read_csv(options.out)
    for name, found in table.groupby("case", sort=False):
        right = int((found["proposed"] == found["expected"]).sum())
        print(f"{name:>8}: right {right} of {len(found)}; proposed {found['proposed'].tolist()}")


if __name__ == "__main__":
    main()
