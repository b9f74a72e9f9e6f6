"""Axes, ticks and marks painted over a picture of points, in the colours of the theme."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRect, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen, QPolygonF

from napari_tomodrgn.gui.charts.point_cloud import View

_TICK_PX = 4
Texts = Callable[[list[float]], list[str]]  # labels of ticks


@dataclass(frozen=True)
class ChartColors:
    """Colours of a chart as ``#rrggbb``."""

    background: str = "#1b1e23"
    text: str = "#e0e0e2"
    line: str = "#6a6f7a"
    grid: str = "#2b3038"
    accent: str = "#ffffff"  # of focus, paths, lassos: no group has it
    highlight: str = "#4a5fb4"  # behind what is switched on


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round numbers between ``low`` and ``high``, about ``wanted`` of them, steps of 1, 2 or 5.

    Two at the least: one number alone is no scale.
    """
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return []
    rough = span / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * 0.65)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    if first >= last:
        return ticks(low, high, wanted + 1)
    return [number * step for number in range(first, last + 1)]


def tick_texts(values: list[float]) -> list[str]:
    """Labels of ticks, all with the digits that the step needs."""
    if not values:
        return []
    step = values[1] - values[0] if len(values) > 1 else abs(values[0]) or 1.0
    largest = max(abs(value) for value in values)
    if largest >= 1e5 or (largest > 0 and step < 1e-4):
        known = max(2, 1 + math.ceil(math.log10(largest / step) - 1e-9))
        return [f"{value:.{known}g}" for value in values]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{value + 0.0:.{digits}f}" for value in (np.round(values, digits))]


def whole_texts(values: list[float]) -> list[str]:
    """Labels of ticks that count something: empty between two whole numbers."""
    return [f"{value:.0f}" if abs(value - round(value)) < 1e-6 else "" for value in values]


def plot_rect(width: int, height: int, metrics: QFontMetrics) -> QRect:
    """Where the points go: what is left of the widget beside tick labels and axis names."""
    line = metrics.height()
    left = metrics.horizontalAdvance("-00.00") + line + 8
    bottom = 2 * line + _TICK_PX + 4
    top = max(6, line // 2)
    right = metrics.horizontalAdvance("-0.00") // 2 + 4  # room for half a tick label
    return QRect(left, top, max(16, width - left - right), max(16, height - top - bottom))


def paint_axes(
    painter: QPainter,
    rect: QRect,
    view: View,
    labels: tuple[str, str],
    colors: ChartColors,
    x_texts: Texts = tick_texts,
) -> None:
    """Paint frame, grid lines, ticks with numbers, names of the axes.

    A height without a name measures nothing: it has neither lines nor numbers. Nor has what
    ``x_texts`` has no words for.
    """
    metrics = painter.fontMetrics()
    wide, high = 2.3 * metrics.horizontalAdvance("-00.00"), 3.3 * metrics.height()
    x_ticks = ticks(view.x_min, view.x_max, max(2, int(rect.width() / wide)))
    y_ticks = ticks(view.y_min, view.y_max, max(2, int(rect.height() / high))) if labels[1] else []
    grid, text = QPen(QColor(colors.grid)), QPen(QColor(colors.text))
    for value, name in zip(x_ticks, x_texts(x_ticks), strict=True):
        if not name:
            continue
        x = rect.left() + (value - view.x_min) / (view.x_max - view.x_min) * rect.width()
        painter.setPen(grid)
        painter.drawLine(QPointF(x, rect.top()), QPointF(x, rect.bottom()))
        painter.setPen(text)
        box = QRectF(x - wide, rect.bottom() + _TICK_PX, 2 * wide, metrics.height())
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, name)
    for value, name in zip(y_ticks, tick_texts(y_ticks), strict=True):
        y = rect.bottom() - (value - view.y_min) / (view.y_max - view.y_min) * rect.height()
        painter.setPen(grid)
        painter.drawLine(QPointF(rect.left(), y), QPointF(rect.right(), y))
        painter.setPen(text)
        box = QRectF(0, y - metrics.height() / 2, rect.left() - _TICK_PX - 2, metrics.height())
        painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, name)
    painter.setPen(QPen(QColor(colors.line)))
    painter.drawRect(rect)
    _paint_names(painter, rect, labels, colors)


def paint_points(
    painter: QPainter,
    pixels: NDArray[np.floating],
    colors: NDArray[np.uint8],
    radius: float,
) -> None:
    """Discs at places (point, 2), of colours (point, 3), with a thin rim; NaN is left out."""
    for (x, y), color in zip(pixels.tolist(), colors.tolist(), strict=True):
        if math.isfinite(x) and math.isfinite(y):
            fill = QColor(*color[:3])
            painter.setPen(QPen(fill.darker(170), 0.5))
            painter.setBrush(fill)
            painter.drawEllipse(QPointF(x, y), radius, radius)


def paint_ring(painter: QPainter, at: QPointF, radius: float, color: str) -> None:
    """A ring with a dark halo, seen on any background."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in (QPen(QColor(0, 0, 0, 170), 4.0), QPen(QColor(color), 2.0)):
        painter.setPen(pen)
        painter.drawEllipse(at, radius, radius)


def paint_line(
    painter: QPainter,
    pixels: NDArray[np.floating],
    color: str,
    unsupported: NDArray[np.bool_] | None = None,
    weak_color: str = "",
) -> None:
    """A line through places (place, 2), with a dot at each, of another colour at the weak ones."""
    places = [QPointF(float(x), float(y)) for x, y in pixels]
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in (QPen(QColor(0, 0, 0, 170), 3.5), QPen(QColor(color), 1.5)):
        painter.setPen(pen)
        painter.drawPolyline(QPolygonF(places))
    for row, place in enumerate(places):
        faint = unsupported is not None and bool(unsupported[row])
        painter.setPen(QPen(QColor(color), 1.0))
        painter.setBrush(QColor(weak_color if faint else color))
        painter.drawEllipse(place, 2.5, 2.5)


def paint_cross(painter: QPainter, at: NDArray[np.floating], color: str) -> None:
    """Paint a cross with a dark halo at a place ``(x, y)`` in pixels that is no particle's."""
    x, y, reach = float(at[0]), float(at[1]), 7.0
    for pen in (QPen(QColor(0, 0, 0, 170), 5.0), QPen(QColor(color), 2.5)):
        painter.setPen(pen)
        painter.drawLine(QPointF(x - reach, y), QPointF(x + reach, y))
        painter.drawLine(QPointF(x, y - reach), QPointF(x, y + reach))


def paint_outline(
    painter: QPainter, corners: list[tuple[float, float]], color: str, *, closed: bool = True
) -> None:
    """The line being drawn, with a faint fill where it is a closed one."""
    fill = QColor(color)
    fill.setAlpha(40)
    painter.setPen(QPen(QColor(color), 1.5, Qt.PenStyle.DashLine))
    line = QPolygonF([QPointF(x, y) for x, y in corners])
    if closed:
        painter.setBrush(fill)
        painter.drawPolygon(line)
    else:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(line)


def paint_tag(painter: QPainter, at: QPointF, words: str, rect: QRect, colors: ChartColors) -> None:
    """A small label beside a point, kept inside ``rect``."""
    metrics = painter.fontMetrics()
    width, height = metrics.horizontalAdvance(words) + 12, metrics.height() + 6
    x = at.x() + 12 if at.x() + 12 + width < rect.right() else at.x() - 12 - width
    y = min(max(at.y() - height - 6, rect.top() + 2), rect.bottom() - height - 2)
    box = QRectF(max(x, rect.left() + 2), y, width, height)
    back = QColor(colors.background)
    back.setAlpha(225)
    painter.setPen(QPen(QColor(colors.line)))
    painter.setBrush(back)
    painter.drawRoundedRect(box, 3, 3)
    painter.setPen(QColor(colors.text))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)


def paint_hint(painter: QPainter, rect: QRect, words: str, colors: ChartColors) -> None:
    """What to do next, in the middle of an empty chart."""
    painter.setPen(QColor(colors.text))
    flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
    painter.drawText(rect.adjusted(16, 8, -16, -8), int(flags), words)


def _paint_names(
    painter: QPainter, rect: QRect, labels: tuple[str, str], colors: ChartColors
) -> None:
    font = QFont(painter.font())
    font.setBold(True)
    painter.save()
    painter.setFont(font)
    painter.setPen(QColor(colors.text))
    line = painter.fontMetrics().height()
    below = QRectF(rect.left(), rect.bottom() + _TICK_PX + line, rect.width(), line + 2)
    painter.drawText(below, Qt.AlignmentFlag.AlignCenter, labels[0])
    painter.translate(2, rect.center().y())
    painter.rotate(-90)
    beside = QRectF(-rect.height() / 2, 0, rect.height(), line + 2)
    painter.drawText(beside, Qt.AlignmentFlag.AlignCenter, labels[1])
    painter.restore()
