"""What latents of one region tell, of what differs in it and of what differs beside it.

Four states of a ribosome, drawn with equal chances: a blob of density inside a mask or not, and
another one outside or not, so that the two are independent and each in half of the particles.
Latents with and without the focus are asked for either by cross-validated logistic regression:

    python benchmarks/focus.py [--particles 1000] [--tilts 41] [--box 32] [--snr 0.05] [--out DIR]

``weak``: both differences equally strong, apart; ``strong``: the outer one five times as strong,
and its blob touches the mask.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.volume import Volume, write_volume
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.synthetic import SimulationConfig
from napari_tomodrgn.synthetic.simulation import simulate_structures
from napari_tomodrgn.synthetic.structures import load_structures, prepare_structures

RADIUS = 0.16  # of the mask, in boxes
BLOB = 0.07  # standard deviation of a blob, in boxes
SCENES = {"weak": (1.0, 0.36), "strong": (5.0, 0.26)}  # strength outside, distance of the blobs


def main() -> None:
    """Run both scenes and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, default=1000)
    parser.add_argument("--tilts", type=int, default=41)
    parser.add_argument("--box", type=int, default=32)
    parser.add_argument("--snr", type=float, default=0.05)
    parser.add_argument("--scene", choices=list(SCENES), action="append")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp())
    for scene in options.scene or SCENES:
        row = measure(out / scene, scene, options)
        print(json.dumps(row), flush=True)


def measure(out: Path, scene: str, options: argparse.Namespace) -> dict[str, object]:
    """Simulate a scene, train with and without the focus, ask the latents."""
    source, mask = simulated(out, scene, options)
    truth = pd.read_csv(out / "data" / "truth.csv").set_index("particle_id")
    row: dict[str, object] = {"scene": scene, "particles": options.particles, "snr": options.snr}
    for name, focus in (("focus", str(mask)), ("whole", None)):
        started = time.perf_counter()
        config = RunConfig.model_validate({"method": "linear", "linear": {"focus_mask": focus}})
        run = Run.open(_trained(source, config, out / name))
        row[f"{name}_seconds"] = round(time.perf_counter() - started, 1)
        table = run.latents()
        states = truth.loc[table.index, "state"]
        latents = table.filter(like="mu_").to_numpy()
        row[f"{name}_components"] = latents.shape[1]
        for side, members in (("in", (1, 3)), ("out", (2, 3))):  # in the order of `simulated`
            value, error = auc(latents, states.isin(members).to_numpy())
            row[f"{name}_{side}"] = round(value, 4)
            row[f"{name}_{side}_error"] = round(error, 4)
    return row


def simulated(out: Path, scene: str, options: argparse.Namespace) -> tuple[Path, Path]:
    """The optimisation set of a scene, and the mask."""
    strength, apart = SCENES[scene]
    config = SimulationConfig(
        particles=options.particles,
        tilts=options.tilts,
        box_size_px=options.box,
        snr=options.snr,
        states=1,
    )
    (base,) = load_structures(config).volumes
    box = base.box_size_px
    axis = (np.arange(box) - box // 2) / box
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    level = float(np.quantile(base.data, 0.98)) / 2
    there = np.array([0.12, 0.0, 0.0])  # both are within the particle's sphere

    def blob(centre: np.ndarray) -> np.ndarray:
        distance2 = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2
        return level * np.exp(-distance2 / (2 * BLOB**2))

    inner, outer = blob(there), strength * blob(there - [apart, 0, 0])
    maps = {
        "neither": base.data,
        "inside": base.data + inner,
        "outside": base.data + outer,
        "both": base.data + inner + outer,
    }
    voxel = base.voxel_size_angstrom
    sources = {name: Volume(data.astype(np.float32), voxel) for name, data in maps.items()}
    mask = out / "mask.mrc"
    out.mkdir(parents=True, exist_ok=True)
    distance = np.sqrt((x - there[0]) ** 2 + (y - there[1]) ** 2 + (z - there[2]) ** 2)
    soft = np.clip((RADIUS + 0.03 - distance) / 0.06, 0, 1)
    write_volume(mask, Volume(soft.astype(np.float32), voxel))
    if not (out / "data" / "truth.csv").exists():
        for _ in simulate_structures(out / "data", config, prepare_structures(sources, config)):
            pass
    return out / "data" / "warptools" / "particles_optimisation_set.star", mask


def _trained(source: Path, config: RunConfig, out: Path) -> Path:
    done = (out / "run.json").exists()
    if not done or Run.open(out).info.chosen_epoch is None:
        for _ in train(read_particles(source), config, out, resume=done):
            pass
    return out


def auc(latents: np.ndarray, present: np.ndarray, folds: int = 5) -> tuple[float, float]:
    """Area under the curve of unseen particles, and its standard error (Hanley & McNeil 1982)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression())
    split = StratifiedKFold(folds, shuffle=True, random_state=0)
    scores = cross_val_predict(model, latents, present, cv=split, method="decision_function")
    value = float(roc_auc_score(present, scores))
    ones, zeros = int(present.sum()), int((~present).sum())
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (ones - 1) * (q1 - value**2) + (zeros - 1) * (q2 - value**2)
    return value, float(np.sqrt(variance / (ones * zeros)))


if __name__ == "__main__":
    main()
