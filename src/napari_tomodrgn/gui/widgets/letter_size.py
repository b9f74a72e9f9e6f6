"""Calls back when the letters of a widget become larger or smaller, as napari's settings let them.

A style sheet sizes letters after a widget was made, and again whenever the user wishes. That of
napari knows labels and buttons; `letters_style` knows the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.settings import get_settings
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QLabel, QWidget

_KINDS = (QEvent.Type.FontChange, QEvent.Type.StyleChange, QEvent.Type.Polish, QEvent.Type.Show)
_PAINTED = "painted"  # a property that style sheets know


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


def letters_style(most_on_buttons: int = 99) -> str:
    """The part of a style sheet that sizes letters that napari leaves as they are.

    ``most_on_buttons`` points of tool buttons, where larger ones would leave the rest no room.
    """
    points = get_settings().appearance.font_size
    kinds = f"QLineEdit, QTreeView, QHeaderView, QWidget[{_PAINTED}='true']"
    buttons = f"QToolButton {{ font-size: {min(points, most_on_buttons)}pt; }}"
    return f"{kinds} {{ font-size: {points}pt; }} {buttons}"


def set_style(widget: QWidget, sheet: str) -> None:
    """Set a style sheet, unless it is that: all that is in the widget is then styled anew."""
    if widget.styleSheet() != sheet:
        widget.setStyleSheet(sheet)


def paints_letters(widget: QWidget, lines: int = 0) -> None:
    """Let a widget paint in letters of that size, and be so many lines of them high at least."""

    def fit() -> None:
        if lines:
            widget.setMinimumHeight(lines * widget.fontMetrics().height())
        widget.updateGeometry()

    widget.setProperty(_PAINTED, True)
    LetterSize(widget, fit)


def keep_room(label: QLabel, widest: str) -> None:
    """Keep a label as wide as its widest words, so that nothing beside it moves."""

    def fit() -> None:
        # Its own hint is never below its minimum: that of the letters before has to go first.
        shown = label.text()
        label.setMinimumWidth(0)
        label.setText(widest)
        room = label.sizeHint().width(), label.fontMetrics().horizontalAdvance(widest) + 4
        label.setText(shown)
        label.setMinimumWidth(max(room))

    LetterSize(label, fit)
