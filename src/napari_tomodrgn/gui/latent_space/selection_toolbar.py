"""A row of small buttons: what a drag over the scatter does, and verbs on the selection."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy import QtGui
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QButtonGroup, QMenu, QToolButton, QWidget

from napari_tomodrgn.gui.charts.drawn_shape import LASSO, MOVE, PATH, POLYGON, RECTANGLE, Tool
from napari_tomodrgn.gui.latent_space.cluster_service import AS_LATENTS_ASK
from napari_tomodrgn.gui.widgets import icons
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.gui.widgets.wrapping_row import tight_row
from napari_tomodrgn.session import SelectionMode

_KEYS_HELD = (
    "With a key held: Shift adds to the selection, Alt or Ctrl takes away from it, "
    "Shift and Alt keep what is in both."
)
_TOOLS: dict[Tool, tuple[str, str]] = {
    MOVE: ("M", "Dragging moves the view (M). With a key held it draws a lasso."),
    LASSO: ("L", f"Dragging draws a line around particles (L).\n{_KEYS_HELD}"),
    RECTANGLE: ("R", f"Dragging draws a box around particles (R).\n{_KEYS_HELD}"),
    POLYGON: (
        "P",
        "Clicks set the corners of a line around particles (P); a double click or Enter closes it, "
        f"Backspace takes a corner back, Escape all.\n{_KEYS_HELD}",
    ),
    PATH: (
        "D",
        "Dragging draws a path: a series of volumes along it (D). Each is decoded where you drew; "
        "beyond the two axes it is what the nearest particles have.",
    ),
}
_COMBINATIONS: dict[SelectionMode, str] = {
    SelectionMode.REPLACE: "A new line makes a new selection",
    SelectionMode.ADD: "A new line adds to the selection (Shift)",
    SelectionMode.SUBTRACT: "A new line takes away from the selection (Alt or Ctrl)",
    SelectionMode.INTERSECT: "A new line keeps what is in both (Shift and Alt or Ctrl)",
}
_CLUSTERS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20)
_VERBS = {
    "invert": ("Ctrl+I", "Select all other particles (Ctrl+I)"),
    "undo": ("Ctrl+Z", "Back to the selection before (Ctrl+Z)"),
    "redo": ("Ctrl+Shift+Z", "Forward again (Ctrl+Shift+Z)"),
    "clear": ("", "Select nothing"),
}


class SelectionTools(QWidget):
    """Verbs on the selection, as signals."""

    tool_chosen = Signal(str)
    mode_chosen = Signal(object)  # SelectionMode
    invert_requested = Signal()
    undo_requested = Signal()
    redo_requested = Signal()
    clear_requested = Signal()
    clusters_requested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._named: dict[str, QToolButton] = {}
        self._mode, self._color = SelectionMode.REPLACE, "#808080"
        self._combinations = QMenu(self)
        row = tight_row(self, spacing=1)
        group = QButtonGroup(self)
        for tool, (_key, tip) in _TOOLS.items():
            button = self._add(tool, tip)
            button.setCheckable(True)
            group.addButton(button)
            button.toggled.connect(
                lambda on, tool=tool: self.tool_chosen.emit(tool) if on else None
            )
            row.addWidget(button)
        self._named[MOVE].setChecked(True)
        row.addSpacing(6)
        self.mode = self._make_combinations()
        row.addWidget(self.mode)
        self._verbs = {
            "invert": self.invert_requested,
            "undo": self.undo_requested,
            "redo": self.redo_requested,
            "clear": self.clear_requested,
        }
        for name, (_key, tip) in _VERBS.items():
            button = self._add(name, tip)
            button.clicked.connect(lambda _checked=False, name=name: self._verbs[name].emit())
            row.addWidget(button)
        row.addWidget(self._make_clusters())
        self.invert, self.undo, self.redo, self.clear = (self._named[name] for name in _VERBS)
        row.addStretch(1)

    def set_theme(self, color: str, chosen: str) -> None:
        """Draw the icons in this colour, the tool in the hand on the other one."""
        self.setStyleSheet(f"QToolButton:checked {{ background: {chosen}; }}")
        for name, button in self._named.items():
            button.setIcon(icons.icon(name, color))
        for action in self._combinations.actions():
            action.setIcon(icons.icon(str(action.data()), color))
        self.mode.setIcon(icons.icon(self._mode, color))
        self._color = color

    def set_possible(self, *, some: bool, undo: bool, redo: bool) -> None:
        """Enable what can be done now."""
        self.clear.setEnabled(some)
        self.undo.setEnabled(undo)
        self.redo.setEnabled(redo)

    def choose(self, tool: Tool) -> None:
        """Take a tool into the hand."""
        self._named[tool].setChecked(True)

    def shortcuts(self) -> list[tuple[QKeySequence, Callable[[], None]]]:
        """Keys of the verbs; napari has some of them too, so they need the scatter's focus."""
        found: list[tuple[QKeySequence, Callable[[], None]]] = []
        for tool, (key, _tip) in _TOOLS.items():
            found.append((QKeySequence(key), partial(self.choose, tool)))
        for name, (key, _tip) in _VERBS.items():
            if key:
                found.append((QKeySequence(key), self._named[name].click))
        return found

    def _add(self, name: str, tip: str) -> QToolButton:
        button = QToolButton()
        button.setIconSize(icons.SIZE)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        self._named[name] = button
        return button

    def _make_clusters(self) -> QToolButton:
        """Button with a menu: into how many clusters."""
        self.clusters = QMenu(self)
        for count in (AS_LATENTS_ASK, *_CLUSTERS):
            words = f"{count} clusters" if count else "As many as the data show"
            action: Any = self.clusters.addAction(words)
            action.triggered.connect(
                lambda _checked=False, count=count: self.clusters_requested.emit(count)
            )
        button = self._add("clusters", "Find clusters of the latents and colour by them")
        # A word: how groups are found must not have to be guessed from a picture.
        button.setText("Clusters")
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setMenu(self.clusters)
        button.setStyleSheet("QToolButton { padding-right: 10px; }")  # for the arrow
        return button

    def _make_combinations(self) -> QToolButton:
        for name, words in _COMBINATIONS.items():
            action: Any = self._combinations.addAction(words)
            action.setData(str(name))
            action.triggered.connect(lambda _checked=False, name=name: self._choose_mode(name))
        button = QToolButton()
        button.setIconSize(icons.SIZE)
        button.setMenu(self._combinations)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setToolTip("What a lasso does to the selection, with no key held")
        button.setAccessibleName("How lassos combine")
        return button

    def _choose_mode(self, name: SelectionMode) -> None:
        self._mode = name
        self.mode.setIcon(icons.icon(name, self._color))
        self.mode_chosen.emit(name)


def add_shortcut(keys: str | QtGui.QKeySequence, owner: QWidget, verb: Callable[[], None]) -> None:
    """A key that works while the focus is in a widget."""
    gui: Any = QtGui  # qtpy's stubs leave QShortcut out
    shortcut = gui.QShortcut(keys, owner)
    shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    shortcut.activated.connect(verb)
