"""Positions against the tomogram's density: the reading that fits is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_tomodrgn.analysis.tomogram.position_check import fit_positions, position_check
from napari_tomodrgn.cli import main
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.geometry import FloatArray

COLUMNS = [f"position_{axis}_angstrom" for axis in "xyz"]


@pytest.fixture(scope="module")
def particles(simulated: Path) -> ParticleSet:
    return read_particles(simulated / "warptools" / "particles_optimisation_set.star")


def moved(
    particles: ParticleSet, change: Callable[[FloatArray, FloatArray], FloatArray]
) -> ParticleSet:
    """The set with other positions: a function of xyz and of the tomograms' extent xyz."""
    extents = {one.name: one.extent_xyz_angstrom for one in particles.source.tomograms}
    table = particles.particles.copy()
    for name in table["tomogram"].astype(str).unique():
        rows = table["tomogram"].astype(str) == name
        places = table.loc[rows, COLUMNS].to_numpy()
        table.loc[rows, COLUMNS] = change(places, np.array(extents[name]))
    return replace(particles, particles=table)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda places, extent: np.c_[places[:, :2], extent[2] - places[:, 2]], "z mirrored"),
        (lambda places, extent: places[:, [0, 2, 1]], "y and z swapped"),
        (lambda places, extent: places / 4, "voxels binned by 4"),
    ],
)
def test_what_is_wrong_with_positions_is_named(
    particles: ParticleSet,
    simulated: Path,
    change: Callable[[FloatArray, FloatArray], FloatArray],
    said: str,
) -> None:
    found = position_check(moved(particles, change), simulated / "tomograms")
    assert (found.code, found.verdict) == ("positions-elsewhere", "error"), found.message
    assert found.message.index(said) < found.message.index("they stand")


def test_good_positions_are_well_and_random_ones_undecided(
    particles: ParticleSet, simulated: Path
) -> None:
    good = position_check(particles, simulated / "tomograms")
    assert (good.code, good.verdict) == ("positions-density", "ok"), good.message
    assert good.number is not None and good.number > 8
    rng = np.random.default_rng(0)
    chance = moved(particles, lambda places, extent: rng.uniform(0, 1, places.shape) * extent)
    found = position_check(chance, simulated / "tomograms")
    assert found.verdict == "info", found.message


def test_chance_alone_rarely_looks_like_density() -> None:
    """Of noise and random positions, scores are those of a normal distribution."""
    rng = np.random.default_rng(1)
    scores = []
    for _ in range(20):
        noise = rng.standard_normal((24, 48, 48)).astype(np.float32)
        places = rng.uniform(5, 20, (20, 3)) * 10
        scores.append(fit_positions(noise, 10.0, places, 40.0)[0].z_score)
    assert np.abs(scores).max() < 5
    assert 0.5 < np.std(scores) < 2


def test_a_folder_without_the_tomograms_is_told(particles: ParticleSet, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="has no tomogram of these particles"):
        position_check(particles, tmp_path)


def test_inspect_asks_it(simulated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    star = simulated / "warptools" / "particles_optimisation_set.star"
    words = ["inspect", str(star), "--quick", "--tomograms", str(simulated / "tomograms")]
    assert main(words) == 0
    assert "positions-density" in capsys.readouterr().out
