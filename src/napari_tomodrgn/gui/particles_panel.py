"""Opening particles or a run, and what was understood of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_tomodrgn.gui.qt import Signal, clear_layout, make_button, make_label
from napari_tomodrgn.session import Session

_HINT = (
    "Open the star file of your subtomogram-averaged particles (WarpTools, RELION, Warp/M, "
    "cryoSRPNT), or the folder of a finished training. Dropping it onto the window works, too."
)
_MARKS = {"error": ("●", "#e05252"), "warning": ("●", "#e0a83c"), "info": ("●", "#5b9bd5")}


class ParticlesPanel(QWidget):
    """Buttons to open, a table of what was understood, the preflight's findings."""

    open_requested = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        buttons = QHBoxLayout()
        for text, tip, pressed in (
            ("Open star file…", "Particles and their tilt images", self._choose_star),
            ("Open run…", "Folder that a training wrote", self._choose_run),
        ):
            buttons.addWidget(make_button(text, tip, pressed))
        self.title = make_label()
        self.title.setStyleSheet("font-weight: bold;")
        self.path = QElidingLabel("")
        self.path.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.findings = QWidget()
        self._rows = QVBoxLayout(self.findings)
        self._rows.setContentsMargins(0, 0, 6, 0)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(self.findings)
        layout = QVBoxLayout(self)
        layout.addLayout(buttons)
        layout.addWidget(self.title)
        layout.addWidget(self.path)
        layout.addWidget(area, 1)
        for name in ("source", "summary", "problems", "latents"):
            getattr(session.events, name).connect(self.refresh)
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show what the session holds."""
        source = self._session.source
        for widget in (self.title, self.path):
            widget.setVisible(source is not None)
        self.title.setText(self._what())
        self.path.setText(str(source) if source else "")
        self.path.setToolTip(str(source) if source else "")
        clear_layout(self._rows)
        if self._session.summary:
            self._rows.addWidget(_table(understood(self._session.summary)))
            for problem in self._session.problems:
                self._rows.addWidget(_finding(problem))
        else:
            self._rows.addWidget(make_label(_HINT))
        self._rows.addWidget(QWidget(), 1)

    def _what(self) -> str:
        source, run, epoch = self._session.source, self._session.run, self._session.epoch
        if run is not None:
            return f"Run {run.path.name}, " + (f"epoch {epoch}" if epoch else "no epoch yet")
        return f"Particles of {source.name}" if source else ""

    def _choose_star(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "Open particles", self._folder(), "Star files (*.star);;All files (*)"
        )
        if name:
            self.open_requested.emit(name)

    def _choose_run(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open the folder of a run", self._folder())
        if name:
            self.open_requested.emit(name)

    def _folder(self) -> str:
        source = self._session.source
        return str(source.parent if source else Path.cwd())


def understood(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and explanation of what a biologist checks first."""
    tomograms = summary.get("tomograms", [])
    pixel, box = summary.get("pixel_size_angstrom", 0.0), summary.get("box_px", 0)
    tilts = _span(summary.get("tilts_per_particle", {}))
    yes = {True: "yes", False: "no"}
    return [
        (
            "Written by",
            str(summary.get("dialect", "")),
            "Program whose conventions were recognised",
        ),
        ("Particles", f"{summary.get('particles', 0):,}", "Particles with at least one image"),
        ("Tilt images", f"{summary.get('images', 0):,}", "2-D images that are used"),
        ("Tilts per particle", tilts, "Images of one particle, fewest and most"),
        ("Tomograms", f"{len(tomograms):,}", "\n".join(str(name) for name in tomograms[:20])),
        ("Box", f"{box} px = {box * pixel:.0f} Å", "Edge of the 2-D images"),
        ("Pixel size", f"{pixel:.3f} Å", "Of the 2-D images"),
        ("Stage tilt", f"{_span(summary.get('tilt_deg'))}°", "Smallest and largest"),
        ("Dose", f"{_span(summary.get('dose_e_per_angstrom2'))} e⁻/Å²", "Accumulated exposure"),
        ("Defocus", f"{_span(summary.get('defocus_angstrom'), 1e-4)} µm", "Positive is underfocus"),
        ("Voltage", f"{summary.get('voltage_kv', 0):g} kV", "Acceleration voltage"),
        ("Cs", f"{summary.get('spherical_aberration_mm', 0):g} mm", "Spherical aberration"),
        ("Amplitude contrast", f"{summary.get('amplitude_contrast', 0):g}", "Fraction, 0 to 1"),
        (
            "CTF pre-multiplied",
            yes.get(summary.get("ctf_premultiplied", ""), "unknown"),
            "Whether the images were multiplied by their CTF on export",
        ),
        (
            "Dose-weighted",
            yes.get(summary.get("dose_weighted", ""), "unknown"),
            "Whether the images were filtered by their exposure on export",
        ),
    ]


def _span(limits: Any, factor: float = 1.0) -> str:
    if not isinstance(limits, dict):
        return "unknown"
    low, high = limits.get("min"), limits.get("max")
    if low is None or high is None:
        return "unknown"
    low, high = low * factor, high * factor
    whole = float(low).is_integer() and float(high).is_integer()
    digits = 0 if whole or max(abs(low), abs(high)) >= 10 else 1
    words = [f"{value:,.{digits}f}" for value in (low, high)]
    return words[0] if words[0] == words[1] else f"{words[0]} … {words[1]}"


def _table(rows: list[tuple[str, str, str]]) -> QWidget:
    table = QWidget()
    layout = QFormLayout(table)
    layout.setContentsMargins(0, 0, 0, 4)
    layout.setVerticalSpacing(3)
    for name, value, explanation in rows:
        label = make_label(value)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        for widget in (heading := QLabel(name), label):
            widget.setToolTip(explanation)
        heading.setStyleSheet("font-weight: bold;")
        layout.addRow(heading, label)
    return table


def _finding(problem: Any) -> QWidget:
    mark, colour = _MARKS.get(str(problem.severity), _MARKS["info"])
    words = f"{problem.message} {problem.remedy}".strip()
    label = make_label(f'<span style="color:{colour}">{mark}</span> {_escaped(words)}')
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setToolTip(f"{problem.severity}: {problem.code}")
    return label


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
