"""Layers of the compare stage: labelled cells side by side, seen by one camera.

Not napari's grid mode: that gives every layer of the viewer a cell, hidden ones and the user's own
as well, so that a comparison of three maps would be drawn in as many cells as there are layers, and
it would have to be taken from whoever uses it. Cells are moved apart instead, along the right hand
of the camera: they stay side by side however they are turned, each about its own middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.gui.volumes.arrangement import look_as
from napari_tomodrgn.gui.volumes.figure import SMALL_AXES_PX
from napari_tomodrgn.gui.volumes.layers import ORIENTATION
from napari_tomodrgn.gui.volumes.map_labels import (
    MapLabels,
    bottom_of_corner,
    right_and_up,
    write_in_corner,
)
from napari_tomodrgn.gui.volumes.surface_layers import add_surface, drawable, nudge, paint
from napari_tomodrgn.gui.widgets.viewer_layers import remove_layers
from napari_tomodrgn.session import Isosurface

LABELS_NAME = "comparison labels"
CAPTION_NAME = "tomodrgn_comparison"
# Distance of neighbours, and of a label from the middle of its cell, in boxes.
_PITCH, _BELOW = 0.95, 0.53
_LABEL_BELOW = 0.46  # where the first of its lines begins
# What a map takes above its middle, in boxes: nothing is in the corners.
_ABOVE = 0.42
# Share of the canvas' height that words may take, and what of a sentence is left out where they do.
_MOST_WORDS, _WHERE = 0.5, ", mostly in "
# Where the arrows of x, y and z do not lie on a label, and the words do not run into them.
_AXES_PLACE, _AXES_ROOM_PX = "top_right", SMALL_AXES_PX + 20
# Of the half of a label, and of the lines that it has in a narrow canvas; the margins with them.
_HALF_LABEL_PX, _LINES_PX, _MARGIN_PX = 18, 44, 12


@dataclass(frozen=True, eq=False)
class Cell:
    """What one cell shows: words beneath it, and surfaces by the names of their layers."""

    label: str
    surfaces: dict[str, tuple[Isosurface, str]]  # the surface and its colour


class StageLayers:
    """The cells in a viewer, and what of the viewer is borrowed for them."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layers: dict[str, Any] = {}
        self._cells: list[list[str]] = []  # names of the layers of each
        self._drawn: dict[str, Isosurface] = {}
        self.labels = MapLabels(viewer, LABELS_NAME)
        self._words: list[str] = []
        self._hidden: list[Any] = []  # what others show, while the stage is up
        self._ndisplay, self._scale_bar, self._axes = 3, True, ("", 0)
        self._box = 0.0
        self._raised = 0.0  # the middle of all cells above that of the canvas, in boxes
        self._followed = False
        self._caption = ""

    @property
    def layers(self) -> list[Any]:
        """Layers of the stage that there are."""
        there = self._viewer.layers
        return [one for one in (*self._layers.values(), self.labels.layer) if one in there]

    @property
    def is_up(self) -> bool:
        """Whether the stage has the canvas."""
        return self._followed

    def raise_stage(self) -> None:
        """Take the canvas: hide what others show, follow the camera."""
        if self._followed:
            return
        self._hidden = [one for one in self._viewer.layers if one.visible]
        for layer in self._hidden:
            layer.visible = False
        self._followed = True
        self._ndisplay = self._viewer.dims.ndisplay
        self._viewer.dims.ndisplay = 3  # cells have no slices that lie beside each other
        overlays = self._viewer.canvas.overlays
        self._scale_bar = overlays.scale_bar.visible
        self._axes = (overlays.axes.position, overlays.axes.size)
        overlays.axes.position, overlays.axes.size = _AXES_PLACE, SMALL_AXES_PX
        self._viewer.scene.camera.events.angles.connect(self.arrange)

    def let_go(self) -> None:
        """Follow the camera no more."""
        if self._followed:
            self._viewer.scene.camera.events.angles.disconnect(self.arrange)
        self._followed = False

    def strike(self) -> None:
        """Give the canvas back: the stage goes, and what it hid comes back if it is still there.

        What the user showed or hid meanwhile stays as it is: of those that were hidden, one that
        is visible again is left alone, and so is one that was removed.
        """
        if not self._followed:
            return
        self.let_go()
        self._remove(list(self._layers))
        self.labels.show([], np.zeros((0, 3)))
        self._set_caption("")
        for layer in self._hidden:
            if layer in self._viewer.layers:
                layer.visible = True
        self._hidden = []
        if self._viewer.dims.ndisplay == 3:  # else it is the user's
            self._viewer.dims.ndisplay = self._ndisplay
        bar, axes = (getattr(self._viewer.canvas.overlays, name) for name in ("scale_bar", "axes"))
        if bar.visible:
            bar.visible = self._scale_bar
        if (axes.position, axes.size) == (_AXES_PLACE, SMALL_AXES_PX):
            axes.position, axes.size = self._axes
        nudge(self._viewer.scene.camera)

    def show(self, cells: list[Cell], box_angstrom: float, caption: str) -> None:
        """Show these cells, one beside the other; their layers are kept while their names stay."""
        self._box = box_angstrom
        wanted = {name: one for cell in cells for name, one in cell.surfaces.items()}
        self._remove([name for name in self._layers if name not in wanted])
        for name, (mesh, color) in wanted.items():
            self._put(name, mesh, color)
        self._cells = [list(cell.surfaces) for cell in cells]
        self._words = [cell.label for cell in cells]
        self._set_caption(caption)
        self.arrange()

    def set_up_view(self) -> None:
        """Turn the canvas to all cells, the right hand, as large as caption and labels allow."""
        viewer = self._viewer
        viewer.dims.ndisplay = 3
        camera = viewer.scene.camera
        camera.orientation = ORIENTATION
        camera.center = (0.0, 0.0, 0.0)
        camera.zoom = self._fit() / max(self._box, 1.0)
        viewer.canvas.overlays.scale_bar.visible = True
        nudge(camera)  # which arranges

    def look(self, view: dict[str, Any]) -> None:
        """Look at the cells as before."""
        look_as(self._viewer, view)
        self._viewer.canvas.overlays.scale_bar.visible = True
        nudge(self._viewer.scene.camera)  # which arranges

    def _fit(self) -> float:
        """Pixels of a box where all cells are between caption and labels, and raise them so."""
        height, width = self._viewer.canvas.size
        columns, rows = self._grid()
        top = max(SMALL_AXES_PX + _MARGIN_PX, bottom_of_corner(self._viewer, CAPTION_NAME))
        room = max(60.0, height - top - _HALF_LABEL_PX - _LINES_PX)
        across, between = 1 + _PITCH * (columns - 1), 2 * _BELOW * (rows - 1)
        down = _ABOVE + between + _BELOW
        box_px = min(0.94 * width / across, room / down)
        middle = top + (room - down * box_px) / 2 + (_ABOVE + between / 2) * box_px
        self._raised = (height / 2 - middle) / box_px
        return float(box_px)

    def follow_size(self) -> None:
        """Arrange all anew in a canvas that has become another size."""
        if self._followed:
            self._set_caption(self._caption)
            self.arrange()

    def arrange(self, _event: Any = None) -> None:
        """Move cells along the right hand and the head of the camera, wherever it looks from."""
        if self._followed:  # napari has just drawn them as large as it likes
            axes = self._viewer.canvas.overlays.axes
            axes.events.size.emit(axes.size)
        right, up = right_and_up(self._viewer.scene.camera)
        places = self._places(right, up)
        for names, place in zip(self._cells, places, strict=True):
            for name in names:
                layer = self._layers.get(name)
                if layer is not None and layer in self._viewer.layers:
                    layer.translate = tuple(place)
        below = [place - _LABEL_BELOW * self._box * up for place in places]
        # No words beneath a cell that is hidden by the eyes of its layers.
        words = [
            said if any(self._layers[one].visible for one in names if one in self._layers) else ""
            for said, names in zip(self._words, self._cells, strict=True)
        ]
        self.labels.show(words, np.array(below).reshape(-1, 3))

    def _on_seen(self, _event: Any = None) -> None:
        if len(self._words) == len(self._cells):
            self.arrange()

    def _grid(self) -> tuple[int, int]:
        """Columns and rows: a row where the canvas is wide, a column where it is high."""
        count = max(1, len(self._cells))
        height, width = self._viewer.canvas.size
        if count == 4:
            return (4, 1) if width > 2.2 * height else (2, 2)
        return (count, 1) if width >= height else (1, count)

    def _places(self, right: NDArray[Any], up: NDArray[Any]) -> list[NDArray[Any]]:
        """Middle of each cell, zyx in Å."""
        columns, rows = self._grid()
        found = []
        for number in range(len(self._cells)):
            row, column = divmod(number, columns)
            x = (column - (columns - 1) / 2) * _PITCH
            y = ((rows - 1) / 2 - row) * 2 * _BELOW + self._raised
            found.append(self._box * (x * right + y * up))
        return found

    def _put(self, name: str, mesh: Isosurface, color: str) -> None:
        layer = self._layers.get(name)
        if layer is None or layer not in self._viewer.layers:
            chosen = set(self._viewer.layers.selection)
            data = drawable(mesh, self._box)
            self._layers[name] = add_surface(self._viewer, data, name, self._on_seen)
            self._viewer.layers.selection = chosen
        elif self._drawn.get(name) is not mesh:
            layer.data = drawable(mesh, self._box)
        self._drawn[name] = mesh
        paint(self._layers[name], color)

    def _remove(self, names: list[str]) -> None:
        remove_layers(self._viewer, [self._layers.pop(name) for name in names])
        for name in names:
            self._drawn.pop(name, None)

    def _set_caption(self, words: str) -> None:
        """Write the sentence, or in a low canvas its beginning: the dock has all of it."""
        self._caption, viewer = words, self._viewer
        write_in_corner(viewer, CAPTION_NAME, words, _AXES_ROOM_PX)
        if bottom_of_corner(viewer, CAPTION_NAME) > _MOST_WORDS * viewer.canvas.size[0]:
            first, where, _ = words.partition(_WHERE)
            write_in_corner(viewer, CAPTION_NAME, f"{first} …" if where else words, _AXES_ROOM_PX)
