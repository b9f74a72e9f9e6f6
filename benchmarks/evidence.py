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
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from napari_tomodrgn.analysis.evidence.causes import MOLECULE, find_causes
from napari_tomodrgn.analysis.evidence.comparison import PERMUTATIONS
from napari_tomodrgn.analysis.evidence.difference import (
    PermutationTest,
    statistics,
    weights_of,
)
from napari_tomodrgn.analysis.evidence.maps import box_maps, difference_map, difference_values
from napari_tomodrgn.analysis.evidence.membership import cross_labels, tilt_half_masks, uncrossed
from napari_tomodrgn.analysis.evidence.particle_sums import ParticleSums
from napari_tomodrgn.analysis.evidence.permutation import (
    Strata,
    beam_directions,
    constant_in_tomograms,
    permuted,
    tomograms_a_side,
    tomograms_tell,
)
from napari_tomodrgn.analysis.evidence.session import Evidence, add_up, prepare_evidence
from napari_tomodrgn.analysis.latents.clusters import k_means
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.fourier_images import ImageReader, prepare
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.linear.engine import LinearEngine
from napari_tomodrgn.learn.reconstruction.contrast import decide_sign, run_to_end
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.physics.lattice import half_plane
from napari_tomodrgn.synthetic import SimulationConfig, simulate

SET = {"particles": 144, "tilts": 21, "box_size_px": 32, "snr": 0.05, "export": "warptools"}
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
    "5S RNP, 5 % of 1,200": {
        **SET,
        "particles": 1200,
        "structures": ("60S", "60S_without_5S_RNP"),
        "shares": (0.95, 0.05),
    },
    # Groups by viewing direction, defocus and tomogram, see `ACQUISITION`.
    "one, by acquisition": {**SET, "structures": ("60S",)},
    "one, by acquisition, 16 tomograms": {**SET, "structures": ("60S",), "tomograms": 16},
}
ACQUISITION = ("one, by acquisition", "one, by acquisition, 16 tomograms")
QUICK = ["one", "40S turned", "5S RNP", "motion"]
# The first radius of the linear engine alone: a quarter of the time, and the states are told apart.
RADIUS_PX = 6
UNTELLABLE = "not told from tomograms"
# Errors are asked on sets of so many particles at most: 220 differences of more take minutes.
MOST_FOR_ERRORS = 500
ERRORS = (
    "z² by model",
    "z² by model, worst shell",
    "z² by splits",
    "z² by splits, worst shell",
    "z² of the map",
    "z of the map",
)
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


def prepared_uncrossed(folder: Path, settings: dict[str, object], seed: int) -> Evidence:
    """A simulated set, ready to compare groups that no image chose: nothing is fitted."""
    data, run = read_simulated(folder, settings, seed)
    none = np.zeros((data.particle_count, 0))
    return Evidence(data, run, tilt_half_masks(data), (none, none), run_to_end(add_up(data, run)))


def groups(name: str, latents: np.ndarray, seed: int) -> Iterator[tuple[str, Labels]]:
    """Ways in which a user chooses groups from latents."""
    rng = np.random.default_rng([seed, 7])
    first = latents[:, 0]
    if name.startswith("motion"):
        low, middle = np.quantile(first, [1 / 3, 2 / 3])
        yield "middle against end", np.select([first <= low, first <= middle], [0, 1], -1)
        return
    if name == "5S RNP, 5 % of 1,200":
        # As many as stick out, on the side where more do.
        outward = first * np.sign(((first - first.mean()) ** 3).sum())
        yield "twentieth, long end of PC 1", np.where(outward >= np.quantile(outward, 0.95), 1, -1)
    yield "k-means 2", np.where(k_means(latents, 2, seed) == 0, 1, -1)
    if not name.startswith("one"):  # the way of acquisition, or the states
        return
    yield "top tenth of PC 1", np.where(first >= np.quantile(first, 0.9), 1, -1)
    # A lasso at the rim: a fifth of the particles, nearest to the one furthest out some way.
    away = latents @ rng.normal(size=latents.shape[1])
    distance = np.linalg.norm(latents - latents[away.argmax()], axis=1)
    yield "lasso at the rim", np.where(distance <= np.quantile(distance, 0.2), 1, -1)


def by_acquisition(
    particles: ParticleSet, strata: Strata, seed: int
) -> Iterator[tuple[str, Labels]]:
    """Groups that are chosen without looking at images."""
    rng = np.random.default_rng([seed, 13])
    axis = rng.normal(size=3)
    along = np.abs(beam_directions(particles) @ axis)
    arrays = particles.arrays()
    count = np.bincount(arrays.particle)
    defocus = np.bincount(arrays.particle, weights=arrays.defocus_u_angstrom) / count
    middle = pd.Series(defocus).groupby(strata.tomogram).transform("median")
    tomograms = int(strata.tomogram.max()) + 1
    chosen = rng.permutation(tomograms)[: tomograms // 2]
    yield "viewing direction", np.where(along > np.median(along), 1, -1)
    yield "defocus", np.where(defocus > np.median(defocus), 1, -1)
    yield "defocus in its tomogram", np.where(defocus > middle, 1, -1)
    yield "tomogram", np.where(np.isin(strata.tomogram, chosen), 1, -1)


def power(sums: ParticleSums, labels: Labels, radius: int = 6) -> float:
    """Of A − B within a Fourier radius."""
    values, _ = difference_values(sums, labels)
    weights = sums.counts * (sums.shells <= radius)
    return float((weights * np.abs(values) ** 2).sum())


def judged(
    evidence: Evidence, drawn: Labels, seed: int, *, from_images: bool = True
) -> dict[str, float | str]:
    """What the comparison says, and the power of the difference against random splits."""
    labels = drawn.astype(np.int8)
    crossed = (
        cross_labels(labels, evidence.latents, seed, evidence.data.originals)
        if from_images
        else uncrossed(labels)
    )
    labels = crossed.labels
    splits = permuted(labels, evidence.strata, PERMUTATIONS, seed)
    found = find_causes(evidence.features, evidence.sums, evidence.nuisances, crossed, splits)
    told = not constant_in_tomograms(labels, evidence.strata) or tomograms_tell(
        *tomograms_a_side(labels, evidence.strata)
    )
    random = [power(evidence.sums, one) for one in splits[:20]]
    return {
        "z": found.tests[MOLECULE].z,
        "p": found.tests[MOLECULE].p,
        "cause": found.name if told else UNTELLABLE,
        "z, whole": found.whole.z,
        "left": found.tests[MOLECULE].statistic / found.whole.statistic,
        "power": power(evidence.sums, labels) / float(np.mean(random)),
        **{f"z {name}": one.z for name, one in found.tests.items() if name != MOLECULE},
        "amplitude": min(found.amplitudes),
        "agreement": crossed.agreement,
        "attenuation": crossed.attenuation,
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
    """Squares of A − B of random splits over their variance, three ways.

    By the noise model and by other random splits, in shells of 50 voxels or more; and voxel by
    voxel over the square of ``standard_error.mrc``, all over the box.
    """
    rng, sums = np.random.default_rng([seed, 11]), evidence.sums
    if sums.particles > MOST_FOR_ERRORS:
        return dict.fromkeys(ERRORS, float("nan"))
    drawn = rng.permutation(np.arange(sums.particles) % 2 * 2 - 1).astype(np.int8)
    # Those of 4,999 splits that errors come from, and others.
    splits = permuted(uncrossed(drawn).labels, evidence.strata, 220, seed)
    error = difference_map(sums, splits[-1], splits[:-20], 1.0, seed)
    of_model, of_splits, of_map, means = [], [], [], []
    for one in splits[-20:]:
        values, variance = difference_values(sums, one)
        # A complex value has this variance in both its parts together.
        of_model.append(np.abs(values) ** 2 / np.maximum(variance, 1e-30))
        of_splits.append(sums.shell_mean(np.abs(values) ** 2))
        z = box_maps(values[None], sums)[0] / error.standard_error.data
        of_map.append(np.square(z).mean())
        means.append(z.mean())
    shells = sums.radius_px + 1
    large = np.bincount(sums.shells)[:shells] >= 50
    by_model = sums.shell_mean(np.mean(of_model, axis=0))[:shells][large]
    by_split = np.mean(of_splits, axis=0)[:shells][large] / error.shells[large, 2] ** 2
    found = (
        by_model.mean(),
        by_model.max(),
        by_split.mean(),
        by_split.max(),
        np.mean(of_map),
        np.mean(means),
    )
    return dict(zip(ERRORS, map(float, found), strict=True))


def measure(name: str, seed: int) -> Iterator[dict[str, object]]:
    """All ways to choose groups of one set."""
    acquired = name in ACQUISITION
    with tempfile.TemporaryDirectory() as folder:
        if acquired:
            evidence = prepared_uncrossed(Path(folder), CASES[name], seed)
            ways = by_acquisition(evidence.data.particles, evidence.strata, seed)
        else:
            evidence, latents = prepared(Path(folder), CASES[name], seed)
            ways = groups(name, latents, seed)
        splits = random_splits(evidence, seed)
        for way, drawn in ways:
            yield {
                "case": name,
                "seed": seed,
                "way": way,
                **judged(evidence, drawn, seed, from_images=not acquired),
                **({} if acquired else plain(evidence, uncrossed(drawn).labels)),
                **splits,
            }


def append(path: Path, row: dict[str, object]) -> None:
    """Add a row to a table, each value under its name, whatever the rows before have."""
    known = list(pd.read_csv(path, nrows=0)) if path.exists() else []
    columns = list(dict.fromkeys([*known, *row]))
    if known and columns != known:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        rows.reindex(columns=columns, fill_value="").to_csv(path, index=False)
    with open(path, "a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=columns)
        if not known:
            writer.writeheader()
        writer.writerow(row)


def is_there(path: Path, **row: object) -> bool:
    """Whether a table has a row with these values already."""
    known = pd.read_csv(path) if path.exists() else pd.DataFrame()
    return len(known) > 0 and any((known[list(row)] == pd.Series(row)).all(axis=1))


def summary(table: pd.DataFrame) -> None:
    """How often each case was said to differ."""
    # What a case does not have is left empty, which makes its column one of text.
    numbers = [name for name in table if name not in ("case", "way", "cause")]
    table = table.assign(**{n: pd.to_numeric(table[n], errors="coerce") for n in numbers})
    for (case, way), found in table.groupby(["case", "way"], sort=False):
        differ = (found["cause"] == MOLECULE).sum()
        causes = found["cause"].replace("", "nothing").value_counts().to_dict()
        words = [
            f"{case:>22}, {way:<20} said to differ {differ} of {len(found)}",
            f"z {found.z.mean():+.1f} ({found.z.min():+.1f} to {found.z.max():+.1f})",
            f"power {found.power.median():.2f}",
            f"halves agree {found.agreement.median():.0%}",
            f"attenuation {found.attenuation.median():.2f}",
            f"said {causes}",
        ]
        if "plain z" in found and found["plain z"].notna().any():
            plain_power, plain_z = found["plain power"].median(), found["plain z"].median()
            words.insert(3, f"plain {plain_power:.2f} (z {plain_z:+.1f})")
        print("; ".join(words))
    if "z of the map" not in table:
        return
    for case, found in table.drop_duplicates(["case", "seed"]).groupby("case", sort=False):
        errors = {name: f"{found[name].mean():.3f}" for name in found if "z²" in name}
        print(
            f"{case:>22}, {len(found)} sets: mean z {found['z of the map'].mean():+.4f}, {errors}"
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
            if is_there(options.out, case=name, seed=seed):
                continue
            for row in list(measure(name, seed)):
                append(options.out, row)
    table = pd.read_csv(options.out, keep_default_na=False, na_values=["nan"])
    summary(table[table["case"].isin(options.cases or QUICK)])


if __name__ == "__main__":
    main()
