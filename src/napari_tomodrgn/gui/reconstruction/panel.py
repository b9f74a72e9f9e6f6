"""Reconstruction of the selected particles: button, progress, resolution, FSC."""

from __future__ import annotations

import math

import numpy as np
from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_tomodrgn.gui.charts.line_plot import Curve, LinePlot
from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.widgets.qt import Signal, make_button, make_label
from napari_tomodrgn.session import Session, Validation

_SELECTION = (
    "Back-projects the images of exactly the selected particles, without the network: what the "
    "decoder shows should be seen in this map, too"
)
_NO_IMAGES = "The tilt images are not on this computer: there is nothing to reconstruct from"
_SAMPLE = (
    "Back-projects up to 500 particles spread over the set, as a volume in the viewer beside its "
    "Fourier shell correlation: is there the particle that you expect?"
)


class ValidationPanel(QWidget):
    """What the selection, or a sample of all particles, looks like from the images alone."""

    start_requested = Signal()
    stop_requested = Signal()

    def __init__(self, session: Session, *, sample: bool = False) -> None:
        super().__init__()
        self._session, self._sample = session, sample
        self._words = "Quick reconstruction" if sample else "Reconstruct selection"
        self.button = make_button(self._words, _SAMPLE if sample else _SELECTION, self._press)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(10)
        self.result = make_label(tip="Where the half maps' correlation falls below the line")
        self.plot = LinePlot("Resolution", "FSC", resolution=True)
        self.plot.setToolTip("Fourier shell correlation of two halves of the particles")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.button, self.bar, self.result, self.plot):
            layout.addWidget(widget)
        for name in ("selection", "particles", "checks", "validation", "reconstruction_status"):
            getattr(session.events, name).connect(self.refresh)
        self.refresh()

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self.plot.set_theme(theme)

    def refresh(self, *_: object) -> None:
        """Show what the session holds."""
        session, found = self._session, self._session.validation
        busy = session.reconstruction_status.busy
        wanted = session.particles if self._sample else session.selection
        possible = session.has_images and wanted is not None and len(wanted) > 1
        self.button.setEnabled(busy or possible)
        tip = _SAMPLE if self._sample else _SELECTION
        here = session.has_images or session.particles is None
        self.button.setToolTip(tip if here else _NO_IMAGES)
        self.button.setText("Stop reconstruction" if busy else self._words)
        self.bar.setVisible(busy)
        self.bar.setValue(round(1000 * session.reconstruction_status.fraction))
        self.result.setVisible(found is not None)
        self.plot.setVisible(found is not None)
        if found is not None:
            self.result.setText(result_words(found))
            line = Curve("", found.frequency[1:], found.correlation[1:], "#56b4e9")
            low = min(-0.05, float(np.nanmin(found.correlation)))
            self.plot.set_curves([line], limits=(low, 1.05), level=_threshold())

    def _press(self) -> None:
        if self._session.reconstruction_status.busy:
            self.stop_requested.emit()
        else:
            self.start_requested.emit()


def _threshold() -> float:
    # Imports torch, which is there once something was reconstructed.
    from napari_tomodrgn.physics.shells import FSC_THRESHOLD

    return FSC_THRESHOLD


def result_words(found: Validation) -> str:
    """Resolution and number of particles, for a person."""
    who = f"{found.name}: {found.particles:,} particles"
    if not math.isfinite(found.resolution_angstrom):
        return f"{who}. The half maps do not agree: too few particles, or wrong poses."
    words = f"{who}, {found.resolution_angstrom:.1f} Å (FSC {_threshold()})."
    return words if found.folder is None else f"{words} Half maps and FSC: {found.folder}"
