"""A small plot of curves: losses while training, Fourier shell correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_tomodrgn.gui.charts import painting
from napari_tomodrgn.gui.charts.figure_export import FigureSaver
from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.charts.paper import PAPER
from napari_tomodrgn.gui.charts.point_cloud import FloatArray, View
from napari_tomodrgn.gui.widgets.letter_size import paints_letters
from napari_tomodrgn.gui.widgets.qt import painter_on

if TYPE_CHECKING:
    import pandas as pd


_LINES = 11  # of words, that would stand in the height of a plot
_APART_PX = 3.0
_MARGIN_PX = 4  # between words and a curve
_LEAST_SPAN = 1e-3  # of an axis, as a share of its values: less is below the last digit there is


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of a line, its name in the legend and its colour; NaN is a gap."""

    name: str
    x: FloatArray
    y: FloatArray
    color: str


class LinePlot(QWidget):
    """Curves with axes; hidden by its owner while there are none."""

    def __init__(
        self,
        x_name: str,
        y_name: str,
        parent: QWidget | None = None,
        *,
        resolution: bool = False,
        whole: bool = False,
    ) -> None:
        """``resolution``: x is a spatial frequency in 1/Å, its ticks are in Å.

        ``whole``: x counts something, so that there is nothing between two numbers.
        """
        super().__init__(parent)
        self._names = (x_name, y_name)
        texts = painting.whole_texts if whole else painting.tick_texts
        self._x_texts: painting.Texts = resolution_texts if resolution else texts
        self._curves: list[Curve] = []
        self._limits: tuple[float, float] | None = None
        self._level: float | None = None
        self._theme = ChartColors()
        paints_letters(self, lines=_LINES)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setAccessibleName(f"{y_name} against {x_name}")
        FigureSaver(self, y_name.split(",")[0].lower(), self.data)

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(300, round(1.2 * self.minimumHeight()))

    def set_curves(
        self,
        curves: Sequence[Curve],
        limits: tuple[float, float] | None = None,
        level: float | None = None,
    ) -> None:
        """Show these curves; ``limits`` of y where they are known, a dashed line at ``level``."""
        self._curves = [curve for curve in curves if np.isfinite(curve.y).any()]
        self._limits, self._level = limits, level
        self.update()

    def set_x_name(self, name: str) -> None:
        """Call the horizontal axis so."""
        self._names = (name, self._names[1])
        self.update()

    def data(self) -> pd.DataFrame:
        """Return what is plotted: one row a point."""
        import pandas as pd

        x_name, y_name = self._names
        tables = [
            pd.DataFrame({"curve": one.name, x_name: one.x, y_name: one.y}) for one in self._curves
        ]
        return pd.concat(tables) if tables else pd.DataFrame()

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self._theme = theme
        self.update()

    @property
    def curves(self) -> list[Curve]:
        """The curves on show."""
        return self._curves

    def paintEvent(self, event: object) -> None:
        """Draw axes, curves and legend."""
        with painter_on(self) as painter:
            self._paint(painter, self._theme)

    def figure_size(self) -> QSize:
        """Size of a saved figure in logical pixels."""
        return self.size()

    def paint_figure(self, painter: QPainter, _scale: float) -> None:
        """Paint the same for paper."""
        self._paint(painter, PAPER)

    def _paint(self, painter: QPainter, theme: ChartColors) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(theme.background))
        if not self._curves:
            return
        rect = painting.plot_rect(self.width(), self.height(), self.fontMetrics())
        view = self._view()
        painting.paint_axes(painter, rect, view, self._names, theme, self._x_texts)
        painter.setClipRect(rect)
        if self._level is not None:
            ends = np.array([[view.x_min, self._level], [view.x_max, self._level]])
            pen = QPen(QColor(theme.text), 1.0, Qt.PenStyle.DashLine)
            level = view.to_pixels(ends, rect.width(), rect.height())
            self._paint_line(painter, rect, level, pen)
        drawn = []
        for curve in self._curves:
            xy = np.stack([curve.x, curve.y], axis=1)
            known = xy[np.isfinite(xy).all(axis=1)]
            pixels = view.to_pixels(known, rect.width(), rect.height())
            self._paint_line(painter, rect, pixels, QPen(QColor(curve.color), 2.0))
            drawn.append(_along(pixels))
        self._paint_legend(painter, rect, np.concatenate(drawn), theme)

    def _view(self) -> View:
        xy = np.concatenate([np.stack([one.x, one.y], axis=1) for one in self._curves])
        around = View.around(xy, margin=0.04)
        x = xy[np.isfinite(xy).all(axis=1), 0]
        x_min, x_max = (float(x.min()), float(x.max())) if len(x) else (0.0, 1.0)
        low, high = self._limits or _wide_enough(around.y_min, around.y_max)
        return View(x_min, x_max if x_max > x_min else x_min + 1.0, low, high)

    @staticmethod
    def _paint_line(painter: QPainter, rect: QRect, pixels: FloatArray, pen: QPen) -> None:
        corner = np.array([rect.left(), rect.top()])
        places = [QPointF(float(x), float(y)) for x, y in pixels + corner]
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF(places))
        if len(places) == 1:  # a first epoch is a point, not yet a line
            painter.setBrush(pen.color())
            painter.drawEllipse(places[0], 2.5, 2.5)

    def _paint_legend(
        self, painter: QPainter, rect: QRect, drawn: FloatArray, theme: ChartColors
    ) -> None:
        """Names in the corner that the curves, ``(point, 2)`` in pixels, leave free."""
        named = [one for one in self._curves if one.name and len(self._curves) > 1]
        if not named:  # one alone is named by its axis
            return
        metrics = painter.fontMetrics()
        line = metrics.height()
        ground = QColor(theme.background)
        ground.setAlpha(200)  # a curve below does not cross the words out
        size = (max(metrics.horizontalAdvance(one.name) for one in named) + 8, line * len(named))
        left, top = free_corner(drawn, (rect.width(), rect.height()), size)
        for row, curve in enumerate(named):
            box = QRectF(rect.left() + left, rect.top() + top + row * line, size[0], line)
            painter.fillRect(box, ground)
            painter.setPen(QColor(curve.color))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, curve.name)


def free_corner(
    drawn: FloatArray, plot: tuple[int, int], size: tuple[int, int]
) -> tuple[float, float]:
    """Left and top of a legend where it covers the fewest of ``(point, 2)`` pixels.

    Top right where that is as free as any other corner; between the corners where none is free.
    """
    width, height = plot
    right, bottom = width - size[0] - 2.0, height - size[1] - 3.0
    lefts = (right, 3.0, (right + 3.0) / 2)
    tops = (3.0, bottom, *np.linspace(3.0, bottom, 5)[1:-1].tolist())
    corners = [(left, top) for top in tops for left in lefts]

    def covered(corner: tuple[float, float]) -> int:
        low, high = np.subtract(corner, _MARGIN_PX), np.add(corner, size) + _MARGIN_PX
        inside = (drawn >= low) & (drawn <= high)
        return int(inside.all(axis=1).sum())

    return min(corners, key=covered)


def _wide_enough(low: float, high: float) -> tuple[float, float]:
    """Limits whose ticks differ in digits that have room: first losses are near each other."""
    middle, least = (low + high) / 2, _LEAST_SPAN * max(abs(low), abs(high))
    return (low, high) if high - low >= least else (middle - least / 2, middle + least / 2)


def _along(pixels: FloatArray) -> FloatArray:
    """Points ``(point, 2)`` all along a line, not at its corners alone: a few pixels apart."""
    if len(pixels) < 2:
        return pixels
    steps = np.abs(np.diff(pixels, axis=0)).max(axis=1)
    way = np.concatenate([[0.0], np.cumsum(np.maximum(steps, 1e-9))])
    where = np.linspace(0.0, way[-1], min(4_000, int(way[-1] / _APART_PX) + 2))
    return np.stack([np.interp(where, way, column) for column in pixels.T], axis=1)


def resolution_texts(frequencies: list[float]) -> list[str]:
    """Labels in Å of ticks in 1/Å."""
    return [f"{1 / value:.3g} Å" if value > 0 else "∞" for value in frequencies]
