"""All pairs of the first components, and the UMAP, at a glance: one hovered particle in all."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QToolButton, QWidget

from napari_tomodrgn.gui.charts.colormaps import dimmed
from napari_tomodrgn.gui.charts.hit_testing import nearest
from napari_tomodrgn.gui.charts.painting import ChartColors, paint_ring
from napari_tomodrgn.gui.charts.point_cloud import PlottedPoints, RasterPoints
from napari_tomodrgn.gui.latent_space.scatter_contents import AT_ONCE, ScatterContents
from napari_tomodrgn.gui.latent_space.trajectories import wide_components
from napari_tomodrgn.gui.widgets import icons
from napari_tomodrgn.gui.widgets.letter_size import paints_letters
from napari_tomodrgn.gui.widgets.qt import Signal, painter_on, to_image

_COMPONENTS = 4
_UMAP = ("UMAP 1", "UMAP 2")
_GAP, _REACH_PX, _RING_PX = 8, 8.0, 5.0
_TIP = "All pairs of the first components, and the UMAP, at a glance"
_HINT = "A click shows these two axes in the latent space."

Pair = tuple[str, str]


def pairs_of(names: list[str]) -> dict[Pair, tuple[int, int]]:
    """Cells (row, column) of the pairs that there are: components below, the UMAP above."""
    components = wide_components(names)[:_COMPONENTS]
    places = {
        (x, y): (components.index(y) - 1, components.index(x))
        for x, y in combinations(components, 2)
    }
    if all(name in names for name in _UMAP):
        places[_UMAP] = (0, max(1, len(components) - 2))
    return places


class PairPlot(QWidget):
    """Small scatters in a window of their own; large sets are thinned."""

    axes_chosen = Signal(object)  # names of x and y
    hovered = Signal(int)  # row of the particle under the pointer, -1 for none

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Tool)
        self.setWindowTitle("Pairs of components")
        self.setToolTip(_HINT)
        self.setMouseTracking(True)
        paints_letters(self)
        self._theme = ChartColors()
        self._rows = np.zeros(0, np.int64)
        self._points: dict[Pair, PlottedPoints] = {}
        self._places: dict[Pair, tuple[int, int]] = {}
        self._colors = np.zeros((0, 3), np.uint8)
        self._faded: NDArray[np.bool_] | None = None
        self._pictures: dict[Pair, QImage] = {}
        self._marked = self._under = -1
        self.resize(560, 560)

    @property
    def pairs(self) -> list[Pair]:
        """Which axes are shown against each other."""
        return list(self._places)

    def sizeHint(self) -> QSize:
        """Room for three rows of cells."""
        return QSize(560, 560)

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self._theme = theme
        self._redraw()

    def set_contents(self, shown: ScatterContents) -> None:
        """Take the particles of the scatter, in its colours."""
        table, count = shown.asked.table, len(shown.asked.table)
        self._places = pairs_of(shown.names)
        self._rows = np.linspace(0, max(0, count - 1), min(count, AT_ONCE)).astype(np.int64)
        names = dict.fromkeys(name for pair in self._places for name in pair)
        values = {name: np.asarray(table.column(name).values)[self._rows] for name in names}
        self._points = {
            (x, y): PlottedPoints.of(np.stack([values[x], values[y]], axis=1))
            for x, y in self._places
        }
        self._colors = shown.colors[self._rows]
        self._faded = None
        self._redraw()

    def set_selected(self, selected: NDArray[np.bool_]) -> None:
        """Fade what is not selected; ``selected`` is ``(particle,)``, all False fades none."""
        self._faded = ~selected[self._rows] if selected.any() else None
        self._redraw()

    def set_marked(self, row: int) -> None:
        """Ring this particle in every cell, -1 for none."""
        if row != self._marked:
            self._marked = row
            self.update()

    def cell(self, pair: Pair) -> QRect:
        """Where a pair is drawn, its names left out."""
        across = max((max(place) for place in self._places.values()), default=0) + 1
        line = self.fontMetrics().height()
        wide = (self.width() - _GAP) // across
        high = (self.height() - _GAP) // across
        row, column = self._places[pair]
        corner = (_GAP + line + column * wide, _GAP + row * high)
        return QRect(*corner, max(8, wide - line - _GAP), max(8, high - line - _GAP))

    def place_of(self, pair: Pair, row: int) -> QPointF:
        """Where a particle, by its row among all, is in a cell."""
        rect, points = self.cell(pair), self._points[pair]
        found = points.whole.to_pixels(points.xy[[self._nearest_row(row)]], *_size(rect))[0]
        return QPointF(rect.left() + float(found[0]), rect.top() + float(found[1]))

    def paintEvent(self, event: object) -> None:
        """Paint every cell with its names, the ring over its points."""
        with painter_on(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            for pair in self._places:
                rect = self.cell(pair)
                painter.fillRect(rect, QColor(self._theme.background))
                painter.drawImage(QRectF(rect), self._picture(pair, rect))
                painter.setPen(QColor(self._theme.line))
                painter.drawRect(rect)
                self._paint_names(painter, rect, pair)
                if self._marked >= 0:
                    place = self.place_of(pair, self._marked)
                    paint_ring(painter, place, _RING_PX, self._theme.accent)

    def mouseMoveEvent(self, event: Any) -> None:
        """Tell which particle is under the pointer."""
        self._hover(self._pick(event.position()))

    def keyPressEvent(self, event: Any) -> None:
        """Go with Esc, as dialogs do."""
        if event.key() == Qt.Key.Key_Escape:
            self.hide()
        else:
            super().keyPressEvent(event)

    def leaveEvent(self, event: object) -> None:
        """Nothing is under the pointer any more."""
        self._hover(-1)

    def mousePressEvent(self, event: Any) -> None:
        """Choose the axes of a cell."""
        at = event.position().toPoint()
        pair = next((one for one in self._places if self.cell(one).contains(at)), None)
        if pair is not None:
            self.axes_chosen.emit(pair)

    def resizeEvent(self, event: object) -> None:
        """Draw the points anew."""
        self._redraw()

    def _hover(self, row: int) -> None:
        if row != self._under:
            self._under = row
            self.hovered.emit(row)

    def _pick(self, at: QPointF) -> int:
        for pair, points in self._points.items():
            rect = self.cell(pair)
            if rect.contains(at.toPoint()):
                a, b, c, d = points.cloud.transform(points.whole, *_size(rect))
                where = (at.x() - rect.left(), at.y() - rect.top())
                index = nearest(points.cloud, (a, b, c, d), where, _REACH_PX)
                return int(self._rows[index]) if index >= 0 else -1
        return -1

    def _nearest_row(self, row: int) -> int:
        """Where a particle is among those that are drawn, or the one beside it."""
        return min(int(np.searchsorted(self._rows, row)), len(self._rows) - 1)

    def _redraw(self) -> None:
        self._pictures.clear()
        self.update()

    def _picture(self, pair: Pair, rect: QRect) -> QImage:
        if pair not in self._pictures:
            colors = self._colors.copy()
            if self._faded is not None:
                ground = np.array(QColor(self._theme.background).getRgb()[:3])
                colors[self._faded] = dimmed(colors[self._faded], ground)
            renderer = RasterPoints()
            renderer.set_points(self._points[pair].cloud, colors)
            ratio = self.devicePixelRatioF()
            size = (round(rect.width() * ratio), round(rect.height() * ratio))
            # Half as large as in the scatter: cells are small.
            whole = self._points[pair].whole
            self._pictures[pair] = to_image(renderer.render(whole, size, 0.5 * ratio))
        return self._pictures[pair]

    def _paint_names(self, painter: QPainter, rect: QRect, pair: Pair) -> None:
        line = self.fontMetrics().height()
        painter.setPen(QColor(self._theme.text))
        below = QRectF(rect.left(), rect.bottom() + 1, rect.width(), line)
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, pair[0])
        painter.save()
        painter.translate(rect.left() - line, rect.bottom())
        painter.rotate(-90)
        painter.drawText(QRectF(0, 0, rect.height(), line), Qt.AlignmentFlag.AlignCenter, pair[1])
        painter.restore()


class PairButton(QToolButton):
    """Shows the pairs of what the scatter shows, or hides them: while hidden they cost nothing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip(f"Pairs: {_TIP[0].lower()}{_TIP[1:]}")
        self.setAccessibleName(_TIP)
        self.plot = PairPlot(self)
        self._shown: ScatterContents | None = None
        self._selected = np.zeros(0, bool)
        self._placed = False
        self.clicked.connect(lambda _checked=False: self.toggle_plot())

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme; a drawing, as words would take the counts' room."""
        self.setIcon(icons.icon("pairs", theme.text))
        self.plot.set_theme(theme)

    def set_contents(self, shown: ScatterContents) -> None:
        """Take what the scatter shows."""
        self._shown = shown
        # One pair is what the scatter shows; beside it there is little room in large letters.
        self.setVisible(len(pairs_of(shown.names)) > 1 or self.plot.isVisible())
        if self.plot.isVisible():
            self.plot.set_contents(shown)

    def set_selected(self, selected: NDArray[np.bool_]) -> None:
        """Take which particles are selected, ``(particle,)``."""
        self._selected = selected
        if self.plot.isVisible():
            self.plot.set_selected(selected)

    def toggle_plot(self) -> None:
        """Show the window of pairs, or hide it."""
        if self._shown is not None and not self.plot.isVisible():
            self.plot.set_contents(self._shown)
            self.plot.set_selected(self._selected)
            if not self._placed:  # afterwards it is where it was left
                self._placed = True
                window: Any = self.window()
                self.plot.move(window.frameGeometry().center() - self.plot.rect().center())
        self.plot.setVisible(not self.plot.isVisible())


def _size(rect: QRect) -> tuple[int, int]:
    return rect.width(), rect.height()
