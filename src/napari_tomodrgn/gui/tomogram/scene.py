"""A tomogram with its particles in place: what the session says, as layers; what is picked, back.

It knows the session, the workers and the tomogram's layers, as `controller` does for volumes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.theme import get_theme
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.charts.colormaps import colors_of, dimmed
from napari_tomodrgn.gui.tomogram.layers import TomogramLayers
from napari_tomodrgn.gui.tomogram.level_of_detail import ViewFocus, fingerprint, surface_request_of
from napari_tomodrgn.gui.tomogram.particle_surfaces import SurfaceBuilder, SurfaceReady
from napari_tomodrgn.gui.tomogram.pointer import TomogramPointer
from napari_tomodrgn.gui.volumes.arrangement import look_as, view_of
from napari_tomodrgn.gui.volumes.layers import VolumeLayers
from napari_tomodrgn.gui.volumes.map_labels import TITLE_NAME, write_in_corner
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.particle_columns import rows_of
from napari_tomodrgn.session import Session, TomogramDisplay

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_tomodrgn.analysis.tomogram.placement import Poses
    from napari_tomodrgn.data.tomograms import Tomogram

# Particles are taken for spheres of this share of their box.
_RADIUS_OF_BOX = 0.3
_SETTLED_MS, _ORBIT_MS = 350, 40
_ORBIT_STEP_DEG = 2.0
NO_POSITIONS = (
    "This star file has no tomogram coordinates: WarpTools and RELION 5 optimisation sets do."
)


class TomogramScene(Service):
    """Verbs of the tomogram; see the module."""

    doing = "showing a tomogram"

    progress = Signal(str)  # one line on what is drawn
    unreadable = Signal(str, object)  # a tomogram and its file

    def __init__(
        self,
        session: Session,
        viewer: Viewer,
        volumes: VolumeLayers,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(session, parent)
        self.layers = TomogramLayers(viewer)
        self.poses: Poses | None = None
        self.tomogram: Tomogram | None = None
        self._volumes, self._viewer = volumes, viewer
        self._rows: dict[str, int] = {}
        self.radius = 100.0
        self._views: dict[str, dict[str, Any]] = {}
        self._asked: tuple[Any, ...] | None = None
        self._own, self._gone_to = (0, 0), False  # gone to a particle: the view stays there
        self.reading = self.latest_task(self._on_tomogram)
        self._read_last: tuple[str, Path] | None = None
        self.shapes = SurfaceBuilder(self)
        self.linking = TomogramPointer(self, viewer, self)
        self._settled = self.delay(_SETTLED_MS, self._request_shapes)
        self._orbit = self.repeat(_ORBIT_MS, self._turn)
        self._connect()

    def _connect(self) -> None:
        self.listen(self._on_canvas_mode, "canvas_mode")
        self.listen(self._on_tomogram_name, "tomogram")
        self.listen(self._on_display, "tomogram_display")
        self.listen(self._on_particles, "particles")
        self.listen(self._on_tomogram_files, "tomogram_files")
        self.listen(self._repaint, "color", "selections", "added_columns", "latents")
        self.listen(self._on_selection, "selection")
        self.listen(self._mark, "focused", "hovered")
        self.listen(self._on_focused, "focused")
        self.listen(self._schedule_surfaces, "latents", "sigma", "shell_filter", "color")
        self.shapes.queue.item.connect(self._on_surface)
        self.shapes.queue.failed.connect(self.on_failed)
        self.reading.failed.connect(self._on_unreadable)
        self._viewer.scene.camera.events.connect(self._on_camera)
        self._viewer.events.theme.connect(self._repaint)

    # -- verbs --------------------------------------------------------------------------------

    def jump(self) -> None:
        """Go to the particle in focus, in the tomogram that it is in."""
        from napari_tomodrgn.analysis.tomogram.placement import tomogram_of

        session, who = self.session, self.session.focused
        if self._place_of(who) is None and (home := tomogram_of(session.particles, who)):
            session.tomogram = home
        if (place := self._place_of(who)) is None:
            words = f"{who} has no place in a tomogram." if who else "Choose a particle first."
            session.show_message(words, "warning", lambda: session.focused != who)
            return
        session.canvas_mode = "tomogram"
        self._gone_to = True
        if self.layers.forget_deleted():  # there would be nothing to see where it goes
            self._asked = None
            self._schedule_surfaces()
        self.layers.look_at(place, self.radius)

    def step(self, by: int) -> None:
        """Focus the next (or an earlier) one of the selection, or of all, and go to it."""
        if self.poses is None:
            return
        ids = self._chosen()
        if not ids:
            words = "No particle of this tomogram is selected."
            self.session.show_message(words, "warning", lambda: bool(self._chosen()))
            return
        focused = self.session.focused
        at = ids.index(focused) + by if focused in ids else (0 if by > 0 else -1)
        self.session.focused = ids[at % len(ids)]
        self.jump()

    def _chosen(self) -> list[str]:
        """The selected particles of this tomogram, or all where none is selected anywhere."""
        chosen, ids = self.session.selection, () if self.poses is None else self.poses.ids
        return [one for one in ids if not chosen or one in chosen]

    def orbit(self, on: bool) -> None:
        """Turn around what is looked at."""
        if on:
            self._orbit.start()
        else:
            self._orbit.stop()

    def close(self) -> None:
        """Stop all work; the viewer is going."""
        self._viewer.scene.camera.events.disconnect(self._on_camera)
        self._viewer.events.theme.disconnect(self._repaint)
        self.linking.mouse.set_on(False)
        super().close()

    @property
    def is_busy(self) -> bool:
        """Whether something is still to come."""
        return self._settled.isActive() or super().is_busy

    # -- which tomogram -----------------------------------------------------------------------

    def _on_particles(self, *_: object) -> None:
        self.reading.cancel()
        self.shapes.queue.cancel()
        self.layers.clear()
        self.poses, self.tomogram, self._rows = None, None, {}
        self._asked, self._gone_to = None, False
        self._views.pop("tomogram", None)

    def _on_tomogram_name(self, name: str) -> None:
        from napari_tomodrgn.analysis.tomogram.placement import poses_of

        particles = self.session.particles
        self._on_particles()
        if particles is None or not name:
            return
        self.poses = poses = poses_of(particles, name)
        if not len(poses) and name not in self.session.tomogram_files:
            self.session.show_message(
                NO_POSITIONS, "warning", lambda: self.session.tomogram != name
            )
            return
        self._rows = {identity: row for row, identity in enumerate(poses.ids)}
        box = particles.optics.box_size_px * particles.optics.pixel_size_angstrom
        self.radius = _RADIUS_OF_BOX * box
        if len(poses):
            self.layers.show_points(poses.positions_zyx_angstrom, self.radius, name)
        self.session.canvas_mode = "tomogram"
        self._look_at_all()
        self._repaint()
        self._mark()
        self._read(name)
        self._schedule_surfaces()

    def _read(self, name: str) -> None:
        from napari_tomodrgn.data.tomograms import open_tomogram
        from napari_tomodrgn.gui.tomogram.plugin_reader import read_by_plugin

        path, particles = self.session.tomogram_files.get(name), self.session.particles
        if path is None or particles is None:
            return
        known = {one.name: one.extent_xyz_angstrom for one in particles.source.tomograms}
        self.progress.emit(f"Opening {path.name} …")
        self._read_last = (name, path)
        self.reading.request(lambda: open_tomogram(path, known.get(name), read_by_plugin))

    def _on_tomogram_files(self, files: dict[str, Path], before: dict[str, Path]) -> None:
        """The file of the tomogram on show was found, or chosen anew."""
        name = self.session.tomogram
        if name and self.poses is not None and files.get(name) != before.get(name):
            self._read(name)

    def _on_tomogram(self, tomogram: Tomogram) -> None:
        first = self.tomogram is None and not self._gone_to
        self.tomogram = tomogram
        self.layers.show_image(tomogram, self.session.tomogram_display)
        if first:
            self._look_at_all()
        if tomogram.note:
            self.session.show_message(tomogram.note, "warning")
        self._report()

    def _on_unreadable(self, _error: Exception) -> None:
        if self._read_last is not None:
            self.unreadable.emit(*self._read_last)
        self._report()

    def _look_at_all(self) -> None:
        low = high = np.zeros(3)
        if self.tomogram is not None:
            high = np.array(self.tomogram.extent_zyx_angstrom)
        elif self.poses is not None and len(self.poses):
            at = self.poses.positions_zyx_angstrom
            low, high = at.min(axis=0) - 2 * self.radius, at.max(axis=0) + 2 * self.radius
        if self.session.canvas_mode == "tomogram":
            self.layers.look_at_all(low, high)

    # -- particle | tomogram ------------------------------------------------------------------

    def _on_canvas_mode(self, mode: str, before: str = "particle") -> None:
        """One canvas, three things to show: layers of the others are hidden, cameras are kept."""
        # Of single maps there is no view worth keeping before there is one.
        if before != "particle" or mode == "comparison" or self._volumes.layers:
            self._views[before] = view_of(self._viewer)
        here = mode == "tomogram"
        self.linking.mouse.set_on(here)
        if not here:
            self.orbit(on=False)
        if mode == "particle":
            self._volumes.restore()
        else:
            self._volumes.suspend()
        self.layers.set_visible(here)
        if here:
            self.layers.apply(self.session.tomogram_display)
        if mode in self._views:
            look_as(self._viewer, self._views[mode])
            self.layers.aim_lamp()
        elif here:
            self._look_at_all()
        if here:
            self._schedule_surfaces()
        self._report()

    # -- colours and marks --------------------------------------------------------------------

    def colors(self, chosen: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
        """Colours ``(particle, 3)`` in bytes of the tomogram's particles, as in the scatter.

        Dimmed if not ``chosen`` ``(particle,)``; of the selection if None.
        """
        poses, session = self.poses, self.session
        table = session.table
        if poses is None or table is None:
            return np.zeros((0, 3), np.uint8)
        rows = rows_of(table.rows, poses.ids)
        colors = colors_of(session.color_column, len(table))
        ours = np.where((rows >= 0)[:, None], colors[rows], np.uint8(120))
        chosen = self.chosen() if chosen is None else chosen
        if chosen.any():
            # As in the scatter: towards the canvas, which is light in a light theme.
            canvas = get_theme(self._viewer.theme).canvas.as_rgb_tuple(alpha=False)
            ours = np.where(chosen[:, None], ours, dimmed(ours, np.array(canvas)))
        return np.asarray(ours, np.uint8)

    def chosen(self) -> NDArray[np.bool_]:
        """Which particles of the tomogram are selected, ``(particle,)``."""
        selection = self.session.selection
        ids = self.poses.ids if self.poses is not None else ()
        return np.fromiter((one in selection for one in ids), bool, len(ids))

    def _repaint(self, *_: object) -> None:
        if self.poses is not None and len(self.poses):
            self.layers.paint(self.colors())

    def _on_selection(self, *_: object) -> None:
        self._repaint()
        if self.session.tomogram_display.only_selected:
            self._schedule_surfaces()
            self._mark()
        self._report()

    def _on_focused(self, *_: object) -> None:
        if self.session.tomogram_display.within > 0:
            self._schedule_surfaces()

    def _mark(self, *_: object) -> None:
        session, only = self.session, self.session.tomogram_display.only_selected
        # No ring around nothing: what is not selected may not be drawn.
        seen = (
            one if not only or one in session.selection else None
            for one in (session.focused, session.hovered)
        )
        self.layers.mark(*map(self._place_of, seen))

    def _place_of(self, identity: str | None) -> NDArray[np.float64] | None:
        row = self._rows.get(identity or "")
        return None if row is None or self.poses is None else self.positions[row]

    @property
    def positions(self) -> NDArray[np.float64]:
        """Centres ``(particle, 3)`` zyx in Å of the tomogram's particles."""
        return np.zeros((0, 3)) if self.poses is None else self.poses.positions_zyx_angstrom

    # -- surfaces -----------------------------------------------------------------------------

    def _on_display(self, now: TomogramDisplay, before: TomogramDisplay) -> None:
        contrast = now.percent != before.percent
        self.layers.apply(now, contrast=contrast)
        self._mark()
        names = ("shape", "most_surfaces", "most_own", "only_selected", "within")
        if any(getattr(now, name) != getattr(before, name) for name in names):
            self._schedule_surfaces()

    def _on_camera(self, *_: object) -> None:
        # Who is near has changed, where not all can be drawn, or how large they are.
        if self.session.canvas_mode == "tomogram" and not self._orbit.isActive():
            self._settled.start()

    def _schedule_surfaces(self, *_: object) -> None:
        if self.session.canvas_mode == "tomogram":
            self._settled.start()

    def shown(self) -> NDArray[np.bool_]:
        """Which particles of the tomogram are drawn at all, ``(particle,)``."""
        look, at = self.session.tomogram_display, self.positions
        mask = np.ones(len(at), bool)
        if look.only_selected:
            mask &= self.chosen()
        place = self._place_of(self.session.focused)
        if look.within > 0 and place is not None:
            mask &= np.linalg.norm(at - place, axis=1) <= look.within
        return mask

    def _request_shapes(self) -> None:
        poses = self.poses
        if poses is None or self.session.canvas_mode != "tomogram":
            return
        camera = self._viewer.scene.camera
        seen = ViewFocus(np.asarray(camera.center), 2 * self.radius * camera.zoom)
        request = surface_request_of(self.session, poses, self.shown(), seen)
        if request is None or not len(request.surfaces):
            self.shapes.queue.cancel()
            self.layers.keep_chunks(0)
            self.layers.size_points(self.shown())
            self._asked = None
            self._report()
            return
        asked = fingerprint(request)
        if asked != self._asked:
            self._asked = asked
            self.shapes.request(request)

    def _on_surface(self, shaped: SurfaceReady) -> None:
        self.layers.show_chunk(shaped.number, shaped.chunk, self.session.tomogram_display)
        if shaped.number == shaped.count - 1:
            self.layers.keep_chunks(shaped.count)
        self._repaint()
        self.layers.size_points(self.shown())
        self._own = (shaped.own, shaped.wanted)
        self._report()

    def _report(self) -> None:
        poses = self.poses
        if poses is None:
            self._write_title("")
            self.progress.emit("")
            return
        chosen, only = int(self.chosen().sum()), self.session.tomogram_display.only_selected
        words = f"{len(poses):,} particles" + (f", {chosen:,} selected" if chosen else "")
        words = f"{chosen:,} selected of {len(poses):,} particles" if only else words
        self._write_title(f"{self.session.tomogram}  ·  {words}")
        surfaces = len(self.layers.surfaced)
        if surfaces:
            own, wanted = self._own
            words += f"; {surfaces:,} shown as surfaces"
            words += f"; individual maps: {own:,} of {wanted:,} decoded" if wanted else ""
        self.progress.emit(words + ".")

    def _write_title(self, words: str) -> None:
        """Say on the canvas, and so on its pictures, whose tomogram it shows."""
        here = self.session.canvas_mode == "tomogram"
        write_in_corner(self._viewer, TITLE_NAME, words if here else "")

    def _turn(self) -> None:
        camera = self._viewer.scene.camera
        angles = camera.angles
        camera.angles = (angles[0], angles[1] + _ORBIT_STEP_DEG, angles[2])
