"""What is cut off in a window: words that need more room than their widget has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QStyle,
    QStyleOptionComboBox,
    QWidget,
)

# Side bearings of letters, and what styles round.
_TOLERANCE_PX = 1


def cut_offs(*docks: QWidget) -> list[str]:
    """One line for each widget on show whose words are cut: what, needed and given pixels."""
    found = []
    widgets: list[Any] = [one for dock in docks for one in dock.findChildren(QWidget)]
    for one in widgets:
        if not one.isVisible() or one.visibleRegion().isEmpty():
            continue
        words, needed, given = _room(one)
        if words and needed > given + _TOLERANCE_PX:
            found.append(f"{type(one).__name__} {words!r}: {needed} px needed, {given} given")
        if words and (lost := _beyond(one)) > _TOLERANCE_PX:
            found.append(f"{type(one).__name__} {words!r}: {lost} px beyond the edge")
    return sorted(set(found))


def _room(one: Any) -> tuple[str, int, int]:
    """The words of a widget, the pixels that they need and those that they have."""
    metrics = one.fontMetrics()
    if isinstance(one, QLabel):
        return _room_of_label(one)
    if isinstance(one, QComboBox):
        option = QStyleOptionComboBox()
        one.initStyleOption(option)
        part = QStyle.SubControl.SC_ComboBoxEditField
        style: Any = one.style()
        room = style.subControlRect(QStyle.ComplexControl.CC_ComboBox, option, part, one)
        return one.currentText(), metrics.horizontalAdvance(one.currentText()), room.width()
    if isinstance(one, QAbstractButton) and one.text():
        return one.text(), one.sizeHint().width(), one.width()
    if isinstance(one, QAbstractSpinBox):
        return one.text(), metrics.horizontalAdvance(one.text()), one.lineEdit().width() - 4
    if isinstance(one, QLineEdit) and not one.text():
        words = one.placeholderText()
        return words, metrics.horizontalAdvance(words), one.width() - 4
    return "", 0, 0


def _room_of_label(one: Any) -> tuple[str, int, int]:
    # What a label that shortens its words shows, not what it would show.
    words = QLabel.text(one)
    if not words:
        return "", 0, 0
    if one.wordWrap():
        return words, one.heightForWidth(one.width()), one.height()
    return words, QLabel.sizeHint(one).width(), one.width()


def _beyond(one: QWidget) -> int:
    """Pixels of a widget beyond the side of what holds it; a page may be scrolled up and down."""
    lost = 0
    for parent in _above(one):
        left = one.mapTo(parent, one.rect().topLeft()).x()
        lost = max(lost, -left, left + one.width() - parent.width())
        if parent.isWindow():
            break
        if isinstance(parent, QAbstractScrollArea) and parent.horizontalScrollBar().maximum() > 0:
            return 0
    return lost


def _above(one: QWidget) -> Iterator[QWidget]:
    parent = one.parentWidget()
    while parent is not None:
        yield parent
        parent = parent.parentWidget()
