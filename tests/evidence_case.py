"""Simulated sets with their run, all that comparisons need, and their truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from napari_tomodrgn.analysis.evidence.images import read_run_images
from napari_tomodrgn.analysis.evidence.session import Evidence, prepare_evidence
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.learn.reconstruction.contrast import run_to_end
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.synthetic import SimulationConfig, simulate

if TYPE_CHECKING:
    import numpy as np

SMALL = {"particles": 40, "tilts": 13, "box_size_px": 24, "snr": 0.1, "tomograms": 2}


@dataclass(frozen=True)
class Case:
    """A simulated set, its run, its evidence and its truth."""

    folder: Path
    run: Run
    evidence: Evidence
    truth: pd.DataFrame

    @property
    def latents(self) -> np.ndarray:
        """Of the run, from all images."""
        table = self.run.latents()
        return table[[name for name in table if name.startswith("mu_")]].to_numpy()


def make_case(folder: Path, structures: tuple[str, ...]) -> Case:
    for _ in simulate(
        folder / "data",
        SimulationConfig.model_validate({**SMALL, "structures": structures, "seed": 3}),
    ):
        pass
    particles = read_particles(folder / "data" / "warptools" / "particles_optimisation_set.star")
    config = RunConfig.model_validate(
        {"method": "linear", "linear": {"radius_px": 6}, "train": {"device": "cpu"}}
    )
    for _ in train(particles, config, folder / "run"):
        pass
    run = Run.open(folder / "run")
    evidence = run_to_end(prepare_evidence(run_to_end(read_run_images(run)), run.config))
    truth = pd.read_csv(folder / "data" / "truth.csv").set_index("particle_id")
    return Case(folder, run, evidence, truth.loc[evidence.ids])
