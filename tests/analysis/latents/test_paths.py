"""Ways through latent space."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tomodrgn.analysis.latents.paths import along_neighbours, evenly


def _horseshoe(count: int = 600, noise: float = 0.0005) -> np.ndarray:
    """Points on half a circle of radius 1 in the first two of four dimensions."""
    rng = np.random.default_rng(0)
    angle = np.linspace(0, np.pi, count)
    points = rng.normal(scale=noise, size=(count, 4))
    points[:, 0] += np.cos(angle)
    points[:, 1] += np.sin(angle)
    return points


def test_the_way_stays_on_the_horseshoe_where_the_straight_line_crosses_the_gap() -> None:
    points = _horseshoe()
    rows = along_neighbours(points, [0, 599])
    assert (rows[0], rows[-1]) == (0, 599)
    radius = np.linalg.norm(points[rows, :2], axis=1)
    assert radius.min() > 0.9, "the straight line would pass 0"
    steps = np.linalg.norm(np.diff(points[rows], axis=0), axis=1)
    assert steps.max() < 0.2
    assert steps.sum() == pytest.approx(np.pi, rel=0.1)


def test_anchors_are_passed_in_their_order() -> None:
    rows = along_neighbours(_horseshoe(), [100, 500, 300]).tolist()
    assert rows[0] == 100 and rows[-1] == 300
    turn = rows.index(500)
    assert 0 < turn < len(rows) - 1
    # There and back: both legs pass the middle of the horseshoe or end there.
    assert any(250 < row < 350 for row in rows[:turn])


def test_clouds_apart_are_joined_where_they_are_nearest() -> None:
    rng = np.random.default_rng(1)
    near = rng.uniform(0, 1, (200, 2))
    far = rng.uniform([6, 0], [7, 1], (200, 2))
    between = np.array([[1.02, 0.5], [5.9, 0.5]])  # the two that face each other
    points = np.concatenate([near, far, between])
    rows = along_neighbours(points, [0, 250], neighbours=5)
    steps = np.linalg.norm(np.diff(points[rows], axis=0), axis=1)
    gaps = np.flatnonzero(steps > 2)
    assert len(gaps) == 1, "the gap is crossed once"
    assert {int(rows[gaps[0]]), int(rows[gaps[0] + 1])} == {400, 401}


def test_particles_at_one_place_are_no_obstacle() -> None:
    points = np.repeat(np.array([[0.0, 0], [1, 0], [2, 0]]), 20, axis=0)
    rows = along_neighbours(points, [0, 59], neighbours=4)
    assert points[rows][:, 0].tolist() == sorted(points[rows][:, 0])


def test_places_are_evenly_spaced_along_a_line() -> None:
    line = np.array([[0.0, 0], [0, 0], [3, 0], [3, 4]])
    places = evenly(line, 8)
    np.testing.assert_allclose(places[[0, 3, -1]], [[0, 0], [3, 0], [3, 4]], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(np.diff(places, axis=0), axis=1), 1.0)
    stretched = evenly(line, 3, scale=np.array([1.0, 1000.0]))
    np.testing.assert_allclose(stretched[1], [1.502, 0.0], atol=1e-3)
    np.testing.assert_allclose(evenly(np.ones((2, 3)), 4), 1.0)
