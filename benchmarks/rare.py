"""Which share of a set the linear engine still finds, at which contrast.

Run::

    python benchmarks/rare.py [PAIR …] [--shares 0.05 0.02 0.01] [--seeds 3] [--out rare.csv]

1,200 particles in two states, one of them rare: 21 tilts, box 32, SNR 0.05. A row a pair, share and
seed, appended as soon as it is there; rows that are in the table already are not computed again.
The area under the curve (AUC: 0.5 nothing, 1 all) says how well the rare state can be told in the
latents: ``axis``, along the best single one, and ``auc``, by a five-fold logistic regression on all
of them. ``precision`` and ``recall`` are those of the smaller of two k-means clusters, which is
what somebody sees who does not know the truth. ``surely`` is what the run says: by how many
standard errors held-out images tell particles apart (above 3: they differ).
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from evidence import append, is_there
from focus import auc
from quality import latents_of, simulated, trained, truth_of
from sklearn.metrics import roc_auc_score
from verdict import FACTOR_SHELL

from napari_tomodrgn.analysis.latents.clusters import k_means

SET: dict[str, object] = {"particles": 1200, "tilts": 21, "box_size_px": 32, "snr": 0.05}
# The second of each pair is the rare one.
PAIRS: dict[str, dict[str, object]] = {
    "5S RNP": {"structures": ("60S", "60S_without_5S_RNP")},
    "40S turned": {"structures": ("motion_00.0_deg", "motion_16.0_deg")},
    "scFv": {"molecule": "envelope", "structures": ("E3M3_2scFv", "E3M3_1scFv")},
    "M protein": {"molecule": "envelope", "structures": ("E3M3_2scFv", "E3M2_2scFv")},
}


def best_axis(latents: np.ndarray, rare: np.ndarray) -> float:
    """Area under the curve of the rare state along the axis that has the largest, 0.5 to 1."""
    areas = np.array([roc_auc_score(rare, latent) for latent in latents.T])
    return float(np.maximum(areas, 1 - areas).max())


def smaller_cluster(latents: np.ndarray, rare: np.ndarray, seed: int) -> tuple[float, float]:
    """Precision and recall of the smaller of two k-means clusters."""
    labels = k_means(latents, 2, seed)
    chosen = labels == np.bincount(labels, minlength=2).argmin()
    hits = float((chosen & rare).sum())
    return hits / max(int(chosen.sum()), 1), hits / int(rare.sum())


def measure(pair: str, share: float, seed: int) -> dict[str, object]:
    """One set."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {**SET, **PAIRS[pair], "shares": (1 - share, share), "export": "warptools"}
        data = simulated(Path(folder), settings, seed)
        run, _ = trained(data, Path(folder) / "run", seed, "linear")
        rare = truth_of(data, run)["state"].to_numpy() == 1
        latents, quality = latents_of(run), run.quality()
    value, error = auc(latents, rare)
    precision, recall = smaller_cluster(latents, rare, seed)
    return {
        "pair": pair,
        "share": share,
        "seed": seed,
        "rare": int(rare.sum()),
        "components": latents.shape[1],
        "axis": round(best_axis(latents, rare), 4),
        "auc": round(value, 4),
        "auc_error": round(error, 4),
        "precision": round(precision, 3),
        "recall": round(recall, 3),
        "surely": round(quality["told_apart_standard_errors"], 2),
        "factor": quality["shell_filter"][FACTOR_SHELL],
    }


def summary(table: pd.DataFrame) -> None:
    """A line a pair and share."""
    for (pair, share), found in table.groupby(["pair", "share"], sort=False):
        print(
            f"{pair:>12} {share:6.1%}, {found['rare'].iloc[0]:3d} particles, {len(found)} sets: "
            f"components {found['components'].tolist()}, AUC of one axis {found['axis'].tolist()}, "
            f"of all {found['auc'].tolist()}, precision {found['precision'].tolist()}, recall "
            f"{found['recall'].tolist()}, said to differ {int((found['surely'] > 3).sum())} "
            f"({found['surely'].tolist()} standard errors)"
        )


def main() -> None:
    """Compute what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="*", help=", ".join(PAIRS))
    parser.add_argument("--shares", nargs="+", type=float, default=[0.05, 0.02, 0.01])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("rare.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    pairs = options.pairs or list(PAIRS)
    for seed, share, pair in itertools.product(range(options.seeds), options.shares, pairs):
        if not is_there(options.out, pair=pair, share=share, seed=seed):
            append(options.out, measure(pair, share, seed))
    table = pd.read_csv(options.out)
    summary(table[table["pair"].isin(pairs)])


if __name__ == "__main__":
    main()
