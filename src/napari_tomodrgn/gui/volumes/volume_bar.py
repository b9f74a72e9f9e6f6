"""One row under the scatter: contour, low-pass, how volumes are shown, saving them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from qtpy import QtGui
from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QLabel,
    QMenu,
    QSizePolicy,
    QSlider,
    QToolButton,
    QWidget,
)

from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.volumes.figure_dialog import ask_for_figure, canvas_of_a_page
from napari_tomodrgn.gui.widgets import icons
from napari_tomodrgn.gui.widgets.letter_size import keep_room
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.gui.widgets.recent_paths import export_folder
from napari_tomodrgn.gui.widgets.saving import (
    ask_for_comparison,
    ask_for_file,
    name_of_map,
    name_of_picture,
    shows_comparison,
    words_for_maps,
)
from napari_tomodrgn.gui.widgets.wrapping_row import WrappingRow, tight_row
from napari_tomodrgn.palette import PLAIN
from napari_tomodrgn.session import Session

_SIGMA = (0.5, 10.0)
_STEPS_PER_SIGMA = 10
# The low-pass slider goes in steps of 1 Å from the resolution of the pixels; its left end is "off".
_LOWPASS_LARGEST = 60
_STYLES = {
    "surface": ("Surface", "The contour at so many standard deviations above solvent"),
    "projection": (
        "Projection",
        "Maximum intensity along the line of sight, no contour needed",
    ),
    "difference": (
        "Difference to the mean",
        "Where there is more (magenta) and less (green) than in the map decoded at the mean of all "
        "latents, at so many standard deviations of the difference",
    ),
    "from pinned": (
        "Difference to the pinned particle",
        "Where there is more (magenta) and less (green) than in the map of the particle that was "
        "pinned first (Shift-click one in the scatter)",
    ),
}
_PIN = "Keeps it beside the maps that you look at next; as Shift-click on a point does"
_UNPIN = "It is pinned: takes it away again, as Shift-click on its point does"
_NO_PIN = "Only the map of a particle can be pinned: click a point, or Shift-click one"
_LAYOUTS = {
    "grid": ("Pinned volumes side by side", ""),
    "overlay": ("Pinned volumes over each other", "All at the same place, translucent"),
}


# Of the session, which it shows.
_FIELDS = (
    *("sigma", "lowpass", "style", "layout", "shell_filter"),
    *("particles", "checks", "decoded", "pinned", "validation", "run", "epoch", "map_source"),
    *("canvas_mode", "comparison"),
)
_FROM_IMAGES = (
    "On: the map of the tilt images of the particles around, without the network; grey where fewer "
    "than 20 particles stand behind it. Off: the map that the network decodes"
)
_SUPPORTED = (
    "Shell filter. On: maps differ from the middle of the latents only as far as held-out images "
    "support it, less and less from coarse to fine detail. Off: with all differences that were "
    "learnt, noise among them"
)
_NO_FILTER = (
    "Shell filter: this run has none for this epoch. It is measured when a training ends, for the "
    "epoch that it ends with"
)
_NO_IMAGES = "The tilt images are not on this computer: only decoded maps can be shown"


class VolumeBar(QWidget):
    """Sliders and menus that all volumes on show follow."""

    map_requested = Signal(str)  # file
    comparison_requested = Signal(str)  # folder
    picture_requested = Signal(str, object)  # file, FigureOptions
    axes_toggled = Signal(bool)
    release_requested = Signal()
    pin_requested = Signal(str)  # identity: pin it, or let it go

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.canvas_px = canvas_of_a_page
        self.sigma = _slider("Contour of the surfaces in standard deviations (σ) above solvent")
        self.sigma.setRange(*(round(limit * _STEPS_PER_SIGMA) for limit in _SIGMA))
        self.lowpass = _slider(
            "Low-pass filter: removes detail finer than this resolution in Å; left end: off"
        )
        self._finest = 0  # Å: what the pixels can hold, less the step that means "off"
        self.lowpass.setRange(0, _LOWPASS_LARGEST)
        self.sigma_words, self.lowpass_words = QLabel(), QLabel()
        for label, widest in ((self.sigma_words, "10.0 σ"), (self.lowpass_words, "60 Å")):
            keep_room(label, widest)
        self.supported = _switch("Shell filter", _SUPPORTED)
        self.supported.toggled.connect(self._on_supported)
        self.images = _switch("From images", _FROM_IMAGES)
        self.images.toggled.connect(self._on_images)
        self.actions_by_name: dict[str, Any] = {}
        self.look = self._menu_button("Pin this volume; surface, projection or difference; colour")
        self.save = self._menu_button("Save the map, or the picture")
        self._fill_look()
        self._fill_save()
        self._lay_out()
        # A large map takes a while to contour: one request for a burst of slider steps.
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(30)
        self._settled.timeout.connect(self._apply)
        self.sigma.valueChanged.connect(self._moved)
        self.lowpass.valueChanged.connect(self._moved)
        for name in _FIELDS:
            getattr(session.events, name).connect(self.refresh)
        self.refresh()

    def _lay_out(self) -> None:
        filters, switches = QWidget(), QWidget()
        row = tight_row(filters)
        for name, slider, words in (
            ("Contour", self.sigma, self.sigma_words),
            ("Low-pass", self.lowpass, self.lowpass_words),
        ):
            row.addWidget(QLabel(name))
            row.addWidget(slider, 1)
            row.addWidget(words)
        row = tight_row(switches)
        for button in (self.supported, self.images, self.look, self.save):
            row.addWidget(button)
        switches.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        # In large letters in two rows: else it would take their width from the steps.
        tight_row(self).addWidget(WrappingRow(filters, switches))

    def set_theme(self, theme: ChartColors) -> None:
        """Draw the icons in the colour of the theme's text."""
        self.setStyleSheet(f"QToolButton:checked {{ background: {theme.highlight}; }}")
        self.look.setIcon(icons.icon("eye", theme.text))
        self.save.setIcon(icons.icon("save", theme.text))

    def refresh(self, *_: object) -> None:
        """Show what the session holds."""
        session = self._session
        maps = session.decoded is not None or shows_comparison(session)
        # Of a reconstruction alone the contour can be moved: it is filtered as its halves agree.
        self.setEnabled(maps or session.validation is not None)
        self.lowpass.setEnabled(maps)
        self.actions_by_name["map"].setEnabled(maps)
        self.actions_by_name["map"].setText(f"{words_for_maps(session)} (MRC)…")
        if not self._settled.isActive():
            with QSignalBlocker(self.sigma), QSignalBlocker(self.lowpass):
                self.sigma.setValue(round(session.sigma * _STEPS_PER_SIGMA))
                self._set_lowpass_range()
                wanted = round(session.lowpass) - self._finest if session.lowpass else 0
                self.lowpass.setValue(max(0, wanted))
        for name in (session.style, session.layout):
            self.actions_by_name[name].setChecked(True)
        self._show_switches()
        self._show_pin()
        beside = bool(session.pinned) or session.validation is not None
        self.actions_by_name["from pinned"].setEnabled(bool(session.pinned))
        self.actions_by_name["release"].setEnabled(beside)
        self.sigma.setEnabled(session.style != "projection")
        self._show_values()

    def _show_switches(self) -> None:
        """Show whether maps are filtered by shell and made from images, and whether they can be."""
        session, run = self._session, self._session.run
        has_filter = (
            run is not None
            and session.latents is not None
            and run.shell_filter(session.epoch) is not None
        )
        with QSignalBlocker(self.images), QSignalBlocker(self.supported):
            self.images.setChecked(session.map_source == "images")
            self.supported.setChecked(has_filter and session.shell_filter)
        self.supported.setEnabled(has_filter and session.map_source == "decoded")
        self.supported.setToolTip(_SUPPORTED if has_filter else _NO_FILTER)
        self.images.setEnabled(session.run is not None and session.has_images)
        self.images.setToolTip(_FROM_IMAGES if session.has_images else _NO_IMAGES)

    def choose(self, name: str) -> None:
        """Do what an entry of the menus does, by its short name."""
        self.actions_by_name[name].trigger()

    def _menu_button(self, tip: str) -> QToolButton:
        button = QToolButton()
        button.setIconSize(icons.SIZE)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        button.setMenu(menu)
        return button

    def _show_pin(self) -> None:
        """Offer to pin the map on show, or to let it go."""
        name, action = self._on_show(), self.actions_by_name["pin"]
        pinned = name in self._session.pinned
        action.setText("Unpin this volume" if pinned else "Pin this volume")
        action.setToolTip(_UNPIN if pinned else _PIN if name else _NO_PIN)
        action.setEnabled(bool(name))

    def _ask_for_pin(self) -> None:
        if name := self._on_show():
            self.pin_requested.emit(name)

    def _on_show(self) -> str:
        shown = self._session.decoded
        return (shown.particle_id or "") if shown is not None else ""

    def _fill_look(self) -> None:
        menu: Any = self.look.menu()
        self._entry(menu, "pin", "Pin this volume", _PIN, self._ask_for_pin)
        menu.addSeparator()
        gui: Any = QtGui  # qtpy's stubs leave QActionGroup out
        for choices, field in ((_STYLES, "style"), (_LAYOUTS, "layout")):
            group = gui.QActionGroup(self)
            for name, (words, tip) in choices.items():
                action = self._entry(menu, name, words, tip, self._setter(field, name))
                action.setCheckable(True)
                group.addAction(action)
            menu.addSeparator()
        self._entry(
            menu,
            "release",
            "Unpin all",
            "Removes pinned volumes and reconstructions",
            self.release_requested.emit,
        )
        menu.addSeparator()
        self._entry(menu, "by particle", "Colour as in the scatter", "", self._clear_color)
        self._entry(menu, "one colour", "One colour for all…", "", self._ask_for_color)
        axes = self._entry(menu, "axes", "Axes", "Directions of x, y and z", lambda: None)
        axes.setCheckable(True)
        axes.setChecked(True)
        axes.toggled.connect(self.axes_toggled)

    def _fill_save(self) -> None:
        menu = self.save.menu()
        tip = "Filtered as it is shown, voxel size in the header"
        self._entry(menu, "map", "Map on show (MRC)…", tip, self._ask_for_map)
        tip = "The canvas at the size of a page: width, dpi, background, scale bar, labels"
        self._entry(menu, "picture", "Picture of the canvas (PNG)…", tip, self._ask_for_picture)

    def _entry(self, menu: Any, name: str, words: str, tip: str, verb: Callable[[], None]) -> Any:
        action = menu.addAction(words)
        action.setToolTip(tip or words)
        action.triggered.connect(lambda _checked=False: verb())
        self.actions_by_name[name] = action
        return action

    def _setter(self, field: str, name: str) -> Callable[[], None]:
        return lambda: setattr(self._session, field, name)

    def _on_supported(self, on: bool) -> None:
        self._session.shell_filter = on

    def _on_images(self, on: bool) -> None:
        self._session.map_source = "images" if on else "decoded"

    def _clear_color(self) -> None:
        self._session.surface_color = ""

    def _ask_for_color(self) -> None:
        start = QColor(self._session.surface_color or PLAIN)
        chosen = QColorDialog.getColor(start, self, "Colour of all surfaces")
        if chosen.isValid():
            self._session.surface_color = chosen.name()

    def _ask_for_map(self) -> None:
        if shows_comparison(self._session):
            if folder := ask_for_comparison(self, self._session):
                self.comparison_requested.emit(folder)
            return
        proposed = f"{name_of_map(self._session)}.mrc"
        self._ask("Save the map", proposed, "Maps (*.mrc)", self.map_requested)

    def _ask_for_picture(self) -> None:
        folder = export_folder(self._session.source)
        found = ask_for_figure(self.canvas_px(), folder, name_of_picture(self._session), self)
        if found is not None:
            self.picture_requested.emit(*found)

    def _ask(self, title: str, proposed: str, kind: str, signal: Any) -> None:
        path = str(export_folder(self._session.source) / proposed)
        if name := ask_for_file(self, title, path, kind):
            signal.emit(name)

    def _moved(self, _value: int) -> None:
        self._show_values()
        self._settled.start()

    def _apply(self) -> None:
        self._session.sigma = self.sigma.value() / _STEPS_PER_SIGMA
        self._session.lowpass = self._chosen_lowpass()

    def _set_lowpass_range(self) -> None:
        """Offer no resolution that the pixels cannot hold: finer than twice their size."""
        decoded = self._session.decoded
        if decoded is not None:
            self._finest = math.ceil(2 * decoded.volume.voxel_size_angstrom) - 1
            self.lowpass.setRange(0, max(_LOWPASS_LARGEST - self._finest, 3 * self._finest))

    def _chosen_lowpass(self) -> float:
        steps = self.lowpass.value()
        return float(self._finest + steps) if steps else 0.0

    def _show_values(self) -> None:
        self.sigma_words.setText(f"{self.sigma.value() / _STEPS_PER_SIGMA:.1f} σ")
        lowpass = self._chosen_lowpass()
        self.lowpass_words.setText(f"{lowpass:.0f} Å" if lowpass else "off")


def _switch(words: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(words)
    button.setCheckable(True)
    button.setAccessibleName(tip)
    return button


def _slider(tip: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setToolTip(tip)
    slider.setAccessibleName(tip)
    slider.setMinimumWidth(70)
    return slider
