"""`InteractiveScatter`: arrays and colours in, indices of points out; it knows no particles.

A plain widget that paints a picture made by a `PointRenderer`; axes, rings, lines and labels are
painted over it. With the tool *move* a drag moves the view, and one with a key held (see
`mode_for_keys`) draws a lasso; with any other tool a drag or clicks draw its line. The wheel
zooms at the pointer, a double click shows all, a click picks, arrow keys step to the next point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, Qt
from qtpy.QtWidgets import QApplication, QWidget

from napari_tomodrgn.gui.charts.drawn_shape import LASSO, MOVE, PATH, POLYGON, Tool, mode_for_keys
from napari_tomodrgn.gui.charts.hit_testing import nearest, points_in_outline
from napari_tomodrgn.gui.charts.point_cloud import FloatArray, PointRenderer, View
from napari_tomodrgn.gui.charts.scatter_plot import ScatterPlot
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.session import SelectionMode

_REACH_PX = 10.0
_ZOOM_PER_NOTCH = 0.85
_STEPS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}
_ZOOMS = {Qt.Key.Key_Plus: 1, Qt.Key.Key_Equal: 1, Qt.Key.Key_Minus: -1}


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
class LassoSelection:
    """Points that a line encloses, and what is to be done, as `drawn_shape.mode_for_keys` says.

    ``corners`` ``(corner, 2)`` of the line are in units of the axes; None where none was drawn.
    """

    mask: NDArray[np.bool_]
    mode: SelectionMode
    corners: FloatArray | None = None


class InteractiveScatter(ScatterPlot):
    """Scatter of points; see the module."""

    path_clicked = Signal()  # a click, where a path is drawn by dragging
    clicked = Signal(object)  # Click
    hovered = Signal(int)  # index, or -1
    lassoed = Signal(object)  # Lassoed
    path_drawn = Signal(object)  # places (place, 2) in units of the axes
    file_dropped = Signal(str)  # path
    stepped = Signal(int, int, bool)  # right, down; True: along the axis, not to the next point

    def __init__(
        self, renderer: PointRenderer | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(renderer, parent)
        self._pressed: QPointF | None = None
        self._dragged: View | None = None
        self._tool: Tool = MOVE
        self.mode = SelectionMode.REPLACE
        self._travelled = False  # since the button was pressed, be it back to where it was
        self.setMouseTracking(True)
        self.setAcceptDrops(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Latent space scatter")

    def set_tool(self, tool: Tool) -> None:
        """Choose what a drag does."""
        self._tool = tool
        self._drawing.corners.clear()
        moves = tool == MOVE
        self.setCursor(Qt.CursorShape.ArrowCursor if moves else Qt.CursorShape.CrossCursor)
        self.update()

    def dragEnterEvent(self, event: Any) -> None:
        """Take files that are held over the chart."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Tell which files were dropped; napari does not get them."""
        for url in event.mimeData().urls():
            if url.isLocalFile():
                self.file_dropped.emit(url.toLocalFile())
        event.acceptProposedAction()

    def mousePressEvent(self, event: Any) -> None:
        """Begin a click, a move or a line."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        at = event.position()
        self._pressed, self._dragged, self._travelled = at, self._view, False
        if self._draws_polygon():
            if self._drawing.add_corner((at.x(), at.y())):
                self._finish_line()
            self.update()
            return
        tool, held = self._tool, event.modifiers()
        if tool == MOVE and mode_for_keys(held) != SelectionMode.REPLACE:
            tool = LASSO
        if tool != MOVE:
            self._drawing.begin(tool, mode_for_keys(held, self.mode), (at.x(), at.y()))

    def mouseMoveEvent(self, event: Any) -> None:
        """Move the view, lengthen the line, or tell what is under the pointer."""
        at = event.position()
        if self._pressed is not None and self._is_away(at):
            self._travelled = True
        if self._drawing.corners:
            self._drawing.follow((at.x(), at.y()))
            self.update()
        elif self._pressed is None:
            self._emit_hovered(self._pick(at))
        elif self._dragged is not None and self._travelled:
            rect, start = self._rect(), self._dragged
            dx = (self._pressed.x() - at.x()) / rect.width() * (start.x_max - start.x_min)
            dy = (at.y() - self._pressed.y()) / rect.height() * (start.y_max - start.y_min)
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
            self._set_view(start.moved(dx, dy))

    def mouseReleaseEvent(self, event: Any) -> None:
        """End a click, a move or a line; a polygon goes on until it is closed."""
        if self._pressed is None or event.button() != Qt.MouseButton.LeftButton:
            return
        moved = self._travelled or self._is_away(event.position())
        self._pressed = self._dragged = None
        if self._tool == MOVE:
            self.unsetCursor()
        if self._draws_polygon():
            return
        if not moved:
            self._drawing.corners.clear()
            self._emit_clicked(event)
            if self._tool == PATH:
                self.path_clicked.emit()
        elif self._drawing.corners:
            self._finish_line()
        self.update()

    def mouseDoubleClickEvent(self, event: Any) -> None:
        """Close a polygon; else show all points, where there is none under the pointer."""
        if self._draws_polygon():
            self._finish_line()
        elif self._pick(event.position()) < 0:
            self.show_all()

    def keyPressEvent(self, event: Any) -> None:
        """Arrows step, + and - zoom, Home shows all; Enter, Backspace and Escape end a polygon."""
        key = event.key()
        if key in _STEPS:
            along = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
            self.stepped.emit(*_STEPS[key], along)
        elif key in _ZOOMS:
            middle = QPointF(self._rect().center())
            self._set_view(self._view.zoomed(_ZOOM_PER_NOTCH ** _ZOOMS[key], self._plane(middle)))
        elif key == Qt.Key.Key_Home:
            self.show_all()
        elif self._drawing.corners:
            self._edit_line(key)
        else:
            super().keyPressEvent(event)

    def _edit_line(self, key: Any) -> None:
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._finish_line()
        elif key == Qt.Key.Key_Backspace:
            self._drawing.take_corner_back()
        elif key == Qt.Key.Key_Escape:
            self._drawing.corners.clear()
        self.update()

    def _draws_polygon(self) -> bool:
        return self._drawing.tool == POLYGON and bool(self._drawing.corners)

    def _finish_line(self) -> None:
        """Tell what was drawn."""
        outline = self._drawing.take()
        places = np.array([self._plane(QPointF(x, y)) for x, y in outline])
        if self._drawing.tool == PATH:
            self.path_drawn.emit(places)
            return
        size = (self.width(), self.height())
        mask = points_in_outline(self._cloud, self._transform(), outline, size)
        self.lassoed.emit(LassoSelection(mask, self._drawing.mode, places))

    def leaveEvent(self, event: object) -> None:
        """Nothing is under the pointer any more."""
        self._emit_hovered(-1)

    def wheelEvent(self, event: Any) -> None:
        """Zoom; what is under the pointer stays there."""
        notches = event.angleDelta().y() / 120
        self._set_view(self._view.zoomed(_ZOOM_PER_NOTCH**notches, self._plane(event.position())))
        event.accept()

    def _emit_clicked(self, event: Any) -> None:
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

    def _emit_hovered(self, index: int) -> None:
        if index != self._hovered:
            self._hovered = index
            self.hovered.emit(index)
            self.update()

    def _is_away(self, at: QPointF) -> bool:
        assert self._pressed is not None
        distance = (at - self._pressed).manhattanLength()
        return bool(distance >= QApplication.startDragDistance() / 2)

    def _pick(self, at: QPointF) -> int:
        if not self._rect().contains(at.toPoint()):
            return -1
        return nearest(self._cloud, self._transform(), (at.x(), at.y()), _REACH_PX)

    def _plane(self, at: QPointF) -> tuple[float, float]:
        rect = self._rect()
        x, y = at.x() - rect.left(), at.y() - rect.top()
        return self._view.to_plane(x, y, rect.width(), rect.height())
