"""Sixteen nested states in unequal shares: what single maps gain, and which states are found.

Run::

    python benchmarks/assembly.py [SET …] [--methods linear] [--work DIR] [--out assembly.csv]

A row a set, method and state, written when the method is done; what is in the table already is not
computed again, and a training that was stopped goes on (data and runs are kept in ``--work``).

``gain``: for each particle the FSC of its decoded map and its own truth within the mask of what
varies, area under the curve to Nyquist, less that of one map of all images, over the same of its
truth with the noise that a map of all images has; the mean of the state's particles. 0: no better
than one map for all; 1: what as many images of that state alone would show. ``inner gain`` is the
same up to two thirds of Nyquist. ``precision`` and
``recall``: of the cluster that holds the state best, k-means at the number that the run proposes;
found: both 0.8 or more. ``at 16`` is the same at the true number, ``states`` precision and recall
of the states that are told apart by how sure each latent is, as the run proposes them.
``oracle``: how well the log-likelihood of the true maps at the true poses tells the state from the
one before it (AUC).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from evidence import append
from focus import _trained as trained_in
from numpy.typing import NDArray
from quality import latents_of, truth_of
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from napari_tomodrgn.analysis.fsc import fsc
from napari_tomodrgn.analysis.latents.cluster_count import propose_clusters_of
from napari_tomodrgn.analysis.latents.clusters import agreement, clusters_of_table, k_means
from napari_tomodrgn.analysis.reconstruct import reconstruct
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.fourier_images import ImageReader, prepare
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.learn.reconstruction.contrast import decide_sign, run_to_end
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.physics.fourier import sample_transform
from napari_tomodrgn.physics.lattice import half_plane, slice_frequencies
from napari_tomodrgn.synthetic import SimulationConfig, simulate
from napari_tomodrgn.synthetic.structures import Structures, load_structures

FloatArray = NDArray[np.float64]

SMALL = {"particles": 1500, "tilts": 41, "box_size_px": 32, "snr": 0.05, "tomograms": 10}
SETS: dict[str, dict[str, object]] = {
    "small": SMALL,
    "small, weak": {**SMALL, "snr": 0.02},
    "tiny": {**SMALL, "particles": 200, "tilts": 15, "box_size_px": 24, "tomograms": 1},
    "large": {**SMALL, "particles": 6000, "box_size_px": 48},
}
# ``inner gain``, as a share of Nyquist.
INNER = 2 / 3
# What varies: where states differ by more than this share of the most.
VARIES = 0.1
FOUND = 0.8


def areas(volume: FloatArray, truth: Volume, mask: FloatArray) -> FloatArray:
    """Mean FSC from the first shell to Nyquist, and to `INNER` of it."""
    found = fsc(Volume(volume.astype(np.float32), truth.voxel_size_angstrom), truth, mask)
    shells = np.nan_to_num(found.correlation[1:-1])
    return np.array([shells.mean(), shells[: int(INNER * len(found.correlation))].mean()])


class Scale:
    """What one map for all reaches, and what the truth does with the noise of all images."""

    def __init__(self, particles: ParticleSet, structures: Structures, shares: FloatArray) -> None:
        self.truths = structures.volumes
        truths = np.stack([volume.data for volume in self.truths]).astype(np.float64)
        mean = np.tensordot(shares, truths, 1)
        spread = np.sqrt(np.tensordot(shares, (truths - mean) ** 2, 1))
        self.mask = gaussian_filter((spread > VARIES * spread.max()).astype(np.float64), 1.0)
        made = reconstruct(particles)
        density = np.vdot(made.map.data, mean) / np.vdot(mean, mean)
        noise = (made.half1.data - made.half2.data) / (2 * density)
        self.one = np.array([areas(made.map.data, truth, self.mask) for truth in self.truths])
        self.best = np.array([areas(t.data + noise, t, self.mask) for t in self.truths])

    def gain(self, volume: Volume, state: int) -> FloatArray:
        """Of one decoded map: to Nyquist, and to `INNER` of it."""
        reached = areas(volume.data, self.truths[state], self.mask)
        return np.asarray((reached - self.one[state]) / (self.best[state] - self.one[state]))


def oracle(particles: ParticleSet, structures: Structures, states: NDArray[np.int64]) -> FloatArray:
    """How well true maps tell each state from the one before, ``(state,)``; NaN for the first."""
    run = RunConfig()
    lattice = half_plane(particles.optics.box_size_px)
    reader = ImageReader(particles, lattice, run.data, decide_sign(particles, run.data))
    images = run_to_end(prepare(reader, len(lattice), np.inf, None))
    data = TiltData(particles, images, lattice, run.weight)
    errors = np.array([true_errors(data, structures, row, int(s)) for row, s in enumerate(states)])
    areas = [np.nan]
    for state in range(1, len(structures.names)):
        early, late = errors[states == state - 1], errors[states == state]
        score = np.concatenate([early[:, 1] - early[:, 2], late[:, 0] - late[:, 1]])
        truth = np.repeat([0, 1], [len(early), len(late)])
        both = len(early) and len(late)
        areas.append(float(roc_auc_score(truth, score)) if both else np.nan)
    return np.array(areas)


def true_errors(data: TiltData, structures: Structures, row: int, state: int) -> list[float]:
    """Weighted squared errors of a particle's images: the state before its own, its own, the next.

    NaN where there is none.
    """
    batch = data.batch(torch.tensor([row]))
    where = slice_frequencies(data.lattice.frequencies, batch.rotations)
    weights = batch.weights * batch.precision
    made = {
        one: sample_transform(structures.transforms[one], where) * batch.transfer
        for one in range(max(state - 1, 0), min(state + 2, len(structures.names)))
    }
    own = made[state]
    # The scale of the images is that of the truth; it is the same for all particles but for noise.
    scale = (weights * (own.conj() * batch.samples).real).sum() / (
        weights * own.abs().square()
    ).sum()
    return [
        float((weights * (batch.samples - scale * made[one]).abs().square()).sum())
        if one in made
        else np.nan
        for one in (state - 1, state, state + 1)
    ]


def held_best(labels: NDArray[np.int64], state: NDArray[np.bool_]) -> tuple[float, float]:
    """Precision and recall of the cluster that holds a state best, by their harmonic mean."""
    rows = []
    for label in np.unique(labels):
        hits = (state & (labels == label)).sum()
        rows.append((hits / (labels == label).sum(), hits / state.sum()))
    pairs = np.array(rows)
    best = (2 * pairs.prod(1) / np.maximum(pairs.sum(1), 1e-9)).argmax()
    return float(pairs[best, 0]), float(pairs[best, 1])


def judged(run: Run, data: Path, config: SimulationConfig) -> list[dict[str, object]]:
    """One method: a row a state."""
    structures = load_structures(config)
    particles = read_particles(data / "warptools" / "particles_optimisation_set.star")
    table = run.latents()
    assert list(table.index) == list(particles.ids)
    states = truth_of(data, run)["state"].to_numpy()
    present = np.bincount(states, minlength=len(structures.names))
    scale = Scale(particles, structures, present / len(states))
    latents = latents_of(run)
    decoded = run.decoder().decode_many(latents)
    gains = np.array([scale.gain(v, int(s)) for v, s in zip(decoded, states, strict=True)])
    proposed = propose_clusters_of(table)
    assert proposed is not None
    labels, at_16 = k_means(latents, max(proposed.count, 1)), k_means(latents, len(present))
    by_states = clusters_of_table(table, None, method="states").labels
    told_apart = oracle(particles, structures, states)
    rows: list[dict[str, object]] = []
    for state in np.flatnonzero(present).tolist():
        here = states == state
        precision, recall = held_best(labels, here)
        rows.append(
            {
                "state": structures.names[state],
                "particles": int(present[state]),
                "gain": round(float(gains[here, 0].mean()), 3),
                "inner gain": round(float(gains[here, 1].mean()), 3),
                "one map": round(float(scale.one[state, 0]), 3),
                "best": round(float(scale.best[state, 0]), 3),
                "precision": round(precision, 3),
                "recall": round(recall, 3),
                "at 16": " ".join(f"{value:.2f}" for value in held_best(at_16, here)),
                "states": " ".join(f"{value:.2f}" for value in held_best(by_states, here)),
                "oracle": round(float(told_apart[state]), 4),
                "components": latents.shape[1],
                "proposed": proposed.count,
                "ari": round(agreement(labels, states), 3),
                "ari at 16": round(agreement(at_16, states), 3),
                "told apart": int(by_states.max()),
                "ari of states": round(agreement(by_states, states), 3),
                "surely": round(run.quality()["told_apart_standard_errors"], 1),
            }
        )
    return rows


def measure(name: str, method: str, seed: int, work: Path) -> list[dict[str, object]]:
    """One set and method."""
    config = SimulationConfig.model_validate(
        {**SETS[name], "assembly": 16, "export": "warptools", "seed": seed}
    )
    data = work / f"{name}, seed {seed}"
    if not (data / "truth.csv").exists():
        data.mkdir(parents=True, exist_ok=True)
        for _ in simulate(data, config):
            pass
    star = data / "warptools" / "particles_optimisation_set.star"
    settings = RunConfig.model_validate({"method": method, "seed": seed})
    run = Run.open(trained_in(star, settings, work / f"{name}, {method}, seed {seed}"))
    return [
        {"set": name, "method": method, "seed": seed, **row} for row in judged(run, data, config)
    ]


def summary(table: pd.DataFrame) -> None:
    """The states of each set and method, the commonest first, and what holds for all."""
    for (name, method, seed), found in table.groupby(["set", "method", "seed"], sort=False):
        first, ordered = found.iloc[0], found.sort_values("particles", ascending=False)
        held = (found["precision"] >= FOUND) & (found["recall"] >= FOUND)
        share = found["particles"] / found["particles"].sum()
        print(
            f"{name}, {method}, seed {seed}: {first['components']} components, "
            f"{first['surely']} standard errors, {first['proposed']} classes proposed, found "
            f"{int(held.sum())} of {len(found)}; ARI {first['ari']}, at 16 {first['ari at 16']}; "
            f"{first['told apart']} states told apart, found {_found(found['states'])}, ARI "
            f"{first['ari of states']}; "
            f"gain of states above 2 % {found['gain'][share > 0.02].mean():.3f}, inner gain "
            f"{found['inner gain'][share > 0.02].mean():.3f}"
        )
        columns = ["state", "particles", "gain", "inner gain", "one map", "best"]
        columns += ["precision", "recall", "at 16", "states", "oracle"]
        print(ordered[columns].to_string(index=False))


def _found(pairs: pd.Series) -> int:
    """How many have precision and recall, two numbers in a word, that are large enough."""
    return sum(min(map(float, pair.split())) >= FOUND for pair in pairs)


def main() -> None:
    """Compute what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", help=", ".join(SETS))
    parser.add_argument("--methods", nargs="+", choices=("linear", "vae"), default=["linear"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("assembly"))
    parser.add_argument("--out", type=Path, default=Path("assembly.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.sets or ["small"]:
        for method in options.methods:
            known = pd.read_csv(options.out) if options.out.exists() else pd.DataFrame()
            key = {"set": name, "method": method, "seed": options.seed}
            if len(known) and (known[list(key)] == pd.Series(key)).all(axis=1).any():
                continue
            for row in measure(name, method, options.seed, options.work):
                append(options.out, row)
    summary(pd.read_csv(options.out))


if __name__ == "__main__":
    main()
