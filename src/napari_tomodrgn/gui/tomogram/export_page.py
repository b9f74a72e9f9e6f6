"""What can be taken out of the window: the step *Export*."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_tomodrgn.gui.volumes.figure_dialog import (
    ask_for_figure,
    ask_for_movie,
    canvas_of_a_page,
)
from napari_tomodrgn.gui.widgets.qt import Signal, make_button, make_heading, make_label, set_next
from napari_tomodrgn.gui.widgets.recent_paths import export_folder
from napari_tomodrgn.gui.widgets.saving import (
    ask_for_comparison,
    ask_for_file,
    ask_for_new_folder,
    ask_for_report,
    kind_of_list,
    name_of_classes,
    name_of_map,
    name_of_particles,
    name_of_picture,
    shows_comparison,
    words_for_classes,
    words_for_maps,
)
from napari_tomodrgn.session import Session

_MESHES = "Meshes (*.ply *.stl *.glb)"
_STAR = "Star file …"
_CLASSES = "Map of each cluster (MRC) …"
_WHOLE = (
    "To write one cluster alone, select it first: a click on its name in the legend, or a lasso."
)
_PLACE = "Click a tomogram under Explore: what is drawn can then be written."


class ExportPage(QWidget):
    """Asks where to write; the controller does it."""

    chimerax_requested = Signal(str)
    map_requested = Signal(str)
    class_maps_requested = Signal(str)  # folder
    comparison_requested = Signal(str)  # folder
    mesh_requested = Signal(str)
    star_requested = Signal(str)
    picture_requested = Signal(str, object)  # file, FigureOptions
    plot_requested = Signal()
    turntable_requested = Signal(str, object)  # file, FigureOptions
    script_requested = Signal()
    report_requested = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.canvas_px, self.words = canvas_of_a_page, make_label()
        self.whole, self.place = make_label(_WHOLE), make_label(_PLACE)
        for hint in (self.whole, self.place):
            policy = hint.sizePolicy()
            policy.setRetainSizeWhenHidden(True)  # no button moves as a hint comes or goes
            hint.setSizePolicy(policy)
        self._list = ""  # kind of the one that particles were extracted by
        self._make_maps_and_particles()
        self._make_pictures()
        self._make_scene_buttons()
        self._lay_out()
        for name in (
            "latents",
            "tomogram",
            "selection",
            "color",
            "added_columns",
            "run",
            "canvas_mode",
            "decoded",
            "comparison",
            "map_source",
        ):
            getattr(session.events, name).connect(self.refresh)
        session.events.particles.connect(self._on_particles)
        self._on_particles()

    def _make_maps_and_particles(self) -> None:
        """Buttons for maps and star files."""
        self.map = make_button(
            "Map on show (MRC) …",
            "Filtered as it is shown, with its voxel size; of two groups that are compared a "
            "folder with both maps, their difference, half maps, curves and star files",
            self._ask_for_map,
        )
        self.classes = make_button(
            _CLASSES,
            "A new folder with the map of each cluster, or of what else colours the latent space "
            "by names, decoded at the particle nearest to its middle and cut as the map on show "
            "is, and a table of them; decoded also while maps on show are from images",
            self._ask_for_classes,
        )
        self.star = make_button(
            _STAR,
            "The selected particles, or all if none is, as the program that they came from reads "
            "them, with the columns that were added; of a list that was extracted here its rows "
            "for them, in a file beside it",
            self._ask_for_star,
        )

    def _make_pictures(self) -> None:
        """Buttons for what is on the screen."""
        self.picture = make_button(
            "Canvas …",
            "The canvas at the size of a page: width, dpi, background, scale bar, labels",
            self._ask_for_picture,
        )
        self.plot = make_button(
            "Latent space (SVG, PNG) …",
            "The scatter as under Explore, on white and with the key of its colours, and what "
            "it shows as a table beside it; the right button on any plot does the same",
            self.plot_requested.emit,
        )

    def _make_scene_buttons(self) -> None:
        """Buttons for what is drawn in a tomogram."""
        self.chimerax = make_button(
            "ChimeraX scene …",
            "A new folder with the map of each particle that is drawn as a surface, at full box, "
            "a script that opens them at their poses and contour, and all surfaces in one mesh",
            self._ask_folder,
        )
        self.mesh = make_button(
            "Mesh (PLY, STL, glTF) …",
            "The surfaces as they are drawn, with their colours; coordinates in Å from the corner "
            "of the tomogram",
            lambda: self._ask("Save the surfaces", "surfaces.ply", _MESHES, self.mesh_requested),
        )
        self.turntable = make_button(
            "Turntable movie …",
            "One turn around what is looked at, 72 frames",
            self._ask_for_movie,
        )

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(make_heading("Maps"))
        layout.addWidget(self.map)
        layout.addWidget(self.classes)
        layout.addWidget(make_heading("Particles"))
        layout.addWidget(self.star)
        layout.addWidget(self.whole)
        layout.addWidget(make_heading("Tomogram on show"))
        layout.addWidget(self.place)
        for button in (self.chimerax, self.mesh, self.turntable):
            layout.addWidget(button)
        layout.addWidget(make_heading("Pictures"))
        layout.addWidget(self.picture)
        layout.addWidget(self.plot)
        self.report = make_button(
            "Report (HTML) …",
            "The whole run as one page that opens anywhere: verdict, clusters with their maps, "
            "comparisons, tests, data, settings, methods",
            self._ask_for_report,
        )
        self.script = make_button(
            "Copy as script",
            "All that was done since this was opened, as Python that does it again without a "
            "window; in the run it is kept under analysis/scripts",
            self.script_requested.emit,
        )
        layout.addWidget(make_heading("What was done"))
        layout.addWidget(self.report)
        layout.addWidget(self.script)
        layout.addWidget(self.words)
        layout.addStretch(1)

    def set_status(self, words: str) -> None:
        """How far the writing is."""
        self.words.setText(words)

    def refresh(self, *_: object) -> None:
        """Show what the session holds."""
        session = self._session
        compared = shows_comparison(session)
        self.map.setText(f"{words_for_maps(session)} (MRC) …")
        self.map.setEnabled(compared or session.decoded is not None)
        kind = words_for_classes(session)
        # Else one would take them for what is on show.
        made = ", decoded" if session.map_source == "images" else ""
        self.classes.setText(f"Map of each {kind}{made} (MRC) …" if kind else _CLASSES)
        self.classes.setEnabled(bool(kind) and session.run_of_maps is not None)
        self.star.setEnabled(session.particles is not None)
        shown = bool(session.tomogram) and session.canvas_mode == "tomogram"
        for button in (self.chimerax, self.mesh):
            button.setEnabled(shown and session.run is not None)
        self.turntable.setEnabled(shown)
        self.picture.setEnabled(shown or session.decoded is not None)
        self.plot.setEnabled(session.latents is not None)
        self.place.setVisible(not shown)
        count = len(session.selection)
        which = f"{count:,} selected particles" if count else "All particles"
        files = f"star file and {self._list} list" if self._list else "star file"
        self.star.setText(f"{which}: {files} …" if session.particles is not None else _STAR)
        self.report.setEnabled(session.run is not None and session.latents is not None)
        set_next(self.star, bool(count))
        self.whole.setVisible(session.latents is not None and not count)

    def _on_particles(self, *_: object) -> None:
        self._list = kind_of_list(self._session)
        self.refresh()

    def _ask_for_report(self) -> None:
        if path := ask_for_report(self, self._session):
            self.report_requested.emit(path)

    def _ask_for_map(self) -> None:
        if shows_comparison(self._session):
            if folder := ask_for_comparison(self, self._session):
                self.comparison_requested.emit(folder)
            return
        name = f"{name_of_map(self._session)}.mrc"
        self._ask("Save the map", name, "Maps (*.mrc)", self.map_requested)

    def _ask_for_classes(self) -> None:
        name = name_of_classes(self._session)
        if folder := ask_for_new_folder(self, f"Folder {name}", self._base(), name):
            self.class_maps_requested.emit(folder)

    def _ask_for_star(self) -> None:
        name = f"{name_of_particles(self._session)}.star"
        self._ask("Save the particles", name, "Star files (*.star)", self.star_requested)

    def _ask_for_picture(self) -> None:
        name = name_of_picture(self._session)
        found = ask_for_figure(self.canvas_px(), self._base(), name, self)
        if found is not None:
            self.picture_requested.emit(*found)

    def _ask_for_movie(self) -> None:
        if asked := ask_for_movie(self.canvas_px(), self._base(), "turntable.gif", self):
            self.turntable_requested.emit(*asked)

    def _ask_folder(self) -> None:
        name = f"{Path(name_of_picture(self._session)).stem}_chimerax"
        if folder := ask_for_new_folder(self, f"Folder {name}", self._base(), name):
            self.chimerax_requested.emit(folder)

    def _ask(self, title: str, name: str, kinds: str, signal: Any) -> None:
        if path := ask_for_file(self, title, str(self._base() / name), kinds):
            signal.emit(path)

    def _base(self) -> Path:
        return export_folder(self._session.source)
