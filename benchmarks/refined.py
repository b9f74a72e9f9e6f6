"""What a run should end with: latents as the encoder gives them, refined, or of the linear engine.

Run::

    python benchmarks/refined.py [--device cuda] [--small] [SET …]

For each set a default training; of its last decoder the latents by each method: the error of
held-out images with each particle's own map and with one for all, and how well the states are told
apart. A row a set, in JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from made_sets import MadeSet, in_place_of_files, make_set, quality

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.learn.inference.held_out import comparison_rows, errors_of, mean_difference
from napari_tomodrgn.learn.inference.methods import (
    Inference,
    RefinedInference,
    infer_in_chunks,
)
from napari_tomodrgn.learn.inference.refinement import fit_refinement
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK
from napari_tomodrgn.learn.runtime.device import pick_device
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.embed import guess_latents
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.synthetic import SimulationConfig

ONE = ("80S",)
PAIR = ("60S", "60S_without_5S_RNP")
SETS: dict[str, dict[str, Any]] = {
    "five states": {"particles": 6000, "tilts": 41, "box_size_px": 48, "states": 5, "seed": 7},
    "five states, weak": {
        "particles": 1500,
        "tilts": 41,
        "box_size_px": 32,
        "snr": 0.02,
        "states": 5,
    },
    "two states": {"particles": 1500, "tilts": 21, "box_size_px": 32, "states": 2, "seed": 2},
    "5S RNP or not": {"particles": 1500, "tilts": 21, "box_size_px": 32, "structures": PAIR},
    "one structure": {"particles": 1500, "tilts": 21, "box_size_px": 32, "structures": ONE},
}


def measured(made: MadeSet, out: Path, device: torch.device) -> dict[str, Any]:
    """Train, then compare the methods on the decoder that the run ended with."""
    started = time.perf_counter()
    config = RunConfig.model_validate({"train": {"device": device.type}})
    with in_place_of_files(made):
        for _ in train(made.particles, config, out):
            pass
    run = Run.open(out)
    found: dict[str, Any] = {"seconds": round(time.perf_counter() - started, 1)}
    epoch, data = run.info.chosen_epoch or run.epochs()[-1], made.data(config)
    model = run.model(epoch, device)
    guess, decoder = guess_latents(run, model.encoder, data), model.decoder
    every, rows = torch.arange(data.particle_count), comparison_rows(data.particle_count)

    def inferred(inference: Inference, rows: torch.Tensor, images: torch.Tensor) -> Posterior:
        return run_to_end(infer_in_chunks(inference, rows, images))

    whole = inferred(guess, every, torch.ones_like(data.training))
    on_device = Posterior(whole.mu.to(device), whole.logvar.to(device))
    refinement = fit_refinement(decoder, data, config, on_device)
    found |= {"radius": refinement.radius_px, "components": len(refinement.maps) - 1}
    methods = {
        "encoder": guess,
        "refined": RefinedInference(guess, decoder, refinement, config),
    }
    errors = {}
    for name, inference in methods.items():
        known = inferred(inference, rows, data.training)
        latents = torch.full((data.particle_count, known.mu.shape[1]), torch.nan)
        latents[rows] = known.mu.float()
        errors[name] = errors_of(decoder, latents, data, config)
        if name == "encoder":
            errors["one map"] = errors_of(decoder, latents * 0, data, config)
        truth = inferred(inference, every, torch.ones_like(data.training)).mu.numpy()
        found |= {f"{name} {key}": value for key, value in quality(made, truth).items()}
    gain, _ = mean_difference(errors["one map"], errors["encoder"])
    worse, error = mean_difference(errors["refined"], errors["encoder"])
    found |= {"gain": gain, "refined_worse": worse, "standard_error": error}
    found["share_lost"] = round(worse / gain, 4)
    linear = run.latents(FIRST_LOOK).filter(like="mu_").to_numpy()
    found |= {f"linear {key}": value for key, value in quality(made, linear).items()}
    return found


def main() -> None:
    """Measure set by set."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sets", nargs="*", default=list(SETS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--small", action="store_true", help="300 particles, to see that it runs")
    options = parser.parse_args()
    device = pick_device(options.device)
    for name in options.sets:
        size = {"snr": 0.05, "tomograms": 10, "export": "warptools", **SETS[name]}
        if options.small:
            size |= {"particles": 300, "tilts": 15, "box_size_px": 24}
        with tempfile.TemporaryDirectory() as folder:
            made = make_set(SimulationConfig(**size), Path(folder) / "set", device)
            row = {"set": name, **measured(made, Path(folder) / "run", device)}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
