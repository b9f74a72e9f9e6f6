"""How often a run says that particles differ: sets of one structure, and of two.

Run::

    python benchmarks/verdict.py [--seeds 10] [--out FILE.csv]

One line a set and seed: by how many standard errors a map of each particle's own explains held-out
images better than one map for all (above 3 the run says that particles differ), and the factor by
which latents were drawn to the middle. Then how often the run said so. Sets of one structure hold
nothing but noise: there every such verdict is false.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

import pandas as pd
from linear import SETS
from quality import simulated, trained

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


def measure(name: str, seed: int) -> dict[str, float | str]:
    """One set, trained."""
    with tempfile.TemporaryDirectory() as folder:
        data = simulated(Path(folder), CASES[name], seed)
        quality = trained(data, Path(folder) / "run", seed, "vae")[0].quality()
    return {
        "set": name,
        "seed": seed,
        "standard_errors": quality["told_apart_standard_errors"],
        "shrinkage": quality["shrinkage"],
    }


def main() -> None:
    """Print one line a set and seed, then a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, help="table of the figures, as CSV")
    options = parser.parse_args()
    rows = []
    for name, seed in itertools.product(CASES, range(options.seeds)):
        rows.append(measure(name, seed))
        print(
            "{set:>20}  seed {seed}  {standard_errors:+.2f} standard errors".format(**rows[-1]),
            f" latents times {rows[-1]['shrinkage']:g}",
            flush=True,
        )
    table = pd.DataFrame(rows)
    for name, found in table.groupby("set", sort=False):
        said = int((found["standard_errors"] > 3).sum())
        print(
            f"{name:>20}  said to differ: {said} of {len(found)}, "
            f"latents times {found['shrinkage'].median():g} (median)"
        )
    if options.out is not None:
        table.to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
