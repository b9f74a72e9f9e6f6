"""Small charts of a data set: points, bars, and a map of viewing directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_tomodrgn.gui.charts import painting
from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.charts.point_cloud import View
from napari_tomodrgn.gui.widgets.letter_size import paints_letters
from napari_tomodrgn.gui.widgets.qt import painter_on, to_image

_INK = "#56b4e9"
# Dark to light, readable without colour: none, mean, three times the mean and more.
_SHADES = np.array([[13, 22, 38], [46, 96, 140], [240, 196, 80]], float)
_BRIGHTEST = 3.0


class Plot(QWidget):
    """A chart with axes; what is drawn in it is of the subclass."""

    def __init__(self, x_name: str, y_name: str, tip: str, lines: int = 11) -> None:
        """``lines`` of words would stand in its height."""
        super().__init__()
        self._names = (x_name, y_name)
        self._theme = ChartColors()
        paints_letters(self, lines)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(tip)
        self.setAccessibleName(f"{y_name} against {x_name}")

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(280, self.minimumHeight())

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self._theme = theme
        self.update()

    def paintEvent(self, event: object) -> None:
        """Draw axes and content."""
        with painter_on(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.fillRect(self.rect(), QColor(self._theme.background))
            view = self.view()
            if view is None:
                return
            rect = painting.plot_rect(self.width(), self.height(), self.fontMetrics())
            painting.paint_axes(painter, rect, view, self._names, self._theme)
            painter.setClipRect(rect)
            self.paint_content(painter, rect, view)

    def view(self) -> View | None:
        """What the axes span; None while there is nothing to show."""
        raise NotImplementedError

    def paint_content(self, painter: QPainter, rect: QRect, view: View) -> None:
        """Draw what the chart shows."""
        raise NotImplementedError


class PointPlot(Plot):
    """Points in the order in which they were taken, joined by a thin line."""

    def __init__(self, x_name: str, y_name: str, tip: str) -> None:
        super().__init__(x_name, y_name, tip)
        self.xy = np.zeros((0, 2))

    def set_points(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> None:
        """Show points at ``(point,)`` x and y, in this order."""
        self.xy = np.stack([x, y], axis=1).astype(np.float64)
        self.update()

    def view(self) -> View | None:
        """A margin around the points."""
        return View.around(self.xy, margin=0.06) if len(self.xy) else None

    def paint_content(self, painter: QPainter, rect: QRect, view: View) -> None:
        """The line, then the points."""
        corner = np.array([rect.left(), rect.top()])
        places = view.to_pixels(self.xy, rect.width(), rect.height()) + corner
        dots = [QPointF(float(x), float(y)) for x, y in places]
        painter.setPen(QPen(QColor(self._theme.line), 1.0))
        painter.drawPolyline(QPolygonF(dots))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(_INK))
        for dot in dots:
            painter.drawEllipse(dot, 2.5, 2.5)


class BarPlot(Plot):
    """A histogram."""

    def __init__(self, x_name: str, y_name: str, tip: str) -> None:
        super().__init__(x_name, y_name, tip, lines=9)
        self.edges: NDArray[np.number] = np.zeros(0)
        self.counts: NDArray[np.number] = np.zeros(0)

    def set_bars(self, edges: NDArray[np.number], counts: NDArray[np.number]) -> None:
        """Show bars of heights ``(bar,)`` between edges ``(bar + 1,)``."""
        self.edges, self.counts = edges, counts
        self.update()

    def view(self) -> View | None:
        """From nought to the highest bar."""
        if not self.counts.any():
            return None
        return View(float(self.edges[0]), float(self.edges[-1]), 0.0, 1.08 * self.counts.max())

    def paint_content(self, painter: QPainter, rect: QRect, view: View) -> None:
        """Bars without gaps."""
        painter.setPen(QPen(QColor(self._theme.background), 0.5))
        painter.setBrush(QColor(_INK))
        low = np.stack([self.edges[:-1], np.zeros_like(self.edges[:-1])], axis=1)
        high = np.stack([self.edges[1:], self.counts.astype(float)], axis=1)
        size = rect.width(), rect.height()
        for (x0, y0), (x1, y1) in zip(
            view.to_pixels(low, *size), view.to_pixels(high, *size), strict=True
        ):
            painter.drawRect(QRectF(rect.left() + x0, rect.top() + y1, x1 - x0, y0 - y1))


class ViewingDirectionPlot(Plot):
    """Where the sphere is looked at from; each cell has the same area on it."""

    def __init__(self, tip: str) -> None:
        super().__init__("rot, °", "cos(tilt)", tip, lines=12)
        self.density: NDArray[np.floating] = np.zeros((0, 0))

    def set_density(self, density: NDArray[np.floating]) -> None:
        """Show images per cell ``(cos(tilt), rot)``, 1 being the mean.

        Rows from cos(tilt) = −1 upward, columns from rot = −180°.
        """
        self.density = density
        self.update()

    def view(self) -> View | None:
        """The whole sphere."""
        return View(-180.0, 180.0, -1.0, 1.0) if self.density.size else None

    def paint_content(self, painter: QPainter, rect: QRect, view: View) -> None:
        """The picture, stretched without smoothing: cells stay cells."""
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.drawImage(rect, to_image(shaded(self.density)))


def shaded(density: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Shade densities ``(row, column)``, 1 being the mean, as RGBA bytes ``(row, column, 4)``.

    The first row of the picture is the last of the densities: y grows upward.
    """
    at = np.array([0.0, 1.0, _BRIGHTEST])
    levels = np.clip(density[::-1], 0.0, _BRIGHTEST)
    parts = [np.interp(levels, at, _SHADES[:, channel]) for channel in range(3)]
    return np.stack([*parts, np.full_like(levels, 255.0)], axis=-1).astype(np.uint8)
