"""Keys of the window. They are listed in ``docs/shortcuts.md``, which a test holds against them.

Keys for the whole window are few, and none of napari's. All others need the focus in the scatter,
where napari does not listen: see `gui.latent_space.selection_toolbar` and
`gui.charts.interactive_scatter.InteractiveScatter.keyPressEvent`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy import QtGui
from qtpy.QtCore import Qt

from napari_tomodrgn.gui.window.navigation import show_tab

PARTS = {
    "Alt+1": "Particles",
    "Alt+2": "Training",
    "Alt+3": "Explore",
    "Alt+4": "Validate",
    "Alt+5": "Export",
    "Alt+6": "Latent space",
}
PAUSE = "Ctrl+Shift+Space"
# What the scatter understands by itself while it has the focus.
SCATTER = (
    *("Left", "Right", "Up", "Down", "Alt+Left", "Alt+Right", "Alt+Up", "Alt+Down"),
    *("+", "=", "-", "Home", "Return", "Enter", "Backspace", "Esc"),
)


def install(widget: Any) -> None:
    """Give the window that a `MainWidget` is in its keys; they go with the widget."""
    for keys, part in PARTS.items():
        _add(widget, keys, partial(_go, widget, part))
    _add(widget, PAUSE, partial(_pause_or_resume, widget))


def _go(widget: Any, part: str) -> None:
    show_tab(widget, part)
    if part == "Latent space":
        widget.latent.view.setFocus()


def _pause_or_resume(widget: Any) -> None:
    training = widget.controller.training
    if widget.session.training.phase == "paused":
        training.resume()
    else:
        training.pause()


def _add(widget: Any, keys: str, verb: Callable[[], None]) -> None:
    gui: Any = QtGui  # qtpy's stubs leave QShortcut out
    shortcut = gui.QShortcut(gui.QKeySequence(keys), widget)
    shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
    shortcut.activated.connect(verb)
