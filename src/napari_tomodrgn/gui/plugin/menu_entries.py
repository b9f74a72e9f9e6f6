"""The entries of the plugin menu that lead to one part of the window.

napari's plugin menu takes widgets only, and docks each that it is given. All parts share one state,
so there is one window of ours in a viewer: these widgets open it, turn to their part and leave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from napari_tomodrgn.gui.widgets.qt import soon
from napari_tomodrgn.gui.window.dock import (
    bring_to_front,
    find_window,
    give_width,
    open_dock,
    width_of,
)
from napari_tomodrgn.gui.window.main_widget import MainWidget
from napari_tomodrgn.gui.window.navigation import show_tab

if TYPE_CHECKING:
    from napari.viewer import Viewer


class _Part(QWidget):
    """Opens the window at ``part``, then takes itself out again."""

    part = ""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._width = width_of(find_window(napari_viewer))
        self.setMaximumSize(0, 0)  # for the one turn of the event loop that it is there
        soon(self, self._go)

    def _go(self) -> None:
        window = open_dock(self._viewer)
        bring_to_front(window)
        if self.part:
            show_tab(window, self.part)
        if self.parent() is not None:
            self._viewer.window.remove_dock_widget(self)
            width = self._width
            soon(window, lambda: give_width(window, width))
        self.deleteLater()


class Whole(_Part):
    """The window. Where one is open already, however it was opened, that comes to the front.

    napari knows a dock by the entry that opened it: of another one it would open a second.
    """

    def __new__(cls, napari_viewer: Viewer) -> QWidget:  # type: ignore[misc]
        """Make the window itself, where there is none."""
        if find_window(napari_viewer) is None:
            return MainWidget(napari_viewer)
        return QWidget.__new__(cls)


class Particles(_Part):
    """Star file, what was understood, checks."""

    part = "Particles"


class Training(_Part):
    """Settings, progress, curves."""

    part = "Training"


class LatentSpace(_Part):
    """Scatter of the particles' latents."""

    part = "Latent space"


class TomogramPart(_Part):
    """Particles in their tomogram."""

    part = "Tomogram"


class Selections(_Part):
    """Named sets of particles, their reconstruction and FSC."""

    part = "Selections"
