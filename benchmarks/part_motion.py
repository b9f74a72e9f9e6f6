"""What kind of difference a comparison says, and how far a part moves, beside the truth.

Run::

    python benchmarks/part_motion.py [--seeds 2] [--out part_motion.csv] [CASE …]

Simulated sets whose small subunit turns, by angles that are known, and such in which something
comes or goes. Two groups each, by k-means or the outer thirds of the first component, are compared
as the window does. A row a set: what is true (the group whose true map holds more has a part that
the other lacks) and what was said, the turn and how far the part moves. Rows that are there are not
computed again.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from evidence import CASES, SET, append, is_there, prepared

from napari_tomodrgn.analysis.evidence.cause_names import MOLECULE
from napari_tomodrgn.analysis.evidence.comparison import compare_groups
from napari_tomodrgn.analysis.latents.clusters import k_means
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.synthetic.molecules import load_maps

FEW = {**SET, "particles": 72, "box_size_px": 24, "tilts": 15, "snr": 0.1}


def turned(deg: float) -> dict[str, object]:
    """Both ends of a turn of the small subunit."""
    return {"structures": ("motion_00.0_deg", f"motion_{deg:04.1f}_deg")}


MOTIONS: dict[str, dict[str, object]] = {
    "16°": {**SET, **turned(16)},
    "16°, 72 particles at box 24": {**FEW, **turned(16)},
    "16°, poses off by 2°, 2 neighbours": {
        **SET,
        **turned(16),
        "nuisances": {"pose_error_deg": 2.0, "neighbors": 2.0},
    },
    "16°, shares 4 : 1": {**SET, **turned(16), "shares": (0.8, 0.2)},
    "8°": {**SET, **turned(8)},
    "8°, 300 particles, poses off by 1.5°": {
        **SET,
        **turned(8),
        "particles": 300,
        "nuisances": {"pose_error_deg": 1.5},
    },
    "6°, 300 particles": {**SET, **turned(6), "particles": 300},
    "4°, 600 particles": {**SET, **turned(4), "particles": 600},
    "outer thirds of 0 to 16°, 300 particles": {**SET, "particles": 300, "continuous": True},
}
OTHERS: dict[str, dict[str, object]] = {
    "5S RNP": CASES["5S RNP"],
    "5S RNP, 72 particles at box 24": {**FEW, "structures": CASES["5S RNP"]["structures"]},
    "5S RNP, poses off, crowded": CASES["5S RNP, poses off, crowded"],
    "60S and 80S, poses off by 2°": {
        **SET,
        "structures": ("60S", "80S"),
        "nuisances": {"pose_error_deg": 2.0},
    },
    "clear, second molecule": CASES["clear, second molecule"],
    "faint, second molecule": CASES["faint, second molecule"],
    **{
        f"{more} and {less}": {**SET, "molecule": "envelope", "structures": (more, less)}
        for more, less in (
            ("E3M3_2scFv", "E3M3"),
            ("E3M3_1scFv", "E3M3"),
            ("E3M3_2scFv", "E3M3_1scFv"),
        )
    },
}


def main() -> None:
    """Measure each set that the table does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=[*MOTIONS, *OTHERS])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("part_motion.csv"))
    options = parser.parse_args()
    for seed in range(options.seeds):
        for case in options.cases:
            key = {"case": case, "seed": seed}
            if not is_there(options.out, **key):
                append(options.out, {**key, **measured({**MOTIONS, **OTHERS}[case], seed)})
    print(pd.read_csv(options.out).to_string(index=False))


def measured(settings: dict[str, object], seed: int) -> dict[str, object]:
    """What is said of one set."""
    with tempfile.TemporaryDirectory() as folder:
        evidence, latents = prepared(Path(folder) / "set", settings, seed)
        truth = pd.read_csv(Path(folder) / "set" / "truth.csv")
    truth = truth.set_index("particle_id").loc[evidence.ids]
    drawn, true_deg = groups(latents, truth, settings)
    found = run_to_end(compare_groups(evidence, drawn.astype(np.int8)))
    motion = found.kind.motion if found.kind else None
    return {
        "true_deg": true_deg,
        "true": "moves" if true_deg == true_deg else fuller(drawn, truth, settings),
        "z": found.causes.tests[MOLECULE].z,
        "kept": found.crossed.attenuation,
        "change": found.change,
        "parts": found.kind.parts if found.kind else 0,
        "turn_deg": motion.turn_deg if motion else np.nan,
        "farthest_angstrom": motion.farthest_angstrom if motion else np.nan,
        "error_angstrom": motion.error_angstrom if motion else np.nan,
        "explained": motion.explained if motion else np.nan,
    }


def fuller(drawn: np.ndarray, truth: pd.DataFrame, settings: dict[str, object]) -> str:
    """Which group's true map holds more."""
    names = [truth["state_name"][drawn == side].mode()[0] for side in (1, -1)]
    maps = load_maps(str(settings.get("molecule", "ribosome")), tuple(map(str, names)))
    a, b = (float(maps[name].data.sum()) for name in names)
    return "more in a" if a > b else "more in b"


def groups(
    latents: np.ndarray, truth: pd.DataFrame, settings: dict[str, object]
) -> tuple[np.ndarray, float]:
    """Two groups, +1, −1 and 0 for neither, and by how much the small subunit is turned between."""
    if settings.get("continuous"):
        centered = latents - latents.mean(axis=0)
        first = centered @ np.linalg.svd(centered, full_matrices=False)[2][0]
        low, high = np.quantile(first, [1 / 3, 2 / 3])
        drawn = np.select([first < low, first > high], [1, -1], 0)
        place = truth["coordinate"].to_numpy()
        return drawn, 16 * abs(place[drawn == 1].mean() - place[drawn == -1].mean())
    names = [str(name) for name in settings["structures"]]  # type: ignore[attr-defined]
    turns = [float(name.split("_")[1]) for name in names if name.startswith("motion")]
    drawn = np.where(k_means(latents, 2) == 0, 1, -1)
    return drawn, turns[1] - turns[0] if turns else np.nan


if __name__ == "__main__":
    main()
