"""How many particles a step: held-out images after equal passes.

Run::

    python benchmarks/batch.py [SET …] [--batches 4 16 64 256] [--epochs 12] [--out FILE.csv]

A row a set and batch, written when its training is done; the learning rate goes with the root of
the batch. ``worse`` is by how much held-out images are explained worse than by a batch of 4, of the
same particles, with its standard error; ``first look`` the same of what training started from. What
is in the table already is not trained again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from evidence import append, is_there
from quality import truth_of
from scipy.stats import spearmanr

from napari_tomodrgn.analysis.latents.clusters import agreement, k_means
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.fourier_images import ImageReader, prepare
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.learn.inference.held_out import errors_of, mean_difference
from napari_tomodrgn.learn.inference.methods import infer_in_chunks
from napari_tomodrgn.learn.linear.decoder import LinearDecoder
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.embed import guess_latents
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.physics.lattice import half_plane
from napari_tomodrgn.synthetic import SimulationConfig, simulate

SIZE = {"particles": 800, "tilts": 31, "box_size_px": 32, "snr": 0.05, "export": "warptools"}
TINY = {"particles": 80, "tilts": 15, "box_size_px": 24, "snr": 0.2, "export": "warptools"}
SETS: dict[str, dict[str, object]] = {
    "five compositions": {**SIZE, "states": 5, "seed": 3},
    "tiny": {**TINY, "states": 2},
    "motion": {**SIZE, "states": 1, "continuous": True, "seed": 3},
}
SMALLEST = 4


def trained(star: Path, out: Path, batch: int, epochs: int) -> float:
    """Train with so many particles a step, no pass less; seconds."""
    settings = {
        "epochs": epochs,
        "patience": 0,
        "refine": False,
        "batch_size": batch,
        "learning_rate": 1e-3 * (batch / SMALLEST) ** 0.5,
        "device": "cpu",
    }
    began = time.perf_counter()
    for _ in train(read_particles(star), RunConfig.model_validate({"train": settings}), out):
        pass
    return time.perf_counter() - began


def held_out(run: Run, epoch: int) -> torch.Tensor:
    """Errors of held-out images ``(particle,)`` by what an epoch's other images say of latents."""
    particles, config = run.particles(), run.config
    lattice = half_plane(particles.optics.box_size_px)
    reader = ImageReader(particles, lattice, config.data, run.info.sign)
    images = run_to_end(prepare(reader, len(lattice), np.inf, None))
    data = TiltData(particles, images, lattice, config.weight)
    data.hold_out(config.data.held_out_fraction, config.seed)
    device = torch.device("cpu")
    if epoch == FIRST_LOOK:
        model = run.model(1, device)
        decoder = LinearDecoder.read(run.weights_file(FIRST_LOOK))
    else:
        model = run.model(epoch, device)
        decoder = model.decoder
    guess = guess_latents(run, model.encoder, data)
    rows = torch.arange(data.particle_count)
    latents = run_to_end(infer_in_chunks(guess, rows, data.training)).mu.float()
    if epoch == FIRST_LOOK:
        latents = latents[:, : run.info.known_latents]
    return errors_of(decoder, latents, data, config)


def judged(data: Path, run: Run, epoch: int) -> dict[str, float]:
    """How well states, or a motion, are told, and the map of their difference."""
    truth, table = truth_of(data, run), run.latents(epoch)
    latents = table.filter(like="mu_").to_numpy()
    if "coordinate" in truth:
        known = run.info.known_latents or latents.shape[1]
        order = max(
            abs(spearmanr(latents[:, axis], truth["coordinate"]).statistic) for axis in range(known)
        )
        return {"told": round(float(order), 4)}
    states, decoder = truth["state"].to_numpy(), run.decoder(epoch)
    names = truth.groupby("state")["state_name"].first()
    maps = [read_volume(data / "truth_maps" / f"{names[state]}.mrc").data for state in (0, 1)]
    ends = [decoder.decode(latents[states == state].mean(0)).data for state in (0, 1)]
    alike = np.corrcoef((ends[1] - ends[0]).ravel(), (maps[1] - maps[0]).ravel())[0, 1]
    told = agreement(k_means(latents, truth["state"].nunique()), states)
    return {"told": round(told, 4), "difference map": round(float(alike), 4)}


def measure(name: str, batch: int, epochs: int, work: Path) -> dict[str, object]:
    """One set, one batch."""
    data = work / name
    if not (data / "truth.csv").exists():
        data.mkdir(parents=True, exist_ok=True)
        for _ in simulate(data, SimulationConfig.model_validate(SETS[name])):
            pass
    out = work / f"{name}, {batch}"
    star = data / "warptools" / "particles_optimisation_set.star"
    seconds = trained(star, out, batch, epochs)
    run = Run.open(out)
    errors = held_out(run, epochs)
    torch.save(errors, work / f"{name}, {batch}.pt")
    smallest = torch.load(work / f"{name}, {SMALLEST}.pt")
    worse, error = mean_difference(errors, smallest)
    over, over_error = mean_difference(errors, held_out(run, FIRST_LOOK))
    return {
        "set": name,
        "batch": batch,
        "epochs": epochs,
        "held out": round(float(errors.nanmean()), 6),
        "worse": round(worse, 6),
        "error": round(error, 6),
        "over first look": round(over, 6),
        "its error": round(over_error, 6),
        **{"told": np.nan, "difference map": np.nan, **judged(data, run, epochs)},
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """Fill the table and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "sets", nargs="*", default=["five compositions", "motion"], help=", ".join(SETS)
    )
    parser.add_argument("--batches", nargs="+", type=int, default=[4, 16, 64, 256])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "batch")
    parser.add_argument("--out", type=Path, default=Path("batch.csv"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for name in options.sets:
        for batch in options.batches:
            if not is_there(options.out, set=name, batch=batch, epochs=options.epochs):
                append(options.out, measure(name, batch, options.epochs, options.work))
    print(pd.read_csv(options.out).to_string(index=False))


if __name__ == "__main__":
    main()
