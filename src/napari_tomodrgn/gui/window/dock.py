"""Finds the window of a viewer, or opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_tomodrgn.gui.window.main_widget import MainWidget

if TYPE_CHECKING:
    from napari.viewer import Viewer

PLUGIN = "napari-tomodrgn"
WIDGET = "tomoDRGN"


def find_window(viewer: Viewer) -> MainWidget | None:
    """Return the `MainWidget` of a viewer, None where it is not open.

    napari calls the dock one thing when its menu opens it and another when a program does, so it
    is looked for by what it is.
    """
    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, MainWidget):
            return widget
    return None


def bring_to_front(window: MainWidget) -> None:
    """Show a window that is hidden or lies behind another dock."""
    dock = window.parentWidget()
    if dock is not None:
        dock.show()
        dock.raise_()


def width_of(window: MainWidget | None) -> int:
    """How wide the dock of a window is, in pixels; 0 where there is none at the side of napari."""
    dock: Any = None if window is None else window.parentWidget()
    there = isinstance(dock, QDockWidget) and not dock.isFloating() and dock.isVisible()
    return dock.width() if there else 0


def give_width(window: MainWidget, width: int) -> None:
    """Make the dock as wide as it was: Qt makes it as narrow as it may be when one beside it goes.

    0 leaves it as it is.
    """
    main, dock = window.window(), window.parentWidget()
    if width and width_of(window) not in (0, width) and isinstance(main, QMainWindow):
        assert isinstance(dock, QDockWidget), "or it had no width"
        main.resizeDocks([dock], [width], Qt.Orientation.Horizontal)


def open_dock(viewer: Viewer) -> MainWidget:
    """Return the `MainWidget` of a viewer, opened where it is not open yet."""
    if (window := find_window(viewer)) is not None:
        return window
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    found: MainWidget = widget
    return found
