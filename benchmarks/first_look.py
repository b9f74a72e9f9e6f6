r"""When a training first shows something, and what: ``python benchmarks/first_look.py TABLE.csv``.

Simulated sets of three compositions; default settings. One row for each time that latents are there
to be shown: seconds after the training was started (images read), whose they are, the adjusted Rand
index of k-means with the truth, and by how many standard errors the epoch explains held-out images
better than the first look. A training is broken off once an epoch is on show. Sets that are in the
table are left out. Run it alone on the machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd
from evidence import append, is_there

from napari_tomodrgn.analysis.latents.clusters import agreement, k_means
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK
from napari_tomodrgn.learn.runtime.events import EpochDone, LatentsReady
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.particle_columns import latent_matrix
from napari_tomodrgn.synthetic import SimulationConfig, simulate

# Particles, tilts, box.
SETS = [(150, 21, 32), (500, 21, 32), (1000, 41, 32), (2000, 41, 48)]
STATES = 3


def main() -> None:
    """Measure each set that the table does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    table = parser.parse_args().table
    for particles, tilts, box in SETS:
        row = {"particles": particles, "tilts": tilts, "box": box}
        if is_there(table, **row):
            continue
        with tempfile.TemporaryDirectory() as folder:
            for found in shown(Path(folder), particles, tilts, box):
                append(table, row | found)
    print(pd.read_csv(table).to_string(index=False))


def shown(folder: Path, particles: int, tilts: int, box: int) -> list[dict[str, object]]:
    """What a training of a new set shows until an epoch is as good as the first look."""
    settings = {"particles": particles, "tilts": tilts, "box_size_px": box, "states": STATES}
    list(simulate(folder / "set", SimulationConfig(**settings, snr=0.05, seed=3)))
    given = read_particles(folder / "set" / "warptools" / "particles_optimisation_set.star")
    truth = pd.read_csv(folder / "set" / "truth.csv").set_index("particle_id")["state"]
    rows, gain, began = [], float("nan"), time.perf_counter()
    for event in train(given, RunConfig(), folder / "run"):
        if isinstance(event, EpochDone):
            gain = event.gain_over_first_look_sigma
        if not isinstance(event, LatentsReady):
            continue
        run = Run.open(folder / "run")
        latents = run.latents(event.epoch)
        labels = k_means(latent_matrix(latents), STATES)
        rows.append(
            {
                "seconds": round(time.perf_counter() - began, 1),
                "epoch": event.epoch,
                "judged": bool(run.quality()),
                "ari": round(agreement(labels, truth.loc[latents.index].to_numpy()), 3),
                "gain_sigma": round(gain, 1),
            }
        )
        if event.epoch != FIRST_LOOK and run.epoch_to_show() != FIRST_LOOK:
            break
    return rows


if __name__ == "__main__":
    main()
