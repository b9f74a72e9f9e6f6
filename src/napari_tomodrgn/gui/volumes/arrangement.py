"""Where maps stand in the canvas, the camera that sees them all, and a scale bar in Å."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

# What maps from images are called: nobody pinned them, so they stand beside a pile of pinned ones.
RECONSTRUCTION = "reconstruction"
# Distance of neighbours in boxes: particles rarely fill theirs.
_PITCH = 0.8
_RAISED = 0.06  # in boxes
_VIEW = ("center", "zoom", "angles", "perspective", "orientation")  # of napari's camera
_BESIDE_AXES_PX = 150  # what labels leave the axes in the corner

# Length of the bar where napari would choose a thousand or more.
FAR_ANGSTROM = 750.0
_BAR_PX, _UNIT = 150, "angstrom"
# Where labels, which are beneath maps, never come; napari's place for the bar is under them.
BAR_PLACE, NAPARIS_BAR_PLACE = "top_right", "bottom_right"
_BAR_ROOM_PX = 170.0  # with its margins
_held: list[object] = []  # by those who resize a canvas for a picture of it


@contextmanager
def unfitted() -> Iterator[None]:
    """Let canvases be resized without anything following: for a picture, which sees to that."""
    holder = object()
    _held.append(holder)
    try:
        yield
    finally:
        _held.remove(holder)


def is_held() -> bool:
    """Whether a picture is being taken: words and zoom are those of the screen, enlarged."""
    return bool(_held)


def view_of(viewer: Any) -> dict[str, Any]:
    """How the camera looks now, for `look_as`."""
    camera = viewer.scene.camera
    return {name: getattr(camera, name) for name in _VIEW}


def look_as(viewer: Any, view: dict[str, Any]) -> None:
    """Look as before: napari sets its camera anew at a first layer, and where slices end."""
    for name, value in view.items():
        setattr(viewer.scene.camera, name, value)


def aim_at_one(viewer: Any, box_angstrom: float, top_px: float) -> None:
    """Turn the camera to one map below a caption that ends so far from the canvas' upper edge.

    The zoom stays right for other particles, however they are turned: as much is left below as
    the caption takes above.
    """
    camera, (height, width) = viewer.scene.camera, viewer.canvas.size
    camera.center = (0.0, 0.0, 0.0)
    camera.zoom = 1.2 * max(60.0, min(height - 2 * top_px, width)) / box_angstrom


@dataclass(frozen=True)
class MapGrid:
    """Places of so many maps in reading order, in a grid that is about as wide as it is high."""

    count: int

    @property
    def columns(self) -> int:
        """Maps in a row."""
        return int(np.ceil(np.sqrt(self.count)))

    @property
    def rows(self) -> int:
        """Rows of maps."""
        return -(-self.count // self.columns)

    def place(self, number: int, box_angstrom: float) -> tuple[float, float, float]:
        """Where a map stands, zyx in Å."""
        row, column = divmod(number, self.columns)
        step = _PITCH * box_angstrom
        return (0.0, -row * step, column * step)

    def aim(self, viewer: Any, box_angstrom: float) -> None:
        """Turn the camera to all of them."""
        camera, (height, width) = viewer.scene.camera, viewer.canvas.size
        # A row of maps stands higher and to the right: its labels are off the axes.
        in_row = self.rows == 1 and self.count > 1
        raised, beside = (_RAISED * box_angstrom, _BESIDE_AXES_PX) if in_row else (0.0, 0)
        across, down = (1 + _PITCH * (number - 1) for number in (self.columns, self.rows))
        margin = 1.2 if self.count == 1 else 0.85 if in_row else 0.98
        room = min((width - beside) / across, height / down)
        camera.zoom = margin * room / max(box_angstrom, 1.0)
        step = _PITCH * box_angstrom
        middle = (self.columns - 1) / 2 * step - beside / 2 / camera.zoom
        camera.center = (0.0, -(self.rows - 1) / 2 * step - raised, middle)


def beside_bar_px(viewer: Any) -> float:
    """Pixels that the scale bar takes of the width that words at the upper edge have."""
    return _BAR_ROOM_PX if viewer.canvas.overlays.scale_bar.position == BAR_PLACE else 0.0


def keep_in_angstrom(viewer: Any) -> None:
    """Give the bar a length where napari would write "1 kÅ"; else napari chooses it."""
    camera, bar = viewer.scene.camera, viewer.canvas.overlays.scale_bar

    def on_zoom(_event: object = None) -> None:
        if bar.length not in (None, FAR_ANGSTROM):
            return  # the user's, or of a picture that is being taken
        units = viewer.layers.units
        ours = units is not None and len(units) > 0 and str(units[-1]) == _UNIT
        far = ours and _BAR_PX / max(camera.zoom, 1e-9) >= 1000.0
        if bar.length != (wanted := FAR_ANGSTROM if far else None):
            bar.length = wanted
            # napari may have measured the bar for this zoom already, and looks at its length no
            # more; for another size of letters it does.
            bar.events.font_size.emit(bar.font_size)

    camera.events.zoom.connect(on_zoom)
