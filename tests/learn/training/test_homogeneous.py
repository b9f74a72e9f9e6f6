"""The decoder alone finds the map of all particles, with half maps of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_tomodrgn.analysis.fsc import correlation, fsc_sphere
from napari_tomodrgn.analysis.reconstruct import network_steps, reconstruct
from napari_tomodrgn.cli import main
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.volume import Volume, read_volume
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.homogeneous import HomogeneousConfig


@pytest.mark.slow
def test_the_network_agrees_with_back_projection(simulated: Path) -> None:
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    config = HomogeneousConfig(points_per_particle=128, width=64)
    ours, average = run_to_end(network_steps(particles, config=config)), reconstruct(particles)
    inside = fsc_sphere(24)
    found = correlation(ours.map, average.filtered, inside)
    # Of positive sign, and not mirrored.
    assert found > 0.8
    assert correlation(ours.map, average.filtered.flipped_z(), inside) < found - 0.1
    assert correlation(ours.half1, ours.half2, inside) > 0.7
    assert not np.array_equal(ours.half1.data, ours.half2.data)
    assert ours.resolution_angstrom < 100


def test_hand_sign_and_low_pass_of_a_reconstruction(simulated: Path, tmp_path: Path) -> None:
    star = str(simulated / "warptools" / "particles_optimisation_set.star")
    options = ["--flip", "--invert", "--lowpass", "60"]
    assert main(["reconstruct", star, "--out", str(tmp_path / "a")]) == 0
    assert main(["reconstruct", star, "--out", str(tmp_path / "b"), *options]) == 0
    plain, changed = (read_volume(tmp_path / name / "map.mrc") for name in "ab")
    np.testing.assert_allclose(changed.data, -plain.flipped_z().data, atol=1e-6)
    filtered = read_volume(tmp_path / "b" / "map_filtered.mrc").data
    power = np.abs(np.fft.fftn(filtered)) ** 2
    edge = round(24 * plain.voxel_size_angstrom / 60) + 2
    assert power[edge:-edge, 0, 0].max() < 1e-6 * power.max()
    assert main(["reconstruct", star, "--out", str(tmp_path / "c"), "--epochs", "3"]) == 2


def test_a_flipped_map_keeps_its_middle() -> None:
    data = np.zeros((8, 8, 8), np.float32)
    data[4, 4, 4], data[6, 4, 4] = 2, 1
    flipped = Volume(data, 1.0).flipped_z()
    assert flipped.data[4, 4, 4] == 2
    assert flipped.data[2, 4, 4] == 1
    np.testing.assert_array_equal(flipped.flipped_z().data, data)
