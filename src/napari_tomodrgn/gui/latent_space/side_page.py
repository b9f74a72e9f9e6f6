"""What stands beside the scatter, or below it in a high panel: legend, card, counts."""

from __future__ import annotations

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QBoxLayout, QLayout, QWidget

# px beside or below the scatter, and the share of the panel that it takes between the two.
_LEAST_PX, _LARGEST_PX, _SHARE = 200, 420, 0.3
_UNLIMITED = 16_777_215  # px: what Qt takes for no limit


class SidePage(QWidget):
    """Takes a share of the panel, and gives it back when the window becomes smaller.

    The share is what it would like to have: as its least size, a wide window could never be drawn
    as narrow as one that was opened narrow.
    """

    def __init__(self, legend: QWidget, card: QWidget, counts: QLayout) -> None:
        super().__init__()
        self._room, self._high = _LEAST_PX, False
        self._layout = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self._layout.setContentsMargins(4, 0, 0, 0)
        self._layout.addWidget(legend, 1)
        self._layout.addWidget(card, 2)  # its pictures before more room below the legend
        self._layout.addLayout(counts)
        self.fit(0, 0)

    def sizeHint(self) -> QSize:
        """Its share in one direction, in the other whatever there is."""
        hint = self._layout.sizeHint()
        if self._high:
            return QSize(hint.width(), self._room)
        return QSize(self._room, hint.height())

    def fit(self, width: int, height: int) -> bool:
        """Take the share of a panel of this size; return whether it is higher than wide."""
        self._high = high = height > width
        self._room = min(max(_LEAST_PX, round(_SHARE * max(width, height))), _LARGEST_PX)
        beside, below = QBoxLayout.Direction.LeftToRight, QBoxLayout.Direction.TopToBottom
        self._layout.setDirection(beside if high else below)
        self._layout.setStretch(2, int(high))  # else the counts would be cut off
        self.setMinimumSize(0 if high else _LEAST_PX, _LEAST_PX if high else 0)
        largest = (_UNLIMITED, self._room) if high else (self._room, _UNLIMITED)
        self.setMaximumSize(*largest)
        self.updateGeometry()
        return high
