"""Free points and trajectories: worked out in a thread, because who is near is asked of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.charts.point_cloud import FloatArray
from napari_tomodrgn.gui.latent_space.trajectories import (
    along_component,
    between,
    clicked_point,
    drawn,
    through,
)
from napari_tomodrgn.particle_columns import resolve_axes, row_of
from napari_tomodrgn.session import LatentPath, LatentPoint, Session
from napari_tomodrgn.session.class_maps import class_name, middle_of

# A place, a path, or the particle that stands for a class with the name of that.
_Found = LatentPoint | LatentPath | tuple[str, str] | None


class TrajectoryService(Service):
    """Verbs on places of the latent space that are no particle's."""

    doing = "looking for near particles"

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.queue = self.latest_task(self._on_found)
        # Run and latents that the path leads through.
        self._made_in: tuple[str, object] = ("", None)
        self.listen(self._on_trajectory, "trajectory")

    def show_place(self, xy: FloatArray, at: tuple[float, float]) -> None:
        """Decode the clicked place of the chart whose points are ``xy``."""
        table, axes = self.session.latents, self._axes()
        if table is not None:
            places = np.asarray(xy, np.float64)
            self._request(lambda: clicked_point(table, axes, places, at))

    def show_class(self, code: int) -> None:
        """Show the map of a category of the colour: of the particle nearest to its middle."""
        table, column = self.session.latents, self.session.color_column
        if table is None or column is None or not (column.values == code).any():
            return
        name = class_name(column, code)
        self._request(lambda: (middle_of(table, column.values == code), name))

    def along_line(self, xy: FloatArray, line: FloatArray) -> None:
        """Make a trajectory along a line drawn in the chart whose points are ``xy``."""
        table, axes = self.session.latents, self._axes()
        if table is not None and len(line) > 1:
            places, corners = np.asarray(xy, np.float64), np.asarray(line, np.float64)
            self._request(lambda: drawn(table, axes, places, corners))

    def along(self, number: int) -> None:
        """Make a trajectory along a principal component."""
        table = self.session.latents
        if table is not None:
            self._request(lambda: along_component(table, number))

    def between_pinned(self) -> None:
        """Make a trajectory from the first pinned particle to the last, or to the one on show."""
        table, anchors = self.session.latents, self._anchors()
        if table is not None and anchors:
            self._request(lambda: between(table, anchors[0], anchors[-1]))

    def through_pinned(self) -> None:
        """Make a trajectory through all pinned particles, in order, along neighbours."""
        table, anchors = self.session.latents, self._anchors()
        if table is not None and anchors:
            self._request(lambda: through(table, anchors))

    def _axes(self) -> tuple[str, str]:
        session = self.session
        table = session.table
        return session.axes if table is None else resolve_axes(session.axes, table.axis_names)

    def _anchors(self) -> list[str]:
        """The pinned particles, the one on show last; says what to do where they are too few."""
        known = self._known_anchors()
        if len(known) < 2:
            self.session.show_message(
                "Shift-click two particles or more first: the path goes through them.",
                done=lambda: len(self._known_anchors()) > 1,
            )
            return []
        return known

    def _known_anchors(self) -> list[str]:
        session, table = self.session, self.session.latents
        known = [name for name in session.pinned if table is not None and row_of(table, name) >= 0]
        if len(known) == 1 and session.focused not in (None, *known):
            known.append(str(session.focused))
        return known

    def forget_path(self) -> None:
        """Take the trajectory away; the particle in focus is shown again."""
        self.session.trajectory = self.session.free_point = None

    def show_frame(self, frame: int) -> None:
        """Show a frame of the trajectory, which is no particle's and in no tomogram."""
        path = self.session.trajectory
        if path is not None and 0 <= frame < len(path.points):
            self.session.canvas_mode = "particle"
            self.session.frame = frame
            self.session.free_point = path.points[frame]

    def _on_trajectory(self, path: LatentPath | None, old: LatentPath | None = None) -> None:
        """Say why a path goes that nobody took away."""
        session = self.session
        now = (str(session.run.path) if session.run is not None else "", session.latents)
        if path is not None:
            self._made_in = now
        elif old is not None and now[0] == self._made_in[0] and now[1] is not self._made_in[1]:
            words = f"The path ({old.name}) went with the latents it led through"
            session.show_message(f"{words}: {session.epoch_words} is on show now.")

    def _request(self, work: Callable[[], _Found]) -> None:
        def steps() -> Iterator[object]:
            yield work()

        self.queue.request(steps)

    def _on_found(self, found: _Found) -> None:
        session = self.session
        if session.latents is None:
            return
        if isinstance(found, tuple):
            session.show_class(*found)
        elif isinstance(found, LatentPoint):
            session.trajectory = None
            session.free_point = found
        elif isinstance(found, LatentPath):
            session.trajectory = found
            self.show_frame(0)
