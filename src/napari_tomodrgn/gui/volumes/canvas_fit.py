"""Keeps what was in sight in sight when the canvas becomes another size: napari keeps the zoom."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.volumes.arrangement import BAR_PLACE, NAPARIS_BAR_PLACE, is_held
from napari_tomodrgn.gui.volumes.layers import CAPTION_NAME
from napari_tomodrgn.gui.volumes.map_labels import TITLE_NAME, bottom_of_corner
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    from napari.viewer import Viewer

_LEAST_PX = 60.0
# Height of what napari draws x, y and z in, in three dimensions, whatever size it is told.
_AXES_PX, _AXES_PLACE = 170.0, "bottom_left"


class CanvasFit(Service):
    """Follows the canvas' size from the zoom that was chosen last, by the program or the user.

    ``arrange`` are what else depends on the size: captions, rows of maps.
    """

    def __init__(
        self,
        session: Session,
        viewer: Viewer,
        arrange: tuple[Callable[[], None], ...],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(session, parent)
        self._viewer, self._arrange = viewer, arrange
        self._fitting = self._axes_hidden = False
        self._note()
        self._move_bar(NAPARIS_BAR_PLACE, BAR_PLACE)
        viewer.canvas.overlays.axes.events.visible.connect(self._make_way)
        viewer.scene.camera.events.zoom.connect(self._on_zoom)
        viewer.canvas.events.size.connect(self._on_size)

    def close(self) -> None:
        """Follow no more. The canvas is not touched: of a window that closes it is gone already."""
        self._viewer.scene.camera.events.zoom.disconnect(self._on_zoom)
        self._viewer.canvas.events.size.disconnect(self._on_size)
        self._viewer.canvas.overlays.axes.events.visible.disconnect(self._make_way)
        super().close()

    def give_back(self) -> None:
        """Leave axes and scale bar of a viewer that stays as napari had them."""
        self._bring_axes_back()
        self._move_bar(BAR_PLACE, NAPARIS_BAR_PLACE)

    def _move_bar(self, before: str, place: str) -> None:
        """Move the scale bar off the labels of maps, or back; elsewhere it is the user's."""
        bar = self._viewer.canvas.overlays.scale_bar
        if bar.position == before:
            bar.position = place

    def _note(self) -> None:
        self._zoom, self._size = self._viewer.scene.camera.zoom, self._viewer.canvas.size

    def _room_px(self, size: tuple[float, float]) -> tuple[float, float]:
        # As much is left below as the caption takes above: the one that is there now, for the size
        # before too, so that a canvas that gets its size again gets its zoom again.
        height, width = size[0] - 2 * bottom_of_corner(self._viewer, CAPTION_NAME), size[1]
        return max(_LEAST_PX, height), max(_LEAST_PX, width)

    def _on_zoom(self, _event: object = None) -> None:
        if not self._fitting and not is_held():
            self._note()

    def _on_size(self, _event: object = None) -> None:
        if is_held():
            return
        self._make_way()
        session, viewer = self.session, self._viewer
        ours = session.decoded is not None or session.canvas_mode != "particle"
        if not ours or viewer.dims.ndisplay != 3:  # the user's own pictures stay napari's
            self._note()
            return
        self._fitting = True
        try:
            for arrange in self._arrange:
                arrange()
            now, before = self._room_px(viewer.canvas.size), self._room_px(self._size)
            share = min(now[0] / before[0], now[1] / before[1])
            viewer.scene.camera.zoom = self._zoom * share
        finally:
            self._fitting = False

    def want_axes(self, shown: bool) -> None:
        """Hear whether the user wants axes: those that made way come back only if so."""
        self._axes_hidden = self._axes_hidden and shown

    def _make_way(self, _event: object = None) -> None:
        """Hide the axes in a canvas so low that they would lie on the words in its corner."""
        viewer, axes = self._viewer, self._viewer.canvas.overlays.axes
        if is_held() or viewer.dims.ndisplay != 3 or axes.position != _AXES_PLACE:
            return  # what hides or places them there knows why
        words = max(bottom_of_corner(viewer, name) for name in (CAPTION_NAME, TITLE_NAME))
        is_low = words > 0 and viewer.canvas.size[0] - words < _AXES_PX
        if is_low and axes.visible:
            axes.visible, self._axes_hidden = False, True
        elif not is_low and self._axes_hidden:
            self._bring_axes_back()

    def _bring_axes_back(self) -> None:
        if self._axes_hidden:
            self._axes_hidden = False
            # Of an empty canvas they were not only hidden here.
            self._viewer.canvas.overlays.axes.visible = bool(self._viewer.layers)
