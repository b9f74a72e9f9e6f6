"""From the tomogram back to the session: what is under the pointer, clicked, brushed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from qtpy.QtCore import QObject

from napari_tomodrgn.gui.tomogram.mouse import Box, Ray, Stroke, TomogramMouse
from napari_tomodrgn.gui.tomogram.ray_picking import boxed, brushed, picked
from napari_tomodrgn.session import SelectionMode
from napari_tomodrgn.session.actions import Action, ids_of
from napari_tomodrgn.session.enclosing import combine_selections

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from napari_tomodrgn.analysis.tomogram.placement import Poses
    from napari_tomodrgn.gui.tomogram.layers import TomogramLayers
    from napari_tomodrgn.session import Session


class PickableScene(Protocol):
    """What the pointer asks of a tomogram scene."""

    session: Session
    layers: TomogramLayers
    poses: Poses | None
    radius: float

    @property
    def positions(self) -> NDArray[np.float64]:
        """Centres (particle, zyx) in Å."""

    def shown(self) -> NDArray[np.bool_]:
        """Which particles are drawn, ``(particle,)``."""

    def chosen(self) -> NDArray[np.bool_]:
        """Which particles are selected, ``(particle,)``."""

    def colors(self, chosen: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
        """Colours ``(particle, 3)`` in bytes, dimmed if not ``chosen`` ``(particle,)``."""

    def jump(self) -> None:
        """Go to the particle in focus."""


class TomogramPointer(QObject):
    """Turns rays into identities and writes them into the session."""

    def __init__(self, scene: PickableScene, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._scene, self._session = scene, scene.session
        self._stroke, self._subtract = np.zeros(0, bool), False
        self.mouse = TomogramMouse(viewer, self)
        self.mouse.hovered.connect(self._on_hovered)
        self.mouse.clicked.connect(self._on_clicked)
        self.mouse.double_clicked.connect(self._on_double_clicked)
        self.mouse.brushed.connect(self._on_brushed)
        self.mouse.released.connect(self._on_released)
        self._mode = SelectionMode.REPLACE
        self.mouse.boxed.connect(self._on_boxed)
        self.mouse.box_released.connect(self._on_box_released)

    def at(self, ray: Ray) -> str | None:
        """Identity of the first shown particle that a ray meets."""
        rows = np.flatnonzero(self._scene.shown())
        found = picked(self._scene.positions[rows], self._scene.radius, ray.origin, ray.direction)
        return (
            None if found < 0 or self._scene.poses is None else self._scene.poses.ids[rows[found]]
        )

    def _on_hovered(self, ray: Ray) -> None:
        self._session.hovered = self.at(ray)

    def _on_clicked(self, ray: Ray) -> None:
        found = self.at(ray)
        if found is not None:
            self._session.focused = found

    def _on_double_clicked(self, ray: Ray) -> None:
        if self.at(ray) is not None:
            self._on_clicked(ray)
            self._scene.jump()

    def _on_brushed(self, stroke: Stroke) -> None:
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

    def _on_boxed(self, box: Box) -> None:
        """Show what a rectangle selects while it is drawn."""
        scene = self._scene
        if scene.poses is None:
            return
        corners = tuple((ray.origin, ray.direction) for ray in (box.first, box.last))
        inside = boxed(scene.positions, (corners[0], corners[1]), box.up) & scene.shown()
        before, self._stroke, self._mode = scene.chosen(), inside, box.mode
        then = {
            SelectionMode.ADD: before | inside,
            SelectionMode.SUBTRACT: before & ~inside,
            SelectionMode.INTERSECT: before & inside,
        }
        scene.layers.paint(scene.colors(then.get(box.mode, inside)))

    def _on_box_released(self) -> None:
        poses = self._scene.poses
        if poses is not None and len(self._stroke) == len(poses):
            names = frozenset(poses.ids[row] for row in np.flatnonzero(self._stroke))
            self._select(names, self._mode)
            self._scene.layers.paint(self._scene.colors())  # also where it stays as it was

    def _on_released(self) -> None:
        if self._scene.poses is None or len(self._stroke) != len(self._scene.poses):
            return
        names = frozenset(self._scene.poses.ids[row] for row in np.flatnonzero(self._stroke))
        self._select(names, SelectionMode.SUBTRACT if self._subtract else SelectionMode.ADD)

    def _select(self, names: frozenset[str], mode: SelectionMode) -> None:
        found = combine_selections(self._session.selection, names, mode)
        self._session.select(found, Action.of("select", ids_of(names), mode=mode))
