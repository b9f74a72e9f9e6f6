"""A picture of the canvas is what is on the screen, larger: words and margins with all else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.gui.charts.vispy_patches import patch_vispy
from napari_tomodrgn.gui.tomogram.layers import TomogramLayers
from napari_tomodrgn.gui.volumes.canvas_fit import CanvasFit
from napari_tomodrgn.gui.volumes.figure import FigureOptions, enlarged, take_picture
from napari_tomodrgn.gui.volumes.isosurfaces import make_isosurface
from napari_tomodrgn.gui.volumes.layers import CAPTION_NAME, VolumeLayers
from napari_tomodrgn.gui.volumes.map_labels import (
    TITLE_NAME,
    MapLabels,
    bottom_of_corner,
    write_in_corner,
)
from napari_tomodrgn.session import Session

_SCALE = 2.5


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(900, 500)
    viewer.dims.ndisplay = 3
    overlays = viewer.canvas.overlays
    overlays.scale_bar.visible = overlays.axes.visible = False
    return viewer


def _ink(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """First row and column, height and width of what is drawn, on black."""
    where = np.argwhere(picture[..., :3].max(axis=-1) > 60)
    return np.concatenate([where.min(axis=0), np.ptp(where, axis=0) + 1])


def _screen_and_picture(viewer: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    screen = viewer.screenshot(canvas_only=True, flash=False)
    picture = take_picture(viewer, FigureOptions(round(_SCALE * viewer.canvas.size[1])))
    again = viewer.screenshot(canvas_only=True, flash=False)
    np.testing.assert_array_equal(_ink(again), _ink(screen), "the screen is as it was")
    return _ink(screen), _ink(picture)


@pytest.mark.parametrize("zoom", [1.0, 0.35])  # at the smaller one letters are smaller, too
def test_labels_of_maps_are_as_much_larger_as_all_else(viewer: Any, zoom: float) -> None:
    viewer.add_points(np.array([[-200.0] * 3, [200.0] * 3]), visible=False)  # napari fits to a box
    labels = MapLabels(viewer)
    labels.show(["A: HHHHHHHHHHHHHHHHHHHH"] * 2, np.array([[0.0, 0, -200], [0, 0, 200]]))
    viewer.scene.camera.center = (0.0, 0.0, 0.0)
    viewer.scene.camera.zoom = zoom
    size = labels.layer.text.size
    screen, picture = _screen_and_picture(viewer)
    assert (size < 9) == (zoom < 1)
    assert picture[2] / screen[2] == pytest.approx(_SCALE, rel=0.15), "height of the letters"
    assert picture[3] / screen[3] == pytest.approx(_SCALE, rel=0.05), "from end to end"
    assert labels.layer.text.size == size


def test_the_title_keeps_its_margins(viewer: Any) -> None:
    write_in_corner(viewer, "tomodrgn_caption", "HHHHHHHH")
    screen, picture = _screen_and_picture(viewer)
    np.testing.assert_allclose(picture[2:] / screen[2:], _SCALE, rtol=0.15)
    np.testing.assert_allclose(picture[:2] / screen[:2], _SCALE, rtol=0.15)


def test_a_map_begins_below_its_caption(viewer: Any) -> None:
    at = np.arange(32) - 16.0
    z, y, x = np.meshgrid(at, at, at, indexing="ij")
    rod = Volume(np.exp(-((x**2 + z**2) / 9 + (y / 10) ** 8)).astype(np.float32), 10.0)
    layers = VolumeLayers(viewer)
    layers.show_mesh(make_isosurface(rod), 320.0, "TS_001/91  ·  epoch 20  ·  contour 3 σ")
    overlays = viewer.canvas.overlays
    bottom = bottom_of_corner(viewer, CAPTION_NAME)
    axes_and_bar = overlays.axes, overlays.scale_bar
    for one in axes_and_bar:
        one.visible = False
    viewer.layers[0].opacity = 0  # words of a hidden map are hidden as well
    words = _ink(viewer.screenshot(canvas_only=True, flash=False))
    viewer.layers[0].opacity, overlays[CAPTION_NAME].visible = 1, False
    drawn = _ink(viewer.screenshot(canvas_only=True, flash=False))
    height = viewer.canvas.size[0]
    assert words[0] + words[2] <= bottom
    assert bottom < drawn[0] < 0.25 * height, "below the words, and not small"
    assert drawn[0] + drawn[2] / 2 == pytest.approx(height / 2, abs=8), "but for its dark end"


def _ball() -> Volume:
    at = np.arange(32) - 16.0
    z, y, x = np.meshgrid(at, at, at, indexing="ij")
    return Volume(np.exp(-(x**2 + y**2 + z**2) / 36).astype(np.float32), 10.0)


def test_letters_of_axes_are_as_much_larger_as_all_else(viewer: Any) -> None:
    layers, overlays = VolumeLayers(viewer), viewer.canvas.overlays
    layers.show_mesh(make_isosurface(_ball()), 320.0, "TS_001/91")
    canvas = viewer.window._qt_viewer.canvas
    axes = canvas._viewer_overlay_to_visual[overlays.axes][0].node.axes
    size = axes.text.font_size
    with enlarged(viewer, _SCALE):
        viewer.screenshot(canvas_only=True, flash=False)
        assert axes.text.font_size == pytest.approx(_SCALE * size)
    assert axes.text.font_size == pytest.approx(size)


def test_axes_lie_on_no_label(viewer: Any) -> None:
    """Two maps side by side: words beneath the left one begin beside x, y and z."""
    layers, overlays = VolumeLayers(viewer), viewer.canvas.overlays
    mesh = make_isosurface(_ball())
    layers.show_mesh(mesh, 320.0, "TS_001.tomostar/3  ·  epoch 20  ·  contour 3 σ")
    words = "TS_001.tomostar/6\ndecoded, epoch 20, contour 3 σ"
    layers.show_companion("pinned", mesh, 320.0, None, words)
    overlays.scale_bar.visible = overlays[CAPTION_NAME].visible = False
    for layer in layers.layers:
        layer.opacity = float(layer is layers.labels.layer)

    def ink() -> NDArray[np.bool_]:
        return viewer.screenshot(canvas_only=True, flash=False)[..., :3].max(axis=-1) > 60

    overlays.axes.visible = True
    both = ink()
    overlays.axes.visible = False
    labels = ink()
    axes = both & ~labels
    assert labels.sum() > 100 and axes.sum() > 100
    assert np.flatnonzero(axes.any(axis=0)).max() < np.flatnonzero(labels.any(axis=0)).min()


def test_a_tomogram_begins_below_its_title(viewer: Any) -> None:
    layers = TomogramLayers(viewer)
    write_in_corner(viewer, TITLE_NAME, "TS_001.tomostar  ·  20 particles")
    layers.look_at_all(np.zeros(3), np.array([100.0, 3000.0, 3000.0]))
    edge, height = 3000 * viewer.scene.camera.zoom, viewer.canvas.size[0]
    assert bottom_of_corner(viewer, TITLE_NAME) <= (height - edge) / 2
    assert edge > 0.75 * height, "and is not small"


@pytest.mark.parametrize("width", [900, 1280])
def test_the_scale_bar_lies_on_no_words(viewer: Any, width: int) -> None:
    """It lay on what is beneath the last map of a row; on the screen and in pictures of it."""
    viewer.window.resize(width, 500)
    layers, overlays = VolumeLayers(viewer), viewer.canvas.overlays
    fit = CanvasFit(Session(), viewer, (layers.write_caption,))
    mesh = make_isosurface(_ball())
    layers.show_mesh(mesh, 320.0, "TS_001.tomostar/3  ·  epoch 20  ·  shell filter  ·  contour 3 σ")
    for number in (1, 2):
        words = f"cluster {number}: 1,204 particles\nfrom images, 17.6 Å, 3 σ"
        layers.show_companion(f"reconstruction {number}", mesh, 320.0, None, words)
    overlays.axes.visible = False
    for layer in layers.layers:
        layer.opacity = float(layer is layers.labels.layer)

    def inks() -> Iterator[NDArray[np.bool_]]:
        def ink() -> NDArray[np.bool_]:
            return take_picture(viewer, FigureOptions())[..., :3].max(axis=-1) > 60

        yield ink()
        overlays.scale_bar.visible = False
        yield ink()
        overlays.scale_bar.visible = True

    both, words = inks()
    bar = np.argwhere(both & ~words)
    (top, left), (bottom, right) = bar.min(axis=0), bar.max(axis=0)
    assert len(bar) > 100 and words.sum() > 1000
    assert not words[top - 8 : bottom + 9, left - 8 : right + 9].any()
    fit.close()
    fit.give_back()
    assert overlays.scale_bar.position == "bottom_right", "napari's own place"


def test_the_box_behind_a_title_is_as_long_as_the_title(viewer: Any) -> None:
    """Over something bright, the end of a long line was white on white."""
    patch_vispy()
    viewer.dims.ndisplay = 2
    viewer.add_image(np.ones((200, 200), np.float32), contrast_limits=(0, 1))
    viewer.scene.camera.zoom = 20
    words = "200 particles, 30 selected, of 1,234 HHH"
    write_in_corner(viewer, TITLE_NAME, words)
    overlay = viewer.canvas.overlays[TITLE_NAME]
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].max(axis=-1)
    boxed = np.flatnonzero((picture < 128).any(axis=0)).max()
    overlay.box = False
    overlay.color = "#000000"
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].max(axis=-1)
    written = np.flatnonzero((picture < 128).any(axis=0)).max()
    assert written < boxed < written + 40
