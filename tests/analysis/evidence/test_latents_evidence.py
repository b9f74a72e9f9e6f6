"""Numbers of classes, shares by condition, two runs: on points whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.analysis.evidence.groups import Group, label_groups, match_group
from napari_tomodrgn.analysis.evidence.records import holm
from napari_tomodrgn.analysis.latents.class_shares import (
    class_shares,
    confusion_of_halves,
    correct_shares,
)
from napari_tomodrgn.analysis.latents.cluster_count import propose_clusters
from napari_tomodrgn.analysis.latents.run_pairs import compare_latents
from napari_tomodrgn.errors import BadInputError


@pytest.mark.parametrize(("states", "expected"), [(1, 1), (2, 2), (4, 4)])
def test_as_many_clusters_are_proposed_as_there_are(states: int, expected: int) -> None:
    rng = np.random.default_rng(states)
    centers = 6.0 * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])[:states]
    points = np.repeat(centers, 240 // states, axis=0) + rng.normal(size=(240, 2))
    assert propose_clusters(points).count == expected


def test_a_motion_has_no_number_of_clusters() -> None:
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, np.pi, size=400)
    points = 5 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.3 * rng.normal(size=(400, 2))
    found = propose_clusters(points)
    assert found.count == 0
    assert found.sentence.startswith("continuous, no k")


def test_a_class_is_no_wider_than_its_particles_are_unsure() -> None:
    """Two heaps that nearly touch are classes if noise is what makes them wide, else a motion."""
    rng = np.random.default_rng(0)
    points = np.repeat([[-2.0], [2.0]], 200, axis=0) + 1.1 * rng.normal(size=(400, 1))
    noise, motion = (np.full(points.shape, width**2) for width in (1.1, 0.1))
    assert propose_clusters(points).count == propose_clusters(points, noise).count == 2
    found = propose_clusters(points, motion)
    assert found.count == 0
    assert found.width == pytest.approx(121, rel=0.2)
    # Far apart they are classes all the same, within which particles go on to differ.
    assert propose_clusters(points + 4 * np.sign(points), motion).count == 2


def test_groups_that_are_no_gaussians_are_not_cut_into_pieces() -> None:
    """Three groups far apart, each of a core and a halo: more classes explain more, to no use."""
    rng = np.random.default_rng(0)
    within = rng.normal(size=(600, 2)) * np.where(rng.random(600) < 0.3, 0.9, 0.4)[:, None]
    points = np.repeat(8.0 * np.array([[0, 0], [1, 0], [0, 1]]), 200, axis=0) + within
    found = propose_clusters(points)
    assert found.gains[:, 0].argmax() > 2, "more of them explain more"
    assert found.count == 3 and found.separation > 0.95


def test_two_states_that_go_on_within_are_two_where_nothing_lies_between() -> None:
    """As where poses are off: more classes explain more, and overlap; there was no number."""
    rng = np.random.default_rng(4)
    within = rng.normal(size=(300, 4)) * np.where(rng.random(300) < 0.5, 1.0, 0.2)[:, None]
    states = np.repeat([-1.0, 1.0], 150) + 0.04 * rng.normal(size=300)
    points = np.column_stack([states, within])
    found = propose_clusters(points, np.full(points.shape, 0.04**2))
    assert found.gains[1, 0] < 0.9 * found.gains[:, 0].max(), "more of them explain more"
    assert found.count == 2 and found.separation > 0.99
    assert propose_clusters(within, np.full(within.shape, 0.04**2)).count < 2


def test_components_that_vanished_ask_for_no_classes() -> None:
    """Two states on one latent; seven others are a thousandth of it, and long-tailed."""
    rng = np.random.default_rng(0)
    state = np.repeat([-1.0, 1.0], 110) + 0.08 * rng.normal(size=220)
    vanished = 5e-4 * rng.standard_t(2, size=(220, 7))
    points = np.column_stack([state, vanished])
    variances = np.column_stack([np.full(220, 0.08**2), np.ones((220, 7))])
    turn = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    assert propose_clusters(points, variances).count == 2
    assert propose_clusters(points @ turn).count == 2
    assert propose_clusters(rng.normal(size=(220, 1)) * [1, 0] + [0, 1e-6]).count == 1


def test_shares_are_corrected_for_confusion_that_halves_measure() -> None:
    """15 % of each class are taken for the other: the halves tell, and shares come back."""
    rng = np.random.default_rng(1)
    truth = rng.choice([1, 2], size=20_000, p=[0.8, 0.2])
    wrong = np.array([[0.85, 0.15], [0.15, 0.85]])

    def seen() -> np.ndarray:
        flip = rng.random(len(truth)) > np.diag(wrong)[truth - 1]
        return np.where(flip, 3 - truth, truth)

    one, two = seen(), seen()
    kinds = np.array([1, 2])
    matrix = confusion_of_halves(one, two, kinds)
    observed = np.array([(one == 1).mean(), (one == 2).mean()])
    assert abs(observed[0] - 0.8) > 0.08
    assert correct_shares(observed, matrix)[0] == pytest.approx(0.8, abs=0.02)


def test_conditions_are_told_apart_by_tomograms_not_particles() -> None:
    """Ten tomograms a side: a shift of shares that all of them show, and one that one has."""
    rng = np.random.default_rng(2)
    names = [f"TS_{number:02d}" for number in range(20)]
    conditions = {name: "treated" if row < 10 else "control" for row, name in enumerate(names)}
    tomograms = np.repeat(names, 50)
    chance = np.repeat([0.7 if conditions[name] == "treated" else 0.3 for name in names], 50)
    classes = np.where(rng.random(1000) < chance, 1, 2)
    found = class_shares(classes, tomograms, conditions)
    assert found.p_values[1] < 0.001
    row = found.table.set_index(["condition", "class"]).loc[("treated", 1)]
    assert row["low"] < 0.7 < row["high"]
    odd = np.where((tomograms == names[0]) | (rng.random(1000) < 0.3), 1, 2)
    assert class_shares(odd, tomograms, conditions).p_values[1] > 0.05
    with pytest.raises(BadInputError, match="No condition is given for tomogram 'TS_00'"):
        class_shares(classes, tomograms, {})


def latents(points: np.ndarray) -> pd.DataFrame:
    ids = [f"TS_1/{number}" for number in range(len(points))]
    columns = {f"mu_{axis}": column for axis, column in enumerate(points.T)}
    return pd.DataFrame(columns, index=pd.Index(ids, name="particle_id"))


def test_runs_that_differ_by_a_turn_agree_and_who_moved_is_named() -> None:
    rng = np.random.default_rng(3)
    centers = np.repeat([[-3.0, 0], [3, 0]], 40, axis=0)
    points = centers + 0.3 * rng.normal(size=(80, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    other = np.pad(2.5 * points @ turn, ((0, 0), (0, 1)))
    other[5] = -other[5]
    found = compare_latents(latents(points), latents(other), clusters=2)
    assert found.explained > 0.9
    assert int(found.moved.argmax()) == 5
    assert found.cluster_agreement > 0.9
    assert found.cluster_p == pytest.approx(0.001)
    strangers = compare_latents(latents(points), latents(rng.normal(size=(80, 2))), clusters=2)
    assert strangers.cluster_p > 0.01
    assert strangers.explained < 0.3


def test_holm() -> None:
    """Against the worked example: p sorted, times what is left, never falling."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])


def test_groups_that_overlap_are_refused() -> None:
    ids = ["a", "b", "c"]
    one, two = Group("one", frozenset("ab")), Group("two", frozenset("bc"))
    assert label_groups(ids, one).tolist() == [1, 1, -1]
    assert label_groups(ids, one, Group("two", frozenset("c"))).tolist() == [1, 1, -1]
    with pytest.raises(BadInputError, match="one and two share 1 particles"):
        label_groups(ids, one, two)


def test_a_random_group_is_like_the_other_one(one_structure) -> None:
    particles = one_structure.evidence.data.particles
    in_a = np.zeros(len(particles), dtype=bool)
    in_a[:8] = True
    labels = match_group(particles, in_a)
    assert (labels == 1).sum() == (labels == -1).sum() == 8
    names = particles.particles["tomogram"].astype(str).to_numpy()
    assert sorted(names[labels == 1]) == sorted(names[labels == -1])
