"""What latents go with: planted effects are found at their size, and none where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.analysis.latents.audit import Nuisance, _basis, audit, nuisances, pillai_p
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet


@pytest.fixture(scope="module")
def particles(tmp_path_factory: pytest.TempPathFactory) -> ParticleSet:
    """Two hundred particles in three tomograms; of the images only their tables are used."""
    from napari_tomodrgn.synthetic import SimulationConfig, simulate

    folder = tmp_path_factory.mktemp("audit")
    config = SimulationConfig(particles=200, tilts=3, box_size_px=24, tomograms=3)
    for _ in simulate(folder, config):
        pass
    return read_particles(folder / "warptools" / "particles_optimisation_set.star")


def _latents(particles: ParticleSet, points: np.ndarray) -> pd.DataFrame:
    columns = [f"mu_{axis}" for axis in range(points.shape[1])]
    return pd.DataFrame(points, index=pd.Index(particles.ids, name="particle_id"), columns=columns)


def _row(table: pd.DataFrame, name: str) -> pd.Series:
    return table.set_index("nuisance").loc[name]


@pytest.mark.parametrize("share", [0.1, 0.4])
@pytest.mark.parametrize("name", ["defocus", "tomogram", "direction of view", "orientation"])
def test_a_planted_effect_is_found_at_its_size(
    particles: ParticleSet, name: str, share: float
) -> None:
    (numbers,) = (one.numbers for one in nuisances(particles) if one.name == name)
    basis = _basis(numbers)
    rng = np.random.default_rng(4)
    signal = basis @ rng.normal(size=(basis.shape[1], 3)) * np.sqrt(len(basis))
    noise = rng.normal(size=signal.shape)
    points = np.sqrt(share) * signal / signal.std() + np.sqrt(1 - share) * noise
    table = audit(_latents(particles, points), particles)
    row = _row(table, name)
    assert row["effect"] == pytest.approx(share, abs=0.08)
    assert row["q_value"] < 1e-3
    assert row["verdict"] == ("strong" if share > 0.25 else row["verdict"]) != "none seen"
    # An orientation holds its direction of view, and places their tomogram's heights.
    assert table["nuisance"][0] in (name, "orientation")


def test_chance_is_called_chance(particles: ParticleSet) -> None:
    """Of 20 audits one may err: each is to be wrong once in a hundred times."""
    rng = np.random.default_rng(0)
    p_values, wrong = [], 0
    for _ in range(20):
        table = audit(_latents(particles, rng.normal(size=(len(particles), 4))), particles)
        p_values += list(table["p_value"])
        wrong += bool((table["verdict"] != "none seen").any())
        assert table["effect"].max() < 0.08
    assert np.mean(np.array(p_values) < 0.05) < 0.1
    assert wrong <= 1


def test_the_p_value_is_uniform_without_an_effect() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(400):
        basis, y = _basis(rng.normal(size=(60, 3))), rng.normal(size=(60, 4))
        found.append(pillai_p(basis, y - y.mean(axis=0)))
    assert np.histogram(found, bins=4, range=(0, 1))[0] == pytest.approx([100] * 4, abs=30)


def test_what_comes_from_tomograms_is_not_within_them(particles: ParticleSet) -> None:
    """Defocus that differs between tomograms, and latents that do: nothing is left within."""
    numbers = particles.particles["tomogram"].astype("category").cat.codes.to_numpy(float)
    own = particles.images["particle_id"].map(dict(zip(particles.ids, numbers, strict=True)))
    rng = np.random.default_rng(2)
    spread = rng.normal(0, 300, len(particles))
    more = particles.images["particle_id"].map(dict(zip(particles.ids, spread, strict=True)))
    images = particles.images.assign(
        defocus_u_angstrom=20_000 + 10_000 * own.astype(float) + more.astype(float),
        defocus_v_angstrom=20_000 + 10_000 * own.astype(float) + more.astype(float),
    )
    points = numbers[:, None] + rng.normal(0, 0.3, (len(particles), 2))
    row = _row(audit(_latents(particles, points), replace(particles, images=images)), "defocus")
    assert row["effect"] > 0.8
    assert row["within_tomograms"] < 0.05


def test_what_does_not_vary_or_is_not_known_is_left_out(particles: ParticleSet) -> None:
    rows = particles.particles.assign(rot_deg=np.nan, tomogram="one")
    points = np.random.default_rng(3).normal(size=(len(particles), 2))
    table = audit(_latents(particles, points), replace(particles, particles=rows))
    left_out = {"tomogram", "orientation", "direction of view", "number of tilts", "total dose"}
    assert not left_out & set(table["nuisance"])
    assert "defocus" in set(table["nuisance"])


def test_only_particles_with_latents_count(particles: ParticleSet, tmp_path: Path) -> None:
    points = np.random.default_rng(5).normal(size=(len(particles), 2))
    table = audit(_latents(particles, points).iloc[::-2], particles)
    assert set(table["particles"]) == {100}


def test_numbers_that_repeat_each_other_count_once() -> None:
    x = np.random.default_rng(6).normal(size=(30, 1))
    basis = _basis(Nuisance("x", np.hstack([x, 2 * x, np.ones((30, 1))])).numbers)
    assert basis.shape == (30, 1)
    np.testing.assert_allclose(basis.T @ basis, 1.0)
