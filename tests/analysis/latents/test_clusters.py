"""Clusters: numbered along their order in space, centres on particles, the same for one seed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_tomodrgn.analysis.latents.clusters import clusters_of
from napari_tomodrgn.analysis.latents.components import (
    axes_of_table,
    latent_matrix,
    principal_axes,
    traversal,
)


def _blobs(places: list[float]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(len(places)), 20)
    points = rng.normal(0, 0.1, (len(truth), 3))
    points[:, 0] += np.array(places)[truth]
    return points, truth


def test_numbers_go_along_a_line_of_clusters() -> None:
    points, truth = _blobs([3.0, 0.0, 4.0, 1.0, 2.0])
    found = clusters_of(points, 5)
    by_place = {int(found.labels[truth == blob][0]): blob for blob in range(5)}
    assert [by_place[number] for number in range(1, 6)] == [1, 3, 4, 0, 2]
    assert found.sizes.tolist() == [20] * 5


def test_centres_are_particles_of_their_cluster_nearest_to_its_mean() -> None:
    points, _ = _blobs([0.0, 5.0])
    found = clusters_of(points, 2)
    for number, row in enumerate(found.centers, start=1):
        assert found.labels[row] == number
        members = points[found.labels == number]
        distances = np.linalg.norm(members - members.mean(axis=0), axis=1)
        np.testing.assert_array_equal(points[row], members[distances.argmin()])


def test_same_seed_same_clusters_and_never_more_than_there_are_latents() -> None:
    points, _ = _blobs([0.0, 1.0, 2.0])
    first, second = (clusters_of(points, 7, 3).labels for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert clusters_of(np.repeat([[0.0], [1.0]], 5, axis=0), 8).labels.tolist() == [1] * 5 + [2] * 5


def test_components_are_sorted_by_what_images_tell() -> None:
    """A prior leaves every axis the same variance; how sure particles are along it differs."""
    rng = np.random.default_rng(2)
    state = np.repeat([-1.0, 1.0], 200)
    hidden = np.column_stack([rng.normal(size=(400, 3)), state])
    mixed = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    covariance = mixed.T @ np.diag([0.3, 0.2, 0.1, 0.001]) @ mixed
    columns = {f"mu_{axis}": (hidden @ mixed)[:, axis] for axis in range(4)}
    columns |= {f"logvar_{axis}": np.log(covariance[axis, axis]) for axis in range(4)}
    columns |= {f"cov_{i}_{j}": covariance[i, j] for i in range(4) for j in range(i, 4)}
    table = pd.DataFrame(columns)
    axes = axes_of_table(table)
    assert abs(axes.vectors[:, 0] @ mixed[3]) > 0.999
    assert axes.share[0] > 0.95 and axes.spread.max() < 0.3
    assert list(axes.share) == sorted(axes.share, reverse=True)
    # By variance alone the states are spread over all of them.
    plain = principal_axes(latent_matrix(table))
    assert abs(plain.vectors[:, 0] @ mixed[3]) < 0.9


def test_a_component_that_is_sure_but_does_not_vary_is_not_the_first() -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(300, 3)) * [1.0, 0.5, 1e-4]
    axes = principal_axes(points, np.diag([0.1, 0.1, 1e-6]))
    np.testing.assert_allclose(np.abs(axes.vectors), np.eye(3), atol=0.05)
    assert axes.wide.shape == (3, 2)


def test_a_traversal_goes_from_one_percentile_to_the_other() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(400, 3)) * [5.0, 1.0, 0.2] + [1.0, 2.0, 3.0]
    table = pd.DataFrame(points, columns=["mu_0", "mu_1", "mu_2"])
    scores, latents = traversal(table, 1, frames=5)
    low, high = np.percentile(points[:, 0] - points[:, 0].mean(), [5, 95])
    assert np.allclose(scores[[0, -1]], [low, high], atol=0.3)
    np.testing.assert_allclose(np.diff(scores), np.diff(scores)[0])
    np.testing.assert_allclose(latents[:, 1:], np.tile([2.0, 3.0], (5, 1)), atol=0.3)
