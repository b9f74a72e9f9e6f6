"""The decoder alone finds the map of all particles, with half maps of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_tomodrgn.analysis.fsc import correlation, soft_sphere
from napari_tomodrgn.cli import main
from napari_tomodrgn.data.volume import read_volume


@pytest.mark.slow
def test_the_network_agrees_with_back_projection(simulated: Path, tmp_path: Path) -> None:
    star = simulated / "warptools" / "particles_optimisation_set.star"
    out = tmp_path / "network"
    arguments = ["reconstruct", str(star), "--out"]
    assert main([*arguments, str(out), "--method", "network", "--epochs", "12"]) == 0
    assert main([*arguments, str(tmp_path / "average"), "--lowpass", "40", "--flip"]) == 0
    ours = read_volume(out / "map.mrc")
    mirrored = read_volume(tmp_path / "average" / "map_filtered.mrc")
    # Of positive sign, and not mirrored.
    assert correlation(ours, mirrored.flipped_z(), soft_sphere(24)) > 0.8
    assert correlation(ours, mirrored, soft_sphere(24)) < 0.75
    halves = [read_volume(out / f"half{number}.mrc") for number in (1, 2)]
    assert correlation(*halves, soft_sphere(24)) > 0.7
    assert not np.array_equal(halves[0].data, halves[1].data)
