"""`Controller`: one per viewer. It alone knows the session, the workers and the layers.

Panels write wishes into the session or call a verb here; results come back through the session.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_tomodrgn.config import ReadingConfig
from napari_tomodrgn.gui.background.throttle import Throttle
from napari_tomodrgn.gui.charts.colormaps import MISSING, color_at, color_column
from napari_tomodrgn.gui.latent_space.preview_service import ParticlePreview
from napari_tomodrgn.gui.latent_space.trajectory_service import TrajectoryService
from napari_tomodrgn.gui.latent_space.umap_service import UmapService
from napari_tomodrgn.gui.particles.load import LoadedData, sentence
from napari_tomodrgn.gui.particles.open_service import OpenService
from napari_tomodrgn.gui.particles.overview_service import OverviewService
from napari_tomodrgn.gui.particles.preflight_service import PreflightService
from napari_tomodrgn.gui.reconstruction.service import ReconstructionService
from napari_tomodrgn.gui.selections.column_store import ColumnStore
from napari_tomodrgn.gui.selections.service import SelectionService
from napari_tomodrgn.gui.tomogram.export_service import TomogramExport
from napari_tomodrgn.gui.tomogram.neighborhood_service import NeighborhoodService
from napari_tomodrgn.gui.tomogram.scene import TomogramScene
from napari_tomodrgn.gui.training.forecast_service import ForecastService
from napari_tomodrgn.gui.training.run_monitor import RunMonitor
from napari_tomodrgn.gui.training.service import LatentsRead, TrainingService
from napari_tomodrgn.gui.volumes.decoding_service import DecodingService
from napari_tomodrgn.gui.volumes.export_service import VolumeExporter
from napari_tomodrgn.gui.volumes.layers import VolumeLayers, box_angstrom
from napari_tomodrgn.gui.volumes.movie_service import MovieRecorder
from napari_tomodrgn.gui.volumes.pinned_service import PinnedVolumes
from napari_tomodrgn.gui.volumes.stored_first_map import StoredFirstMap
from napari_tomodrgn.gui.window.glyph_warmup import GlyphWarmup
from napari_tomodrgn.gui.window.progress_bars import ProgressBars
from napari_tomodrgn.gui.window.sample_truth_layers import SampleTruthLayers
from napari_tomodrgn.gui.window.view_settings import Settings
from napari_tomodrgn.session import Decoded, Session, row_of, typical_particle
from napari_tomodrgn.work_status import TrainingStatus

if TYPE_CHECKING:
    import pandas as pd


RECONSTRUCTION = "reconstruction"
# Decoding takes a core from the training, and a redraw the window: not at each epoch of a second.
_MILLISECONDS_BETWEEN_VOLUMES = 3000
# Words on a wait that is shorter would be two more pictures to draw, and flicker.
_MILLISECONDS_BEFORE_WORDS = 300
_MILLISECONDS_FOR_THE_SCATTER = 60
_VALIDATED_COLOR = "#f0d68a"  # not of a category: it shows images, not the network


class Controller(QObject):
    """Verbs of a window; see the module."""

    def __init__(self, viewer: Any, session: Session | None = None) -> None:
        super().__init__()
        self.session = session or Session()
        self.volumes = VolumeLayers(viewer)
        self.lettering = GlyphWarmup(viewer, self)
        self.opening = OpenService(self.session, self)
        self.opening.opened.connect(self._take_opened)
        self.preflighting = PreflightService(self.session, self)
        self.looking = OverviewService(self.session, viewer, self)
        self.decoding = DecodingService(self.session, self)
        self.decoding.queue.failed.connect(self._decoding_failed)
        self.pinning = PinnedVolumes(self.session, self.volumes, self)
        self.forecasting = ForecastService(self.session, self)
        self.exploring = TrajectoryService(self.session, self)
        self.hovering = ParticlePreview(self.session, self)
        self.selecting = SelectionService(self.session, self)
        self.extras = ColumnStore(self.session, self)
        self.saving = VolumeExporter(self.session, viewer, self)
        self.truth = SampleTruthLayers(self.session, viewer, self)
        self.filming = MovieRecorder(self.session, viewer, self)
        self.filming.frame_requested.connect(self.exploring.show_frame)
        self.cell = TomogramScene(self.session, viewer, self.volumes, self)
        self.mapping = UmapService(self.session, self)
        self.settings = Settings(self.session, self)
        self.surrounding = NeighborhoodService(self.session, self)
        self.taking_out = TomogramExport(self.cell, viewer, self)
        self.validating = ReconstructionService(self.session, self)
        self.training = TrainingService(self.session, self)
        self.following = RunMonitor(self.session, self)
        for source in (self.training, self.following):
            source.latents_read.connect(self._take_latents)
        self._first = self._clock(_MILLISECONDS_FOR_THE_SCATTER, self._ask_first)
        self.first_map = StoredFirstMap(self.session, self)
        self.first_map.answered.connect(self._focus_first)
        self.pace = Throttle(_MILLISECONDS_BETWEEN_VOLUMES, self)
        self.pace.due.connect(self._decode_anew)
        self.waiting = self._clock(_MILLISECONDS_BEFORE_WORDS, self._tell_decoding)
        self.activity = ProgressBars(self.session, self)
        self._connect()

    def _clock(self, milliseconds: int, do: Callable[[], None]) -> QTimer:
        """What does something once, so long after it was started."""
        clock = QTimer(self)
        clock.setSingleShot(True)
        clock.setInterval(milliseconds)
        clock.timeout.connect(do)
        return clock

    def _connect(self) -> None:
        events = self.session.events
        events.focused.connect(self._leave_point)
        for name in ("point", "sigma", "lowpass"):
            getattr(events, name).connect(self._decode_focused)
        events.style.connect(self._restyle)
        self.decoding.queue.busy.connect(self._tell_waiting)
        events.decoded.connect(self._show_decoded)
        for name in ("color", "clip", "selections", "surface_color"):
            getattr(events, name).connect(self._show_decoded)
        events.validation.connect(self._show_validation)
        events.training.connect(self._after_training)

    # -- verbs --------------------------------------------------------------------------------

    def open(self, path: str | Path, reading: ReadingConfig | None = None) -> None:
        """Open a star file or a run directory."""
        if self._may_open():
            self.opening.request(Path(path), reading)

    def open_prepared(self, prepare: Callable[[], Path], note: str = "") -> None:
        """Open what ``prepare`` gives in the thread, so it may take its time; then say ``note``."""
        if self._may_open():
            self.opening.request_prepared(prepare, note)

    def read_again(self, reading: ReadingConfig) -> None:
        """Read what is open, or could not be opened, otherwise."""
        if self._may_open():
            self.opening.again(reading)

    def _may_open(self) -> bool:
        if self.training.running:
            self.session.say("Stop the training before you open something else.", "warning")
        return not self.training.running

    @property
    def idle(self) -> bool:
        """Whether nothing is being opened, decoded or trained."""
        queues: tuple[Any, ...] = (
            self.opening.queue,
            self.preflighting.queue,
            self.following.queue,
            self.decoding.queue,
            self.pinning.queue,
            self.exploring.queue,
            self.forecasting.queue,
            self.selecting.files,
            self.saving.errands,
            self.filming,
            self.extras.files,
            *self.hovering.queues,
            *self.first_map.queues,
            *self.looking.queues,
            self.surrounding.queue,
        )
        jobs = (self.training.job, self.validating.job)
        busy = any(one.running for one in jobs) or any(one.is_busy for one in queues)
        busy = busy or self._first.isActive()
        return not (busy or self.truth.is_busy or self.cell.is_busy or self.taking_out.is_busy)

    def close(self) -> None:
        """Stop everything; nothing touches the viewer any more."""
        self.opening.queue.cancel()
        self.preflighting.queue.cancel()
        self.following.stop()
        self.decoding.cancel()
        self.pinning.queue.cancel()
        self.exploring.queue.cancel()
        self.filming.stop()
        self.lettering.stop()
        self.truth.stop()
        self._first.stop()
        for queue in (*self.hovering.queues, *self.looking.queues, *self.first_map.queues):
            queue.cancel()
        self.forecasting.queue.cancel()
        self.mapping.queue.cancel()
        self.validating.stop()
        self.training.job.stop()
        self.cell.close()
        self.surrounding.queue.cancel()
        self.taking_out.close()
        self.pace.stop()
        self.waiting.stop()
        self.session.silence()
        self.activity.close()
        for key in [key for key, one in _controllers.items() if one is self]:
            del _controllers[key]

    # -- what comes back ----------------------------------------------------------------------

    def _take_opened(self, opened: LoadedData) -> None:
        session = self.session
        self.following.stop()
        session.clear_particles()
        session.source = opened.path
        session.reading = opened.reading
        session.summary = opened.summary
        session.checks = opened.checks
        session.particles = opened.particles
        session.run = opened.run
        self.extras.show(opened.extras)
        session.selections = opened.selections
        session.metrics = opened.metrics
        if opened.latents is not None:
            self._show_latents(opened.latents, opened.epoch)
        if opened.note:
            session.say(opened.note, "warning")
        elif opened.verdict:
            session.say(opened.verdict)
        if opened.run is None:  # a run has been trained: its physics were asked before
            self.preflighting.start()
        self.following.start()

    def _take_latents(self, read: LatentsRead) -> None:
        shown = self.session.focused is not None
        self._show_latents(read.table, read.epoch)
        if shown:  # a first particle is decoded as it is chosen
            self.pace.ask()

    def _show_latents(self, table: pd.DataFrame, epoch: int) -> None:
        session = self.session
        # Another epoch is another space: what was a place in the old one is none in this.
        session.point = session.path = None
        session.epoch = epoch
        session.latents = table
        if session.focused is None:
            self._first.start()

    def _ask_first(self) -> None:
        """Show a first map, once the scatter is drawn: importing torch leaves no time for it."""
        session = self.session
        if session.latents is None or session.focused is not None:
            return
        if session.run is not None and not session.training.busy:
            typical = typical_particle(session.latents)
            self.first_map.ask(session.run, session.epoch, typical)
        else:
            self._focus_first(None)

    def _focus_first(self, kept: Decoded | None) -> None:
        """Show the map that the run kept, until the particle is decoded anew."""
        session = self.session
        if session.focused is None and session.latents is not None:
            typical = typical_particle(session.latents)
            if kept is not None and (kept.particle_id, kept.epoch) == (typical, session.epoch):
                session.decoded = kept
            session.focused = typical

    def _decode_anew(self) -> None:
        """What is on show, from the epoch that it is now."""
        self.pinning.refresh()
        self._decode_focused()

    def _after_training(self, status: TrainingStatus, _old: Any = None) -> None:
        if status.phase == "idle":
            self.pace.flush()
            decoded = self.session.decoded
            if decoded is not None and not decoded.mesh.fine:
                self._decode_anew()

    def _decode_focused(self, *_: Any) -> None:
        session = self.session
        if session.point is not None:
            self.decoding.request_point(session.point)
        elif session.focused is not None:
            self.decoding.request(session.focused)

    def _leave_point(self, *_: Any) -> None:
        """A particle that is chosen takes the place of a free point."""
        if self.session.point is not None:
            self.session.point = None  # which decodes what is focused
        else:
            self._decode_focused()

    def _show_decoded(self, *_: Any) -> None:
        decoded = self.session.decoded
        if decoded is not None:
            box = box_angstrom(decoded.volume)
            self.volumes.show_mesh(decoded.mesh, box, _caption(decoded), self._color_of(decoded))
            if self.session.style == "projection":
                self.volumes.show_projection(decoded.shown)
            else:
                self.volumes.hide_projection()
            if decoded.difference is not None:
                self.volumes.show_difference(*decoded.difference)
            elif self.session.style != "difference":
                self.volumes.hide_difference()

    def _restyle(self, *_: Any) -> None:
        """Another style: shown at once, except for a difference that is still to be worked out."""
        self._show_decoded()
        self._decode_focused()

    def _tell_waiting(self, waits: bool) -> None:
        """Say in the canvas that a volume is being decoded, unless it is there before one looks."""
        if waits:
            self.waiting.start()
            return
        self.waiting.stop()
        if self.session.decoded is not None:
            self.volumes.tell(_caption(self.session.decoded))

    def _tell_decoding(self) -> None:
        """Whose volume is being decoded; the answer replaces the words."""
        session = self.session
        name = "the place" if session.point is not None else session.focused
        self.volumes.tell(f"{name}  ·  decoding …")

    def _show_validation(self, *_: Any) -> None:
        found = self.session.validation
        if found is None:
            self.volumes.remove_beside(RECONSTRUCTION)
        else:
            self.volumes.show_beside(
                RECONSTRUCTION, found.mesh, box_angstrom(found.volume), _VALIDATED_COLOR
            )

    def _color_of(self, decoded: Decoded) -> str | None:
        session = self.session
        values = color_column(session)
        if decoded.point is not None and decoded.point.weak:
            return MISSING
        if session.surface_color:
            return session.surface_color
        if values is None or session.latents is None or decoded.particle_id is None:
            return None
        row = row_of(session.latents, decoded.particle_id)
        return color_at(values, row) if row >= 0 else None

    def _decoding_failed(self, error: Exception) -> None:
        self.filming.stop()  # its frame will not come
        self._fail(error, "decoding a volume")

    def _fail(self, error: Exception, doing: str) -> None:
        self.session.say(sentence(error, doing), "error")


def _caption(decoded: Decoded) -> str:
    """Who is on show: identity, epoch, voxel size."""
    who = decoded.particle_id or "between particles"
    if decoded.point is not None:
        few = ": too few to trust" if decoded.point.weak else ""
        who = f"{who}, {decoded.point.near} near{few}"
    words = [who, f"epoch {decoded.epoch}", f"contour {decoded.mesh.sigma:g} σ"]
    if decoded.lowpass:
        words.append(f"low-pass {decoded.lowpass:g} Å")
    if not decoded.complete:
        words.append("preview …")
    told = "\nblue: more, orange: less than the mean" if decoded.difference is not None else ""
    return "  ·  ".join(words) + told


_controllers: weakref.WeakValueDictionary[int, Controller] = weakref.WeakValueDictionary()


def controller_of(viewer: Any) -> Controller | None:
    """The controller of a viewer's window, if one is open."""
    return _controllers.get(id(_unwrapped(viewer)))


def register(viewer: Any, controller: Controller) -> None:
    """Make this the controller of the viewer for as long as it lives."""
    _controllers[id(_unwrapped(viewer))] = controller


def _unwrapped(viewer: Any) -> Any:
    return getattr(viewer, "__wrapped__", viewer)
