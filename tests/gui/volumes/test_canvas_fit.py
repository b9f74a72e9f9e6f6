"""A canvas that becomes another size, and what was in sight in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.gui.volumes.arrangement import unfitted
from napari_tomodrgn.gui.volumes.canvas_fit import CanvasFit
from napari_tomodrgn.gui.volumes.figure import FigureOptions, take_picture
from napari_tomodrgn.gui.volumes.isosurfaces import make_isosurface
from napari_tomodrgn.gui.volumes.layers import CAPTION_NAME, VolumeLayers
from napari_tomodrgn.gui.volumes.map_labels import TITLE_NAME, write_in_corner
from napari_tomodrgn.session import Decoded, Session


def test_a_map_stays_in_sight_in_a_lower_window(qtbot: Any) -> None:
    viewer: Any = ViewerModel()  # whose canvas nobody else resizes
    session, layers = Session(), VolumeLayers(viewer)
    fit = CanvasFit(session, viewer, (layers.write_caption,))
    camera, canvas = viewer.scene.camera, viewer.canvas
    canvas.size = (600, 800)
    camera.zoom = 2.0
    canvas.size = (300, 800)
    assert camera.zoom == 2.0, "the user's own pictures stay as napari shows them"
    canvas.size = (600, 800)
    box = np.zeros((32, 32, 32), np.float32)
    box[12:20, 8:24, 14:18] = 1.0
    volume = Volume(box, 10.0)
    mesh = make_isosurface(volume)
    session.decoded = Decoded(volume, "TS/1", 8, True, mesh=mesh)
    words = "TS/1  ·  epoch 8  ·  contour 3 σ"
    layers.show_mesh(mesh, 320.0, words)
    first = camera.zoom
    box_px = 320.0 * first
    assert 300 < box_px < 720
    canvas.size = (300, 800)
    caption = canvas.overlays["tomodrgn_caption"]
    assert caption.text == words
    assert 320.0 * camera.zoom <= box_px / 2, "it has half the room, less what the caption takes"
    canvas.size = (300, 260)
    assert camera.zoom <= first * 260 / 800
    assert len(caption.text.splitlines()) == 2, "the caption breaks where the canvas ends"
    canvas.size = (600, 800)
    assert camera.zoom == pytest.approx(first), "and back"
    camera.zoom = 5.0  # the user looks closer
    canvas.size = (1200, 1600)
    assert camera.zoom == pytest.approx(10.0, rel=0.06)
    with unfitted():  # a picture of it is taken
        canvas.size = (2400, 3200)
        assert camera.zoom == pytest.approx(10.0, rel=0.06)
        canvas.size = (1200, 1600)
    fit.close()
    canvas.size = (600, 800)
    assert camera.zoom == pytest.approx(10.0, rel=0.06), "closed"


def test_a_picture_of_the_window_is_the_screen_enlarged(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    """With the service that follows the canvas' size, which a picture changes."""
    opened(tiny_run)
    qtbot.waitUntil(lambda: widget.session.decoded is not None, timeout=60_000)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=60_000)
    zoom = viewer.scene.camera.zoom
    screen = viewer.screenshot(canvas_only=True, flash=False)[..., :3].max(axis=-1) > 40
    picture = take_picture(viewer, FigureOptions())[..., :3].max(axis=-1) > 40
    assert picture.shape == tuple(2 * side for side in screen.shape)
    assert picture.mean() == pytest.approx(screen.mean(), rel=0.1)
    assert viewer.scene.camera.zoom == zoom


def test_axes_make_way_for_the_words_of_a_low_canvas() -> None:
    """In a window of 600 pixels they ran through the title, and y was cut off."""
    viewer: Any = ViewerModel()  # whose canvas nobody else resizes
    layers, canvas = VolumeLayers(viewer), viewer.canvas
    fit, axes = CanvasFit(Session(), viewer, (layers.write_caption,)), canvas.overlays.axes
    viewer.add_image(np.zeros((8, 8, 8), np.float32))
    viewer.dims.ndisplay = 3
    canvas.size = (500, 700)
    layers.show_axes(True)
    write_in_corner(viewer, CAPTION_NAME, "TS_001  ·  120 particles")

    def seen(*heights: int) -> list[bool]:
        found = []
        for height in heights:
            canvas.size = (height, 700)
            found.append(axes.visible)
        return found

    assert seen(130, 190, 230, 130, 500) == [False, False, True, False, True]
    assert seen(130) == [False]
    layers.show_axes(True)  # as for each map that is the first
    assert not axes.visible
    assert seen(500) == [True]
    assert seen(130) == [False]
    layers.show_axes(False)  # the user wants none
    fit.want_axes(False)
    assert seen(500) == [False]
    layers.show_axes(True)
    write_in_corner(viewer, CAPTION_NAME, "")
    assert seen(130) == [True], "there are no words to lie on"
    write_in_corner(viewer, TITLE_NAME, "TS_001")
    assert seen(131) == [False]
    viewer.dims.ndisplay = 2
    assert seen(500) == [False], "not on a page that has none"
    viewer.dims.ndisplay = 3
    assert seen(501, 130) == [True, False]
    fit.close()
    fit.give_back()
    assert axes.visible and seen(130) == [True]
