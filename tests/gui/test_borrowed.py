"""What is taken from the user for a while is given back, unless the user has set it meanwhile."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_tomodrgn.data.tomograms import Tomogram
from napari_tomodrgn.gui.charts.drawn_shape import RECTANGLE
from napari_tomodrgn.gui.tomogram.export_service import TomogramExport
from napari_tomodrgn.gui.tomogram.layers import TomogramLayers
from napari_tomodrgn.gui.tomogram.mouse import TomogramMouse
from napari_tomodrgn.gui.volumes.figure import FigureOptions
from napari_tomodrgn.gui.window import launch
from napari_tomodrgn.session.values import TomogramDisplay


class _Event:
    """A drag of napari's, looking along z."""

    type = "mouse_press"
    button = 1
    pos = position = (1.0, 2.0, 3.0)
    dims_displayed = (0, 1, 2)
    view_direction = (1.0, 0.0, 0.0)

    def __init__(self, *modifiers: str) -> None:
        self.modifiers = modifiers


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("meanwhile", [True, None])
@pytest.mark.parametrize("way", ["stroke", "box"])
def test_a_stroke_gives_the_mouse_back(before: bool, meanwhile: bool | None, way: str) -> None:
    camera = SimpleNamespace(mouse_pan=before, up_direction=(0.0, 1.0, 0.0))
    viewer: Any = SimpleNamespace(scene=SimpleNamespace(camera=camera))
    mouse = TomogramMouse(viewer)
    event = _Event(*(["Shift"] if way == "stroke" else []))
    if way == "box":
        mouse.tool = RECTANGLE
    drag = mouse._dragged(viewer, event)
    next(drag)
    assert not camera.mouse_pan
    if meanwhile is not None:
        camera.mouse_pan = meanwhile
    event.type = "mouse_release"
    assert list(drag) == []
    assert camera.mouse_pan is (meanwhile or before)


@pytest.mark.parametrize("turned", [False, True])
def test_a_movie_that_is_broken_off_gives_the_view_back(
    viewer: Any, widget: Any, tmp_path: Any, turned: bool
) -> None:
    export: TomogramExport = widget.controller.tomogram_export
    camera = viewer.scene.camera
    viewer.dims.ndisplay = 3
    camera.angles = (3.0, 20.0, 5.0)
    export.turntable(tmp_path / "turn.gif", FigureOptions())
    for _ in range(3):
        export._film()
    filmed = camera.angles
    assert filmed != (3.0, 20.0, 5.0)
    if turned:
        camera.angles = (1.0, 2.0, 3.0)
    export.close()
    assert camera.angles == pytest.approx((1.0, 2.0, 3.0) if turned else (3.0, 20.0, 5.0))


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_virtual_display_is_forgotten_afterwards(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception] | None
) -> None:
    if launch.shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QT_QPA_PLATFORM", "before")
    try:
        with launch.some_display():
            assert os.environ["DISPLAY"].startswith(":")
            assert os.environ["QT_QPA_PLATFORM"] == "xcb"
            if error is not None:
                raise error
    except ValueError:
        pass
    assert "DISPLAY" not in os.environ and os.environ["QT_QPA_PLATFORM"] == "before"


def test_a_tomogram_that_the_user_hid_stays_hidden(viewer: Any, tmp_path: Any) -> None:
    """While the slice moves, and when one comes back from single maps; the form shows it again."""
    levels = (np.random.default_rng(0).normal(size=(8, 10, 12)).astype(np.float32),)
    layers, look = TomogramLayers(viewer), TomogramDisplay()
    layers.show_image(Tomogram(tmp_path / "TS_001.mrc", levels, 10.0), look)
    assert layers.image.visible
    layers.image.visible = False  # the eye of the layer list
    layers.apply(replace(look, depth=0.9))
    layers.set_visible(False)
    layers.apply(replace(look, depth=0.1))
    layers.set_visible(True)
    assert not layers.image.visible
    layers.apply(replace(look, image="none"))
    layers.set_visible(False)
    layers.apply(look)
    assert not layers.image.visible
    layers.set_visible(True)
    assert layers.image.visible
