"""What a chart looks like in a saved picture: dark on white, with the key of its colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetrics, QPainter

from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.widgets.qt import to_image

# As printed, whatever the theme of the window.
PAPER = ChartColors("#ffffff", "#000000", "#404040", "#e4e4e4", "#000000")
_DOT_PX, _BAR_PX, _GAP_PX = 10, 12, 8


@runtime_checkable
class PaintsFigure(Protocol):
    """A chart that is saved as something else than its own widget."""

    def figure_size(self) -> QSize:
        """Size in logical pixels."""

    def paint_figure(self, painter: QPainter, scale: float) -> None:
        """Paint it for paper; ``scale`` is how many pixels of the picture a logical one takes."""


@dataclass(frozen=True, eq=False)
class ColorKey:
    """What the colours of points mean.

    Attributes
    ----------
    title
        Name of what colours.
    entries
        Name and colour of each category.
    bar
        ``(step, 3)`` colours along a number, from the upper end to the lower; None for categories.
    ends
        The numbers at the upper end and at the lower.
    """

    title: str
    entries: tuple[tuple[str, str], ...] = ()
    bar: NDArray[np.uint8] | None = None
    ends: tuple[str, str] = ("", "")

    def width_px(self, metrics: QFontMetrics) -> int:
        """Room that it takes."""
        words = [self.title, *self.ends, *(name for name, _ in self.entries)]
        wide = max(metrics.horizontalAdvance(word) for word in words)
        return wide + _DOT_PX + 3 * _GAP_PX

    def paint(self, painter: QPainter, rect: QRect) -> None:
        """Paint it into a rectangle, from above; categories without room there are counted."""
        line = painter.fontMetrics().height() + 3
        painter.setPen(QColor(PAPER.text))
        painter.drawText(QPointF(rect.left(), rect.top() + line - 4), self.title)
        rows = max(1, rect.height() // line - 1)
        shown = self.entries if len(self.entries) <= rows else self.entries[: rows - 1]
        for row, (name, color) in enumerate(shown, start=1):
            middle = rect.top() + row * line + line / 2
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(color))
            painter.drawEllipse(
                QPointF(rect.left() + _DOT_PX / 2, middle), _DOT_PX / 2, _DOT_PX / 2
            )
            painter.setPen(QColor(PAPER.text))
            left = rect.left() + _DOT_PX + _GAP_PX
            painter.drawText(QPointF(left, middle + line / 2 - 5), name)
        if hidden := len(self.entries) - len(shown):
            below = rect.top() + (len(shown) + 2) * line - 5
            painter.drawText(QPointF(rect.left(), below), f"and {hidden} more")
        if self.bar is not None:
            self._paint_bar(
                painter, QRectF(rect.left(), rect.top() + 1.5 * line, _BAR_PX, 5 * line)
            )

    def _paint_bar(self, painter: QPainter, box: QRectF) -> None:
        assert self.bar is not None
        opaque = np.full((len(self.bar), 1, 4), 255, np.uint8)
        opaque[:, 0, :3] = self.bar
        painter.drawImage(box, to_image(opaque))
        for end, y in zip(self.ends, (box.top() + 8, box.bottom()), strict=True):
            painter.drawText(QPointF(box.right() + _GAP_PX, y), end)
