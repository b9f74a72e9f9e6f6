"""Rows of controls that stand side by side where there is room, and below each other elsewhere."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QSize
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QBoxLayout, QHBoxLayout, QWidget

_SPACING = 10


class WrappingRow(QWidget):
    """Some groups of controls; needs no more width than the widest of them."""

    def __init__(self, *groups: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._groups = groups
        self._layout = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(_SPACING)
        self._layout.setSizeConstraint(QBoxLayout.SizeConstraint.SetNoConstraint)
        for group in groups:
            self._layout.addWidget(group, 1)

    @property
    def folded(self) -> bool:
        """Whether the groups stand below each other."""
        return self._layout.direction() == QBoxLayout.Direction.TopToBottom

    def minimumSizeHint(self) -> QSize:
        """Width of the widest group, height of what is there now."""
        sizes = [group.minimumSizeHint() for group in self._groups]
        heights = [size.height() for size in sizes]
        rows = len(heights) - 1 if self.folded else 0
        height = sum(heights) + rows * self._layout.spacing() if self.folded else max(heights)
        return QSize(max(size.width() for size in sizes), height)

    def sizeHint(self) -> QSize:
        """All groups side by side, at the height of what is there now."""
        return QSize(self._wanted(), self.minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fold, or unfold."""
        self._fold()
        super().resizeEvent(event)

    def event(self, event: Any) -> bool:
        """Fold, or unfold, when something in it becomes wider, in larger letters for one."""
        if event.type() == QEvent.Type.LayoutRequest:
            self._fold()
        return bool(super().event(event))

    def _fold(self) -> None:
        folded = self.width() < self._wanted()
        if folded != self.folded:
            direction = QBoxLayout.Direction
            self._layout.setDirection(direction.TopToBottom if folded else direction.LeftToRight)
            self._layout.setSpacing(3 if folded else _SPACING)
            self.updateGeometry()

    def _wanted(self) -> int:
        widths = [_in_one_row(group) for group in self._groups]
        return sum(widths) + (len(widths) - 1) * _SPACING


def _in_one_row(group: QWidget) -> int:
    """Width that a group needs before it folds itself."""
    inner = group.findChildren(WrappingRow)
    return inner[0]._wanted() if inner else group.minimumSizeHint().width()


def tight_row(owner: QWidget, spacing: int = 3) -> QHBoxLayout:
    """A row without margins in a widget."""
    row = QHBoxLayout(owner)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(spacing)
    return row
