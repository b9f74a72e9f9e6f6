"""Renderers and picking: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_tomodrgn.gui.charts import painting
from napari_tomodrgn.gui.charts.colormaps import gradient
from napari_tomodrgn.gui.charts.density_renderer import DensityPoints
from napari_tomodrgn.gui.charts.hit_testing import nearest, neighbour, points_in_outline
from napari_tomodrgn.gui.charts.point_cloud import (
    PointCloud,
    PointRenderer,
    RasterPoints,
    View,
    radius_px,
)
from napari_tomodrgn.gui.charts.vispy_renderer import VispyPoints, is_hardware, make_renderer

SIZE = (320, 240)
VIEW = View(-1.0, 1.0, -1.0, 1.0)


def _colors(count: int) -> NDArray[np.uint8]:
    return np.tile(np.array([[255, 160, 20]], np.uint8), (count, 1))


def _drawn(
    renderer: PointRenderer,
    xy: NDArray[np.float64],
    colors: NDArray[np.uint8] | None = None,
    view: View = VIEW,
) -> NDArray[np.uint8]:
    renderer.set_points(PointCloud.of(xy), _colors(len(xy)) if colors is None else colors)
    try:
        return renderer.render(view, SIZE, 1.0)
    finally:
        renderer.close()


def _raster(xy: NDArray[np.float64], colors: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    return _drawn(RasterPoints(), xy, colors)


def test_a_point_is_drawn_where_it_is() -> None:
    picture = _raster(np.array([[0.5, 0.5]]))
    rows, columns = np.nonzero(picture[..., 3])
    assert columns.mean() + 0.5 == pytest.approx(240, abs=0.5)  # three quarters to the right
    assert rows.mean() + 0.5 == pytest.approx(60, abs=0.5)  # a quarter from the top: y is upward


def test_the_later_point_lies_on_top() -> None:
    colors = np.array([[255, 0, 0], [0, 255, 0]], np.uint8)
    picture = _raster(np.zeros((2, 2)), colors)
    assert picture[120, 160].tolist() == [0, 255, 0, 255]


@pytest.mark.parametrize("count", [50, 20_000])
def test_points_at_the_border_and_without_value(count: int) -> None:
    xy = np.random.default_rng(0).uniform(-1.3, 1.3, (count, 2))
    xy[::7] = np.nan
    xy[1], xy[2], xy[3] = (-1, -1), (1, 1), (1e30, 0)
    picture = _raster(xy)
    assert picture.shape == (240, 320, 4)
    assert (picture[..., 3] > 0).any()


def test_colors_are_premultiplied() -> None:
    picture = _raster(np.random.default_rng(0).uniform(-1, 1, (200, 2))).astype(int)
    assert (picture[..., :3].max(axis=-1) <= picture[..., 3]).all()


@pytest.mark.parametrize("count", [12_000, 60_000])
def test_both_renderers_light_the_same_pixels(gl_is_real: str, count: int) -> None:
    xy = np.random.default_rng(1).normal(scale=0.35, size=(count, 2))
    xy[::50] = np.nan
    view = View(-0.9, 0.7, -0.4, 1.2)
    picture = _drawn(VispyPoints(), xy, view=view)
    one, other = _drawn(RasterPoints(), xy, view=view)[..., 3] > 127, picture[..., 3] > 127
    assert (one & other).sum() / (one | other).sum() > 0.85


def test_every_disc_is_a_disc_and_the_last_one_wins() -> None:
    """The running maximum draws what stamping one disc after the other would draw."""
    count = 30_000  # beyond the smooth ones
    rng = np.random.default_rng(2)
    xy, colors = rng.uniform(-1, 1, (count, 2)), rng.integers(0, 255, (count, 3)).astype(np.uint8)
    picture = _raster(xy, colors)
    radius = radius_px(count)
    pixels = np.floor(VIEW.to_pixels(xy, *SIZE)).astype(int)
    expected = np.zeros((SIZE[1] + 20, SIZE[0] + 20, 3), np.uint8)
    reach = range(-int(radius), int(radius) + 1)
    disc = [(dx, dy) for dx in reach for dy in reach if dx * dx + dy * dy <= radius**2]
    for (column, row), color in zip(pixels, colors, strict=True):
        for dx, dy in disc:
            expected[row + dy + 10, column + dx + 10] = color
    differ = (picture[..., :3] != expected[10:-10, 10:-10]).any(axis=-1)
    assert differ.mean() < 0.002, "but for float32 at the edge of a pixel"


def test_far_from_zero_a_point_is_still_where_it_is() -> None:
    """Å coordinates of a tomogram, zoomed in to a tenth of an Å."""
    xy = np.array([[61234.04, 5.0], [61234.06, 5.0], [61334.0, 6.0]])
    view = View(61234.0, 61234.1, 4.0, 6.0)
    cloud = PointCloud.of(xy)
    a, b, _, _ = cloud.transform(view, *SIZE)
    np.testing.assert_allclose(cloud.x[:2] * a + b, [128, 192], atol=1.0)


def test_density_counts_every_point_in_view_once() -> None:
    """One cell holds 99 points, one holds one: the table's two ends, and nothing else is lit."""
    xy = np.array([[0.5, 0.5]] * 99 + [[-0.5, -0.5], [5.0, 0.0], [np.nan, 0.0]])
    picture = _drawn(DensityPoints(), xy)
    edge = round(1.5 * radius_px(len(xy)))  # of a cell in so small a set
    assert picture[60, 240, :3].tolist() == gradient()[-1].tolist()
    step = round(np.log(2) / np.log(100) * (len(gradient()) - 1))
    assert picture[180, 80, :3].tolist() == gradient()[step].tolist()
    assert (picture[..., 3] > 0).sum() == 2 * edge**2, "two cells"


def test_density_of_colored_points_is_their_mean_color() -> None:
    colors = np.array([[200, 0, 0], [0, 100, 0]], np.uint8)
    picture = _drawn(DensityPoints(), np.full((2, 2), 0.5), colors)
    assert picture[60, 240].tolist() == [100, 50, 0, 255]


def test_the_raster_is_chosen_where_opengl_is_software(gl_is_real: str) -> None:
    assert not is_hardware("llvmpipe (LLVM 15.0.6, 256 bits)")
    assert is_hardware("NVIDIA H100 PCIe/PCIe/SSE2")
    assert isinstance(make_renderer(1000, density=False), RasterPoints)
    assert isinstance(make_renderer(1000, density=True), DensityPoints)
    large = make_renderer(10**6, density=False)
    assert isinstance(large, VispyPoints if is_hardware(gl_is_real) else RasterPoints)
    large.close()


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


def _in_pixels(pixels: NDArray[np.float64]) -> tuple[PointCloud, tuple[float, ...]]:
    """The cloud, and the transform that takes it to these pixels."""
    cloud = PointCloud.of(pixels * [1, -1])
    return cloud, cloud.transform(View(0.0, 320.0, -240.0, 0.0), *SIZE)


def test_nearest_takes_the_topmost_within_reach() -> None:
    cloud, transform = _in_pixels(np.array([[10.0, 10], [30, 10], [30, 10], [np.nan, 0]]))
    assert nearest(cloud, transform, (28, 11), 10) == 2
    assert nearest(cloud, transform, (200, 200), 10) == -1
    assert nearest(*_in_pixels(np.zeros((0, 2))), (0, 0), 10) == -1


def test_nearest_is_the_nearest_of_many() -> None:
    pixels = np.random.default_rng(4).uniform(0, 240, (100_000, 2))
    cloud, transform = _in_pixels(pixels)
    for at in ((33.3, 120.0), (239.0, 1.0), (120.25, 77.75)):
        found = nearest(cloud, transform, at, 10)
        distances = np.linalg.norm(pixels - at, axis=1)
        assert distances[found] == pytest.approx(distances.min(), abs=1e-3)


def test_the_next_point_lies_in_that_direction() -> None:
    pixels = np.array([[100.0, 100], [120, 105], [110, 130], [60, 100], [np.nan, 5], [104, 97]])
    cloud, transform = _in_pixels(pixels)
    found = [neighbour(cloud, transform, 0, step) for step in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    assert found == [5, 3, 2, -1]
    assert neighbour(cloud, transform, 3, (-1, 0)) == -1


def test_lasso_is_exact() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-20, 340, (20_000, 2))
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = 70 + 30 * np.sin(5 * angles)
    corners = list(zip(160 + radius * np.cos(angles), 120 + radius * np.sin(angles), strict=True))
    cloud, transform = _in_pixels(pixels)
    found = points_in_outline(cloud, transform, corners, SIZE)
    path = pytest.importorskip("skimage.measure").points_in_poly(pixels, corners)
    np.testing.assert_array_equal(found, path)


def test_a_line_encloses_nothing() -> None:
    assert not points_in_outline(*_in_pixels(np.ones((3, 2))), [(0, 0), (5, 5)], SIZE).any()


@pytest.mark.parametrize(
    ("low", "high"),
    [(-4.2, 5.1), (0.0, 1e-6), (1e6, 3e6), (-0.031, 0.058), (-1e-3, 1e9), (0.91291, 0.91313)],
)
def test_ticks_are_round_inside_and_told_apart(low: float, high: float) -> None:
    values = painting.ticks(low, high, 5)
    assert 2 <= len(values) <= 9
    assert all(low <= value <= high for value in values)
    names = painting.tick_texts(values)
    assert len(set(names)) == len(names)
    assert "-0" not in names


def test_what_is_counted_has_no_numbers_between_two_whole_ones() -> None:
    values = painting.ticks(1.0, 2.0, 3)
    assert [name for name in painting.whole_texts(values) if name] == ["1", "2"]
    assert painting.whole_texts([0.0, 10.0, 20.0]) == ["0", "10", "20"]


def test_no_ticks_without_a_range() -> None:
    assert painting.ticks(1.0, 1.0, 5) == []
    assert painting.ticks(0.0, float("nan"), 5) == []
    assert painting.tick_texts([]) == []
