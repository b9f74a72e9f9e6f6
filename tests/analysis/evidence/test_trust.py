"""Trust is low where there is no particle, and falls as poses are off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from napari_tomodrgn.analysis.evidence.images import with_images
from napari_tomodrgn.analysis.evidence.membership import tilt_half_masks
from napari_tomodrgn.analysis.evidence.particle_sums import radius_within, sum_particles
from napari_tomodrgn.analysis.evidence.trust import trust_particles
from napari_tomodrgn.config import DataConfig, RunConfig, WeightConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.fourier_images import ImageReader, prepare
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.linear.engine import LinearEngine
from napari_tomodrgn.learn.reconstruction.contrast import run_to_end
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.physics.lattice import half_plane
from napari_tomodrgn.synthetic import SimulationConfig, simulate


def in_memory(particles: ParticleSet) -> TiltData:
    lattice = half_plane(particles.optics.box_size_px)
    reader = ImageReader(particles, lattice, DataConfig(), 1)
    images = run_to_end(prepare(reader, len(lattice), np.inf, None))
    return TiltData(particles, images, lattice, WeightConfig())


def test_false_picks_and_poses_that_are_off_are_trusted_least(tmp_path: Path) -> None:
    nuisances = {"false_picks": 0.1, "pose_error_deg": 5.0}
    settings = {"particles": 60, "tilts": 11, "box_size_px": 24, "states": 1, "snr": 0.1}
    config = SimulationConfig.model_validate({**settings, "nuisances": nuisances})
    for _ in simulate(tmp_path, config):
        pass
    particles = read_particles(tmp_path / "warptools" / "particles_optimisation_set.star")
    data = in_memory(particles)
    engine = LinearEngine.of(data, RunConfig(method="linear"), RunContext())
    sums = run_to_end(sum_particles(engine, tilt_half_masks(data)))
    found = trust_particles(sums)
    truth = pd.read_csv(tmp_path / "truth.csv").set_index("particle_id").loc[particles.ids]
    false = truth["false_pick"].to_numpy() == 1
    assert found.amplitude[false].max() < found.amplitude[~false].min()
    errors = truth["pose_error_deg"][~false].reset_index(drop=True)
    rank = pd.Series(found.amplitude[~false]).corr(errors, method="spearman")
    assert rank < -0.5
    assert 0 < found.error < 0.3
    assert found.columns(particles.ids)["trust"].between(0, 1).all()


def test_a_half_of_the_images_is_a_view_of_the_same_data(tmp_path: Path) -> None:
    """`with_images` leaves the set itself as it was."""
    for _ in simulate(tmp_path, SimulationConfig(particles=8, tilts=3, box_size_px=16)):
        pass
    particles = read_particles(tmp_path / "warptools" / "particles_optimisation_set.star")
    data = in_memory(particles)
    first, second = tilt_half_masks(data)
    part = with_images(data, first)
    assert part.images is data.images
    assert bool(data.training.all())
    assert bool((part.training == first).all())
    assert not bool((first & second).any())


def test_large_sets_are_compared_at_a_coarser_radius() -> None:
    radii = [radius_within(count, 64) for count in (100, 1000, 10_000)]
    assert radii[0] == 31
    assert radii == sorted(radii, reverse=True)
    assert np.diff(radii).max() < 0
