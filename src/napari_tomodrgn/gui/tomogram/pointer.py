"""From the tomogram back to the session: what is under the pointer, clicked, brushed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject

from napari_tomodrgn.gui.selections.service import combined
from napari_tomodrgn.gui.tomogram.mouse import Box, Ray, Stroke, TomogramMouse
from napari_tomodrgn.gui.tomogram.ray_picking import boxed, brushed, picked

if TYPE_CHECKING:
    from napari_tomodrgn.gui.tomogram.scene import TomogramScene


class TomogramPointer(QObject):
    """Turns rays into identities and writes them into the session."""

    def __init__(self, scene: TomogramScene, viewer: Any) -> None:
        super().__init__(scene)
        self._scene, self._session = scene, scene.session
        self._stroke, self._subtract = np.zeros(0, bool), False
        self.mouse = TomogramMouse(viewer, self)
        self.mouse.hovered.connect(self._hover)
        self.mouse.clicked.connect(self._click)
        self.mouse.double_clicked.connect(self._double_click)
        self.mouse.brushed.connect(self._brush)
        self.mouse.released.connect(self._end_stroke)
        self._how = "replace"
        self.mouse.boxed.connect(self._box)
        self.mouse.box_released.connect(self._end_box)

    def at(self, ray: Ray) -> str | None:
        """Identity of the first shown particle that a ray meets."""
        rows = np.flatnonzero(self._scene.shown())
        found = picked(self._scene.positions[rows], self._scene.radius, ray.origin, ray.direction)
        return (
            None if found < 0 or self._scene.poses is None else self._scene.poses.ids[rows[found]]
        )

    def _hover(self, ray: Ray) -> None:
        self._session.hovered = self.at(ray)

    def _click(self, ray: Ray) -> None:
        found = self.at(ray)
        if found is not None:
            self._session.focused = found

    def _double_click(self, ray: Ray) -> None:
        if self.at(ray) is not None:
            self._click(ray)
            self._scene.jump()

    def _brush(self, stroke: Stroke) -> None:
        """Show what a stroke selects at once, but let it be one selection, and one undo."""
        if self._scene.poses is None:
            return
        if stroke.first:
            self._stroke = np.zeros(len(self._scene.poses), bool)
        ray = stroke.ray
        self._stroke |= brushed(
            self._scene.positions, self._scene.radius, ray.origin, ray.direction
        )
        self._stroke &= self._scene.shown()
        self._subtract = stroke.subtract
        before = self._scene.chosen()
        self._scene.layers.paint(
            self._scene.colors(before & ~self._stroke if self._subtract else before | self._stroke)
        )

    def _box(self, box: Box) -> None:
        """Show what a rectangle selects while it is drawn."""
        scene = self._scene
        if scene.poses is None:
            return
        corners = tuple((ray.origin, ray.direction) for ray in (box.first, box.last))
        inside = boxed(scene.positions, (corners[0], corners[1]), box.up) & scene.shown()
        before, self._stroke, self._how = scene.chosen(), inside, box.how
        then = {
            "add": before | inside,
            "subtract": before & ~inside,
            "intersect": before & inside,
        }
        scene.layers.paint(scene.colors(then.get(box.how, inside)))

    def _end_box(self) -> None:
        poses = self._scene.poses
        if poses is not None and len(self._stroke) == len(poses):
            names = frozenset(poses.ids[row] for row in np.flatnonzero(self._stroke))
            self._session.selection = combined(self._session.selection, names, self._how)
            self._scene.layers.paint(self._scene.colors())  # also where it stays as it was

    def _end_stroke(self) -> None:
        if self._scene.poses is None or len(self._stroke) != len(self._scene.poses):
            return
        names = frozenset(self._scene.poses.ids[row] for row in np.flatnonzero(self._stroke))
        now = self._session.selection
        self._session.selection = now - names if self._subtract else now | names
