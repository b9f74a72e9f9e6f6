"""`MainWidget`: what the command *tomoDRGN* opens. It builds the panels and lays them out.

It holds no state: panels ask (signals out), the controller acts, the session tells.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent, QSize
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QMainWindow, QSizePolicy, QTabWidget, QVBoxLayout, QWidget

from napari_tomodrgn.gui.background.close_guard import CloseGuard
from napari_tomodrgn.gui.charts.figure_export import FigureSaver
from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.charts.point_cloud import RasterPoints
from napari_tomodrgn.gui.evidence.comparison_panel import ComparisonPanel
from napari_tomodrgn.gui.evidence.condition_panel import ConditionPanel
from napari_tomodrgn.gui.evidence.run_pair_panel import RunPairPanel
from napari_tomodrgn.gui.extraction.recognize import is_averaging_list
from napari_tomodrgn.gui.latent_space.panel import LatentPanel
from napari_tomodrgn.gui.particles.file_drops import FileDrops, holds_run, opens_here
from napari_tomodrgn.gui.particles.panel import ParticlesPanel
from napari_tomodrgn.gui.reconstruction.panel import ValidationPanel
from napari_tomodrgn.gui.selections.panel import SelectionsPanel
from napari_tomodrgn.gui.tomogram.export_page import ExportPage
from napari_tomodrgn.gui.tomogram.neighborhood_service import possible_surfaces
from napari_tomodrgn.gui.tomogram.panel import TomogramPanel
from napari_tomodrgn.gui.training.panel import TrainingPanel
from napari_tomodrgn.gui.widgets.letter_size import LetterSize, letters_style, set_style
from napari_tomodrgn.gui.widgets.qt import make_button, scrolled, soon
from napari_tomodrgn.gui.widgets.wheel_guard import WheelGuard
from napari_tomodrgn.gui.window import shortcuts
from napari_tomodrgn.gui.window.controller import Controller, register
from napari_tomodrgn.gui.window.header import Header
from napari_tomodrgn.gui.window.layout import DockLayout, hide_welcome, show_layer_controls
from napari_tomodrgn.gui.window.stepper import Stepper
from napari_tomodrgn.gui.window.triton_library import load_triton_apart

if TYPE_CHECKING:
    from napari.viewer import Viewer

_LATENT_NAME = "Latent space"
# Who works with the keyboard sees where it goes. The border is there without the focus as well, so
# that nothing moves.
_BUTTON_STYLE = (
    "QPushButton, QComboBox {{ border: 1px solid transparent; }}"
    "QPushButton:focus, QComboBox:focus, QToolButton:focus, QLineEdit:focus, QSlider:focus,"
    "QAbstractItemView:focus, QAbstractSpinBox:focus {{ border: 1px solid {color}; }}"
    # What to press next in each step.
    "QPushButton[next='true']:enabled {{ background: {chosen}; }}"
)


class MainWidget(QWidget):
    """Dock on the right with the panels; puts the latent space under the canvas.

    Parameters
    ----------
    napari_viewer
        The viewer; napari injects it by this name.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        load_triton_apart()
        self._viewer = viewer = napari_viewer
        self._laid_out = self._closed = False
        self._napari_window: Callable[[], Any] = lambda: None
        self.controller = Controller(viewer)
        self.session = self.controller.session
        register(viewer, self.controller)
        self.header, self.stepper = Header(self.session), Stepper(self.session)
        self.banner = self.header.banner
        self.particles = ParticlesPanel(self.session)
        self.training = TrainingPanel(self.session)
        self.latent, self.tomogram = LatentPanel(self.session), TomogramPanel(self.session)
        self.selections = SelectionsPanel(self.session)
        self.validation = ValidationPanel(self.session)
        self.comparison, self.export = ComparisonPanel(self.session), ExportPage(self.session)
        self.tabs = self._make_steps()
        self._drops = FileDrops(self, self.open)
        self._docks = DockLayout(self, self.latent, self.banner.label)
        self.reopen = make_button("Show the latent space", "It was closed", self._dock_latent_space)
        self.reopen.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        for widget in (self.header, self.stepper, self.reopen):
            layout.addWidget(widget)
        layout.addWidget(self.tabs, 1)
        # Anything but this would let a long path or a wide form squeeze the canvas.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._connect()
        shortcuts.install(self)
        self._dock_latent_space()
        LetterSize(self.banner.label, self._on_letters)
        for root in (self, self.latent):
            WheelGuard(root)

    def _make_steps(self) -> QTabWidget:
        """Put the panels on pages, of which the stepper shows one."""
        tabs = QTabWidget()
        tabs.addTab(self.particles, "Particles")
        tabs.addTab(self.training, "Training")
        tabs.addTab(self.tomogram, "Explore")
        self.conditions = ConditionPanel(self.session, self.controller.conditions)
        pairs = RunPairPanel(self.session, self.controller.run_pairs)
        judging = (self.selections, self.validation, self.comparison, self.conditions, pairs)
        self._judging = scrolled(_stacked(*judging))
        tabs.addTab(self._judging, "Validate")
        tabs.addTab(scrolled(self.export), "Export")
        tabs.setDocumentMode(True)
        bar: Any = tabs.tabBar()
        bar.hide()  # the stepper is the navigation
        self.stepper.step_chosen.connect(tabs.setCurrentIndex)
        tabs.currentChanged.connect(self.stepper.show_step)
        self.stepper.show_step(0)
        return tabs

    def sizeHint(self) -> QSize:
        """Narrow enough to leave most of a laptop's screen to the canvas."""
        return QSize(self._docks.width, 600)

    def open(self, path: Any) -> None:
        """Open a star file or a run directory; of a list without images, ask for tilt series."""
        if is_averaging_list(Path(path)):
            self.tabs.setCurrentWidget(self.particles)
            self.particles.show_extraction(path)
            return
        self.controller.open(path)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Lay the docks out when they first appear."""
        super().showEvent(event)
        if not self._laid_out:
            self._laid_out = True
            # Kept: a plugin must not ask the viewer for its Qt window, and once this is taken out
            # of its dock it is no longer inside it.
            window: Any = self.window()
            self._napari_window = weakref.ref(window)
            self._guard = CloseGuard(window, self.controller)
            self._guard.watch_dock(self.parentWidget())
            self._drops.watch(window)
            show_layer_controls(window, False)
            self._docks.start(window)

    def event(self, event: Any) -> bool:
        """Let go of everything when napari takes the widget out of its dock."""
        taken_out = event.type() == QEvent.Type.ParentChange and self.parent() is None
        if taken_out and self._laid_out:
            self.close_down()
        return bool(super().event(event))

    def close_down(self) -> None:
        """Stop all work and take the latent space away; called once."""
        if self._closed:
            return
        self._closed = True
        self.controller.leave()
        self.latent.stop()
        self.latent.view.set_renderer(RasterPoints())  # which closes a hidden canvas
        self._viewer.events.theme.disconnect(self._on_theme)
        window = self._napari_window()
        if window is not None:
            self._guard.release()
            self._drops.release()
            self._docks.stop()
            show_layer_controls(window, True)
        for name in ("inserted", "removed"):
            getattr(self._viewer.layers.events, name).disconnect(self._on_layers_changed)
        if self.latent.parent() is not None:
            self._viewer.window.remove_dock_widget(self.latent)
        self.latent.deleteLater()
        self.deleteLater()

    def _connect(self) -> None:
        self._connect_particles()
        self._connect_extraction()
        training = self.controller.training
        self.training.train_requested.connect(training.start)
        self.training.resume_run_requested.connect(training.resume_run)
        for verb in ("pause", "resume", "stop"):
            getattr(self.training, f"{verb}_requested").connect(getattr(training, verb))
        self.training.forecast_requested.connect(self.controller.forecast.request)
        self._connect_selections()
        self._connect_exploring()
        self._connect_tomogram()
        self.validation.start_requested.connect(self.controller.reconstruction.start)
        self.validation.stop_requested.connect(self.controller.reconstruction.stop)
        self._connect_comparison()
        self._viewer.events.theme.connect(self._on_theme)
        for name in ("latents", "particles"):
            self.session.events[name].connect(self._on_data)
        self.latent.removed.connect(self._on_latent_removed)
        for page in (self, self.latent):
            for saver in page.findChildren(FigureSaver):
                saver.saved.connect(self.session.show_message)
        # The viewer's window may be deleted without a word to its docks.
        self.destroyed.connect(self.controller.close)

    def _connect_particles(self) -> None:
        panel, preflight = self.particles, self.controller.preflight
        panel.open_requested.connect(self.controller.open)
        panel.example_requested.connect(self._open_example)
        panel.reading.read_requested.connect(self.controller.opening.request_again)
        panel.checks.check_requested.connect(preflight.start)
        panel.checks.cancel_requested.connect(preflight.cancel)
        panel.look.overview_requested.connect(self.controller.overview.request)
        panel.look.projections_requested.connect(self.controller.overview.show_projections)
        panel.quick.start_requested.connect(self.controller.reconstruction.start_sample)
        panel.quick.stop_requested.connect(self.controller.reconstruction.stop)

    def _connect_extraction(self) -> None:
        panel, service = self.particles.extraction, self.controller.extraction
        panel.look_requested.connect(service.look)
        panel.predict_requested.connect(service.predict)
        panel.extract_requested.connect(service.start)
        panel.stop_requested.connect(service.stop)
        panel.refused.connect(lambda why, mended: self.session.show_message(why, "warning", mended))
        service.filled.connect(panel.fill_folders)
        service.surveyed.connect(panel.show_survey)
        service.progressed.connect(panel.set_progress)
        service.ended.connect(lambda: panel.set_running(False))
        service.extracted.connect(lambda: self.particles.extraction_section.set_open(False))
        service.extracted.connect(self.controller.open)

    def _open_example(self) -> None:
        self._viewer.open_sample("napari-tomodrgn", "trained")

    def _connect_selections(self) -> None:
        selecting, panel, tools = self.controller.selections, self.selections, self.latent.tools
        for verb in ("save", "show", "delete", "export"):
            getattr(panel, f"{verb}_requested").connect(getattr(selecting, verb))
        self.latent.legend.save_requested.connect(selecting.save_category)
        for verb in ("invert", "undo", "redo", "clear"):
            getattr(tools, f"{verb}_requested").connect(getattr(selecting, verb))
        tools.clusters_requested.connect(self.controller.clusters.find)
        for name in ("selection", "particles"):
            getattr(self.session.events, name).connect(self._refresh_tools)
        self._refresh_tools()

    def _connect_comparison(self) -> None:
        panel, service, stage = self.comparison, self.controller.comparison, self.controller.stage
        panel.compare_requested.connect(service.start)
        panel.groups_chosen.connect(service.recall)
        kept = self.controller.kept_comparisons
        panel.kept_chosen.connect(kept.show)
        kept.listed.connect(panel.set_kept)
        kept.found.connect(panel.choose_groups_of)  # after it is shown
        panel.stop_requested.connect(service.stop)
        panel.export_requested.connect(service.export)
        panel.report_requested.connect(service.save_report)
        panel.errors_chosen.connect(stage.set_errors)
        panel.halves_toggled.connect(stage.show_halves)
        self.session.events.comparison.connect(self._on_comparison)

    def _on_comparison(self, *_: Any) -> None:
        """Bring the result into sight, once it has its place; what is under the mouse stays."""
        if not self.comparison.underMouse():
            soon(self, self._show_comparison)

    def _show_comparison(self) -> None:
        page: Any = self._judging
        page.ensureWidgetVisible(self.comparison, 0, 0)
        page.horizontalScrollBar().setValue(0)  # it only goes up and down

    def _connect_exploring(self) -> None:
        exploring, latent = self.controller.trajectories, self.latent
        self.controller.preview.card_changed.connect(latent.card.set_card)
        latent.view.file_dropped.connect(self._on_file_dropped)
        for asking in (latent, latent.volumes):
            asking.pin_requested.connect(self.controller.pinned.toggle)
        latent.place_requested.connect(exploring.show_place)
        latent.legend.map_chosen.connect(exploring.show_class)
        latent.line_drawn.connect(exploring.along_line)
        latent.path.through_requested.connect(exploring.through_pinned)
        latent.path.draw_requested.connect(latent.draw_path)
        latent.path.along_requested.connect(exploring.along)
        latent.path.between_requested.connect(exploring.between_pinned)
        latent.path.forget_requested.connect(exploring.forget_path)
        latent.path.frame_requested.connect(exploring.show_frame)
        latent.path.movie_requested.connect(self.controller.movie.start)
        latent.path.maps_requested.connect(self.controller.volume_export.save_frames)
        for verb in (self.controller.volumes.show_axes, self.controller.canvas_fit.want_axes):
            latent.volumes.axes_toggled.connect(verb)
        latent.volumes.release_requested.connect(self.controller.pinned.unpin_all)
        latent.volumes.release_requested.connect(self.controller.volume_view.remove_reconstructions)

    def _on_file_dropped(self, path: str) -> None:
        """A run on the scatter, or what there are no columns of yet, is opened as elsewhere."""
        nothing_open = self.session.particles is None
        opened = holds_run(Path(path)) or (nothing_open and opens_here(Path(path)))
        (self.open if opened else self.controller.column_store.add)(path)

    def _connect_tomogram(self) -> None:
        cell, panel = self.controller.tomogram_scene, self.tomogram
        finder, files = self.controller.tomogram_finder, panel.files
        files.find_requested.connect(finder.find)
        finder.told.connect(files.tell)
        cell.unreadable.connect(files.forget_file)
        panel.look.step_requested.connect(cell.step)
        panel.look.jump_requested.connect(cell.jump)
        panel.look.orbit_toggled.connect(cell.orbit)
        cell.progress.connect(panel.set_status)
        neighborhood = self.controller.neighborhood
        for verb in ("compute", "test"):
            getattr(panel.context, f"{verb}_requested").connect(getattr(neighborhood, verb))
        neighborhood.tested.connect(panel.context.show_associations)
        panel.context.filter.chosen.connect(self.controller.selections.combine)
        export, writing = self.export, self.controller.tomogram_export
        for verb in ("chimerax", "mesh", "turntable"):
            getattr(export, f"{verb}_requested").connect(getattr(writing, verb))
        export.star_requested.connect(self.controller.selections.export)
        export.plot_requested.connect(self.latent.save_plot)
        export.report_requested.connect(self.controller.comparison.save_report)
        export.class_maps_requested.connect(self.controller.volume_export.save_class_maps)
        export.script_requested.connect(self.controller.scripts.copy)
        for page in (export, self.latent.volumes):
            page.map_requested.connect(self.controller.volume_export.save_map)
            page.comparison_requested.connect(self.controller.comparison.export)
            page.picture_requested.connect(self.controller.volume_export.save_picture)
            page.canvas_px = self.latent.path.canvas_px = lambda: self._viewer.canvas.size
        writing.progress.connect(export.set_status)
        for name in ("inserted", "removed"):
            getattr(self._viewer.layers.events, name).connect(self._on_layers_changed)
        self._on_layers_changed()
        mouse, tools = cell.linking.mouse, self.latent.tools
        tools.tool_chosen.connect(lambda tool: setattr(mouse, "tool", tool))
        tools.mode_chosen.connect(lambda mode: setattr(mouse, "mode", mode))

    def _on_layers_changed(self, _event: object = None) -> None:
        """Which layers could be a membrane: labels and surfaces that are not ours."""
        scene, stage = self.controller.tomogram_scene, self.controller.stage
        ours = [*scene.layers.layers, *self.controller.volumes.layers, *stage.layers.layers]
        self.tomogram.context.set_layers(possible_surfaces(self._viewer, ours))
        if not self._viewer.layers:
            for overlay in ("scale_bar", "axes"):  # of nothing, in no unit
                self._viewer.canvas.overlays[overlay].visible = False
            soon(self, self._on_data)

    def _refresh_tools(self, *_: object) -> None:
        selecting, some = self.controller.selections, bool(self.session.selection)
        self.latent.tools.set_possible(some=some, undo=selecting.can_undo, redo=selecting.can_redo)

    def _dock_latent_space(self) -> None:
        self._viewer.window.add_dock_widget(self.latent, name=_LATENT_NAME, area="bottom")
        self.reopen.hide()
        self._docks.lay_out()

    def _on_data(self, *_: object) -> None:
        """No welcome of napari's while something is open; it comes back with the last layer."""
        window: Any = self.window()
        if self._closed or not isinstance(window, QMainWindow):
            return
        if self.session.latents is not None or self.session.particles is not None:
            hide_welcome(window)

    def _on_latent_removed(self) -> None:
        if not self._closed:
            self.reopen.show()

    def _on_letters(self) -> None:
        """Larger letters everywhere, and docks that have room for them."""
        self._on_theme()
        self._docks.make_room()

    def _on_theme(self, _event: object = None) -> None:
        theme = get_theme(self._viewer.theme)
        colors = ChartColors(
            background=theme.canvas.as_hex(format="long"),
            text=theme.text.as_hex(format="long"),
            line=theme.secondary.as_hex(format="long"),
            grid=theme.foreground.as_hex(format="long"),
            accent=theme.text.as_hex(format="long"),
            highlight=theme.current.as_hex(format="long"),
        )
        painted = (self.latent, self.particles, self.training, self.validation, self.comparison)
        for panel in (*painted, self.stepper):
            panel.set_theme(colors)
        for labels in (self.controller.volumes.labels, self.controller.stage.layers.labels):
            labels.refresh_theme()
        soon(self, self.controller.stage.layers.follow_size)  # napari draws its axes large again
        buttons = _BUTTON_STYLE.format(color=colors.text, chosen=colors.highlight)
        set_style(self, buttons + letters_style())
        # Else its rows of buttons would take their width from the steps.
        set_style(self.latent, buttons + letters_style(most_on_buttons=11))


def _stacked(*panels: QWidget) -> QWidget:
    page = QWidget()
    layout = QVBoxLayout(page)
    for panel in panels:
        layout.addWidget(panel)
    layout.addStretch(1)
    return page
