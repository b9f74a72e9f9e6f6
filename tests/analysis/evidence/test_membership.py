"""Tilt halves by angle, folds over particles, groups carried over with their sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_tomodrgn.analysis.evidence.membership import (
    CrossedLabels,
    assign,
    cross_labels,
    fold_shares,
)
from napari_tomodrgn.analysis.evidence.permutation import (
    Strata,
    direction_bins,
    permuted,
    tomograms_tell,
)

if TYPE_CHECKING:
    from evidence_case import Case


def test_tilt_halves_alternate_by_angle(one_structure: Case) -> None:
    """Both halves reach from one end of the tilt range to the other; doses are alike too."""
    evidence = one_structure.evidence
    arrays = evidence.data.particles.arrays()
    first = evidence.halves[0].numpy()
    for particle in range(4):
        mine = arrays.particle == particle
        tilts, here = arrays.stage_tilt_deg[mine], first[mine]
        assert abs(tilts[here].mean() - tilts[~here].mean()) < 10
        assert abs(int(here.sum()) - int((~here).sum())) == 1
    doses = [arrays.dose_e_per_angstrom2[mask].mean() for mask in (first, ~first)]
    assert doses[0] == pytest.approx(doses[1], rel=0.1)


def test_nobodys_own_label_enters_the_classifier_that_assigns_it() -> None:
    """Turning one particle's label changes others' chances but not its own."""
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(60, 2))
    drawn = np.where(latents[:, 0] > 0, 1, -1).astype(np.int8)
    drawn[latents[:, 0].argmax()] = -1
    before = fold_shares(drawn, latents)
    for row in range(6):
        other = drawn.copy()
        partner = next(k for k in range(6, 60) if drawn[k] != drawn[row])
        other[[row, partner]] = drawn[[partner, row]]
        # Folds are drawn by label: the comparison is of a particle whose fold stayed.
        changed = fold_shares(other, latents)
        assert np.abs(changed - before).max() > 0
    copied = np.tile(latents, (2, 1))
    assert fold_shares(np.tile(drawn, 2), copied).shape == (120, 2)


@pytest.mark.parametrize("outside", [False, True])
def test_two_groups_are_crossed_alike_whichever_is_called_a(outside: bool) -> None:
    rng = np.random.default_rng(4)
    latents = rng.normal(size=(80, 2))
    drawn = np.where(latents[:, 0] + rng.normal(size=80) > 0.3, 1, -1).astype(np.int8)
    if outside:
        drawn[::5] = 0
    both = (latents, latents + 0.3 * rng.normal(size=latents.shape))
    one, swapped = (cross_labels(side * drawn, both) for side in (np.int8(1), np.int8(-1)))
    assert (one.labels == -swapped.labels).all()


def test_groups_keep_their_sizes_and_those_in_neither_stay_out() -> None:
    rng = np.random.default_rng(1)
    latents = rng.normal(size=(90, 2))
    drawn = np.select([latents[:, 0] > 0.7, latents[:, 0] < -0.7], [1, -1], 0).astype(np.int8)
    crossed = cross_labels(drawn, (latents, latents + 0.1 * rng.normal(size=latents.shape)))
    for row in crossed.labels:
        assert [(row == kind).sum() for kind in (1, -1)] == [
            (drawn == kind).sum() for kind in (1, -1)
        ]
        assert ((row != 0) == (drawn != 0)).mean() > 0.8
    assert crossed.attenuation > 0.9


def test_attenuation_is_that_of_a_simulated_difference() -> None:
    """Memberships right with p: what is left of a difference is 2p − 1 in even groups."""
    rng = np.random.default_rng(2)
    truth = np.repeat([1, -1], 20_000)
    for p in (0.6, 0.75, 0.9):
        rows = [np.where(rng.random(len(truth)) < p, truth, -truth) for _ in range(2)]
        found = CrossedLabels(np.stack(rows).astype(np.int8), crossed=True).attenuation
        assert found == pytest.approx(2 * p - 1, abs=0.03)


def test_squares_carry_over_the_middle_of_a_motion() -> None:
    """The middle against both ends is no matter of a line."""
    rng = np.random.default_rng(3)
    latents = rng.uniform(-2, 2, size=(600, 1))
    drawn = np.where(np.abs(latents[:, 0]) < 0.8, 1, -1).astype(np.int8)
    assert (assign(drawn, latents) == drawn).mean() > 0.9


def test_permutations_stay_within_strata_and_keep_pairs_together() -> None:
    rng = np.random.default_rng(4)
    strata = Strata(np.repeat([0, 1], 20), np.repeat(np.arange(8), 5), np.arange(40))
    labels = rng.choice([1, -1], size=(2, 40)).astype(np.int8)
    found = permuted(labels, strata, 50)
    pairs = labels[0] * 10 + labels[1]
    for one in found:
        for kind in range(8):
            here = strata.bin == kind
            assert sorted(one[0, here] * 10 + one[1, here]) == sorted(pairs[here])
    assert (found[:, 0] != labels[0]).any()


def test_whole_tomograms_are_permuted_where_groups_are_constant_in_them() -> None:
    strata = Strata(np.repeat(np.arange(12), 3), np.repeat(np.arange(12), 3), np.arange(36))
    labels = np.tile(np.where(strata.tomogram < 6, 1, -1), (2, 1)).astype(np.int8)
    found = permuted(labels, strata, 20)
    for one in found:
        by_tomogram = one[0].reshape(12, 3)
        assert (by_tomogram == by_tomogram[:, :1]).all()
        assert (by_tomogram[:, 0] == 1).sum() == 6


def test_few_tomograms_are_permuted_in_all_ways_once() -> None:
    """6 against 7: 1,716 divisions, of which one is the groups' own; a p of 1/1716 can be had."""
    strata = Strata(np.repeat(np.arange(13), 2), np.repeat(np.arange(13), 2), np.arange(26))
    labels = np.tile(np.where(strata.tomogram < 6, 1, -1), (2, 1)).astype(np.int8)
    found = permuted(labels, strata, 4999)
    assert found.shape == (1715, 2, 26)
    assert len(np.unique(found[:, 0], axis=0)) == 1715
    assert not (found[:, 0] == labels[0]).all(axis=1).any()
    assert (found[:, 0] == found[:, 1]).all()
    assert ((found[:, 0, ::2] == 1).sum(axis=1) == 6).all()


def test_how_many_tomograms_can_tell() -> None:
    """Two of 924 divisions into 6 and 6 are the same: never below 0.001, whatever differs."""
    assert not tomograms_tell(6, 6)
    assert tomograms_tell(6, 7)
    assert tomograms_tell(7, 7)
    assert not tomograms_tell(5, 200)


def test_direction_bins_are_the_same_from_both_ends() -> None:
    directions = np.random.default_rng(5).normal(size=(200, 3))
    for count in (10, 50, 500):
        assert (direction_bins(directions, count) == direction_bins(-directions, count)).all()
    assert len(np.unique(direction_bins(directions, 500))) == 12


def test_copies_of_a_particle_bear_the_labels_of_another_together() -> None:
    # Three copies each of eight particles, in the order of an expanded star, in two bins.
    originals = np.repeat(np.arange(8), 3)
    strata = Strata(np.zeros(24, dtype=int), np.repeat([0, 1], 12), originals)
    drawn = np.array([1, 1, -1, 1, 1, 1, -1, -1, -1, 0, 0, 0] * 2, dtype=np.int8)
    splits = permuted(np.stack([drawn, drawn]), strata, 200, 0)
    patterns = {tuple(one) for one in drawn.reshape(8, 3)}
    for part in splits[:, 0].reshape(200, 8, 3):
        assert {tuple(one) for one in part[:4]} == patterns == {tuple(one) for one in part[4:]}
    assert len({part.tobytes() for part in splits}) > 100
    single = Strata(np.zeros(24, dtype=int), np.repeat([0, 1], 12), np.arange(24))
    apart = permuted(np.stack([drawn, drawn]), single, 200, 0)[:, 0].reshape(200, 8, 3)
    assert any({tuple(one) for one in part[:4]} != patterns for part in apart)
