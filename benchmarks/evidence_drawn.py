"""Groups drawn in latents that do not come from the linear engine: shuffled, overfitted, learnt.

Run::

    python benchmarks/evidence_drawn.py WAY [CASE …] [--seeds 20] [--out drawn.csv]

``shuffled``: latents of all images, given to particles at random: a decoder of such latents shows
nothing but what it learnt by heart. ``overfitted``: an autoencoder of 300 epochs that nothing
stops, no latent drawn in. ``autoencoder``: with its default settings. Two k-means groups of the
latents are carried over to tilt halves and compared, as by the command compare. One row a set,
appended as it is there; rows that are in the table already are not computed again.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from evidence import (
    CASES,
    append,
    fit_latents,
    groups,
    is_there,
    judged,
    read_simulated,
    summary,
)

from napari_tomodrgn.analysis.evidence.session import prepare_evidence
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.reconstruction.contrast import run_to_end
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.training.train import train

OVERFITTED = {"epochs": 300, "patience": 0}
TRAINED: dict[str, dict[str, object]] = {"overfitted": OVERFITTED, "autoencoder": {}}
DEFAULT_CASES = {
    "shuffled": ["one, 40 particles"],
    "overfitted": ["one, 40 particles"],
    "autoencoder": ["one", "40S turned", "5S RNP", "motion"],
}


def latents_of(way: str, data: TiltData, config: RunConfig, seed: int, folder: Path) -> np.ndarray:
    """Latents ``(particle, latent)`` that groups are drawn in, the widest first."""
    if way == "shuffled":
        rng = np.random.default_rng([seed, 17])
        return np.asarray(rng.permutation(fit_latents(data, config)))
    settings = {"seed": seed, "train": {"device": "cpu", **TRAINED[way]}}
    for _ in train(data.particles, RunConfig.model_validate(settings), folder):
        pass
    table = Run.open(folder).latents()
    learnt = table[[name for name in table if name.startswith("mu_")]].to_numpy()
    centred = learnt - learnt.mean(axis=0)
    return np.asarray(centred @ np.linalg.svd(centred, full_matrices=False)[2].T)


def main() -> None:
    """Compute what is missing, then print how often groups were said to differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=DEFAULT_CASES)
    parser.add_argument("cases", nargs="*", help=", ".join(CASES))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("drawn.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed in range(options.seeds):
        for case in options.cases or DEFAULT_CASES[options.way]:
            name = f"{case}, {options.way}"
            if is_there(options.out, case=name, seed=seed):
                continue
            with tempfile.TemporaryDirectory() as folder:
                data, config = read_simulated(Path(folder), CASES[case], seed)
                latents = latents_of(options.way, data, config, seed, Path(folder) / "run")
                evidence = run_to_end(prepare_evidence(data, config))
            for how, drawn in groups(case, latents, seed):
                found = judged(evidence, drawn, seed)
                append(options.out, {"case": name, "seed": seed, "way": how, **found})
    summary(pd.read_csv(options.out, keep_default_na=False, na_values=["nan"]))


if __name__ == "__main__":
    main()
