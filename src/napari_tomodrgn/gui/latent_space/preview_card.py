"""The card of a particle: who it is, its volume, two of its tilt images."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.latent_space.preview_service import PreviewData
from napari_tomodrgn.gui.widgets.letter_size import paints_letters
from napari_tomodrgn.gui.widgets.qt import painter_on, to_image

_GAP = 3
_LINES = 3  # of words
_SMALLEST = 32  # px, of a picture


class PreviewCard(QWidget):
    """Painted; empty while there is no particle."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._card: PreviewData | None = None
        self._pictures: list[tuple[str, QImage]] = []
        self._theme = ChartColors()
        # Where there is little room, in large type, the pictures give way to the legend above.
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        paints_letters(self)
        self.setAccessibleName("Particle under the pointer")
        self.setToolTip(
            "The particle under the pointer, else the one on show: its decoded volume (coarse) "
            "and its least and most tilted image, smoothed"
        )

    @property
    def card(self) -> PreviewData | None:
        """What is shown."""
        return self._card

    def sizeHint(self) -> QSize:
        """Three squares side by side, their names, and three lines of words."""
        edge = (max(190, self.width()) - 2 * _GAP) // 3
        return QSize(190, edge + (1 + _LINES) * self.fontMetrics().height() + 2)

    def resizeEvent(self, event: Any) -> None:
        """Ask for the height that squares of the new width need."""
        super().resizeEvent(event)
        if event.oldSize().width() != event.size().width():
            self.updateGeometry()

    def minimumSizeHint(self) -> QSize:
        """The words alone."""
        return QSize(120, _LINES * self.fontMetrics().height() + 2)

    def set_card(self, card: PreviewData | None) -> None:
        """Show this particle."""
        self._card = card
        self._pictures = []
        if card is not None and card.volume is not None:
            self._pictures.append(("volume", to_image(card.volume)))
        for angle, picture in card.tilts if card is not None else ():
            opaque = np.full_like(picture, 255)
            rgba = np.dstack([picture, picture, picture, opaque])
            self._pictures.append((f"{round(angle)}° tilt", to_image(rgba)))
        self.update()

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self._theme = theme
        self.update()

    def paintEvent(self, event: object) -> None:
        """Pictures with their names, then words."""
        card = self._card
        if card is None:
            return
        with painter_on(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            line = painter.fontMetrics().height()
            edge = self._edge()
            if edge:
                self._paint_pictures(painter, edge)
            self._paint_words(painter, edge + line if edge else 0)

    def _paint_pictures(self, painter: QPainter, edge: int) -> None:
        card, line = self._card, painter.fontMetrics().height()
        assert card is not None
        places = [card.volume is not None, *[True] * len(card.tilts)]
        first = 0 if places[0] else 1
        for place in range(3):
            box = QRectF(place * (edge + _GAP), 0, edge, edge)
            painter.fillRect(box, QColor(self._theme.background))
        small = painter.font()
        small.setPointSizeF(small.pointSizeF() * 0.85)
        for place, (name, picture) in enumerate(self._pictures, start=first):
            box = QRectF(place * (edge + _GAP), 0, edge, edge)
            painter.drawImage(box, picture)
            painter.setPen(QColor(self._theme.text))
            painter.save()
            painter.setFont(small)
            below = QRectF(box.left() - _GAP, edge, edge + 2 * _GAP, line)
            if painter.fontMetrics().horizontalAdvance(name) <= below.width():
                painter.drawText(below, Qt.AlignmentFlag.AlignCenter, name)
            painter.restore()
        if card.missing and not card.tilts:
            beside = QRectF(edge + _GAP, 0, 2 * edge + _GAP, edge)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.save()
            painter.setFont(small)
            painter.drawText(beside, int(flags), card.missing)
            painter.restore()

    def _paint_words(self, painter: QPainter, top: int) -> None:
        card, line = self._card, painter.fontMetrics().height()
        assert card is not None
        painter.setPen(QColor(self._theme.text))
        font = painter.font()
        font.setBold(True)
        for row, words in enumerate([card.identity, *card.facts][:_LINES]):
            painter.save()
            if row == 0:
                painter.setFont(font)
            text = painter.fontMetrics().elidedText(
                words, Qt.TextElideMode.ElideMiddle, self.width() - 2
            )
            painter.drawText(QRectF(1, top + row * line, self.width(), line), 0, text)
            painter.restore()

    def _edge(self) -> int:
        """Of a picture: a third of the width, less in little height, 0 where it would be tiny."""
        words = (1 + _LINES) * self.fontMetrics().height() + 2
        edge = min((self.width() - 2 * _GAP) // 3, self.height() - words)
        return edge if edge >= _SMALLEST else 0
