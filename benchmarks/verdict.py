"""How often a run says that particles differ: sets of one structure, and of two.

Run::

    python benchmarks/verdict.py [--seeds 10] [--second] [--methods linear vae] [--out FILE.csv]

One line a set and seed, for the linear method and for the autoencoder: by how many standard errors
held-out images ask for differences (above 3 the run says that particles differ), the factor of the
shell filter at Fourier shell 6 and, of two states, the agreement of k-means of the latents with the
truth (ARI). Then how often a run said so. Sets of one structure hold nothing but noise: there every
such verdict is false, and the figures should be standard normal.
``--second`` takes sets of a molecule that was never looked at while thresholds were set.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

import pandas as pd
from linear import SECOND, SETS
from quality import latents_of, simulated, trained, truth_of

from napari_tomodrgn.analysis.latents.clusters import agreement, k_means

CASES: dict[str, dict[str, object]] = {
    "one, 144 particles": {**SETS["60S, 5S RNP or not"], "structures": ("60S",)},
    "one, 40 particles": {
        **SETS["60S, 5S RNP or not"],
        "structures": ("60S",),
        "particles": 40,
        "tilts": 35,
    },
    "two, 5S RNP or not": SETS["60S, 5S RNP or not"],
}
_ENVELOPE = SECOND["envelope, an M or not, 21 tilts"]
SECOND_CASES: dict[str, dict[str, object]] = {
    "one, envelope": {**_ENVELOPE, "structures": ("E3M3_2scFv",)},
    "two, 2 scFv or none": SECOND["envelope, 2 scFv or none, 21 tilts"],
    "two, an M or not": _ENVELOPE,
}


METHODS = ("linear", "vae")
# Of a box of 32: where most of what states differ by is.
FACTOR_SHELL = 6


def measure(
    name: str, settings: dict[str, object], seed: int, methods: list[str]
) -> dict[str, float | str]:
    """One set, trained each way."""
    found: dict[str, float | str] = {"set": name, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        data = simulated(Path(folder), settings, seed)
        for method in methods:
            run, seconds = trained(data, Path(folder) / method, seed, method)
            quality = run.quality()
            found[f"{method}_surely"] = quality["told_apart_standard_errors"]
            found[f"{method}_factor"] = quality["shell_filter"][FACTOR_SHELL]
            if len(settings.get("structures") or ()) == 2:
                states = truth_of(data, run)["state"].to_numpy()
                found[f"{method}_ari"] = agreement(k_means(latents_of(run), 2), states)
            found[f"{method}_seconds"] = seconds
    return found


def main() -> None:
    """Print one line a set and seed, then a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, help="table of the figures, as CSV")
    parser.add_argument("--second", action="store_true", help="sets of another molecule instead")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    cases = SECOND_CASES if options.second else CASES
    rows = []
    for name, seed in itertools.product(cases, range(options.seeds)):
        rows.append(measure(name, cases[name], seed, options.methods))
        words = (f"{key} {value:.2f}" for key, value in list(rows[-1].items())[2:])
        print(f"{name:>20}  seed {seed}  {'  '.join(words)}", flush=True)
    table = pd.DataFrame(rows)
    for (name, found), method in itertools.product(
        table.groupby("set", sort=False), options.methods
    ):
        surely = found[f"{method}_surely"]
        print(
            f"{name:>20}  {method:>6}: said to differ {int((surely > 3).sum())} of {len(found)}, "
            f"{surely.mean():+.2f} ± {surely.std():.2f} standard errors, {surely.min():+.2f} to "
            f"{surely.max():+.2f}, factor {found[f'{method}_factor'].median():g}, "
            f"{found[f'{method}_seconds'].median():.1f} s (medians)"
        )
    if options.out is not None:
        table.to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
