"""The pointer in the tomogram: hover, click, brush. Rays out of napari's events, as signals.

A click focuses a particle, a double click goes to it. With Shift held a click or a stroke adds
particles to the selection, with Shift and Control (or Alt) it takes them away. With the rectangle
of the latent space in the hand a drag draws a box, and the keys mean what they mean there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_tomodrgn.gui.charts.drawn_shape import MOVE, RECTANGLE, Tool, mode_for
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.session import SelectionMode

if TYPE_CHECKING:
    from napari.components.camera import Camera
    from napari.viewer import Viewer

_CLICK_PX = 4.0


class MouseEvent(Protocol):
    """What is read of the event that napari hands to its mouse callbacks."""

    type: str
    button: int | None
    modifiers: Iterable[object]
    pos: Sequence[float]  # px on the canvas
    position: Sequence[float]  # in the world, one number a dimension
    view_direction: Sequence[float] | None  # None in two dimensions
    dims_displayed: Sequence[int]


@dataclass(frozen=True, eq=False)
class Ray:
    """A line of sight, zyx in Å in the world."""

    origin: NDArray[np.float64]
    direction: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stroke:
    """A step of the brush; ``first`` of a new stroke."""

    ray: Ray
    subtract: bool
    first: bool


@dataclass(frozen=True, eq=False)
class Box:
    """A rectangle that is being drawn: rays through two corners, and what becomes of it."""

    first: Ray
    last: Ray
    up: NDArray[np.float64]  # zyx, on the screen
    mode: SelectionMode  # as `drawn_shape.mode_for_keys` says


class TomogramMouse(QObject):
    """Listens to a viewer while it is switched on.

    Attributes
    ----------
    tool, how
        The tool of the latent space that is in the hand, and how its lines combine: the rectangle
        works here, too.
    """

    hovered = Signal(object)  # Ray
    clicked = Signal(object)  # Ray
    double_clicked = Signal(object)  # Ray
    brushed = Signal(object)  # Stroke
    released = Signal()
    boxed = Signal(object)  # Box
    box_released = Signal()

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._on = False
        self.tool: Tool = MOVE
        self.mode = SelectionMode.REPLACE

    def set_on(self, on: bool) -> None:
        """Listen, or stop listening."""
        if on == self._on:
            return
        self._on = on
        for callbacks, ours in (
            (self._viewer.mouse_move_callbacks, self._moved),
            (self._viewer.mouse_drag_callbacks, self._dragged),
            (self._viewer.mouse_double_click_callbacks, self._double),
        ):
            if on:
                callbacks.append(ours)
            elif ours in callbacks:
                callbacks.remove(ours)

    def _moved(self, _viewer: object, event: MouseEvent) -> None:
        ray = ray_of(event)
        if ray is not None:
            self.hovered.emit(ray)

    def _double(self, _viewer: object, event: MouseEvent) -> None:
        ray = ray_of(event)
        if ray is not None:
            self.double_clicked.emit(ray)

    def _dragged(self, viewer: Viewer, event: MouseEvent) -> Iterator[None]:
        ray, start = ray_of(event), np.asarray(event.pos, float)
        if ray is None or event.button != 1:
            return
        names = {str(getattr(one, "name", one)) for one in event.modifiers}
        if self.tool == RECTANGLE:
            less = bool(names & {"Control", "Alt", "Meta"})
            mode = mode_for(add="Shift" in names, less=less, otherwise=self.mode)
            yield from self._box(viewer, event, ray, mode)
            return
        if "Shift" in names:
            subtract = bool(names & {"Control", "Alt", "Meta"})
            yield from self._stroke(viewer, event, Stroke(ray, subtract, first=True))
            return
        # A drag is one call: napari goes on with it after each event, and puts that event into
        # the same object.
        yield
        far = 0.0
        while event.type == "mouse_move":
            far = max(far, float(np.linalg.norm(np.asarray(event.pos, float) - start)))
            yield
        if far <= _CLICK_PX:
            self.clicked.emit(ray)

    def _box(
        self, viewer: Viewer, event: MouseEvent, first: Ray, mode: SelectionMode
    ) -> Iterator[None]:
        up = np.asarray(viewer.scene.camera.up_direction, float)
        drawn = False
        try:
            with _held_still(viewer.scene.camera):
                yield
                while event.type == "mouse_move":
                    ray = ray_of(event)
                    if ray is not None:
                        drawn = True
                        self.boxed.emit(Box(first, ray, up, mode))
                    yield
        finally:
            if drawn:
                self.box_released.emit()
            else:
                self.clicked.emit(first)

    def _stroke(self, viewer: Viewer, event: MouseEvent, start: Stroke) -> Iterator[None]:
        try:
            with _held_still(viewer.scene.camera):
                self.brushed.emit(start)
                yield
                while event.type == "mouse_move":
                    ray = ray_of(event)
                    if ray is not None:
                        self.brushed.emit(Stroke(ray, start.subtract, first=False))
                    yield
        finally:
            self.released.emit()


@contextmanager
def _held_still(camera: Camera) -> Iterator[None]:
    """Keep the view from turning with the stroke; who lets it turn meanwhile has the last word."""
    before, camera.mouse_pan = camera.mouse_pan, False
    try:
        yield
    finally:
        if not camera.mouse_pan:
            camera.mouse_pan = before


def ray_of(event: MouseEvent) -> Ray | None:
    """The line of sight through the pointer; None where the view is no three-dimensional one."""
    if len(event.dims_displayed) != 3 or event.view_direction is None:
        return None
    shown = list(event.dims_displayed)
    origin = np.asarray(event.position, float)[shown]
    return Ray(origin, np.asarray(event.view_direction, float)[shown])
