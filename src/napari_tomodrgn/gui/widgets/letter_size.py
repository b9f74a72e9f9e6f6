"""Calls back when the letters of a widget become larger or smaller, as napari's settings let them.

A style sheet sizes letters after a widget was made, and again whenever the user wishes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QLabel, QWidget

_KINDS = (QEvent.Type.FontChange, QEvent.Type.StyleChange, QEvent.Type.Polish, QEvent.Type.Show)


class LetterSize(QObject):
    """Watches a widget; ``fit`` is called at once, and whenever its letters change."""

    def __init__(self, widget: QWidget, fit: Callable[[], None]) -> None:
        super().__init__(widget)
        self._widget, self._fit, self._height = widget, fit, 0
        # Not within the event: the style has not told all children yet.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._look)
        widget.installEventFilter(self)
        self._look()

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Look at the letters after what may have changed them."""
        if event.type() in _KINDS:
            self._later.start()
        return False

    def _look(self) -> None:
        height = self._widget.fontMetrics().height()
        if height != self._height:
            self._height = height
            self._fit()


def keep_room(label: QLabel, widest: str) -> None:
    """Keep a label as wide as its widest words, so that nothing beside it moves."""

    def fit() -> None:
        around = label.sizeHint().width() - label.fontMetrics().horizontalAdvance(label.text())
        label.setMinimumWidth(label.fontMetrics().horizontalAdvance(widest) + max(4, around))

    LetterSize(label, fit)
