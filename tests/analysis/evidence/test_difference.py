"""Groups chosen by noise do not differ in other images; groups of two structures do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_tomodrgn.analysis.evidence import difference
from napari_tomodrgn.analysis.evidence.blobs import Blob
from napari_tomodrgn.analysis.evidence.cause_names import ALIGNMENT, JUNK, MOLECULE
from napari_tomodrgn.analysis.evidence.comparison import compare_groups
from napari_tomodrgn.analysis.evidence.difference import PermutationTest, statistics, weights_of
from napari_tomodrgn.analysis.evidence.maps import (
    box_maps,
    difference_map,
    difference_values,
    group_sums,
    support_at_box,
)
from napari_tomodrgn.analysis.evidence.membership import cross_labels, uncrossed
from napari_tomodrgn.analysis.evidence.permutation import permuted
from napari_tomodrgn.analysis.evidence.records import describe_comparison, molecule_words
from napari_tomodrgn.analysis.latents.clusters import k_means
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.reconstruction.contrast import run_to_end

if TYPE_CHECKING:
    from evidence_case import Case


def halved(case: Case) -> np.ndarray:
    """Two k-means groups of the run's latents, which come from all images."""
    return np.where(k_means(case.latents, 2) == 0, 1, -1).astype(np.int8)


def test_groups_chosen_by_noise_differ_only_in_the_images_that_chose_them(
    one_structure: Case,
) -> None:
    """One structure, two k-means groups: z of all images is a circle, cross-fitted it is chance."""
    evidence, drawn = one_structure.evidence, halved(one_structure)
    crossed = cross_labels(drawn, evidence.latents)
    found = {}
    for name, one in (("plain", uncrossed(drawn)), ("crossed", crossed)):
        splits = permuted(one.labels, evidence.strata, 1999)
        observed, random = (
            statistics(evidence.features.gram, weights_of(rows), crossed=one.crossed)
            for rows in (one.labels[None], splits)
        )
        found[name] = PermutationTest.of(float(observed[0]), random)
    # 40 particles are few: z 3.4 and 1.9 here. At 144 it is about 6 against 0 (docs/evidence.md).
    assert found["plain"].z > 3
    assert found["plain"].z > found["crossed"].z + 1
    assert found["crossed"].p > 0.001  # what it takes to be said to differ
    assert crossed.attenuation < 0.6


def test_two_states_differ_to_their_truth(two_states: Case) -> None:
    """The difference map is that of the true maps, within its error; one sentence says it."""
    evidence, states = two_states.evidence, two_states.truth["state"].to_numpy()
    drawn = halved(two_states)
    found = run_to_end(compare_groups(evidence, drawn, permutations=1999))
    assert found.differ
    assert found.causes.tests["molecule"].p == pytest.approx(1 / 2000)
    sentence = found.sentence("A", "B")
    assert sentence.startswith("A and B differ: ")
    size, z = 60.0, 5.0
    one = Blob((0.0, 0.0, 0.0), size, z)
    away, speck = Blob((90.0, 0.0, 0.0), size, 0.9 * z), Blob((90.0, 0.0, 0.0), 1.0, 0.5 * z)
    fringe = Blob((40.0, 0.0, 0.0), size, -0.6 * z)  # of the other sign, beside a surer one
    for blobs, words in (
        ([one, fringe, speck], "(xyz); poses"),
        ([one, away, speck], "(xyz), and in 1 more place; poses"),
        (
            [one, away, replace(fringe, center_xyz_angstrom=(0.0, 90.0, 0.0))],
            ", and in 2 more places; poses",
        ),
    ):
        assert words in replace(found, blobs=blobs, kind=None).sentence()
    fuller = "a" if states[drawn == 1].mean() < 0.5 else "b"  # state 0 is the 80S
    assert found.change == f"more in {fuller}", sentence
    agree = (drawn == np.where(states == 0, 1, -1)).mean()
    assert max(agree, 1 - agree) > 0.9
    names = two_states.truth.groupby("state")["state_name"].first()
    folder = two_states.folder / "data" / "truth_maps"
    one, two = (read_volume(folder / f"{names[state]}.mrc").data for state in (0, 1))
    true = (one - two) * (1 if agree > 0.5 else -1)
    assert np.corrcoef(found.difference.difference.data.ravel(), true.ravel())[0, 1] > 0.6
    assert found.maps is not None
    assert found.maps[0].fsc.correlation[3] > 0.5


def test_each_number_is_told_with_its_question(two_states: Case) -> None:
    """σ and p of a cause that is named stand beside it, those of the molecule apart."""
    evidence = two_states.evidence
    found = run_to_end(
        compare_groups(evidence, halved(two_states), with_maps=False, permutations=1999)
    )
    tests = found.causes.tests

    def told(name: str, **others: PermutationTest) -> tuple[str, str]:
        causes = replace(found.causes, name=name, tests={**tests, **others})
        record = describe_comparison(evidence.ids, ("A", "B"), replace(found, causes=causes))
        return record["sentence"], molecule_words(record)

    start = "With poses, contrast and defocus taken out, the molecule differs by "
    sure = f"{tests[MOLECULE].z:.1f} σ, p ≤ 0.0005 (none of 1,999 random splits differs as much)"
    assert told(MOLECULE)[1] == f"{start}{sure}."
    turned, left = PermutationTest(8.0, 17.94, 1 / 2000), PermutationTest(0.2, 1.36, 0.0934)
    assert told(ALIGNMENT, **{ALIGNMENT: turned, MOLECULE: left}) == (
        "A and B differ, but not in the molecule: the cause is alignment (17.9 σ, p ≤ 0.0005).",
        f"{start.removesuffix('by ')}no more than in random groups: 1.4 σ, p = 0.093.",
    )
    share = replace(tests[MOLECULE], statistic=0.2 * found.causes.whole.statistic)
    few = told(ALIGNMENT, **{ALIGNMENT: turned, MOLECULE: share})[1]
    little = "but 20% of the whole difference: too little to be of the molecule."
    assert few == f"{start}{sure}, {little}"
    assert told(JUNK)[1].endswith("agree on little else: false picks, or images of nothing.")
    record = {**describe_comparison(evidence.ids, ("A", "B"), found), "p_holm": 0.001}
    assert "much), 0.001 adjusted for the comparisons of this run." in molecule_words(record)


def test_beside_the_particle_the_difference_is_what_its_errors_say(two_states: Case) -> None:
    """No specks beyond chance where there is nothing: standard errors hold there too."""
    evidence = two_states.evidence
    found = run_to_end(
        compare_groups(evidence, halved(two_states), with_maps=False, permutations=999)
    ).difference
    outside = support_at_box(evidence.sums) < 0.01
    z = (found.difference.data / found.standard_error.data)[outside]
    assert outside.sum() > 5_000
    assert 0.9 < z.std() < 1.1
    # Of random splits themselves 0.6 to 0.9 on average.
    assert (np.abs(z) > 4).sum() <= 4


def test_noise_model_and_random_splits_agree(one_structure: Case) -> None:
    """Standard errors by shell: both within 10 % in shells of 50 voxels or more."""
    evidence = one_structure.evidence
    rng = np.random.default_rng(0)
    labels = np.stack([rng.permutation(np.repeat([1, -1], 20))] * 2).astype(np.int8)
    splits = permuted(labels, evidence.strata, 60)
    z = []
    for one in splits:
        values, variance = difference_values(evidence.sums, one)
        z.append(np.abs(values) ** 2 / np.maximum(variance, 1e-30))
    ratio = evidence.sums.shell_mean(np.mean(z, axis=0))
    large = np.bincount(evidence.sums.shells)[: evidence.sums.radius_px + 1] >= 50
    assert np.abs(ratio[: len(large)][large] - 1).max() < 0.1


def test_errors_of_maps_hold_where_particles_differ(one_structure: Case) -> None:
    """Each holds another share of the mean map: the noise model errs, errors by splits do not."""
    sums = one_structure.evidence.sums
    rng = np.random.default_rng(4)
    share = rng.normal(scale=0.8, size=(1, sums.particles, 1)).astype(np.float32)
    sums = replace(sums, residual=sums.residual + share * sums.curvature * sums.mean)
    drawn = rng.permutation(np.repeat([1, -1], 20)).astype(np.int8)
    splits = permuted(np.stack([drawn] * 2), one_structure.evidence.strata, 240)
    error = difference_map(sums, splits[-1], splits[:200], 1.0).standard_error.data
    of_model, of_map = [], []
    for one in splits[200:]:
        values, variance = difference_values(sums, one)
        of_model.append(sums.shell_mean(np.abs(values) ** 2 / np.maximum(variance, 1e-30)))
        of_map.append(box_maps(values[None], sums)[0] / error)
    large = np.bincount(sums.shells)[: sums.radius_px + 1] >= 50
    assert np.mean(of_model, axis=0)[: len(large)][large].max() > 1.2
    assert np.square(of_map).mean() == pytest.approx(1, abs=0.1)
    means = [one.mean() for one in of_map]
    assert abs(np.mean(means)) < 3 * np.std(means) / 40**0.5


def test_statistic_against_all_pairs_of_particles(one_structure: Case) -> None:
    """T by inner products is the sum over pairs of particles, none with itself."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(12, 5)).astype(np.float32)
    labels = rng.choice([1, -1, 0], size=(3, 2, 6)).astype(np.int8)
    weights = weights_of(labels)
    pairs = [(p, q) for p in range(6) for q in range(6) if p != q]
    both, apart = [], []
    for row in weights.reshape(3, 2, 6):
        each = row[..., None] * features.reshape(2, 6, 5)
        parts = each.sum(axis=0)
        both.append(sum(parts[p] @ parts[q] for p, q in pairs))
        apart.append(sum(half[p] @ half[q] for half in each for p, q in pairs))
    gram = features @ features.T
    assert statistics(gram, weights, crossed=False) == pytest.approx(both, rel=1e-4)
    assert statistics(gram, weights, crossed=True) == pytest.approx(apart, rel=1e-4)


def test_weights_of_a_group_without_members_are_0() -> None:
    assert not weights_of(np.ones((1, 2, 5), np.int8)).any()
    weights = weights_of(np.array([[[1, 1, -1, 0], [1, -1, -1, 0]]], np.int8))[0]
    assert weights.tolist() == pytest.approx([1 / 3, 1 / 3, -1 / 3, 0, 1 / 3, -1 / 3, -1 / 3, 0])


def test_group_sums_and_box_maps_are_linear(one_structure: Case) -> None:
    sums = one_structure.evidence.sums
    members = np.zeros((2, sums.particles), bool)
    members[0, 3] = members[1, 5] = True
    residual, curvature = group_sums(sums, members)
    assert np.allclose(residual, sums.residual[0, 3] + sums.residual[1, 5], atol=1e-4)
    assert np.allclose(curvature, sums.curvature[0, 3] + sums.curvature[1, 5], atol=1e-4)
    maps = box_maps(np.stack([sums.mean, 2 * sums.mean]), sums)
    assert np.allclose(2 * maps[0], maps[1], atol=1e-5)


def test_the_filter_ends_where_the_radius_does(one_structure: Case) -> None:
    sums = one_structure.evidence.sums
    filtered = difference.filter_of(sums)
    assert not filtered[sums.shells > sums.radius_px].any()
    assert (filtered[sums.shells <= sums.radius_px] > 0).all()


def test_too_small_a_group_is_said(one_structure: Case) -> None:
    drawn = np.full(40, -1, np.int8)
    drawn[:3] = 1
    with pytest.raises(BadInputError, match="Group A has 3 particles"):
        run_to_end(compare_groups(one_structure.evidence, drawn))


def test_groups_of_whole_tomograms_cannot_be_told_from_tomograms(one_structure: Case) -> None:
    """Two tomograms against each other: no permutation is rare, and the sentence says so."""
    evidence = one_structure.evidence
    drawn = np.where(evidence.strata.tomogram == 0, 1, -1).astype(np.int8)
    found = run_to_end(compare_groups(evidence, drawn, with_maps=False, permutations=99))
    assert not found.crossed.crossed
    assert not found.tellable
    assert not found.differ
    assert "cannot be told from differences between tomograms" in found.sentence()


def test_permutations_that_are_all_one_have_no_deviations() -> None:
    """Of two tomograms groups can only change their names: T differs by its rounding."""
    rounding = 5.0 + 1e-12 * np.random.default_rng(0).standard_normal(99)
    assert PermutationTest.of(5.0 + 1e-9, rounding).z == 0
    assert PermutationTest.of(8.0, 5.0 + np.tile([-1.0, 1.0], 50)).z == pytest.approx(3.0)
