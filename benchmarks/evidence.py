"""How often groups are said to differ: chosen from noise, from true states, from nuisances.

Run::

    python benchmarks/evidence.py [CASE …] [--seeds 20] [--out evidence.csv]

One row a case, seed and way to choose the groups, appended to the table as soon as it is there;
rows that are in it already are not computed again, so a run that was stopped goes on. Groups are
chosen from latents of all images by the linear engine, as a user would, and compared as by the
command compare; beside it stands the same test without crossing (``plain``). ``power`` is the power
of A − B within Fourier shell 6 over that of 20 random splits. Without a case, those of `QUICK`.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from napari_tomodrgn.analysis.evidence.causes import (
    ALIGNMENT,
    CONTRAST,
    DEFOCUS,
    JUNK,
    MOLECULE,
    SURROUNDINGS,
    find_causes,
)
from napari_tomodrgn.analysis.evidence.difference import (
    PermutationTest,
    statistics,
    weights_of,
)
from napari_tomodrgn.analysis.evidence.maps import difference_values
from napari_tomodrgn.analysis.evidence.membership import CrossedLabels, cross_labels, uncrossed
from napari_tomodrgn.analysis.evidence.particle_sums import ParticleSums
from napari_tomodrgn.analysis.evidence.permutation import permuted
from napari_tomodrgn.analysis.evidence.session import Evidence, prepare_evidence
from napari_tomodrgn.analysis.latents.clusters import k_means
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.fourier_images import ImageReader, prepare
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.linear.engine import LinearEngine
from napari_tomodrgn.learn.reconstruction.contrast import decide_sign, run_to_end
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.physics.lattice import half_plane
from napari_tomodrgn.synthetic import SimulationConfig, simulate

SET = {"particles": 144, "tilts": 21, "box_size_px": 32, "snr": 0.05}
CASES: dict[str, dict[str, object]] = {
    "one": {**SET, "structures": ("60S",)},
    "one, 40 particles": {**SET, "structures": ("60S",), "particles": 40},
    "one, 1,000 particles": {**SET, "structures": ("60S",), "particles": 1000},
    "40S turned": {**SET, "structures": ("motion_00.0_deg", "motion_16.0_deg")},
    "5S RNP": {**SET, "structures": ("60S", "60S_without_5S_RNP")},
    "motion": {**SET, "continuous": True},
    "5S RNP, poses off, crowded": {
        **SET,
        "structures": ("60S", "60S_without_5S_RNP"),
        "nuisances": {"pose_error_deg": 3.0, "neighbors": 3.0},
    },
}
# One structure with one thing wrong, weak to strong, and the names that are right for it.
NUISANCES: dict[str, tuple[tuple[float, ...], tuple[str, ...]]] = {
    "pose_error_deg": ((5.0, 10.0, 20.0), (ALIGNMENT, DEFOCUS, CONTRAST)),
    "shift_error_angstrom": ((10.0, 20.0, 40.0), (ALIGNMENT, DEFOCUS, CONTRAST)),
    "defocus_error_angstrom": ((1500.0, 4000.0, 10000.0), (DEFOCUS, CONTRAST)),
    "neighbors": ((2.0, 4.0, 8.0), (SURROUNDINGS,)),
    "membranes": ((0.2, 0.5), (SURROUNDINGS,)),
    "tilt_angle_error_deg": ((1.0, 3.0), (ALIGNMENT, DEFOCUS)),
    "thickness": ((0.5, 1.5), (CONTRAST, DEFOCUS)),
    "uneven_dose": ((0.5, 1.0), (CONTRAST, DEFOCUS)),
    "false_picks": ((0.1, 0.3), (JUNK, CONTRAST)),
}
CASES |= {
    f"{name} {strength:g}": {**CASES["one"], "nuisances": {name: strength}}
    for name, (strengths, _) in NUISANCES.items()
    for strength in strengths
}
QUICK = ["one", "40S turned", "5S RNP", "motion"]
PERMUTATIONS = 4999
# The first radius of the linear engine alone: a quarter of the time, and the states are told apart.
RADIUS_PX = 6
Labels = np.ndarray
# A molecule that was never looked at while thresholds were set: long, a tenth of the mass.
SECOND: dict[str, dict[str, object]] = {
    "one, second molecule": {"structures": ("E3M3_2scFv",)},
    "clear, second molecule": {"structures": ("E3M3_2scFv", "E3M3")},
    "faint, second molecule": {"structures": ("E3M3_2scFv", "E3M2_2scFv")},
    "motion, second molecule": {"continuous": True},
}
CASES |= {name: {**SET, "molecule": "envelope", **settings} for name, settings in SECOND.items()}


def read_simulated(
    folder: Path, settings: dict[str, object], seed: int, radius_px: int | None = RADIUS_PX
) -> tuple[TiltData, RunConfig]:
    """The images of a simulated set, and the settings of a run; radius None: the engine's own."""
    config = SimulationConfig.model_validate({**settings, "seed": seed})
    for _ in simulate(folder, config):
        pass
    particles = read_particles(folder / "warptools" / "particles_optimisation_set.star")
    run = RunConfig.model_validate(
        {"method": "linear", "seed": seed, "linear": {"radius_px": radius_px}}
    )
    lattice = half_plane(particles.optics.box_size_px)
    sign = decide_sign(particles, run.data)
    reader = ImageReader(particles, lattice, run.data, sign)
    images = run_to_end(prepare(reader, len(lattice), np.inf, None))
    return TiltData(particles, images, lattice, run.weight), run


def fit_latents(data: TiltData, run: RunConfig) -> np.ndarray:
    """Latents of all images, ``(particle, component)``."""
    *_, fit = LinearEngine.of(data, run, RunContext()).fits()
    return fit.training_mu.double().numpy()


def prepared(folder: Path, settings: dict[str, object], seed: int) -> tuple[Evidence, np.ndarray]:
    """A simulated set, ready to compare groups of, and its latents from all images."""
    data, run = read_simulated(folder, settings, seed)
    return run_to_end(prepare_evidence(data, run)), fit_latents(data, run)


def groups(name: str, latents: np.ndarray, seed: int) -> Iterator[tuple[str, Labels]]:
    """Ways in which a user chooses groups from latents."""
    rng = np.random.default_rng([seed, 7])
    first = latents[:, 0]
    if name.startswith("motion"):
        low, middle = np.quantile(first, [1 / 3, 2 / 3])
        yield "middle against end", np.select([first <= low, first <= middle], [0, 1], -1)
        return
    yield "k-means 2", np.where(k_means(latents, 2, seed) == 0, 1, -1)
    if not name.startswith("one"):  # the way of acquisition, or the states
        return
    yield "top tenth of PC 1", np.where(first >= np.quantile(first, 0.9), 1, -1)
    # A lasso at the rim: a fifth of the particles, nearest to the one furthest out some way.
    away = latents @ rng.normal(size=latents.shape[1])
    distance = np.linalg.norm(latents - latents[away.argmax()], axis=1)
    yield "lasso at the rim", np.where(distance <= np.quantile(distance, 0.2), 1, -1)


def power(sums: ParticleSums, labels: Labels, radius: int = 6) -> float:
    """Of A − B within a Fourier radius."""
    values, _ = difference_values(sums, labels)
    weights = sums.counts * (sums.shells <= radius)
    return float((weights * np.abs(values) ** 2).sum())


def judged(evidence: Evidence, crossed: CrossedLabels) -> dict[str, float | str]:
    """The test of some groups, and the power of their difference against random splits."""
    labels = crossed.labels
    splits = permuted(labels, evidence.strata, PERMUTATIONS)
    found = find_causes(evidence.features, evidence.sums, evidence.nuisances, crossed, splits)
    random = [power(evidence.sums, one) for one in splits[:20]]
    test = found.tests[MOLECULE]
    return {
        "z": test.z,
        "p": test.p,
        "cause": found.name,
        "power": power(evidence.sums, labels) / float(np.mean(random)),
        **{f"z {name}": one.z for name, one in found.tests.items() if name != MOLECULE},
        "amplitude": min(found.amplitudes),
    }


def plain(evidence: Evidence, labels: Labels) -> dict[str, float]:
    """The same groups as they were drawn, in the images that chose them."""
    splits = permuted(labels, evidence.strata, 999)
    gram = evidence.features.gram
    observed, random = (
        statistics(gram, weights_of(rows), crossed=False) for rows in (labels[None], splits)
    )
    test = PermutationTest.of(float(observed[0]), random)
    chance = [power(evidence.sums, one) for one in splits[:20]]
    found = power(evidence.sums, labels) / float(np.mean(chance))
    return {"plain z": test.z, "plain power": found}


def random_splits(evidence: Evidence, seed: int) -> dict[str, float]:
    """Squares of A − B over their variance by the noise model, in shells of 50 voxels or more."""
    rng = np.random.default_rng([seed, 11])
    count = evidence.sums.particles
    found = []
    for _ in range(10):
        drawn = rng.permutation(np.repeat([1, -1], [count // 2, count - count // 2]))
        values, variance = difference_values(evidence.sums, uncrossed(drawn).labels)
        # A complex value has this variance in both its parts together.
        found.append(np.abs(values) ** 2 / np.maximum(variance, 1e-30))
    by_shell = evidence.sums.shell_mean(np.mean(found, axis=0))
    large = np.bincount(evidence.sums.shells) >= 50
    used = by_shell[: evidence.sums.radius_px + 1][large[: evidence.sums.radius_px + 1]]
    return {"z variance": float(used.mean()), "z variance, worst shell": float(used.max())}


def measure(name: str, seed: int) -> Iterator[dict[str, object]]:
    """All ways to choose groups of one set."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        evidence, latents = prepared(Path(folder), CASES[name], seed)
        splits = random_splits(evidence, seed)
        seconds = time.perf_counter() - began
        for way, drawn in groups(name, latents, seed):
            labels = drawn.astype(np.int8)
            crossed = cross_labels(labels, evidence.latents, seed)
            yield {
                "case": name,
                "seed": seed,
                "way": way,
                **judged(evidence, crossed),
                "agreement": crossed.agreement,
                "attenuation": crossed.attenuation,
                **plain(evidence, uncrossed(labels).labels),
                **splits,
                "seconds": seconds,
            }


def append(path: Path, row: dict[str, object]) -> None:
    """Add a row to a table."""
    new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def summary(table: pd.DataFrame) -> None:
    """How often each case was said to differ."""
    for (case, way), found in table.groupby(["case", "way"], sort=False):
        differ = (found["cause"] == MOLECULE).sum()
        plain_power, plain_z = found["plain power"].median(), found["plain z"].median()
        print(
            f"{case:>22}, {way:<20} said to differ {differ} of {len(found)}; "
            f"z {found.z.mean():+.1f} ({found.z.min():+.1f} to {found.z.max():+.1f}); "
            f"power {found.power.median():.2f}, plain {plain_power:.2f} (z {plain_z:+.1f}); "
            f"halves agree {found.agreement.median():.0%}, attenuation "
            f"{found.attenuation.median():.2f}; "
            f"z² of random splits {found['z variance'].mean():.3f}"
        )


def main() -> None:
    """Compute what is missing, then print how often each case was said to differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=", ".join(CASES))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("evidence.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed in range(options.seeds):
        for name in options.cases or QUICK:
            known = pd.read_csv(options.out) if options.out.exists() else pd.DataFrame()
            if len(known) and ((known["case"] == name) & (known["seed"] == seed)).any():
                continue
            for row in list(measure(name, seed)):
                append(options.out, row)
    table = pd.read_csv(options.out, keep_default_na=False, na_values=["nan"])
    summary(table[table["case"].isin(options.cases or QUICK)])


if __name__ == "__main__":
    main()
