"""How tomogram and particles are shown: the page *View* of the tab *Tomogram*."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_tomodrgn.column_labels import column_label
from napari_tomodrgn.gui.widgets.letter_size import keep_room
from napari_tomodrgn.gui.widgets.qt import Signal, fill_box, make_button
from napari_tomodrgn.particle_columns import SELECTIONS
from napari_tomodrgn.session import AtSlice, ParticleShape, Session, TomogramDisplay, TomogramImage

_ONE_COLOR = "one colour"
_IMAGES: dict[TomogramImage, str] = {"slice": "Slice", "projection": "Projection", "none": "Hidden"}
_SHAPES: dict[ParticleShape, str] = {
    "auto": "By size",
    "points": "Points",
    "class": "Mean map of the category",
    "own": "Individual maps",
}
_AT_SLICE: dict[AtSlice, str] = {
    "show": "Show all",
    "hide": "Hide behind it",
    "cut": "Cut above it",
}
_STEPS = 1000
_SETTLED_MS = 60


class DisplayPage(QWidget):
    """Writes ``session.tomogram_display``, ``color``, ``sigma``; asks for steps, jumps, orbits."""

    step_requested = Signal(int)
    jump_requested = Signal()
    orbit_toggled = Signal(bool)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._make_controls()
        page = QWidget()
        form = QFormLayout(page)
        form.setContentsMargins(4, 4, 4, 4)
        form.setVerticalSpacing(4)
        self._fill_form(form)
        area = QScrollArea()
        area.setWidget(page)
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area, 1)
        layout.addLayout(self._walk())
        # A burst of slider steps is one wish.
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(_SETTLED_MS)
        self._settled.timeout.connect(self._apply)
        self._connect()
        self.refresh()

    def _make_controls(self) -> None:
        self._make_image_controls()
        self._make_particle_controls()

    def _make_image_controls(self) -> None:
        self.image = _combo(_IMAGES, "The tomogram: one slice, a projection along z, or nothing")
        self.place = _slider(_STEPS, "Place of the slice along z")
        self.place_words = QLabel("50 %")
        keep_room(self.place_words, "100%")
        self.thickness = _spin(1, 5000, " Å", "Thickness of the slice, averaged over")
        self.percent = _decimal(
            0, 20, " %", "Voxels that may be black, and as many white: higher is more contrast"
        )
        self.reverse = QCheckBox("Reverse contrast")
        self.reverse.setToolTip("Dark for bright: in most tomograms density is dark")

    def _make_particle_controls(self) -> None:
        self.shape = _combo(
            _SHAPES,
            "Points, the mean map of the particle's category, or the map that was decoded from "
            "the particle's own latent; by size on screen chooses among the three",
        )
        self.color = QComboBox()
        self.color.setToolTip("What colours the particles, here and in the latent space")
        self.color.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.sigma = _slider(100, "Contour in standard deviations above solvent")
        self.sigma.setMinimum(5)
        self.sigma_words = QLabel()
        keep_room(self.sigma_words, "10.0 σ")
        self.most = _spin(
            1, 20000, "", "Particles drawn as surfaces at most, the nearest; others are points"
        )
        self.own = _spin(
            0, 20000, "", "Particles decoded from their own latent at most, the nearest"
        )
        self.only = QCheckBox("Only selected")
        self.only.setToolTip("Draw the selected particles only")
        self.at_slice = _combo(
            _AT_SLICE,
            "Whether the slice hides the surfaces behind it, or cuts away what is above it in z",
        )
        self.within = _spin(
            0, 100_000, " Å", "Only particles this near to the one in focus; 0 shows all"
        )
        self.within.setSpecialValueText("all")
        self.within.setSingleStep(100)

    def _fill_form(self, form: QFormLayout) -> None:
        form.addRow("Tomogram", self.image)
        form.addRow("Depth", _row(self.place, self.place_words))
        form.addRow("Thickness", self.thickness)
        form.addRow("Contrast clipping", self.percent)
        form.addRow("Particles", self.shape)
        form.addRow("Colour", self.color)
        form.addRow("Contour", _row(self.sigma, self.sigma_words))
        form.addRow("Max. surfaces", self.most)
        form.addRow("Max. individual maps", self.own)
        form.addRow("Max. distance", self.within)
        form.addRow("Clip at slice", self.at_slice)
        form.addRow(_row(self.only, self.reverse))

    def _walk(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.orbit = make_button("Orbit", "Turn around what is looked at", self._orbit)
        self.orbit.setCheckable(True)
        for button in (
            make_button("◀", "Previous of the selection (or of all)", self._previous),
            make_button("▶", "Next of the selection (or of all)", self._next),
            make_button("Go to", "Go to the particle in focus", self.jump_requested.emit),
            self.orbit,
        ):
            row.addWidget(button)
        return row

    def _connect(self) -> None:
        for slider in (self.place, self.sigma):
            slider.valueChanged.connect(self._moved)
        for spin in (self.thickness, self.percent, self.most, self.own, self.within):
            spin.valueChanged.connect(self._moved)
        for box in (self.image, self.shape, self.at_slice):
            box.activated.connect(self._moved)
        for check in (self.reverse, self.only):
            check.toggled.connect(self._moved)
        self.color.activated.connect(self._choose_color)
        events = self._session.events
        for name in (
            "tomogram_display",
            "sigma",
            "canvas_mode",
            "color",
            "latents",
            "added_columns",
            "selections",
        ):
            getattr(events, name).connect(self.refresh)
        events.particles.connect(self.refresh)

    # -- session to page ----------------------------------------------------------------------

    def refresh(self, *_: object) -> None:
        """Show what the session holds."""
        session, look = self._session, self._session.tomogram_display
        self._fill_colors()
        if self._settled.isActive():
            return  # the user is moving something
        values: tuple[tuple[Any, Any], ...] = (
            (self.place, round(look.depth * _STEPS)),
            (self.sigma, round(session.sigma * 10)),
            (self.thickness, round(look.thickness)),
            (self.percent, look.percent),
            (self.most, look.most_surfaces),
            (self.own, look.most_own),
            (self.within, round(look.within)),
        )
        for control, value in values:
            with QSignalBlocker(control):
                control.setValue(value)
        for check, on in ((self.reverse, look.reverse), (self.only, look.only_selected)):
            with QSignalBlocker(check):
                check.setChecked(on)
        self.image.setCurrentText(_IMAGES[look.image])
        self.shape.setCurrentText(_SHAPES[look.shape])
        self.at_slice.setCurrentText(_AT_SLICE[look.at_slice])
        if session.canvas_mode != "tomogram" and self.orbit.isChecked():
            self.orbit.setChecked(False)
        self._show_values()

    def _fill_colors(self) -> None:
        session, table = self._session, self._session.table
        names = [SELECTIONS] if session.selections else []
        names += table.color_names if table is not None else []
        labels = {"": _ONE_COLOR} | {name: column_label(name) for name in names}
        fill_box(self.color, labels, session.color if session.color in names else "")

    def _show_values(self) -> None:
        self.place_words.setText(f"{self.place.value() / _STEPS:.0%}")
        self.sigma_words.setText(f"{self.sigma.value() / 10:.1f} σ")

    # -- page to session ----------------------------------------------------------------------

    def _moved(self, *_: object) -> None:
        self._show_values()
        self._settled.start()

    def _apply(self) -> None:
        wished = TomogramDisplay(
            shape=list(_SHAPES)[self.shape.currentIndex()],
            most_surfaces=self.most.value(),
            most_own=self.own.value(),
            only_selected=self.only.isChecked(),
            within=float(self.within.value()),
            at_slice=list(_AT_SLICE)[self.at_slice.currentIndex()],
            image=list(_IMAGES)[self.image.currentIndex()],
            depth=self.place.value() / _STEPS,
            thickness=float(self.thickness.value()),
            percent=self.percent.value(),
            reverse=self.reverse.isChecked(),
        )
        self._session.tomogram_display = replace(self._session.tomogram_display, **vars(wished))
        self._session.sigma = self.sigma.value() / 10

    def _choose_color(self, _row: int) -> None:
        self._session.color = str(self.color.currentData())

    def _previous(self) -> None:
        self.step_requested.emit(-1)

    def _next(self) -> None:
        self.step_requested.emit(1)

    def _orbit(self) -> None:
        self.orbit_toggled.emit(self.orbit.isChecked())


def _combo(words: Mapping[Any, str], tip: str) -> QComboBox:
    box = QComboBox()
    box.addItems(list(words.values()))
    box.setToolTip(tip)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return box


def _slider(largest: int, tip: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(0, largest)
    slider.setToolTip(tip)
    slider.setAccessibleName(tip)
    return slider


def _spin(lowest: int, highest: int, unit: str, tip: str) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(lowest, highest)
    spin.setSuffix(unit)
    spin.setToolTip(tip)
    return spin


def _decimal(lowest: float, highest: float, unit: str, tip: str) -> QDoubleSpinBox:
    spin = QDoubleSpinBox()
    spin.setRange(lowest, highest)
    spin.setDecimals(1)
    spin.setSingleStep(0.5)
    spin.setSuffix(unit)
    spin.setToolTip(tip)
    return spin


def _row(*widgets: QWidget) -> QWidget:
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget, 1 if isinstance(widget, QSlider | QDoubleSpinBox) else 0)
    return holder
