r"""What a training is said to take, and what it takes: ``python benchmarks/forecast.py TABLE.csv``.

Five simulated sets, three presets. Each pair is trained in a process of its own, so that its peak
of memory is its own; what is forecast is asked there before anything else. Epochs are alike: of the
autoencoder three are trained and the others reckoned by them, so that the table holds whole
trainings (``epochs``) without taking their time; first look and refining are whole. Reading the
images is left out on both sides. A row that is there is not measured again.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from evidence import append, is_there

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.gui.training.presets import PRESET_TIPS, preset
from napari_tomodrgn.learn.runtime.events import EpochDone, WorkProgress
from napari_tomodrgn.learn.training.forecast import forecast
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.synthetic import SimulationConfig, simulate

# Particles, tilts, box.
SETS = [(150, 21, 48), (400, 41, 32), (300, 11, 64), (1000, 21, 32), (150, 41, 64)]
EPOCHS = 3


NAMES = {
    "first_look": "first_look_seconds",
    "epoch": "seconds_per_epoch",
    "refining": "refining_seconds",
}


def taken(particles: ParticleSet, config: RunConfig, run: Path) -> dict[str, float]:
    """Train, and say what each stage took, in seconds."""
    read, epochs, last = 0.0, [], 0.0
    for event in train(particles, config, run):
        last = time.perf_counter()
        if isinstance(event, WorkProgress) and event.what == "Reading images":
            read = last
        elif isinstance(event, EpochDone):
            epochs.append(last)
    if config.method == "linear":
        return {"first_look": last - read, "epoch": 0.0, "refining": 0.0}
    epoch = (epochs[-1] - epochs[0]) / (len(epochs) - 1)
    first_look = epochs[0] - epoch - read
    return {"first_look": first_look, "epoch": epoch, "refining": last - epochs[-1]}


def measure(star: Path, run: Path, name: str) -> dict[str, object]:
    """Forecast a training, then train: both by stage, in seconds, and memory in GB."""
    particles, config = read_particles(star), preset(name)
    began = time.perf_counter()
    found = forecast(particles, config)
    asking = time.perf_counter() - began
    epochs = 0 if config.method == "linear" else config.train.epochs
    few = config.model_copy(update={"train": config.train.model_copy(update={"epochs": EPOCHS})})
    columns = {
        "said": {name: found[key] for name, key in NAMES.items()},
        "taken": taken(particles, few, run),
    }
    row: dict[str, object] = {"asking": round(asking, 1), "epochs": epochs}
    for kind, stages in columns.items():
        whole = stages["first_look"] + epochs * stages["epoch"] + stages["refining"]
        row |= {f"{name}_{kind}": round(value, 2) for name, value in stages.items()}
        row |= {f"whole_{kind}": round(whole, 1)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return row | {"ram_gb_said": found["ram_gb"], "ram_gb_taken": round(peak, 2)}


def main() -> None:
    """Measure the rows that are missing, then print them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("STAR", "RUN", "PRESET"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        star, run, name = given.one
        print(json.dumps(measure(Path(star), Path(run), name)))
        return
    for number, (particles, tilts, box) in enumerate(SETS):
        shape = {"particles": particles, "tilts": tilts, "box": box}
        with tempfile.TemporaryDirectory() as folder:
            star = None
            for name in PRESET_TIPS:
                if is_there(given.table, **shape, preset=name):
                    continue
                star = star or simulated(Path(folder) / "set", number)
                words = [str(star), f"{folder}/{name}", name]
                done = subprocess.run(
                    [sys.executable, __file__, str(given.table), "--one", *words],
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                append(given.table, {**shape, "preset": name, **json.loads(done.stdout)})
                print(done.stdout.strip(), flush=True)
    table = pd.read_csv(given.table)
    table["ratio"] = (table["whole_said"] / table["whole_taken"]).round(2)
    print(table.to_string(index=False))


def simulated(folder: Path, number: int) -> Path:
    """Star file of a set of two states."""
    particles, tilts, box = SETS[number]
    config = SimulationConfig(
        particles=particles, tilts=tilts, box_size_px=box, states=2, tomograms=2, seed=number
    )
    *_, last = simulate(folder, config)
    star: Path = last.warptools
    return star


if __name__ == "__main__":
    main()
