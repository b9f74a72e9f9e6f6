"""The entries of the plugin menu: one window, whichever of them are chosen, and in sight."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt

from napari_tomodrgn.gui.plugin.menu_entries import LatentSpace, Selections, Whole
from napari_tomodrgn.gui.window.dock import find_window, open_dock
from napari_tomodrgn.gui.window.main_widget import MainWidget


def test_there_is_one_window_whichever_entries_are_chosen(
    make_napari_viewer: Any, qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.window.add_dock_widget(LatentSpace(viewer), name="Go to Latent space")
    qtbot.waitUntil(lambda: find_window(viewer) is not None)
    window = open_dock(viewer)
    # napari's menu knows the dock that a program opened by another name, and asks for a second.
    viewer.window.add_dock_widget(Whole(viewer), name="tomoDRGN again")
    qtbot.waitUntil(lambda: "tomoDRGN again" not in viewer.window.dock_widgets)
    shown = [one for one in viewer.window.dock_widgets.values() if isinstance(one, MainWidget)]
    assert shown == [window]


def test_a_window_that_was_hidden_comes_back(make_napari_viewer: Any, qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    window = open_dock(viewer)
    qtbot.waitUntil(window.isVisible)
    window.parentWidget().hide()
    viewer.window.add_dock_widget(LatentSpace(viewer), name="Go to Latent space")
    qtbot.waitUntil(window.isVisible)
    assert open_dock(viewer) is window


def test_the_window_keeps_its_width_whichever_entries_are_chosen(viewer: Any, qtbot: Any) -> None:
    viewer.window.resize(1440, 900)
    viewer.window.add_dock_widget(Selections(viewer), name="Go to Validate", area="right")
    qtbot.waitUntil(lambda: find_window(viewer) is not None)
    window = open_dock(viewer)
    sized: Any = window.window()
    qtbot.waitUntil(lambda: window.stepper.height() > 0 and window.width() >= 325)
    qtbot.wait(300)
    for drawn in (window.parentWidget().width(), 420):
        sized.resizeDocks([window.parentWidget()], [drawn], Qt.Orientation.Horizontal)
        qtbot.wait(300)
        before = window.parentWidget().width(), window.latent.height()
        for name, entry in (("Go to Validate", Selections), ("Go to Latent space", LatentSpace)):
            viewer.window.add_dock_widget(entry(viewer), name=name, area="right")
            qtbot.waitUntil(lambda name=name: name not in viewer.window.dock_widgets)
            qtbot.wait(300)
            assert (window.parentWidget().width(), window.latent.height()) == before
            assert len({one.y() for one in window.stepper.buttons.values()}) == 1, "one row"
