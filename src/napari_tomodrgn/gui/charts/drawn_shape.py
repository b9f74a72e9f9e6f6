"""The line that is being drawn over a chart, and what its tool and the held keys make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from qtpy.QtCore import Qt

from napari_tomodrgn.session import SelectionMode

Place = tuple[float, float]

Tool = Literal["move", "lasso", "rectangle", "polygon", "path"]
MOVE: Final = "move"
LASSO: Final = "lasso"
RECTANGLE: Final = "rectangle"
POLYGON: Final = "polygon"
PATH: Final = "path"
# A click this near to the first corner closes a polygon.
_CLOSES_PX = 8.0


def mode_for_keys(held: Any, otherwise: SelectionMode = SelectionMode.REPLACE) -> SelectionMode:
    """Return what held keys do to a selection: Shift adds, Alt or Ctrl subtracts, both intersect.

    Many Linux desktops keep Alt-drag to themselves, hence Ctrl.
    """
    add = bool(held & Qt.KeyboardModifier.ShiftModifier)
    alt, ctrl = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ControlModifier
    return mode_for(add=add, less=bool(held & (alt | ctrl)), otherwise=otherwise)


def mode_for(
    *, add: bool, less: bool, otherwise: SelectionMode = SelectionMode.REPLACE
) -> SelectionMode:
    """Return the same by what the keys mean."""
    if less:
        return SelectionMode.INTERSECT if add else SelectionMode.SUBTRACT
    return SelectionMode.ADD if add else otherwise


@dataclass
class DrawnShape:
    """Corners in widget pixels; empty when nothing is being drawn.

    Attributes
    ----------
    tool
        Of the line that is being drawn.
    mode
        What becomes of the selection.
    """

    tool: Tool = MOVE
    mode: SelectionMode = SelectionMode.REPLACE
    corners: list[Place] = field(default_factory=list)

    def begin(self, tool: Tool, mode: SelectionMode, at: Place) -> None:
        """Start a line; of a polygon, its first corner and the one that follows the pointer."""
        self.tool, self.mode = tool, mode
        self.corners = [at, at] if tool in (RECTANGLE, POLYGON) else [at]

    def follow(self, at: Place) -> None:
        """The pointer is here now."""
        if self.tool in (RECTANGLE, POLYGON):
            self.corners[-1] = at
        else:
            self.corners.append(at)

    def add_corner(self, at: Place) -> bool:
        """Fix a corner of a polygon; whether that closed it."""
        first = self.corners[0]
        near = abs(at[0] - first[0]) + abs(at[1] - first[1]) <= _CLOSES_PX
        if near and len(self.corners) > 3:
            self.corners.pop()
            return True
        self.corners[-1] = at
        self.corners.append(at)
        return False

    def take_corner_back(self) -> None:
        """Forget the corner that was fixed last."""
        if len(self.corners) > 2:
            del self.corners[-2]
        else:
            self.corners.clear()

    def outline(self) -> list[Place]:
        """The closed line, of a rectangle its four corners."""
        if self.tool == RECTANGLE and len(self.corners) == 2:
            (x0, y0), (x1, y1) = self.corners
            return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        return list(self.corners)

    def take(self) -> list[Place]:
        """The outline; nothing is being drawn any more."""
        outline, self.corners = self.outline(), []
        return outline
