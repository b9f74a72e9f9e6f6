"""Is trust low where a particle is wrong, and do regions of latents hold what they say?

    python benchmarks/trust.py trust|regions [--seeds N] [--out FILE.csv]

``trust``: sets whose particles have 15 to 41 tilts, poses that are off by another angle each (4°
about each axis, standard deviation) and a tenth false picks. Told are the AUC of false picks and
the rank correlation of trust, and of the number of tilts alone, with how right the pose is.

``regions``: equal particles of two compositions, twice from disjoint halves of their tilts, by the
linear engine. With posteriors N(μ₁, C₁) and N(μ₂, C₂) the means differ with covariance
C₁ + C₂ − C₁ C₂ − C₂ C₁ (`learn/inference/calibration.py`): a region of 90 % holds 90 % of them.

A row of the table is written as it is done; what is there is not done again.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from evidence import append, read_simulated
from scipy.stats import chi2
from sklearn.metrics import roc_auc_score

from napari_tomodrgn.analysis.evidence.images import with_images
from napari_tomodrgn.analysis.evidence.membership import tilt_half_masks
from napari_tomodrgn.analysis.evidence.particle_sums import sum_particles
from napari_tomodrgn.analysis.evidence.trust import trust_particles
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.inference.calibration import image_halves
from napari_tomodrgn.learn.inference.methods import LinearInference, infer_in_chunks
from napari_tomodrgn.learn.linear.engine import LinearEngine
from napari_tomodrgn.learn.reconstruction.contrast import run_to_end
from napari_tomodrgn.learn.runtime.context import RunContext

UNKIND: dict[str, object] = {
    "particles": 144,
    "tilts": 41,
    "box_size_px": 32,
    "snr": 0.05,
    "structures": ("60S", "60S_without_5S_RNP"),
    "nuisances": {"pose_error_deg": 4.0, "false_picks": 0.1},
}
EQUAL: dict[str, object] = {
    "particles": 400,
    "tilts": 21,
    "box_size_px": 32,
    "snr": 0.05,
    "structures": ("60S", "60S_without_5S_RNP"),
}
FEWEST_TILTS = 15
REGION = 0.9


def fewer_tilts(data: TiltData, seed: int) -> tuple[TiltData, np.ndarray]:
    """The data with 15 to 41 tilts of each particle, the lowest; and how many, ``(particle,)``."""
    rng = np.random.default_rng([seed, 3])
    arrays = data.particles.arrays()
    owner, tilt = arrays.particle, np.abs(arrays.stage_tilt_deg)
    order = np.lexsort((tilt, owner))
    rank = np.empty(len(owner), dtype=np.int64)
    rank[order] = np.arange(len(owner)) - np.searchsorted(owner, owner[order])
    most = int(np.bincount(owner).max())
    kept = rng.integers(FEWEST_TILTS, most + 1, data.particle_count)
    return with_images(data, torch.from_numpy(rank < kept[owner])), kept


def ask_trust(seed: int) -> dict[str, object]:
    """One unkind set."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        whole, run = read_simulated(folder, UNKIND, seed)
        data, tilts = fewer_tilts(whole, seed)
        one, two = tilt_half_masks(data)
        used = data.training
        sums = run_to_end(
            sum_particles(LinearEngine.of(data, run, RunContext()), (one & used, two & used))
        )
        truth = pd.read_csv(folder / "truth.csv").set_index("particle_id")
        truth = truth.loc[data.particles.ids]
    amplitude = trust_particles(sums).amplitude
    false = truth["false_pick"].to_numpy() == 1
    right = -truth["pose_error_deg"].reset_index(drop=True)[~false]
    rank = {
        name: float(pd.Series(values).loc[~false].corr(right, method="spearman"))
        for name, values in (("trust", amplitude), ("tilts", tilts))
    }
    return {
        "seed": seed,
        "auc false picks": float(roc_auc_score(false, -amplitude)),
        "auc by tilts": float(roc_auc_score(false, -tilts)),
        "rank correlation": rank["trust"],
        "rank correlation of tilts": rank["tilts"],
    }


def ask_regions(seed: int) -> dict[str, object]:
    """One set of equal particles."""
    with tempfile.TemporaryDirectory() as scratch:
        data, run = read_simulated(Path(scratch), EQUAL, seed, radius_px=None)
        *_, fit = LinearEngine.of(data, run, RunContext()).fits()
        inference = LinearInference(fit.model, data, run)
        rows = torch.arange(data.particle_count)
        one, two = (
            run_to_end(infer_in_chunks(inference, rows, mask)) for mask in image_halves(data)
        )
    first, second = (half.covariance.double() for half in (one, two))
    shared = first @ second
    expected = first + second - shared - shared.mT
    apart = (one.mu - two.mu).double()
    distance = (apart[:, None] @ torch.linalg.inv(expected) @ apart[..., None])[:, 0, 0].numpy()
    inside = distance <= chi2.ppf(REGION, apart.shape[1])
    return {"seed": seed, "axes": apart.shape[1], "inside": float(inside.mean()), "of": len(inside)}


ASKED: dict[str, Callable[[int], dict[str, object]]] = {"trust": ask_trust, "regions": ask_regions}


def main() -> None:
    """Compute what is missing, then print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=list(ASKED))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    out = options.out or Path(f"{options.what}.csv")
    known = set(pd.read_csv(out)["seed"]) if out.exists() else set()
    for seed in range(options.seeds):
        if seed not in known:
            append(out, ASKED[options.what](seed))
    table = pd.read_csv(out)
    print(table.to_string(index=False, float_format="{:.3f}".format))
    print("mean", table.drop(columns="seed").mean().round(3).to_dict())


if __name__ == "__main__":
    main()
