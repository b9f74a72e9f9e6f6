"""What the colours of the scatter mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QLinearGradient, QPainter
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_tomodrgn.gui.chart import ChartColours
from napari_tomodrgn.gui.palette import colours_of_categories, gradient
from napari_tomodrgn.session import Column


class Legend(QWidget):
    """Chips with names and counts for categories, a bar with limits for numbers."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column: Column | None = None
        self._theme = ChartColours()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(40)

    def set_column(self, column: Column | None) -> None:
        """Explain the colours of this column (None: nothing to explain)."""
        self._column = column
        self.update()

    def set_theme(self, theme: ChartColours) -> None:
        """Take the colours of the theme."""
        self._theme = theme
        self.update()

    def paintEvent(self, event: Any) -> None:
        """Draw chips or bar."""
        if self._column is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(self._theme.text))
        if self._column.categorical:
            self._paint_chips(painter, self._column)
        else:
            self._paint_bar(painter, self._column)

    def _paint_chips(self, painter: QPainter, column: Column) -> None:
        metrics = painter.fontMetrics()
        line = metrics.height() + 3
        room = max(1, self.height() // line)
        counts = np.bincount(column.values[column.values >= 0], minlength=len(column.categories))
        names = list(zip(column.categories, counts, colours_of_categories(column), strict=False))
        shown = names if len(names) <= room else names[: room - 1]
        for row, (name, count, colour) in enumerate(shown):
            y = row * line
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colour))
            painter.drawEllipse(QRectF(1, y + line / 2 - 5, 10, 10))
            painter.setPen(QColor(self._theme.text))
            words = f"{name or '(none)'}  {count}"
            width = self.width() - 18
            text = metrics.elidedText(words, Qt.TextElideMode.ElideMiddle, width)
            painter.drawText(QRectF(17, y, width, line), Qt.AlignmentFlag.AlignVCenter, text)
        hidden = len(column.categories) - len(shown)
        if hidden:
            box = QRectF(17, len(shown) * line, self.width() - 18, line)
            painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, f"and {hidden} more")

    def _paint_bar(self, painter: QPainter, column: Column) -> None:
        low, high = column.limits
        line = painter.fontMetrics().height()
        box = QRectF(1, 2, self.width() - 2, 12)
        sweep = QLinearGradient(box.topLeft(), box.topRight())
        table = gradient()
        for step in np.linspace(0, len(table) - 1, 12).astype(int):
            sweep.setColorAt(step / (len(table) - 1), QColor(*(int(part) for part in table[step])))
        painter.fillRect(box, sweep)
        below = QRectF(1, 16, self.width() - 2, line + 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"{low:.4g}")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{high:.4g}")
