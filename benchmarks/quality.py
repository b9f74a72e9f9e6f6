"""The autoencoder against the linear engine that it starts from, and against itself.

Run::

    python benchmarks/quality.py [--seeds 5] [--agree 5] [--out FILE.csv]

The sets are those of ``linear.py``: 144 particles in two like states, matched. One line a set and
seed: agreement of k-means of the latents with the truth (ARI) and correlation of the decoded
difference of the two states with that of the true maps, both for a run of the linear method and for
the autoencoder's, encoder alone (``guess``) and refined; by how much held-out images are explained
better than by the linear engine; and how latents from halves of the tilts differ against what their
widths say. Then one set trained with several seeds: how well the latents of one run predict those
of another (first canonical correlation).
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from linear import SETS

from napari_tomodrgn.analysis.latents.clusters import agreement, k_means
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.synthetic import SimulationConfig, simulate

TWO_STATES = [name for name, settings in SETS.items() if "structures" in settings]


def simulated(folder: Path, settings: dict[str, object], seed: int) -> Path:
    """A set with known states."""
    for _ in simulate(folder / "data", SimulationConfig.model_validate({**settings, "seed": seed})):
        pass
    return folder / "data"


def trained(
    data: Path, out: Path, seed: int, method: str, keep: list[str] | None = None
) -> tuple[Run, float]:
    """A run with default settings, of all particles or those to ``keep``, and its seconds."""
    particles = read_particles(data / "warptools" / "particles_optimisation_set.star")
    particles = particles if keep is None else particles.select(keep)
    config = RunConfig.model_validate({"method": method, "seed": seed, "train": {"device": "cpu"}})
    began = time.perf_counter()
    for _ in train(particles, config, out):
        pass
    return Run.open(out), time.perf_counter() - began


def latents_of(run: Run, epoch: int | None = None) -> np.ndarray:
    """Means, one row a particle."""
    table = run.latents(epoch)
    return table[[name for name in table if name.startswith("mu_")]].to_numpy()


def truth_of(data: Path, run: Run) -> pd.DataFrame:
    """What the simulation knows of the particles of a run."""
    return pd.read_csv(data / "truth.csv").set_index("particle_id").loc[run.latents().index]


def judged(data: Path, run: Run) -> tuple[float, float]:
    """ARI, and correlation of the decoded difference of two states with the true one."""
    truth, latents, decoder = truth_of(data, run), latents_of(run), run.decoder()
    states = truth["state"].to_numpy()
    names = truth.groupby("state")["state_name"].first()
    maps = [read_volume(data / "truth_maps" / f"{names[state]}.mrc").data for state in (0, 1)]
    ends = [decoder.decode(latents[states == state].mean(0)).data for state in (0, 1)]
    found = np.corrcoef((ends[1] - ends[0]).ravel(), (maps[1] - maps[0]).ravel())[0, 1]
    return agreement(k_means(latents, 2), states), float(found)


def compare_halves(folder: Path, name: str, seed: int) -> dict[str, float | str]:
    """One set and seed, both methods."""
    data = simulated(folder, SETS[name], seed)
    linear, linear_seconds = trained(data, folder / "linear", seed, "linear")
    run, seconds = trained(data, folder / "vae", seed, "vae")
    quality = run.quality()
    ari_linear, map_linear = judged(data, linear)
    ari, difference = judged(data, run)
    gain, calibration = quality["better_than_linear"], quality["calibration"]
    return {
        "set": name,
        "seed": seed,
        "ari_linear": ari_linear,
        "ari": ari,
        "map_linear": map_linear,
        "map": difference,
        "held_out_gain": gain["mean"],
        "gain_error": gain["standard_error"],
        "width_guess": calibration["encoder"]["ratio"],
        "width_refined": calibration.get("refined", {}).get("ratio", np.nan),
        "width_linear": calibration["linear"]["ratio"],
        "epochs": quality["epochs"],
        "seconds_linear": linear_seconds,
        "seconds": seconds,
    }


def canonical(one: np.ndarray, other: np.ndarray) -> float:
    """First canonical correlation of two tables of latents, rows the same particles."""
    bases = [np.linalg.svd(x - x.mean(0), full_matrices=False)[0] for x in (one, other)]
    return float(np.linalg.svd(bases[0].T @ bases[1])[1][0])


def leading(latents: np.ndarray) -> np.ndarray:
    """The axis along which latents differ most."""
    centred = latents - latents.mean(0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:1].T


def agree(folder: Path, name: str, seeds: int) -> str:
    """One set, trained with several seeds."""
    data = simulated(folder, SETS[name], 0)
    runs = [trained(data, folder / f"run-{seed}", seed, "vae")[0] for seed in range(seeds)]
    scores = [judged(data, run)[0] for run in runs]
    latents = [leading(latents_of(run)) for run in runs]
    pairs = [canonical(one, other) for one, other in itertools.combinations(latents, 2)]
    return (
        f"{name}, {seeds} seeds of training: ARI {min(scores):.3f} to {max(scores):.3f}, "
        f"first axes correlate {min(pairs):.3f} to {max(pairs):.3f}"
    )


def main() -> None:
    """Print one line a set and seed, then how seeds agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--agree", type=int, default=5, help="seeds of training on one set; 0: none"
    )
    parser.add_argument("--out", type=Path, help="table of the figures, as CSV")
    options = parser.parse_args()
    rows = []
    for name, seed in itertools.product(TWO_STATES, range(options.seeds)):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(compare_halves(Path(folder), name, seed))
        words = (
            f"{key} {value:.3f}" for key, value in rows[-1].items() if key not in ("set", "seed")
        )
        print(f"{name:>24}  seed {seed}  {'  '.join(words)}", flush=True)
    if options.out is not None:
        pd.DataFrame(rows).to_csv(options.out, index=False)
    if options.agree:
        with tempfile.TemporaryDirectory() as folder:
            print(agree(Path(folder), TWO_STATES[-1], options.agree), flush=True)


if __name__ == "__main__":
    main()
