"""What a comparison makes of one structure with one thing wrong, once the run's own verdict speaks.

Run::

    python benchmarks/evidence_nuisances.py [NUISANCE …] [--sets 10] [--out nuisances.csv]
        [--case "one, second molecule"]

The strength of each nuisance is raised until held-out images of the run say, beyond 3 standard
errors, that particles differ, in eight of ten sets (of ``--sets``); a strength is given up as soon
as that is out of reach. One row a set: the run's verdict, and what the comparison of two k-means
groups of its latents says and names. Rows that are in the table already are not computed again.
Runs are of the linear engine at its first radius, as in ``evidence.py``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from evidence import CASES, append, judged, random_splits, read_simulated

from napari_tomodrgn.analysis.evidence.cause_names import (
    ALIGNMENT,
    CONTRAST,
    DEFOCUS,
    JUNK,
    MOLECULE,
    SURROUNDINGS,
)
from napari_tomodrgn.analysis.evidence.session import prepare_evidence
from napari_tomodrgn.analysis.latents.clusters import k_means
from napari_tomodrgn.learn.reconstruction.contrast import run_to_end
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.training.train import train

# Weak to strong, and the names that are right for it, the nuisance's own first.
NUISANCES: dict[str, tuple[tuple[float, ...], tuple[str, ...]]] = {
    "pose_error_deg": ((5.0, 10.0, 20.0), (ALIGNMENT, DEFOCUS, CONTRAST)),
    "shift_error_angstrom": ((10.0, 20.0, 40.0), (ALIGNMENT, DEFOCUS, CONTRAST)),
    "defocus_error_angstrom": ((4000.0, 10000.0, 20000.0), (DEFOCUS, CONTRAST)),
    "neighbors": ((8.0, 20.0, 50.0), (SURROUNDINGS,)),
    "membranes": ((0.2, 0.5, 1.0), (SURROUNDINGS,)),
    "tilt_angle_error_deg": ((3.0, 10.0, 30.0), (ALIGNMENT, DEFOCUS)),
    "thickness": ((1.5, 5.0), (CONTRAST, DEFOCUS)),
    "uneven_dose": ((1.0, 2.0), (CONTRAST, DEFOCUS)),
    "false_picks": ((0.1, 0.3), (JUNK, CONTRAST)),
}
# Beyond so many standard errors a run says that particles differ; in so many of the sets.
VERDICT, ASKED = 3.0, 0.8
# Sets of one structure, each in a table of its own (``--out``).
ONE_STRUCTURE = ("one", "one, second molecule")


def measure(case: str, name: str, strength: float, seed: int) -> dict[str, object]:
    """One set: the run's verdict, and what the comparison says."""
    settings = {**CASES[case], "nuisances": {name: strength}}
    with tempfile.TemporaryDirectory() as folder:
        data, config = read_simulated(Path(folder), settings, seed)
        for _ in train(data.particles, config, Path(folder) / "run"):
            pass
        run = Run.open(Path(folder) / "run")
        table = run.latents()
        latents = table[[column for column in table if column.startswith("mu_")]].to_numpy()
        evidence = run_to_end(prepare_evidence(data, config))
        drawn = np.where(k_means(latents, 2, seed) == 0, 1, -1)
        return {
            "nuisance": name,
            "strength": strength,
            "seed": seed,
            "verdict": run.quality()["told_apart_standard_errors"],
            **judged(evidence, drawn, seed),
            **random_splits(evidence, seed),
        }


def missing(name: str, sets: int, out: Path) -> Iterator[tuple[float, int]]:
    """Strength and seed of the next set, until the verdict speaks often enough."""
    allowed = sets - int(np.ceil(ASKED * sets))
    for strength in NUISANCES[name][0]:
        silent = 0
        for seed in range(sets):
            known = pd.read_csv(out) if out.exists() else pd.DataFrame()
            if len(known):
                known = known.query("nuisance == @name and strength == @strength and seed == @seed")
            if not len(known):
                yield strength, seed
                known = pd.read_csv(out).iloc[-1:]
            silent += int(known["verdict"].iloc[0] <= VERDICT)
            if silent > allowed:
                break
        else:
            return


def summary(table: pd.DataFrame) -> None:
    """Strength → verdict → name, and how often the name is right."""
    table = table.assign(cause=table["cause"].fillna(""))
    own, fitting, called = 0, 0, 0
    for (name, strength), found in table.groupby(["nuisance", "strength"], sort=False):
        spoken = found["verdict"] > VERDICT
        names = found["cause"].replace("", "no difference").value_counts().to_dict()
        print(
            f"{name:>22} {strength:>7g}: verdict {found.verdict.median():+.1f} σ "
            f"({found.verdict.min():+.1f} to {found.verdict.max():+.1f}), beyond 3 in "
            f"{spoken.sum()} of {len(found)}; z {found['z, whole'].median():+.1f}, left "
            f"{found.left.median():.0%}; {names}; z² by model {found['z² by model'].mean():.3f}, "
            f"of the map {found['z² of the map'].mean():.3f}"
        )
        differ, right = found["cause"][found["cause"] != ""], NUISANCES[str(name)][1]
        called += len(differ)
        own += int((differ == right[0]).sum())
        fitting += int(differ.isin(right).sum())
    molecule = int((table["cause"] == MOLECULE).sum())
    print(
        f"{len(table)} sets, {int((table['verdict'] > VERDICT).sum())} with a verdict beyond 3 σ: "
        f"of the molecule {molecule}; {called} said to differ, the nuisance's own name {own} "
        f"({own / max(called, 1):.0%}), a fitting one {fitting} ({fitting / max(called, 1):.0%})"
    )


def main() -> None:
    """Compute what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nuisances", nargs="*", help=", ".join(NUISANCES))
    parser.add_argument("--sets", type=int, default=10)
    parser.add_argument("--case", choices=ONE_STRUCTURE, default=ONE_STRUCTURE[0])
    parser.add_argument("--out", type=Path, default=Path("nuisances.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.nuisances or NUISANCES:
        for strength, seed in missing(name, options.sets, options.out):
            append(options.out, measure(options.case, name, strength, seed))
    summary(pd.read_csv(options.out))


if __name__ == "__main__":
    main()
