"""A look at the data: projections, tilt scheme, viewing directions, defocus, quick map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDoubleSpinBox, QVBoxLayout, QWidget

from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.charts.small_plots import BarPlot, PointPlot, ViewingDirectionPlot
from napari_tomodrgn.gui.widgets.qt import Signal, labelled, make_button, make_label
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.overview import Overview

_PROJECTIONS = (
    "Six particles (rows) at nine tilts (columns, from the lowest to the highest), one grey scale "
    "for all, as a layer: can you see particles, are they centred, light or dark?"
)


class OverviewView(QWidget):
    """What the tables and the images say to an eye that knows such data."""

    overview_requested = Signal()
    projections_requested = Signal(float)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.projections = make_button("Show projections", _PROJECTIONS, self._show_projections)
        self.lowpass = QDoubleSpinBox()
        self.lowpass.setRange(0.0, 500.0)
        self.lowpass.setSingleStep(10.0)
        self.lowpass.setDecimals(0)
        self.lowpass.setSpecialValueText("off")
        self.lowpass.setSuffix(" Å")
        self.lowpass.setToolTip("Low-pass of the projections: finer detail is cut")
        self.tilts = PointPlot(
            "Dose, e⁻/Å²", "Tilt, °", "Tilt of the stage over the dose, in the order of exposure"
        )
        self.views = ViewingDirectionPlot(
            "Viewing directions of all images. Cells have the same area on the sphere; dark ones "
            "hold no view, bright ones three times the average or more."
        )
        self.seen = make_label(tip="Directions without a view leave a wedge of every map empty")
        self.defocus = BarPlot("Defocus, µm", "Images", "Mean defocus of each image")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(labelled(self.projections, self.lowpass))
        for widget in (self.tilts, self.views, self.seen, self.defocus):
            layout.addWidget(widget)
        session.events.overview.connect(self.refresh)
        session.events.particles.connect(self._on_particles)
        self.refresh()

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        for plot in (self.tilts, self.views, self.defocus):
            plot.set_theme(theme)

    def refresh(self, *_: object) -> None:
        """Show what the session holds."""
        found: Overview | None = self._session.overview
        for widget in (self.tilts, self.views, self.seen, self.defocus):
            widget.setVisible(found is not None)
        if found is not None:
            self.tilts.set_points(found.dose_e_per_angstrom2, found.stage_tilt_deg)
            self.views.set_density(found.views)
            self.seen.setText(
                f"Views cover {found.views_seen:.0%} of directions; the fullest bin holds "
                f"{found.views.max():.1f} × the average."
            )
            self.defocus.set_bars(found.defocus_micrometre, found.defocus_counts)

    def request_overview(self, is_open: bool = True) -> None:
        """Ask for what is not there yet, once it is to be seen."""
        if is_open:
            self.overview_requested.emit()

    def _on_particles(self, *_: object) -> None:
        self.request_overview(self.isVisible())

    def _show_projections(self) -> None:
        self.projections_requested.emit(self.lowpass.value())
