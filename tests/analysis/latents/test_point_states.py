"""States told apart by the known noise of each latent: all that there are, no pieces of one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents.cluster_count import propose_clusters_of
from napari_tomodrgn.analysis.latents.clusters import agreement, clusters_of, clusters_of_table
from napari_tomodrgn.analysis.latents.known_noise import KnownNoise, point_features
from napari_tomodrgn.analysis.latents.point_states import find_states
from napari_tomodrgn.errors import BadInputError

FloatArray = NDArray[np.float64]

# Particles of sixteen states, and the noise of six latents, as of `benchmarks/assembly.py`.
SIXTEEN = (375, 277, 207, 155, 118, 89, 68, 52, 40, 31, 24, 19, 16, 12, 10, 7)
NOISE = np.array([0.003, 0.015, 0.04, 0.07, 0.08, 0.14])


def posteriors(
    truth: FloatArray, noise: FloatArray, seed: int, understated: float = 1.0
) -> tuple[FloatArray, FloatArray]:
    """Means and covariances of posteriors under N(0, I), each particle's noise of its own shape.

    ``understated``: by how much the variance is larger than is said.
    """
    rng = np.random.default_rng([seed, 1])
    count, latents = truth.shape
    widths = noise * np.exp(0.2 * rng.normal(size=truth.shape))
    axes = np.linalg.qr(np.eye(latents) + 0.15 * rng.normal(size=(count, latents, latents)))[0]
    errors = np.sqrt(understated * widths) * rng.normal(size=truth.shape)
    seen = truth + np.einsum("nij,nj->ni", axes, errors)
    precision = (axes / widths[:, None, :]) @ axes.transpose(0, 2, 1)
    covariances = np.linalg.inv(precision + np.eye(latents))
    return np.einsum("nij,njk,nk->ni", covariances, precision, seen), covariances


def table(means: FloatArray, covariances: FloatArray, *, full: bool = True) -> pd.DataFrame:
    """The table of a run."""
    axes = range(means.shape[1])
    columns = {f"mu_{axis}": means[:, axis] for axis in axes}
    columns |= {f"logvar_{axis}": np.log(covariances[:, axis, axis]) for axis in axes}
    if full:
        columns |= {f"cov_{i}_{j}": covariances[:, i, j] for i in axes for j in axes if i <= j}
    ids = pd.Index([f"TS/{row}" for row in range(len(means))], name="particle_id")
    return pd.DataFrame(columns, index=ids)


def sixteen(seed: int) -> tuple[NDArray[np.int64], FloatArray]:
    """Which state, and its place."""
    states = np.repeat(np.arange(16), SIXTEEN)
    return states, np.random.default_rng(seed).normal(size=(16, 6))[states]


def found_states(labels: NDArray[np.int64], states: NDArray[np.int64]) -> int:
    """How many states a label holds with precision and recall of 0.8."""
    counts = pd.crosstab(states, labels).to_numpy().astype(float)
    precision, recall = counts / counts.sum(axis=0), counts / counts.sum(axis=1, keepdims=True)
    return int((np.minimum(precision, recall).max(axis=1) >= 0.8).sum())


def test_the_likelihood_is_the_posterior_without_its_prior() -> None:
    means, covariances = posteriors(sixteen(0)[1][:50], NOISE, 0)
    noise = KnownNoise.of(means, covariances)
    logs = noise.features @ point_features(means[:3])
    apart = means[:, None] - means[None, :3]
    inverse = np.linalg.inv(covariances)
    posterior = -0.5 * np.einsum("nki,nij,nkj->nk", apart, inverse, apart)
    expected = posterior + 0.5 * (means[:3] ** 2).sum(axis=1)
    # Up to a constant of each particle.
    np.testing.assert_allclose(logs - logs[:, :1], expected - expected[:, :1], rtol=1e-6, atol=1e-6)


def test_the_likelihood_of_a_gaussian_is_that_of_its_draws() -> None:
    rng = np.random.default_rng(0)
    noise = KnownNoise.of(*posteriors(np.array([[0.3, -0.4]]), np.array([0.1, 0.3]), 0))
    root = np.array([[0.4, 0.0], [0.2, 0.3]])
    middle = np.array([0.1, 0.2])
    wide, height = noise.widened(root @ root.T)
    drawn = middle + rng.normal(size=(400_000, 2)) @ root.T
    expected = np.log(np.exp(noise.features @ point_features(drawn)).mean())
    found = height[0] + (wide.features @ point_features(middle[None]))[0, 0]
    assert found == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("full", [True, False])
def test_sixteen_states_of_unequal_shares_are_found(full: bool) -> None:
    """From 25 to 0.5 % of 1,500; k-means of the right number misses three."""
    states, truth = sixteen(0)
    latents = table(*posteriors(truth, NOISE, 0), full=full)
    proposed = propose_clusters_of(latents)
    assert proposed is not None and proposed.count == 16 and proposed.by_states
    assert proposed.sentence == "16 states, found by how sure each particle's latent is"
    found = clusters_of_table(latents, proposed.count, method=proposed.method)
    assert found_states(found.labels, states) == 16
    points = latents.filter(like="mu_").to_numpy()
    assert found_states(clusters_of(points, 16).labels, states) <= 13


@pytest.mark.parametrize("understated", [2.0, 4.0])
def test_widths_that_are_too_narrow_cut_no_state_in_pieces(understated: float) -> None:
    states, truth = sixteen(1)
    noise = KnownNoise.of(*posteriors(truth, NOISE, 1, understated))
    found = find_states(noise)
    assert found.count <= 16
    assert found_states(found.labels(noise), states) >= 13
    held = find_states(noise, scale=understated)
    assert found_states(held.labels(noise), states) >= 13


@pytest.mark.parametrize("sizes", [(120, 120), (300, 15)])
@pytest.mark.parametrize("understated", [1.0, 3.0])
def test_two_states_stay_two(sizes: tuple[int, int], understated: float) -> None:
    states = np.repeat([0, 1], sizes)
    truth = np.where(states, 1.0, -1.0)[:, None] * [1.0, 0.7, 0, 0, 0, 0]
    noise = KnownNoise.of(*posteriors(truth, NOISE, 2, understated))
    found = find_states(noise)
    assert found.count == 2
    assert agreement(found.labels(noise), states) > 0.99


def test_states_that_go_on_within_stay_what_they_are() -> None:
    """By several times what is known of each particle, along the first latent."""
    rng = np.random.default_rng(3)
    states = np.repeat([0, 1], 120)
    truth = np.where(states, 1.0, -1.0)[:, None] * [1.0, 0.7, 0, 0, 0, 0]
    noise = KnownNoise.of(*posteriors(truth + 0.2 * rng.normal(size=truth.shape), NOISE, 3))
    found = find_states(noise)
    assert found.count == 2 and agreement(found.labels(noise), states) > 0.99


def test_states_that_each_go_on_their_own_way_are_not_cut_in_pieces() -> None:
    """As where poses are off: each state along three directions of its own, ten times its noise."""
    rng = np.random.default_rng(8)
    states = np.repeat(np.arange(3), 100)
    truth = np.repeat(1.2 * np.array([[1, 0, 0], [-1, 1, 0], [0, -1, 1.0]]), 100, axis=0)
    truth = np.column_stack([truth, np.zeros((300, 5))])
    ways = [np.linalg.qr(rng.normal(size=(8, 3)))[0].T * [[0.35], [0.3], [0.25]] for _ in range(3)]
    truth += np.concatenate([rng.normal(size=(100, 3)) @ way for way in ways])
    noise = KnownNoise.of(*posteriors(truth, np.full(8, 9e-4), 8))
    found = find_states(noise)
    assert found.count == 3 and agreement(found.labels(noise), states) > 0.97


def test_two_large_states_are_not_one_that_is_wide() -> None:
    sizes = [600, 500, 40, 30, 25, 20, 15, 12]
    states = np.repeat(np.arange(8), sizes)
    truth = np.random.default_rng(10).normal(size=(8, 6))[states]
    noise = KnownNoise.of(*posteriors(truth, NOISE, 4))
    assert found_states(find_states(noise).labels(noise), states) == 8


def test_one_heap_is_one_class_and_a_curve_has_none() -> None:
    rng = np.random.default_rng(5)
    heap = posteriors(rng.normal(size=(500, 4)), np.array([0.02, 0.03, 0.1, 0.3]), 5)
    assert propose_clusters_of(table(*heap)).count == 1
    assert find_states(KnownNoise.of(*heap)).count == 1
    angle = rng.uniform(0, np.pi, size=400)
    arc = 1.4 * np.stack([np.cos(angle), np.sin(angle) - 0.6], axis=1)
    curve = propose_clusters_of(table(*posteriors(arc, np.array([0.01, 0.03]), 5)))
    assert curve.count == 0 and not curve.by_states


def test_states_are_the_same_for_a_seed_and_joined_where_fewer_are_asked() -> None:
    _, truth = sixteen(2)
    latents = table(*posteriors(truth, NOISE, 2))
    one, two = (clusters_of_table(latents, None, 7, "states") for _ in range(2))
    np.testing.assert_array_equal(one.labels, two.labels)
    same = clusters_of_table(latents, len(one.centers), 7, "states")
    np.testing.assert_array_equal(one.labels, same.labels)
    fewer = clusters_of_table(latents, 5, 7, "states")
    assert len(fewer.centers) == 5
    # Joined, not cut: of each state of before all are in one.
    assert (pd.crosstab(one.labels, fewer.labels).to_numpy() > 0).sum() == len(one.centers)


def test_all_particles_of_a_large_set_have_a_state() -> None:
    """More than are fitted: the others go to the state that explains them."""
    states = np.repeat(np.arange(4), [9000, 2000, 900, 100])
    truth = np.array([[1, 1, 0], [1, -1, 0], [-1, 0, 1], [-1, 0, -1.0]])[states]
    noise = KnownNoise.of(*posteriors(truth, np.array([0.01, 0.05, 0.1]), 6))
    found = find_states(noise)
    assert found.count == 4
    assert agreement(found.labels(noise), states) > 0.99


def test_states_need_widths() -> None:
    _, truth = sixteen(0)
    latents = table(*posteriors(truth, NOISE, 0)).filter(like="mu_")
    with pytest.raises(BadInputError, match="no widths"):
        clusters_of_table(latents, None, method="states")
    assert not propose_clusters_of(latents).by_states
