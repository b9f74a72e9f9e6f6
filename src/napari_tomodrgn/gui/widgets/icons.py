"""Small drawings on buttons, in the colour of the theme's text, sharp on any screen."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

from napari_tomodrgn.gui.widgets.qt import painter_on

# Drawn on a square of this many units, shown at this many logical pixels, kept at this many times.
_UNITS = 16
_OVERSAMPLED = 4
SIZE = QSize(16, 16)


def icon(name: str, color: str) -> QIcon:
    """The drawing of this name; buttons that are off show it faded."""
    result = QIcon()
    for mode, opacity in ((QIcon.Mode.Normal, 1.0), (QIcon.Mode.Disabled, 0.3)):
        pixmap = QPixmap(_UNITS * _OVERSAMPLED, _UNITS * _OVERSAMPLED)
        pixmap.fill(Qt.GlobalColor.transparent)
        with painter_on(pixmap) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.scale(_OVERSAMPLED, _OVERSAMPLED)
            painter.setOpacity(opacity)
            painter.setPen(QPen(QColor(color), 1.4))
            _DRAWINGS[name](painter, QColor(color))
        result.addPixmap(pixmap, mode)
    return result


def _polygon(*places: float) -> QPolygonF:
    return QPolygonF([QPointF(x, y) for x, y in zip(places[::2], places[1::2], strict=True)])


def _dashed(painter: QPainter, color: QColor) -> None:
    painter.setPen(QPen(color, 1.4, Qt.PenStyle.CustomDashLine))
    pen = painter.pen()
    pen.setDashPattern([2.0, 1.4])
    painter.setPen(pen)


def _move(painter: QPainter, _color: QColor) -> None:
    painter.drawLine(QPointF(8, 2), QPointF(8, 14))
    painter.drawLine(QPointF(2, 8), QPointF(14, 8))
    for tip in ((6, 4, 8, 1.8, 10, 4), (6, 12, 8, 14.2, 10, 12)):
        painter.drawPolyline(_polygon(*tip))
        painter.drawPolyline(_polygon(*(part for x, y in _pairs(tip) for part in (y, x))))


def _pairs(flat: tuple[float, ...]) -> list[tuple[float, float]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _lasso(painter: QPainter, color: QColor) -> None:
    _dashed(painter, color)
    painter.drawEllipse(QRectF(1.5, 2, 13, 8.5))
    painter.setPen(QPen(color, 1.4))
    line = QPainterPath(QPointF(5, 10))
    line.cubicTo(QPointF(3, 12), QPointF(7, 12), QPointF(5, 14.5))
    painter.drawPath(line)


def _rectangle(painter: QPainter, color: QColor) -> None:
    _dashed(painter, color)
    painter.drawRect(QRectF(2, 3.5, 12, 9))


def _polygon_tool(painter: QPainter, color: QColor) -> None:
    corners = _polygon(2.5, 6, 9, 2.5, 13.5, 7, 11, 13, 4.5, 12.5)
    painter.drawPolygon(corners)
    painter.setBrush(color)
    painter.setPen(Qt.PenStyle.NoPen)
    for row in range(corners.size()):
        painter.drawEllipse(corners.at(row), 1.5, 1.5)


def _path(painter: QPainter, color: QColor) -> None:
    line = QPainterPath(QPointF(2.5, 13))
    line.cubicTo(QPointF(3, 3), QPointF(12, 13), QPointF(13.5, 3))
    painter.drawPath(line)
    painter.setBrush(color)
    painter.setPen(Qt.PenStyle.NoPen)
    for x, y in ((2.5, 13), (7.8, 8), (13.5, 3)):
        painter.drawEllipse(QPointF(x, y), 1.8, 1.8)


def _circles(painter: QPainter, color: QColor, what: str) -> None:
    """Two sets that overlap; filled is what becomes of the selection."""
    left, right = QPainterPath(), QPainterPath()
    left.addEllipse(QPointF(5.8, 8), 4.6, 4.6)
    right.addEllipse(QPointF(10.2, 8), 4.6, 4.6)
    kept = {
        "replace": right,
        "add": left.united(right),
        "subtract": left.subtracted(right),
        "intersect": left.intersected(right),
    }[what]
    painter.fillPath(kept, color)
    painter.setPen(QPen(color, 1.1))
    painter.drawPath(left)
    painter.drawPath(right)


def _invert(painter: QPainter, color: QColor) -> None:
    painter.drawEllipse(QPointF(8, 8), 6, 6)
    half = QPainterPath(QPointF(8, 2))
    half.arcTo(QRectF(2, 2, 12, 12), 90, 180)
    painter.fillPath(half, color)


def _undo(painter: QPainter, _color: QColor) -> None:
    line = QPainterPath(QPointF(3, 7))
    line.cubicTo(QPointF(6, 3), QPointF(13, 4.5), QPointF(12.5, 12.5))
    painter.drawPath(line)
    painter.drawPolyline(_polygon(3, 2.5, 2.8, 7.2, 7.5, 7.2))


def _redo(painter: QPainter, color: QColor) -> None:
    painter.translate(_UNITS, 0)
    painter.scale(-1, 1)
    _undo(painter, color)


def _clear(painter: QPainter, _color: QColor) -> None:
    painter.drawLine(QPointF(3.5, 3.5), QPointF(12.5, 12.5))
    painter.drawLine(QPointF(12.5, 3.5), QPointF(3.5, 12.5))


def _density(painter: QPainter, color: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    for row, values in enumerate(((0.15, 0.4, 0.2), (0.4, 1.0, 0.6), (0.15, 0.55, 0.3))):
        for column, opacity in enumerate(values):
            shade = QColor(color)
            shade.setAlphaF(opacity * color.alphaF())
            painter.fillRect(QRectF(1.5 + 4.5 * column, 1.5 + 4.5 * row, 4, 4), shade)


def _fit(painter: QPainter, _color: QColor) -> None:
    for x, y in ((2, 2), (14, 2), (14, 14), (2, 14)):
        inward_x, inward_y = (4 if x < 8 else -4), (4 if y < 8 else -4)
        painter.drawPolyline(_polygon(x + inward_x, y, x, y, x, y + inward_y))
    painter.drawEllipse(QPointF(8, 8), 1.5, 1.5)


def _play(painter: QPainter, color: QColor) -> None:
    painter.setBrush(color)
    painter.drawPolygon(_polygon(4.5, 3, 12.5, 8, 4.5, 13))


def _pause(painter: QPainter, color: QColor) -> None:
    painter.fillRect(QRectF(4, 3, 2.8, 10), color)
    painter.fillRect(QRectF(9.2, 3, 2.8, 10), color)


def _loop(painter: QPainter, _color: QColor) -> None:
    painter.drawArc(QRectF(2.5, 3, 11, 10), 60 * 16, 280 * 16)
    painter.drawPolyline(_polygon(8.2, 1.2, 11.5, 3.4, 8.4, 6.2))


def _save(painter: QPainter, _color: QColor) -> None:
    painter.drawLine(QPointF(8, 2), QPointF(8, 10))
    painter.drawPolyline(_polygon(4.8, 7, 8, 10.4, 11.2, 7))
    painter.drawPolyline(_polygon(2.5, 10.5, 2.5, 13.5, 13.5, 13.5, 13.5, 10.5))


def _eye(painter: QPainter, color: QColor) -> None:
    line = QPainterPath(QPointF(1.5, 8))
    line.quadTo(QPointF(8, 0.5), QPointF(14.5, 8))
    line.quadTo(QPointF(8, 15.5), QPointF(1.5, 8))
    painter.drawPath(line)
    painter.setBrush(color)
    painter.drawEllipse(QPointF(8, 8), 1.8, 1.8)


def _clusters(painter: QPainter, color: QColor) -> None:
    painter.setBrush(color)
    for x, y in ((4, 4.5), (6.5, 3), (5.5, 6.2)):
        painter.drawEllipse(QPointF(x, y), 1, 1)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for x, y in ((10, 11.5), (12.5, 10.5), (12, 13)):
        painter.drawEllipse(QPointF(x, y), 1, 1)


_DRAWINGS: dict[str, Callable[[QPainter, QColor], None]] = {
    "move": _move,
    "lasso": _lasso,
    "rectangle": _rectangle,
    "polygon": _polygon_tool,
    "path": _path,
    "replace": lambda painter, color: _circles(painter, color, "replace"),
    "add": lambda painter, color: _circles(painter, color, "add"),
    "subtract": lambda painter, color: _circles(painter, color, "subtract"),
    "intersect": lambda painter, color: _circles(painter, color, "intersect"),
    "invert": _invert,
    "undo": _undo,
    "redo": _redo,
    "clear": _clear,
    "clusters": _clusters,
    "density": _density,
    "fit": _fit,
    "play": _play,
    "pause": _pause,
    "loop": _loop,
    "save": _save,
    "eye": _eye,
}
NAMES = tuple(_DRAWINGS)
