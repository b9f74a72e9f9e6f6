"""`ScatterPlot`: a picture of points with axes, rings, lines and labels painted over it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPointF, QRect, QRectF, QSize
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_tomodrgn.gui.charts import painting
from napari_tomodrgn.gui.charts.colormaps import dimmed
from napari_tomodrgn.gui.charts.drawn_shape import PATH, DrawnShape
from napari_tomodrgn.gui.charts.hit_testing import neighbour
from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.charts.paper import PAPER, ColorKey
from napari_tomodrgn.gui.charts.point_cloud import (
    FloatArray,
    PlottedPoints,
    PointRenderer,
    RasterPoints,
    View,
    radius_px,
)
from napari_tomodrgn.gui.widgets.letter_size import paints_letters
from napari_tomodrgn.gui.widgets.qt import Signal, painter_on, to_image

# More points than these are a picture in a saved figure, not a circle each: files stay below 1 MB.
_MOST_CIRCLES = 10_000


class ScatterPlot(QWidget):
    """A plain widget that shows what its setters were given, drawn by a `PointRenderer`."""

    view_changed = Signal(object)  # View

    def __init__(
        self, renderer: PointRenderer | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._renderer = renderer or RasterPoints()
        self._place_points(PlottedPoints.of(np.zeros((0, 2))))
        self._colors = np.zeros((0, 3), np.uint8)
        self._selected: NDArray[np.bool_] | None = None
        self._labels = ("", "")
        self._hint = ""
        self._tag = ""
        self._busy = ""
        self._theme = ChartColors()
        self._view = View(-1.0, 1.0, -1.0, 1.0)
        self._focused = self._hovered = -1
        self._picture: QImage | None = None
        self._drawing = DrawnShape()
        self._pinned: list[int] = []
        self._line: FloatArray | None = None
        self._weak: NDArray[np.bool_] | None = None
        self._place: FloatArray | None = None
        self._key: ColorKey | None = None
        self.setMinimumSize(220, 150)
        paints_letters(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """A modest size, so that the dock leaves room for the canvas."""
        return QSize(460, 280)

    # -- setters ------------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """The part of the plane that is shown."""
        return self._view

    @property
    def points(self) -> FloatArray:
        """The positions that were set."""
        return self._xy

    @property
    def renderer(self) -> PointRenderer:
        """What draws the points."""
        return self._renderer

    @property
    def place(self) -> FloatArray | None:
        """The place (2,) that is marked with a cross, or None."""
        return None if self._place is None else self._place[0]

    @property
    def shows_all(self) -> bool:
        """Whether the view is the one that `show_all` gives."""
        return self._view == self._whole

    def set_points(
        self,
        xy: FloatArray | PlottedPoints,
        colors: NDArray[np.uint8],
        *,
        keep_view: bool = False,
    ) -> None:
        """Take positions (point, 2) and colours (point, 3); NaN points are not drawn."""
        self._place_points(
            xy if isinstance(xy, PlottedPoints) else PlottedPoints.of(np.asarray(xy))
        )
        self._colors = np.asarray(colors, np.uint8)
        self._hovered = -1
        if self._focused >= len(self._xy):
            self._focused = -1
        if self._selected is not None and len(self._selected) != len(self._xy):
            self._selected = None
        if not keep_view:
            self._view = self._whole
        self._set_renderer_points()

    def set_selected(self, mask: NDArray[np.bool_] | None) -> None:
        """Fade all points outside the mask ``(point,)``; None or nothing selected: fade none."""
        mask = mask if mask is not None and mask.any() else None
        same = mask is self._selected or (
            mask is not None and self._selected is not None and np.array_equal(mask, self._selected)
        )
        if not same:
            self._selected = mask
            self._set_renderer_points()

    def set_labels(self, x: str, y: str) -> None:
        """Name the axes."""
        self._labels = (x, y)
        self.update()

    def set_focused(self, index: int) -> None:
        """Ring this point (-1: none)."""
        self._focused = index
        self.update()

    def set_pinned(self, indices: list[int]) -> None:
        """Ring these points as well (-1 is left out)."""
        self._pinned = [index for index in indices if index >= 0]
        self.update()

    def set_path(
        self,
        line: FloatArray | None,
        place: FloatArray | None,
        unsupported: NDArray[np.bool_] | None = None,
    ) -> None:
        """Draw a line through places (place, 2), grey at the weak ones, and a cross at (1, 2)."""
        self._line, self._weak, self._place = line, unsupported, place
        self.update()

    def set_hovered(self, index: int, tag: str = "") -> None:
        """Mark this point with a thin ring and a label (-1: none)."""
        self._hovered, self._tag = index, tag
        self.update()

    def set_hint(self, words: str) -> None:
        """Sentence shown while there are no points."""
        self._hint = words
        self.update()

    def set_busy(self, words: str) -> None:
        """Say what is awaited, over what is shown until then (empty: nothing)."""
        self._busy = words
        self.update()

    def set_theme(self, colors: ChartColors) -> None:
        """Take the colours of the theme."""
        self._theme = colors
        self._set_renderer_points()

    def set_key(self, key: ColorKey | None) -> None:
        """Take what the colours mean, for saved figures."""
        self._key = key

    def set_renderer(self, renderer: PointRenderer) -> None:
        """Draw with another renderer; the old one is closed."""
        self._renderer.close()
        self._renderer = renderer
        self._set_renderer_points()

    def show_all(self) -> None:
        """Zoom to all points."""
        self._set_view(self._whole)

    def position_of(self, index: int) -> QPointF:
        """Where a point is on the widget, in logical pixels."""
        pixel = self._pixels(self._xy[index : index + 1])[0]
        return QPointF(float(pixel[0]), float(pixel[1]))

    def next_to(self, index: int, right: int, down: int) -> int:
        """The next point in a direction of the screen, -1 if there is none."""
        if not 0 <= index < len(self._xy):
            return -1
        return neighbour(self._cloud, self._transform(), index, (right, down))

    def reveal(self, index: int) -> None:
        """Move the view so far that this point is in it."""
        x, y = (float(part) for part in self._xy[index])
        view = self._view
        dx = min(0.0, x - view.x_min) + max(0.0, x - view.x_max)
        dy = min(0.0, y - view.y_min) + max(0.0, y - view.y_max)
        if dx or dy:
            self._set_view(view.moved(dx * 1.1, dy * 1.1))

    # -- painting -----------------------------------------------------------------------------

    def paintEvent(self, event: object) -> None:
        """Blit the points and paint everything else over them."""
        with painter_on(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.fillRect(self.rect(), QColor(self._theme.background))
            rect = self._rect()
            if not len(self._xy):
                words = self._busy or self._hint
                painting.paint_hint(painter, self.rect(), words, self._theme)
                return
            painting.paint_axes(painter, rect, self._view, self._labels, self._theme)
            if self._picture is None:
                self._picture = self._draw(rect)
            painter.drawImage(QRectF(rect), self._picture)
            if self.hasFocus():  # the keys go here
                painter.setPen(QColor(self._theme.highlight))
                painter.drawRect(rect.adjusted(-1, -1, 1, 1))
            painter.setClipRect(rect)
            self._paint_marks(painter, rect)
            if self._busy:
                corner = QPointF(rect.left(), rect.top())
                painting.paint_tag(painter, corner, self._busy, rect, self._theme)

    def _paint_marks(self, painter: QPainter, rect: QRect) -> None:
        radius = radius_px(len(self._xy))
        for index in self._pinned:
            if index < len(self._xy):
                painting.paint_ring(painter, self.position_of(index), radius + 4, self._theme.text)
        if self._line is not None:
            grey = self._theme.line
            painting.paint_line(
                painter, self._pixels(self._line), self._theme.accent, self._weak, grey
            )
        if self._place is not None:
            painting.paint_cross(painter, self._pixels(self._place)[0], self._theme.accent)
        elif self._focused >= 0:
            at = self.position_of(self._focused)
            for wide in (4, 8):  # two rings: a pinned particle has one
                painting.paint_ring(painter, at, radius + wide, self._theme.accent)
        if 0 <= self._hovered < len(self._xy):
            at = self.position_of(self._hovered)
            painting.paint_ring(painter, at, radius + 2.5, self._theme.text)
            if self._tag and rect.contains(at.toPoint()):  # else a stub of it is in the corner
                painting.paint_tag(painter, at, self._tag, rect, self._theme)
        if self._drawing.corners:
            closed = self._drawing.tool != PATH
            painting.paint_outline(
                painter, self._drawing.outline(), self._theme.accent, closed=closed
            )

    def figure_size(self) -> QSize:
        """Size of a saved figure in logical pixels: the widget, and the key beside it."""
        beside = self._key.width_px(self.fontMetrics()) if self._key is not None else 0
        return QSize(self.width() + beside, self.height())

    def paint_figure(self, painter: QPainter, scale: float) -> None:
        """Paint points, axes and key for paper; rings of focus, pins and pointer are left out.

        ``scale`` is how many pixels of the picture a logical one takes.
        """
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect, size = self._rect(), self.figure_size()
        painter.fillRect(QRect(0, 0, size.width(), size.height()), QColor(PAPER.background))
        painting.paint_axes(painter, rect, self._view, self._labels, PAPER)
        if self._key is not None:
            self._key.paint(painter, QRect(self.width(), rect.top(), size.width(), rect.height()))
        painter.setClipRect(rect)
        order, colors = self._layers(PAPER.background)
        if len(order) <= _MOST_CIRCLES:
            radius = radius_px(len(order))
            painting.paint_points(painter, self._pixels(self._xy[order]), colors, radius)
        else:
            renderer = RasterPoints()
            renderer.set_points(self._cloud.taken(order), colors)
            pixels = round(rect.width() * scale), round(rect.height() * scale)
            painter.drawImage(QRectF(rect), to_image(renderer.render(self._view, pixels, scale)))
        if self._line is not None:
            places = self._pixels(self._line)
            painting.paint_line(painter, places, PAPER.accent, self._weak, PAPER.grid)

    def _layers(self, background: str) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
        """Order in which points are drawn, and their colours, paler where not selected."""
        colors = self._colors
        if self._selected is None:
            return np.arange(len(colors)), colors
        faded = dimmed(np.arange(256)[:, None], np.array(QColor(background).getRgb()[:3]))
        colors = colors.copy()
        others = np.flatnonzero(~self._selected)
        colors[others] = faded[colors[others], np.arange(3)]
        # Selected points lie on top.
        order = np.concatenate([others, np.flatnonzero(self._selected)])
        return order, colors[order]

    def _place_points(self, placed: PlottedPoints) -> None:
        self._xy, self._cloud, self._whole = placed.xy, placed.cloud, placed.whole

    def _draw(self, rect: QRect) -> QImage:
        ratio = self.devicePixelRatioF()
        size = (max(1, round(rect.width() * ratio)), max(1, round(rect.height() * ratio)))
        return to_image(self._renderer.render(self._view, size, ratio))

    def _set_renderer_points(self) -> None:
        order, colors = self._layers(self._theme.background)
        cloud = self._cloud if self._selected is None else self._cloud.taken(order)
        self._renderer.set_points(cloud, colors)
        self._picture = None
        self.update()

    def _rect(self) -> QRect:
        return painting.plot_rect(self.width(), self.height(), self.fontMetrics())

    def _pixels(self, xy: FloatArray) -> FloatArray:
        rect = self._rect()
        pixels = self._view.to_pixels(xy, rect.width(), rect.height())
        return pixels + np.array([rect.left(), rect.top()], pixels.dtype)

    def _transform(self) -> tuple[float, ...]:
        """`PointCloud.transform` to pixels of the widget."""
        rect = self._rect()
        a, b, c, d = self._cloud.transform(self._view, rect.width(), rect.height())
        return a, b + rect.left(), c, d + rect.top()

    def _set_view(self, view: View) -> None:
        self._view = view
        self._picture = None
        self.update()
        self.view_changed.emit(view)

    def resizeEvent(self, event: object) -> None:
        """The picture no longer fits."""
        self._picture = None

    def event(self, event: Any) -> bool:
        """Draw anew on a screen of other pixels."""
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self._picture = None
        return bool(super().event(event))
