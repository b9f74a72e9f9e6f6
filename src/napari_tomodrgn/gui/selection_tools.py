"""A row of small buttons: lasso, invert, undo, redo, clear."""

from __future__ import annotations

from typing import Any

from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QHBoxLayout, QToolButton, QWidget

from napari_tomodrgn.gui.qt import Signal, make_tool_button


class SelectionTools(QWidget):
    """Verbs on the selection, as signals."""

    lasso_toggled = Signal(bool)
    invert_requested = Signal()
    undo_requested = Signal()
    redo_requested = Signal()
    clear_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lasso = QToolButton()
        self.lasso.setText("Lasso")
        self.lasso.setCheckable(True)
        self.lasso.setToolTip(
            "Dragging draws a line around particles instead of moving the view.\n"
            "Shift adds to the selection, Alt or Ctrl takes away from it, "
            "with the lasso off as well."
        )
        self.lasso.toggled.connect(self.lasso_toggled)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 2, 0, 2)
        row.setSpacing(3)
        row.addWidget(self.lasso)
        self.invert = self._add(
            row, "◐", "Select all other particles (Ctrl+I)", self.invert_requested
        )
        self.undo = self._add(
            row, "↶", "Back to the selection before (Ctrl+Z)", self.undo_requested
        )
        self.redo = self._add(row, "↷", "Forward again (Ctrl+Shift+Z)", self.redo_requested)
        self.clear = self._add(row, "✕", "Select nothing", self.clear_requested)
        row.addStretch(1)

    def set_possible(self, *, some: bool, undo: bool, redo: bool) -> None:
        """Enable what can be done now."""
        self.clear.setEnabled(some)
        self.undo.setEnabled(undo)
        self.redo.setEnabled(redo)

    def shortcuts(self) -> list[tuple[QKeySequence, Any]]:
        """Keys of the verbs; napari has some of them too, so they need the scatter's focus."""
        return [
            (QKeySequence("Ctrl+I"), self.invert_requested),
            (QKeySequence("Ctrl+Z"), self.undo_requested),
            (QKeySequence("Ctrl+Shift+Z"), self.redo_requested),
        ]

    @staticmethod
    def _add(row: QHBoxLayout, mark: str, tip: str, verb: Any) -> QToolButton:
        button = make_tool_button(mark, tip, verb.emit)
        row.addWidget(button)
        return button
