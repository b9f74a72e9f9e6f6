"""Which point is under the pointer, which ones a line encloses: brute force in screen space.

A tree would have to be rebuilt at every epoch, and its nearest neighbour is nearest in the units of
the axes, not to the eye.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QImage, QPen, QPolygonF

from napari_tomodrgn import geometry
from napari_tomodrgn.gui.charts.point_cloud import PointCloud
from napari_tomodrgn.gui.widgets.qt import grey_levels, painter_on

FloatArray = NDArray[np.floating]
Transform = tuple[float, ...]

# Points looked at together: few enough to stay in the processor's cache.
_BLOCK = 1 << 15
_INSIDE, _CLOSE = 96, 255


def nearest(
    cloud: PointCloud, transform: Transform, at: tuple[float, float], reach_px: float
) -> int:
    """Index of the point nearest to ``at`` within ``reach_px``, the topmost of equals; else -1.

    ``transform`` is `PointCloud.transform`'s, plus the offset of the chart in the widget.
    """
    a, b, c, d = transform
    x, y = np.float32((at[0] - b) / a), np.float32((at[1] - d) / c)
    best, index = reach_px**2, -1
    for start in range(0, len(cloud), _BLOCK):
        dx = cloud.x[start : start + _BLOCK] - x
        dy = cloud.y[start : start + _BLOCK] - y
        dx *= np.float32(a)
        dy *= np.float32(c)
        dx *= dx
        dy *= dy
        dx += dy
        if float(dx.min()) <= best:
            best = float(dx.min())
            # Later points are drawn on top: of equally near ones the last is the one seen.
            index = start + int(np.flatnonzero(dx == dx.min())[-1])
    return index


def neighbour(cloud: PointCloud, transform: Transform, index: int, step: tuple[int, int]) -> int:
    """The next point from ``index`` towards ``step`` (right, down), -1 if there is none.

    Next is nearest on the screen among those that lie more in that direction than across it.
    """
    a, _, c, _ = transform
    with np.errstate(invalid="ignore"):
        dx, dy = (cloud.x - cloud.x[index]) * a, (cloud.y - cloud.y[index]) * c
        ahead, across = (dx * step[0], dy) if step[0] else (dy * step[1], dx)
        squared = np.where((ahead > 0) & (np.abs(across) <= ahead), dx * dx + dy * dy, np.inf)
    best = int(squared.argmin())
    return best if np.isfinite(squared[best]) else -1


def points_in_outline(
    cloud: PointCloud,
    transform: Transform,
    corners: list[tuple[float, float]],
    size: tuple[int, int],
) -> NDArray[np.bool_]:
    """Points inside a closed line by the even-odd rule, exactly.

    A picture of the polygon, of ``size`` (width, height), decides for all points but those within
    two pixels of the line; these few are tested against its edges.
    """
    if len(corners) < 3:
        return np.zeros(len(cloud), bool)
    codes = _picture(corners, size)
    a, b, c, d = transform
    page = (size[0] + 2, size[1] + 2)
    code = codes.ravel()[cloud.cells((a, b + 1, c, d + 1), page)]
    inside = code == _INSIDE
    close = np.flatnonzero(code == _CLOSE)
    pixels = np.stack([cloud.x[close] * a + b, cloud.y[close] * c + d], axis=1)
    inside[close] = geometry.inside_polygon(pixels, np.asarray(corners))
    return inside


def _picture(corners: list[tuple[float, float]], size: tuple[int, int]) -> NDArray[np.uint8]:
    """`_INSIDE`, `_CLOSE` to the line or 0, with a ring of zeros around."""
    image = QImage(size[0], size[1], QImage.Format.Format_Grayscale8)
    image.fill(0)
    with painter_on(image) as painter:
        painter.setPen(QPen(QColor(_CLOSE, _CLOSE, _CLOSE), 4))
        painter.setBrush(QColor(_INSIDE, _INSIDE, _INSIDE))
        painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in corners]), Qt.FillRule.OddEvenFill)
    return np.pad(grey_levels(image), 1)
