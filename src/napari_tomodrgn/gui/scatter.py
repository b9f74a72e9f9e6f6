"""`LatentView`: the scatter. Arrays and colours in, indices of points out; it knows no particles.

A plain widget that paints a picture made by a `PointRenderer`; axes, ring, lasso and labels are
painted over it. Left-drag moves, the wheel zooms at the pointer, a double click shows all, a click
picks. Shift-drag draws a lasso that adds to the selection, Alt- or Ctrl-drag one that takes away
(many Linux desktops keep Alt-drag to themselves); with the lasso tool on a plain drag draws one
that replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QApplication, QSizePolicy, QWidget

from napari_tomodrgn.gui import chart
from napari_tomodrgn.gui.chart import ChartColours
from napari_tomodrgn.gui.picking import inside_polygon, nearest
from napari_tomodrgn.gui.points import PointRenderer, RasterPoints, View, radius_px
from napari_tomodrgn.gui.qt import Signal, to_image

_REACH_PX = 10.0
_ZOOM_PER_NOTCH = 0.85
# Unselected points are mixed with the background by this much while a selection stands.
_FADE = 0.72


@dataclass(frozen=True)
class Click:
    """A click into the chart.

    Attributes
    ----------
    index
        Point under the pointer, -1 for none.
    x, y
        Place in units of the axes.
    add
        Shift was held: show beside what is there.
    free
        Alt was held: the place itself is meant, not the point.
    """

    index: int
    x: float
    y: float
    add: bool = False
    free: bool = False


@dataclass(frozen=True, eq=False)
class Lassoed:
    """Points that a lasso encloses, and what is to be done: ``replace``, ``add``, ``subtract``."""

    mask: NDArray[np.bool_]
    how: str


class LatentView(QWidget):
    """Scatter of points; see the module."""

    clicked = Signal(object)  # Click
    hovered = Signal(int)  # index, or -1
    lassoed = Signal(object)  # Lassoed
    view_changed = Signal(object)  # View

    def __init__(
        self, renderer: PointRenderer | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._renderer = renderer or RasterPoints()
        self._xy: NDArray[Any] = np.zeros((0, 2))
        self._colours = np.zeros((0, 3), np.uint8)
        self._selected: NDArray[np.bool_] | None = None
        self._labels = ("", "")
        self._hint = ""
        self._tag = ""
        self._theme = ChartColours()
        self._view = View(-1.0, 1.0, -1.0, 1.0)
        self._focused = self._hovered = -1
        self._picture: QImage | None = None
        self._pressed: QPointF | None = None
        self._dragged: View | None = None
        self._lasso: list[tuple[float, float]] | None = None
        self._how = ""
        self._pinned: list[int] = []
        self._line: NDArray[Any] | None = None
        self._place: NDArray[Any] | None = None
        self.lasso_tool = False
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(220, 150)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Latent space scatter")

    def sizeHint(self) -> QSize:
        """A modest size, so that the dock leaves room for the canvas."""
        return QSize(460, 280)

    # -- setters ------------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """The part of the plane that is shown."""
        return self._view

    @property
    def points(self) -> NDArray[Any]:
        """The positions that were set."""
        return self._xy

    @property
    def shows_all(self) -> bool:
        """Whether the view is the one that `show_all` gives."""
        return self._view == View.around(self._xy)

    def set_points(
        self, xy: NDArray[Any], colours: NDArray[np.uint8], *, keep_view: bool = False
    ) -> None:
        """Take positions (point, 2) and colours (point, 3); NaN points are not drawn."""
        self._xy, self._colours = np.asarray(xy), np.asarray(colours, np.uint8)
        self._hovered = -1
        if self._focused >= len(self._xy):
            self._focused = -1
        if self._selected is not None and len(self._selected) != len(self._xy):
            self._selected = None
        if not keep_view:
            self._view = View.around(self._xy)
        self._hand_over()

    def set_selected(self, mask: NDArray[np.bool_] | None) -> None:
        """Fade all points outside the mask; None or nothing selected: fade none."""
        self._selected = mask if mask is not None and mask.any() else None
        self._hand_over()

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

    def set_path(self, line: NDArray[Any] | None, place: NDArray[Any] | None) -> None:
        """Draw a line through places (place, 2) and a cross at one place (1, 2)."""
        self._line, self._place = line, place
        self.update()

    def set_hovered(self, index: int, tag: str = "") -> None:
        """Mark this point with a thin ring and a label (-1: none)."""
        self._hovered, self._tag = index, tag
        self.update()

    def set_hint(self, words: str) -> None:
        """Sentence shown while there are no points."""
        self._hint = words
        self.update()

    def set_theme(self, colours: ChartColours) -> None:
        """Take the colours of the theme."""
        self._theme = colours
        self._hand_over()

    def set_renderer(self, renderer: PointRenderer) -> None:
        """Draw with another renderer; the old one is closed."""
        self._renderer.close()
        self._renderer = renderer
        self._hand_over()

    def show_all(self) -> None:
        """Zoom to all points."""
        self._set_view(View.around(self._xy))

    def position_of(self, index: int) -> QPointF:
        """Where a point is on the widget, in logical pixels."""
        pixel = self._pixels(self._xy[index : index + 1])[0]
        return QPointF(float(pixel[0]), float(pixel[1]))

    # -- painting -----------------------------------------------------------------------------

    def paintEvent(self, event: Any) -> None:
        """Blit the points and paint everything else over them."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(self._theme.background))
        rect = self._rect()
        if not len(self._xy):
            chart.paint_hint(painter, self.rect(), self._hint, self._theme)
            return
        chart.paint_axes(painter, rect, self._view, self._labels, self._theme)
        if self._picture is None:
            self._picture = self._draw(rect)
        painter.drawImage(QRectF(rect), self._picture)
        painter.setClipRect(rect)
        self._paint_marks(painter, rect)

    def _paint_marks(self, painter: QPainter, rect: QRect) -> None:
        radius = radius_px(len(self._xy))
        for index in self._pinned:
            if index < len(self._xy):
                chart.paint_ring(painter, self.position_of(index), radius + 4, self._theme.text)
        if self._line is not None:
            chart.paint_line(painter, self._pixels(self._line), self._theme.accent)
        if self._place is not None:
            chart.paint_cross(painter, self._pixels(self._place)[0], self._theme.accent)
        elif self._focused >= 0:
            at = self.position_of(self._focused)
            chart.paint_ring(painter, at, radius + 5, self._theme.accent)
        if 0 <= self._hovered < len(self._xy):
            at = self.position_of(self._hovered)
            chart.paint_ring(painter, at, radius + 2.5, self._theme.text)
            if self._tag:
                chart.paint_tag(painter, at, self._tag, rect, self._theme)
        if self._lasso:
            chart.paint_lasso(painter, self._lasso, self._theme.accent)

    def _draw(self, rect: QRect) -> QImage:
        ratio = self.devicePixelRatioF()
        size = (max(1, round(rect.width() * ratio)), max(1, round(rect.height() * ratio)))
        return to_image(self._renderer.render(self._view, size, ratio))

    def _hand_over(self) -> None:
        colours = self._colours
        order = np.arange(len(self._xy))
        if self._selected is not None:
            back = np.array(QColor(self._theme.background).getRgb()[:3])
            faded = (colours * (1 - _FADE) + back * _FADE).astype(np.uint8)
            colours = np.where(self._selected[:, None], colours, faded)
            order = np.argsort(self._selected, kind="stable")  # selected points lie on top
        self._renderer.set_points(self._xy[order], colours[order])
        self._picture = None
        self.update()

    def _rect(self) -> QRect:
        return chart.plot_rect(self.width(), self.height(), self.fontMetrics())

    def _pixels(self, xy: NDArray[Any]) -> NDArray[Any]:
        rect = self._rect()
        pixels = self._view.to_pixels(xy, rect.width(), rect.height())
        return pixels + np.array([rect.left(), rect.top()], pixels.dtype)

    def _set_view(self, view: View) -> None:
        self._view = view
        self._picture = None
        self.update()
        self.view_changed.emit(view)

    # -- mouse and keys -----------------------------------------------------------------------

    def resizeEvent(self, event: Any) -> None:
        """The picture no longer fits."""
        self._picture = None

    def mousePressEvent(self, event: Any) -> None:
        """Begin a click, a move or a lasso."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        self._pressed, self._dragged = event.position(), self._view
        self._how = self._lasso_means(event.modifiers())
        if self._how:
            self._lasso = [(self._pressed.x(), self._pressed.y())]

    def mouseMoveEvent(self, event: Any) -> None:
        """Move the view, lengthen the lasso, or tell what is under the pointer."""
        at = event.position()
        if self._pressed is None:
            self._tell_hovered(self._pick(at))
        elif self._lasso is not None:
            self._lasso.append((at.x(), at.y()))
            self.update()
        elif self._dragged is not None and self._has_moved(at):
            rect, start = self._rect(), self._dragged
            dx = (self._pressed.x() - at.x()) / rect.width() * (start.x_max - start.x_min)
            dy = (at.y() - self._pressed.y()) / rect.height() * (start.y_max - start.y_min)
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
            self._set_view(start.moved(dx, dy))

    def mouseReleaseEvent(self, event: Any) -> None:
        """End a click, a move or a lasso."""
        if self._pressed is None or event.button() != Qt.MouseButton.LeftButton:
            return
        moved, lasso = self._has_moved(event.position()), self._lasso
        self._pressed = self._dragged = self._lasso = None
        self.unsetCursor()
        if not moved:
            self._tell_clicked(event)
        elif lasso is not None:
            size = (self.width(), self.height())
            mask = inside_polygon(self._pixels(self._xy), lasso, size)
            self.lassoed.emit(Lassoed(mask, self._how))
        self.update()

    def mouseDoubleClickEvent(self, event: Any) -> None:
        """Show all points, where there is none under the pointer."""
        if self._pick(event.position()) < 0:
            self.show_all()

    def leaveEvent(self, event: Any) -> None:
        """Nothing is under the pointer any more."""
        self._tell_hovered(-1)

    def wheelEvent(self, event: Any) -> None:
        """Zoom; what is under the pointer stays there."""
        notches = event.angleDelta().y() / 120
        self._set_view(self._view.zoomed(_ZOOM_PER_NOTCH**notches, self._plane(event.position())))
        event.accept()

    def _lasso_means(self, held: Any) -> str:
        if held & Qt.KeyboardModifier.ShiftModifier:
            return "add"
        if held & (Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.ControlModifier):
            return "subtract"
        return "replace" if self.lasso_tool else ""

    def _tell_clicked(self, event: Any) -> None:
        x, y = self._plane(event.position())
        held = event.modifiers()
        click = Click(
            self._pick(event.position()),
            x,
            y,
            add=bool(held & Qt.KeyboardModifier.ShiftModifier),
            free=bool(held & Qt.KeyboardModifier.AltModifier),
        )
        if click.index >= 0 or click.free:
            self.clicked.emit(click)

    def _tell_hovered(self, index: int) -> None:
        if index != self._hovered:
            self._hovered = index
            self.hovered.emit(index)
            self.update()

    def _has_moved(self, at: QPointF) -> bool:
        assert self._pressed is not None
        distance = (at - self._pressed).manhattanLength()
        return bool(distance >= QApplication.startDragDistance() / 2)

    def _pick(self, at: QPointF) -> int:
        if not self._rect().contains(at.toPoint()):
            return -1
        return nearest(self._pixels(self._xy), (at.x(), at.y()), _REACH_PX)

    def _plane(self, at: QPointF) -> tuple[float, float]:
        rect = self._rect()
        x, y = at.x() - rect.left(), at.y() - rect.top()
        return self._view.to_plane(x, y, rect.width(), rect.height())
