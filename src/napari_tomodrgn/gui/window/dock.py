"""Finds the window of a viewer, or opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tomodrgn.gui.window.main_widget import MainWidget

if TYPE_CHECKING:
    from napari.viewer import Viewer

PLUGIN = "napari-tomodrgn"
WIDGET = "tomoDRGN"


def open_dock(viewer: Viewer) -> MainWidget:
    """Return the `MainWidget` of a viewer, opened where it is not open yet.

    napari calls the dock one thing when its menu opens it and another when a program does, so it
    is looked for by what it is.
    """
    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, MainWidget):
            return widget
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    found: MainWidget = widget
    return found
