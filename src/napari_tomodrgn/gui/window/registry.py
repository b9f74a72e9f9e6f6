"""All services of a window, by name, and how the results of one reach another.

Services are Qt children of the registry: `is_busy` and `close` walk them (see `Work`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tomodrgn.gui.background.message_expiry import MessageExpiry
from napari_tomodrgn.gui.background.work import Work
from napari_tomodrgn.gui.evidence.comparison_service import ComparisonService
from napari_tomodrgn.gui.evidence.comparison_stage import ComparisonStage
from napari_tomodrgn.gui.evidence.condition_service import ConditionService
from napari_tomodrgn.gui.evidence.evidence_service import EvidenceService
from napari_tomodrgn.gui.evidence.image_map_service import ImageMapService
from napari_tomodrgn.gui.evidence.kept_comparisons import KeptComparisons
from napari_tomodrgn.gui.evidence.run_pair_service import RunPairService
from napari_tomodrgn.gui.extraction.service import ExtractionService
from napari_tomodrgn.gui.latent_space.cluster_service import ClusterService
from napari_tomodrgn.gui.latent_space.preview_service import ParticlePreview
from napari_tomodrgn.gui.latent_space.trajectory_service import TrajectoryService
from napari_tomodrgn.gui.latent_space.umap_service import UmapService
from napari_tomodrgn.gui.particles.open_service import OpenService
from napari_tomodrgn.gui.particles.overview_service import OverviewService
from napari_tomodrgn.gui.particles.preflight_service import PreflightService
from napari_tomodrgn.gui.reconstruction.service import ReconstructionService
from napari_tomodrgn.gui.selections.column_store import ColumnStore
from napari_tomodrgn.gui.selections.script_store import ScriptStore
from napari_tomodrgn.gui.selections.service import SelectionService
from napari_tomodrgn.gui.tomogram.export_service import TomogramExport
from napari_tomodrgn.gui.tomogram.find_service import TomogramFinder
from napari_tomodrgn.gui.tomogram.neighborhood_service import NeighborhoodService
from napari_tomodrgn.gui.tomogram.scene import TomogramScene
from napari_tomodrgn.gui.training.forecast_service import ForecastService
from napari_tomodrgn.gui.training.run_monitor import RunMonitor
from napari_tomodrgn.gui.training.service import TrainingService
from napari_tomodrgn.gui.volumes.canvas_fit import CanvasFit
from napari_tomodrgn.gui.volumes.decoding_service import DecodingService
from napari_tomodrgn.gui.volumes.export_service import VolumeExporter
from napari_tomodrgn.gui.volumes.layers import VolumeLayers
from napari_tomodrgn.gui.volumes.movie_service import MovieRecorder
from napari_tomodrgn.gui.volumes.pinned_service import PinnedVolumes
from napari_tomodrgn.gui.volumes.stored_first_map import StoredFirstMap
from napari_tomodrgn.gui.volumes.volume_view import VolumeView
from napari_tomodrgn.gui.window.glyph_warmup import GlyphWarmup
from napari_tomodrgn.gui.window.progress_bars import ProgressBars
from napari_tomodrgn.gui.window.sample_truth_layers import SampleTruthLayers
from napari_tomodrgn.gui.window.view_settings import ViewSettings
from napari_tomodrgn.session import Session
from napari_tomodrgn.session.recorder import Recorder

if TYPE_CHECKING:
    from napari.viewer import Viewer


class ServiceRegistry(Work):
    """The services of a window."""

    def __init__(self, session: Session, viewer: Viewer) -> None:
        super().__init__()
        self.session = session
        self.recorder = Recorder(session)
        self.volumes = VolumeLayers(viewer)
        self._add_data_services(session, viewer)
        self._add_volume_services(session, viewer)
        self._add_tomogram_services(session, viewer)
        self._add_evidence_services(session, viewer)
        self.training = TrainingService(session, self)
        self.run_monitor = RunMonitor(session, self)
        self.forecast = ForecastService(session, self)
        self.progress_bars = ProgressBars(session, self)
        self.message_expiry = MessageExpiry(session, self)
        self._connect()

    def _add_data_services(self, session: Session, viewer: Viewer) -> None:
        self.opening = OpenService(session, self)
        self.preflight = PreflightService(session, self)
        self.extraction = ExtractionService(session, viewer, self)
        self.overview = OverviewService(session, viewer, self)
        self.selections = SelectionService(session, self)
        self.column_store = ColumnStore(session, self)
        self.scripts = ScriptStore(session, self)
        self.reconstruction = ReconstructionService(session, self)
        self.umap = UmapService(session, self)
        self.clusters = ClusterService(session, self)
        self.view_settings = ViewSettings(session, self)
        self.truth_layers = SampleTruthLayers(session, viewer, self)

    def _add_volume_services(self, session: Session, viewer: Viewer) -> None:
        self.glyph_warmup = GlyphWarmup(viewer, session, lambda: not self.is_busy, self)
        self.decoding = DecodingService(session, self)
        self.volume_view = VolumeView(session, self.volumes, self)
        self.pinned = PinnedVolumes(session, self.volumes, self)
        self.first_map = StoredFirstMap(session, self)
        self.preview = ParticlePreview(session, self)
        self.trajectories = TrajectoryService(session, self)
        self.volume_export = VolumeExporter(session, viewer, self)
        self.movie = MovieRecorder(session, viewer, self)

    def _add_tomogram_services(self, session: Session, viewer: Viewer) -> None:
        self.tomogram_scene = TomogramScene(session, viewer, self.volumes, self)
        self.tomogram_finder = TomogramFinder(session, self)
        self.tomogram_export = TomogramExport(self.tomogram_scene, viewer, self)
        self.neighborhood = NeighborhoodService(session, self)

    def _add_evidence_services(self, session: Session, viewer: Viewer) -> None:
        # After the tomogram's: that one keeps the camera of what was on show, which these set anew.
        self.evidence = EvidenceService(session, self)
        self.comparison = ComparisonService(session, self.evidence, self)
        self.kept_comparisons = KeptComparisons(session, self)
        self.run_pairs = RunPairService(session, self)
        self.conditions = ConditionService(session, self.evidence, self)
        self.kept_comparisons.found.connect(self.comparison.show_kept)
        self.stage = ComparisonStage(session, viewer, self)
        self.image_maps = ImageMapService(session, self.evidence, self)
        arrange = (self.volumes.write_caption, self.stage.layers.follow_size)
        self.canvas_fit = CanvasFit(session, viewer, arrange, self)

    def _connect(self) -> None:
        self.opening.loaded.connect(self.column_store.set_on_disk)
        self.opening.opened.connect(self.preflight.start_unless_trained)
        self.opening.opened.connect(self.run_monitor.start)
        self.decoding.queue.busy.connect(self.volume_view.set_decoding)
        self.decoding.queue.failed.connect(self.movie.stop)  # its frame will not come
        self.movie.frame_requested.connect(self.trajectories.show_frame)
