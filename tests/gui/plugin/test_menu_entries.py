"""The entries of the plugin menu: one window, whichever of them are chosen, and in sight."""

from __future__ import annotations

from typing import Any

from napari_tomodrgn.gui.plugin.menu_entries import LatentSpace, Whole
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
