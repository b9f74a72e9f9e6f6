"""Renderers and picking: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_tomodrgn.gui import chart
from napari_tomodrgn.gui.picking import inside_polygon, nearest
from napari_tomodrgn.gui.points import RasterPoints, View, VispyPoints, choose_renderer

SIZE = (320, 240)
VIEW = View(-1.0, 1.0, -1.0, 1.0)


def _colours(count: int) -> NDArray[np.uint8]:
    return np.tile(np.array([[255, 160, 20]], np.uint8), (count, 1))


def _raster(xy: NDArray[np.float64], colours: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    renderer = RasterPoints()
    renderer.set_points(xy, _colours(len(xy)) if colours is None else colours)
    return renderer.render(VIEW, SIZE, 1.0)


def test_a_point_is_drawn_where_it_is() -> None:
    picture = _raster(np.array([[0.5, 0.5]]))
    rows, columns = np.nonzero(picture[..., 3])
    assert columns.mean() + 0.5 == pytest.approx(240, abs=0.5)  # three quarters to the right
    assert rows.mean() + 0.5 == pytest.approx(60, abs=0.5)  # a quarter from the top: y is upward


def test_the_later_point_lies_on_top() -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0]], np.uint8)
    picture = _raster(np.zeros((2, 2)), colours)
    assert picture[120, 160].tolist() == [0, 255, 0, 255]


@pytest.mark.parametrize("count", [50, 20_000])
def test_points_at_the_border_and_without_value(count: int) -> None:
    xy = np.random.default_rng(0).uniform(-1.3, 1.3, (count, 2))
    xy[::7] = np.nan
    xy[1], xy[2], xy[3] = (-1, -1), (1, 1), (1e30, 0)
    picture = _raster(xy)
    assert picture.shape == (240, 320, 4)
    assert (picture[..., 3] > 0).any()


def test_colours_are_premultiplied() -> None:
    picture = _raster(np.random.default_rng(0).uniform(-1, 1, (200, 2))).astype(int)
    assert (picture[..., :3].max(axis=-1) <= picture[..., 3]).all()


def test_both_renderers_light_the_same_pixels(gl_is_real: str) -> None:
    xy = np.random.default_rng(1).normal(scale=0.35, size=(12_000, 2))
    renderer = VispyPoints()
    renderer.set_points(xy, _colours(len(xy)))
    picture = renderer.render(VIEW, SIZE, 1.0)
    renderer.close()
    one, other = _raster(xy)[..., 3] > 127, picture[..., 3] > 127
    assert (one & other).sum() / (one | other).sum() > 0.85


def test_the_raster_is_chosen_unless_many_points_meet_a_gpu() -> None:
    assert isinstance(choose_renderer(10**6, gpu=False), RasterPoints)
    assert isinstance(choose_renderer(1000, gpu=True), RasterPoints)


def test_view_of_a_cloud_without_extent() -> None:
    view = View.around(np.array([[3.0, 5.0], [3.0, 5.0]]))
    assert view.x_min < 3 < view.x_max
    assert view.y_min < 5 < view.y_max
    assert View.around(np.full((3, 2), np.nan)) == View(-1.0, 1.0, -1.0, 1.0)


def test_zoom_keeps_the_point_under_the_pointer() -> None:
    view = VIEW.zoomed(0.5, (0.4, -0.2))
    before = VIEW.to_pixels(np.array([[0.4, -0.2]]), 300, 200)
    np.testing.assert_allclose(view.to_pixels(np.array([[0.4, -0.2]]), 300, 200), before)


def test_to_plane_undoes_to_pixels() -> None:
    pixel = VIEW.to_pixels(np.array([[0.3, 0.7]]), 300, 200)[0]
    assert VIEW.to_plane(pixel[0], pixel[1], 300, 200) == pytest.approx((0.3, 0.7))


def test_nearest_takes_the_topmost_within_reach() -> None:
    pixels = np.array([[10.0, 10.0], [30.0, 10.0], [30.0, 10.0], [np.nan, 0.0]])
    assert nearest(pixels, (28, 11), 10) == 2
    assert nearest(pixels, (200, 200), 10) == -1
    assert nearest(np.zeros((0, 2)), (0, 0), 10) == -1


def test_lasso_is_exact() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-20, 340, (20_000, 2))
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = 70 + 30 * np.sin(5 * angles)
    corners = list(zip(160 + radius * np.cos(angles), 120 + radius * np.sin(angles), strict=True))
    found = inside_polygon(pixels, corners, SIZE)
    path = pytest.importorskip("skimage.measure").points_in_poly(pixels, corners)
    np.testing.assert_array_equal(found, path)


def test_a_line_encloses_nothing() -> None:
    assert not inside_polygon(np.ones((3, 2)), [(0, 0), (5, 5)], SIZE).any()


@pytest.mark.parametrize(
    ("low", "high"), [(-4.2, 5.1), (0.0, 1e-6), (1e6, 3e6), (-0.031, 0.058), (-1e-3, 1e9)]
)
def test_ticks_are_round_inside_and_told_apart(low: float, high: float) -> None:
    values = chart.ticks(low, high, 5)
    assert 2 <= len(values) <= 9
    assert all(low <= value <= high for value in values)
    names = chart.tick_texts(values)
    assert len(set(names)) == len(names)
    assert "-0" not in names


def test_no_ticks_without_a_range() -> None:
    assert chart.ticks(1.0, 1.0, 5) == []
    assert chart.ticks(0.0, float("nan"), 5) == []
    assert chart.tick_texts([]) == []
