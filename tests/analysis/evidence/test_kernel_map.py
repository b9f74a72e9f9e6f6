"""Maps from images at points of latent space are those of the states that stand there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_tomodrgn.analysis.evidence.kernel_map import (
    carry_point,
    coarse_map,
    kernel_map,
    kernel_weights,
    neighborhood_map,
)
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.learn.runtime.steps import run_to_end

if TYPE_CHECKING:
    import pytest
    from evidence_case import Case


def test_maps_at_two_states_differ_as_the_states_do(two_states: Case) -> None:
    evidence, states = two_states.evidence, two_states.truth["state"].to_numpy()
    names = two_states.truth.groupby("state")["state_name"].first()
    folder = two_states.folder / "data" / "truth_maps"
    true = [read_volume(folder / f"{names[state]}.mrc").data for state in (0, 1)]
    found = []
    for state in (0, 1):
        point = two_states.latents[states == state].mean(axis=0)
        points = carry_point(two_states.latents, evidence.latents, point)
        found.append(run_to_end(kernel_map(evidence, points)))
        assert found[-1].effective_particles > 8
        assert found[-1].fsc.correlation[2] > 0.5
    apart = found[0].volume.data - found[1].volume.data
    assert np.corrcoef(apart.ravel(), (true[0] - true[1]).ravel())[0, 1] > 0.5


def test_a_coarse_map_of_the_nearest_is_like_the_map_of_all(
    two_states: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes before the images of all particles are added up: of 14 of 40 here."""
    monkeypatch.setattr("napari_tomodrgn.analysis.evidence.kernel_map._COARSE_PARTICLES", 14)
    evidence, states = two_states.evidence, two_states.truth["state"].to_numpy()
    coarse, whole = [], []
    for state in (0, 1):
        point = two_states.latents[states == state].mean(axis=0)
        points = carry_point(two_states.latents, evidence.latents, point)
        coarse.append(run_to_end(coarse_map(evidence, points)))
        whole.append(run_to_end(kernel_map(evidence, points)).volume.data)
        assert 5 < coarse[-1].effective_particles <= 14
        assert np.corrcoef(coarse[-1].volume.data.ravel(), whole[-1].ravel())[0, 1] > 0.9
    apart = coarse[0].volume.data - coarse[1].volume.data
    assert np.corrcoef(apart.ravel(), (whole[0] - whole[1]).ravel())[0, 1] > 0.6


def test_of_one_structure_the_widest_bandwidth_is_next_to_the_mean(one_structure: Case) -> None:
    evidence = one_structure.evidence
    rng = np.random.default_rng(0)
    rows = rng.choice(40, 3, replace=False)
    for row in rows:
        points = (evidence.latents[0][row], evidence.latents[1][row])
        found = run_to_end(kernel_map(evidence, points))
        assert found.neighbors >= 20


def test_weights_fall_to_exp_minus_half_at_the_neighbor_asked_for() -> None:
    distances = np.array([[0.0, 1.0, 4.0, 9.0], [0.0, 2.0, 3.0, 4.0]])
    weights = kernel_weights(distances, 3)
    assert np.allclose(weights[:, 2], np.exp(-0.5))
    assert np.allclose(weights[:, 0], 1)


def test_the_map_of_the_particles_around_is_like_the_map_of_all(
    two_states: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their images are back-projected together: no sum of each particle is made."""
    monkeypatch.setattr("napari_tomodrgn.analysis.evidence.kernel_map._NEIGHBORHOOD", 30)
    evidence, states = two_states.evidence, two_states.truth["state"].to_numpy()
    around, whole = [], []
    for state in (0, 1):
        point = two_states.latents[states == state].mean(axis=0)
        points = carry_point(two_states.latents, evidence.latents, point)
        around.append(run_to_end(neighborhood_map(evidence, points)))
        whole.append(run_to_end(kernel_map(evidence, points)).volume.data)
        assert 5 < around[-1].effective_particles <= 30
        found = around[-1].volume.data
        assert np.corrcoef(found.ravel(), whole[-1].ravel())[0, 1] > 0.9
        assert 0.9 < found.std() / whole[-1].std() < 1.2, "in the same units"
    apart = around[0].volume.data - around[1].volume.data
    assert np.corrcoef(apart.ravel(), (whole[0] - whole[1]).ravel())[0, 1] > 0.6
