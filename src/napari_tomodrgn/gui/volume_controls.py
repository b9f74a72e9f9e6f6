"""One row under the scatter: contour, low-pass, surface or projection."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QToolButton, QWidget

from napari_tomodrgn.session import Session

_SIGMA = (0.5, 10.0)
_STEPS_PER_SIGMA = 10
# Å per step of the low-pass slider; its left end is "off".
_LOWPASS_STEP = 1.0
_LOWPASS_LARGEST = 60


class VolumeControls(QWidget):
    """Sliders that all volumes on show follow."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.sigma = _slider("Contour of the surfaces in standard deviations above solvent")
        self.sigma.setRange(*(round(limit * _STEPS_PER_SIGMA) for limit in _SIGMA))
        self.lowpass = _slider("Cut detail finer than this resolution; left end: nothing is cut")
        self.lowpass.setRange(0, _LOWPASS_LARGEST)
        self.sigma_words, self.lowpass_words = QLabel(), QLabel()
        for label, widest in ((self.sigma_words, "10.0 σ"), (self.lowpass_words, "60 Å")):
            label.setMinimumWidth(label.fontMetrics().horizontalAdvance(widest) + 4)
        self.projection = QToolButton()
        self.projection.setText("Projection")
        self.projection.setCheckable(True)
        self.projection.setToolTip("Maximum intensity along the line of sight, no contour needed")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (
            QLabel("Contour"),
            self.sigma,
            self.sigma_words,
            QLabel("Low-pass"),
            self.lowpass,
            self.lowpass_words,
            self.projection,
        ):
            row.addWidget(widget, 1 if isinstance(widget, QSlider) else 0)
        # A large map takes a while to contour: one request for a burst of slider steps.
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(30)
        self._settled.timeout.connect(self._apply)
        self.sigma.valueChanged.connect(self._moved)
        self.lowpass.valueChanged.connect(self._moved)
        self.projection.toggled.connect(self._toggle)
        for name in ("sigma", "lowpass", "style", "particles", "decoded"):
            getattr(session.events, name).connect(self.refresh)
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show what the session holds."""
        session = self._session
        self.setEnabled(session.decoded is not None)
        if not self._settled.isActive():
            with QSignalBlocker(self.sigma), QSignalBlocker(self.lowpass):
                self.sigma.setValue(round(session.sigma * _STEPS_PER_SIGMA))
                self.lowpass.setValue(round(session.lowpass / _LOWPASS_STEP))
        with QSignalBlocker(self.projection):
            self.projection.setChecked(session.style == "projection")
        self.sigma.setEnabled(session.style == "surface")
        self._tell()

    def _moved(self, _value: int) -> None:
        self._tell()
        self._settled.start()

    def _apply(self) -> None:
        self._session.sigma = self.sigma.value() / _STEPS_PER_SIGMA
        self._session.lowpass = self.lowpass.value() * _LOWPASS_STEP

    def _toggle(self, on: bool) -> None:
        self._session.style = "projection" if on else "surface"

    def _tell(self) -> None:
        self.sigma_words.setText(f"{self.sigma.value() / _STEPS_PER_SIGMA:.1f} σ")
        lowpass = self.lowpass.value() * _LOWPASS_STEP
        self.lowpass_words.setText(f"{lowpass:.0f} Å" if lowpass else "off")


def _slider(tip: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setToolTip(tip)
    slider.setAccessibleName(tip)
    slider.setMinimumWidth(70)
    return slider
