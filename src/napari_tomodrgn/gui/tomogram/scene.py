"""A tomogram with its particles in place: what the session says, as layers; what is picked, back.

It knows the session, the workers and the tomogram's layers, as `controller` does for volumes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer

from napari_tomodrgn.gui.background.workers import LatestTask
from napari_tomodrgn.gui.charts.colormaps import color_column, colors_of, muted, particle_table
from napari_tomodrgn.gui.particles.load import sentence
from napari_tomodrgn.gui.tomogram.layers import TomogramLayers
from napari_tomodrgn.gui.tomogram.level_of_detail import Seen, fingerprint, wish_of
from napari_tomodrgn.gui.tomogram.particle_surfaces import SurfaceBuilder, SurfaceReady
from napari_tomodrgn.gui.tomogram.pointer import TomogramPointer
from napari_tomodrgn.gui.volumes.layers import VolumeLayers
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.particle_columns import rows_of
from napari_tomodrgn.session import Session, TomogramDisplay

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.tomogram.placement import Poses
    from napari_tomodrgn.data.tomograms import Tomogram

# Particles are taken for spheres of this share of their box.
_RADIUS_OF_BOX = 0.3
_SETTLED_MS, _ORBIT_MS = 350, 40
_ORBIT_STEP_DEG = 2.0
NO_POSITIONS = (
    "The star file gives no places in a tomogram: WarpTools and RELION 5 optimisation sets do."
)


class TomogramScene(QObject):
    """Verbs of the tomogram; see the module."""

    progress = Signal(str)  # one line on what is drawn

    def __init__(
        self,
        session: Session,
        viewer: Any,
        volumes: VolumeLayers,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.session = session
        self.layers = TomogramLayers(viewer)
        self.poses: Poses | None = None
        self.tomogram: Tomogram | None = None
        self._volumes, self._viewer = volumes, viewer
        self._rows: dict[str, int] = {}
        self.radius = 100.0
        self._views: dict[str, dict[str, Any]] = {}
        self._asked: tuple[Any, ...] | None = None
        self._own = (0, 0)
        self.files, self.reading = LatestTask(self), LatestTask(self)
        self.shapes = SurfaceBuilder(self)
        self.linking = TomogramPointer(self, viewer)
        self._settled, self._orbit = QTimer(self), QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(_SETTLED_MS)
        self._orbit.setInterval(_ORBIT_MS)
        self._connect()

    def _connect(self) -> None:
        events = self.session.events
        events.stage.connect(self._change_stage)
        events.tomogram.connect(self._show)
        events.in_cell.connect(self._apply)
        events.particles.connect(self._forget)
        events.tomogram_files.connect(self._reopen)
        for name in ("color", "selections", "extras", "latents"):
            getattr(events, name).connect(self._repaint)
        events.selection.connect(self._selected)
        for name in ("focused", "hovered"):
            getattr(events, name).connect(self._mark)
        events.focused.connect(self._refocused)
        for name in ("latents", "sigma", "color"):
            getattr(events, name).connect(self._ask_for_shapes)
        self.files.item.connect(self._take_files)
        self.reading.item.connect(self._take_tomogram)
        for queue in (self.files, self.reading):
            queue.failed.connect(self._failed)
        self.shapes.queue.item.connect(self._take_shape)
        self.shapes.queue.failed.connect(self._failed)
        self._settled.timeout.connect(self._request_shapes)
        self._orbit.timeout.connect(self._turn)
        self._viewer.scene.camera.events.connect(self._camera_moved)

    # -- verbs --------------------------------------------------------------------------------

    def find(self, folder: Path | None, pattern: str) -> None:
        """Look for the files of the tomograms."""
        from napari_tomodrgn.data.tomograms import find_files, named_by_source

        particles = self.session.particles
        if particles is None:
            return
        names = list(dict.fromkeys(particles.particles["tomogram"].astype(str)))

        def work() -> Iterator[dict[str, Path]]:
            yield named_by_source(particles) | find_files(names, folder, pattern)

        self.files.request(work)

    def jump(self) -> None:
        """Go to the particle in focus."""
        place = self._place_of(self.session.focused)
        if place is None:
            self.session.say("Choose a particle of this tomogram first.", "warning")
            return
        self.layers.look_at(place, self.radius)

    def step(self, by: int) -> None:
        """Focus the next (or an earlier) one of the selection, or of all, and go to it."""
        if self.poses is None:
            return
        chosen = self.session.selection
        ids = [one for one in self.poses.ids if not chosen or one in chosen]
        if not ids:
            self.session.say("No particle of this tomogram is selected.", "warning")
            return
        focused = self.session.focused
        at = ids.index(focused) + by if focused in ids else (0 if by > 0 else -1)
        self.session.focused = ids[at % len(ids)]
        self.jump()

    def orbit(self, on: bool) -> None:
        """Turn around what is looked at."""
        if on:
            self._orbit.start()
        else:
            self._orbit.stop()

    def close(self) -> None:
        """Stop all work; the viewer is going."""
        self._orbit.stop()
        self._settled.stop()
        self._viewer.scene.camera.events.disconnect(self._camera_moved)
        self.linking.mouse.set_on(False)
        for queue in (self.files, self.reading, self.shapes.queue):
            queue.cancel()

    @property
    def is_busy(self) -> bool:
        """Whether something is still to come."""
        queues = (self.files, self.reading, self.shapes.queue)
        return self._settled.isActive() or any(queue.is_busy for queue in queues)

    # -- which tomogram -----------------------------------------------------------------------

    def _forget(self, *_: Any) -> None:
        self.reading.cancel()
        self.shapes.queue.cancel()
        self.layers.clear()
        self.poses, self.tomogram, self._rows = None, None, {}
        self._asked = None
        self._views.pop("tomogram", None)

    def _show(self, name: str) -> None:
        from napari_tomodrgn.analysis.tomogram.placement import poses_of

        particles = self.session.particles
        self._forget()
        if particles is None or not name:
            return
        self.poses = poses = poses_of(particles, name)
        if not len(poses) and name not in self.session.tomogram_files:
            self.session.say(NO_POSITIONS, "warning")
            return
        self._rows = {identity: row for row, identity in enumerate(poses.ids)}
        box = particles.optics.box_size_px * particles.optics.pixel_size_angstrom
        self.radius = _RADIUS_OF_BOX * box
        if len(poses):
            self.layers.show_points(poses.positions_zyx_angstrom, self.radius, name)
        self.session.stage = "tomogram"
        self._look_at_all()
        self._repaint()
        self._mark()
        self._read(name)
        self._ask_for_shapes()

    def _read(self, name: str) -> None:
        from napari_tomodrgn.data.tomograms import open_tomogram
        from napari_tomodrgn.gui.tomogram.plugin_reader import read_by_plugin

        path, particles = self.session.tomogram_files.get(name), self.session.particles
        if path is None or particles is None:
            return
        known = {one.name: one.extent_xyz_angstrom for one in particles.source.tomograms}
        self.progress.emit(f"Opening {path.name} …")
        self.reading.request(lambda: open_tomogram(path, known.get(name), read_by_plugin))

    def _take_files(self, files: dict[str, Path]) -> None:
        self.session.tomogram_files = files

    def _reopen(self, files: dict[str, Path], before: dict[str, Path]) -> None:
        """The file of the tomogram on show was found, or chosen anew."""
        name = self.session.tomogram
        if name and self.poses is not None and files.get(name) != before.get(name):
            self._read(name)

    def _take_tomogram(self, tomogram: Tomogram) -> None:
        first = self.tomogram is None
        self.tomogram = tomogram
        self.layers.show_image(tomogram, self.session.in_cell)
        if first:
            self._look_at_all()
        if tomogram.note:
            self.session.say(tomogram.note, "warning")
        self._tell()

    def _look_at_all(self) -> None:
        low, high = np.zeros(3), np.zeros(3)
        if self.tomogram is not None:
            high = np.array(self.tomogram.extent_zyx_angstrom)
        elif self.poses is not None and len(self.poses):
            at = self.poses.positions_zyx_angstrom
            low, high = at.min(axis=0) - 2 * self.radius, at.max(axis=0) + 2 * self.radius
        if self.session.stage == "tomogram":
            self.layers.look_at_all(low, high)

    # -- particle | tomogram ------------------------------------------------------------------

    def _change_stage(self, stage: str) -> None:
        """One canvas, two things to show: layers of the other are hidden, its camera is kept."""
        other = "particle" if stage == "tomogram" else "tomogram"
        if other == "tomogram" or self._volumes.layers:  # else there is no view worth keeping
            self._views[other] = self._view()
        here = stage == "tomogram"
        self.linking.mouse.set_on(here)
        if here:
            self._volumes.leave()
        else:
            self.orbit(on=False)
            self._volumes.come_back()
        self.layers.set_visible(here)
        if here:
            self.layers.apply(self.session.in_cell)
        if stage in self._views:
            camera = self._viewer.scene.camera
            for name, value in self._views[stage].items():
                setattr(camera, name, value)
            self.layers.aim_lamp()
        elif here:
            self._look_at_all()
        if here:
            self._ask_for_shapes()

    def _view(self) -> dict[str, Any]:
        camera = self._viewer.scene.camera
        names = ("center", "zoom", "angles", "perspective", "orientation")
        return {name: getattr(camera, name) for name in names}

    # -- colours and marks --------------------------------------------------------------------

    def colors(self, chosen: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
        """Three bytes a particle of the tomogram: as in the scatter, dimmed if not ``chosen``."""
        poses, session = self.poses, self.session
        table = particle_table(session)
        if poses is None or table is None:
            return np.zeros((0, 3), np.uint8)
        rows = rows_of(table, poses.ids)
        colors = colors_of(color_column(session), len(table))
        ours = np.where((rows >= 0)[:, None], colors[rows], np.uint8(120))
        chosen = self.chosen() if chosen is None else chosen
        if chosen.any():
            ours = np.where(chosen[:, None], ours, muted(ours))
        return np.asarray(ours, np.uint8)

    def chosen(self) -> NDArray[np.bool_]:
        """Which particles of the tomogram are selected."""
        selection = self.session.selection
        ids = self.poses.ids if self.poses is not None else ()
        return np.fromiter((one in selection for one in ids), bool, len(ids))

    def _repaint(self, *_: Any) -> None:
        if self.poses is not None and len(self.poses):
            self.layers.paint(self.colors())

    def _selected(self, *_: Any) -> None:
        self._repaint()
        if self.session.in_cell.only_selected:
            self._ask_for_shapes()
        self._tell()

    def _refocused(self, *_: Any) -> None:
        if self.session.in_cell.within > 0:
            self._ask_for_shapes()

    def _mark(self, *_: Any) -> None:
        session = self.session
        self.layers.mark(self._place_of(session.focused), self._place_of(session.hovered))

    def _place_of(self, identity: str | None) -> NDArray[np.float64] | None:
        row = self._rows.get(identity or "")
        return None if row is None or self.poses is None else self.positions[row]

    @property
    def positions(self) -> NDArray[np.float64]:
        return np.zeros((0, 3)) if self.poses is None else self.poses.positions_zyx_angstrom

    # -- surfaces -----------------------------------------------------------------------------

    def _apply(self, now: TomogramDisplay, before: TomogramDisplay) -> None:
        contrast = now.percent != before.percent
        self.layers.apply(now, contrast=contrast)
        names = ("shape", "most_surfaces", "most_own", "only_selected", "within")
        if any(getattr(now, name) != getattr(before, name) for name in names):
            self._ask_for_shapes()

    def _camera_moved(self, *_: Any) -> None:
        # Who is near has changed, where not all can be drawn, or how large they are.
        if self.session.stage == "tomogram" and not self._orbit.isActive():
            self._settled.start()

    def _ask_for_shapes(self, *_: Any) -> None:
        if self.session.stage == "tomogram":
            self._settled.start()

    def shown(self) -> NDArray[np.bool_]:
        """Which particles of the tomogram are drawn at all."""
        look, at = self.session.in_cell, self.positions
        mask = np.ones(len(at), bool)
        if look.only_selected:
            mask &= self.chosen()
        place = self._place_of(self.session.focused)
        if look.within > 0 and place is not None:
            mask &= np.linalg.norm(at - place, axis=1) <= look.within
        return mask

    def _request_shapes(self) -> None:
        poses = self.poses
        if poses is None or self.session.stage != "tomogram":
            return
        camera = self._viewer.scene.camera
        seen = Seen(np.asarray(camera.center), 2 * self.radius * camera.zoom)
        wish = wish_of(self.session, poses, self.shown(), seen)
        if wish is None or not len(wish.surfaces):
            self.shapes.queue.cancel()
            self.layers.keep_chunks(0)
            self.layers.size_points(self.shown())
            self._asked = None
            self._tell()
            return
        asked = fingerprint(wish)
        if asked != self._asked:
            self._asked = asked
            self.shapes.request(wish)

    def _take_shape(self, shaped: SurfaceReady) -> None:
        self.layers.show_chunk(shaped.number, shaped.chunk, self.session.in_cell)
        if shaped.number == shaped.count - 1:
            self.layers.keep_chunks(shaped.count)
        self._repaint()
        self.layers.size_points(self.shown())
        self._own = (shaped.own, shaped.wanted)
        self._tell()

    def _tell(self) -> None:
        poses = self.poses
        if poses is None:
            self.progress.emit("")
            return
        chosen = int(self.chosen().sum())
        words = f"{len(poses):,} particles" + (f", {chosen:,} selected" if chosen else "")
        surfaces = len(self.layers.surfaced)
        if surfaces:
            own, wanted = self._own
            words += f"; {surfaces:,} as surfaces"
            words += f", {own:,} of {wanted:,} their own map" if wanted else ""
        self.progress.emit(words + ".")

    def _turn(self) -> None:
        camera = self._viewer.scene.camera
        angles = camera.angles
        camera.angles = (angles[0], angles[1] + _ORBIT_STEP_DEG, angles[2])

    def _failed(self, error: Exception) -> None:
        self.session.say(sentence(error, "showing a tomogram"), "error")
