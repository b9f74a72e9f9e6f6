"""Simulated sets with their run, all that comparisons need, and their truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from napari_tomodrgn.analysis.evidence.images import read_run_images
from napari_tomodrgn.analysis.evidence.session import Evidence, prepare_evidence
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.fourier_images import ImageReader, prepare
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.linear.engine import LinearEngine
from napari_tomodrgn.learn.reconstruction.contrast import decide_sign, run_to_end
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.physics.lattice import half_plane
from napari_tomodrgn.synthetic import SimulationConfig, simulate

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


@dataclass(frozen=True)
class Set:
    """A simulated set without a run: its evidence, latents of all images, and its truth."""

    evidence: Evidence
    latents: np.ndarray
    truth: pd.DataFrame


def make_set(folder: Path, settings: dict[str, object], seed: int) -> Set:
    config = SimulationConfig.model_validate(
        {**SMALL, "export": "warptools", **settings, "seed": seed}
    )
    for _ in simulate(folder, config):
        pass
    particles = read_particles(folder / "warptools" / "particles_optimisation_set.star")
    run = RunConfig.model_validate({"method": "linear", "linear": {"radius_px": 6}})
    lattice = half_plane(particles.optics.box_size_px)
    reader = ImageReader(particles, lattice, run.data, decide_sign(particles, run.data))
    images = run_to_end(prepare(reader, len(lattice), np.inf, None))
    data = TiltData(particles, images, lattice, run.weight)
    *_, fit = LinearEngine.of(data, run, RunContext()).fits()
    evidence = run_to_end(prepare_evidence(data, run))
    truth = pd.read_csv(folder / "truth.csv").set_index("particle_id")
    return Set(evidence, fit.training_mu.double().numpy(), truth.loc[evidence.ids])


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
