"""Asks how large a picture is to be, on which ground, with what on it, and for its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_tomodrgn.gui.volumes.figure import LARGEST_PX, FigureOptions
from napari_tomodrgn.gui.volumes.movie_service import movie_kinds
from napari_tomodrgn.gui.widgets.saving import ask_for_file

_MM_PER_INCH = 25.4
_GROUNDS = {
    "screen": "as on the screen",
    "white": "white",
    "black": "black",
    "transparent": "transparent",
}
# A page of most journals is so wide.
_WIDTH_MM, _DPI = 180, 300
_TYPED_PX = (16, 99_999)  # what is beyond `LARGEST_PX` is told, not cut
_MOVIE_PX = (64, 3840)  # narrowest and widest; wider than 4K no player shows


class FigureDialog(QDialog):
    """Width and resolution, ground, scale bar, labels, axes; `options` is what was chosen.

    Pixels are what is kept: the width in millimetres sets them, and follows where they are typed.
    """

    def __init__(self, canvas_px: tuple[int, int], parent: QWidget | None = None) -> None:
        """``canvas_px``: height and width of the canvas, which the picture keeps the shape of."""
        super().__init__(parent)
        self.setWindowTitle("Picture of the canvas")
        self._canvas = canvas_px
        self.width_mm, self.dpi = _spin(1, 2000, _WIDTH_MM, " mm"), _spin(50, 1200, _DPI, " dpi")
        self.width_px, self.size_words = _spin(*_TYPED_PX, self._printed_px(), " px"), QLabel()
        self.background = QComboBox()
        for name, words in _GROUNDS.items():
            self.background.addItem(words, name)
        self.scale_bar, self.labels, self.axes = (
            QCheckBox(words) for words in ("Scale bar", "Title and labels", "Axes")
        )
        self.form = form = QFormLayout()
        form.addRow("Width", self.width_mm)
        form.addRow("Resolution", self.dpi)
        pixels = QHBoxLayout()
        pixels.addWidget(self.width_px)
        pixels.addWidget(self.size_words, 1)
        form.addRow("Pixels", pixels)
        form.addRow("Background", self.background)
        for box in (self.scale_bar, self.labels, self.axes):
            box.setChecked(True)
            form.addRow("", box)
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Save | kinds.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.buttons)
        for spin in (self.width_mm, self.dpi):
            spin.valueChanged.connect(lambda: self.width_px.setValue(self._printed_px()))
        self.width_px.valueChanged.connect(self._follow_pixels)
        self._show_size()

    @property
    def options(self) -> FigureOptions:
        """What was chosen."""
        background: Any = self.background.currentData()
        return FigureOptions(
            self.width_px.value(),
            self.dpi.value(),
            background,
            self.scale_bar.isChecked(),
            self.labels.isChecked(),
            self.axes.isChecked(),
        )

    def _printed_px(self) -> int:
        return round(self.width_mm.value() / _MM_PER_INCH * self.dpi.value())

    def _follow_pixels(self, width: int) -> None:
        if width != self._printed_px():
            with QSignalBlocker(self.width_mm):
                self.width_mm.setValue(round(width * _MM_PER_INCH / self.dpi.value()))
        self._show_size()

    def _show_size(self) -> None:
        width = self.width_px.value()
        height = int(width * self._canvas[0] / max(1, self._canvas[1]))  # as napari cuts it
        self.size_words.setText(f"× {height:,} px")
        fits = max(width, height) <= LARGEST_PX
        save: Any = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        save.setEnabled(fits)
        save.setToolTip("" if fits else f"At most {LARGEST_PX:,} pixels along an edge")


class MovieDialog(FigureDialog):
    """The same for a movie, whose width is told in pixels; at first that of the canvas."""

    def __init__(self, canvas_px: tuple[int, int], parent: QWidget | None = None) -> None:
        """``canvas_px``: height and width of the canvas."""
        super().__init__(canvas_px, parent)
        self.setWindowTitle("Movie of the canvas")
        self.width_px.setRange(*_MOVIE_PX)
        self.width_px.setValue(canvas_px[1])
        for spin in (self.width_mm, self.dpi):
            self.form.setRowVisible(spin, False)
        self.background.removeItem(self.background.findData("transparent"))  # movies have none


def canvas_of_a_page() -> tuple[int, int]:
    """Height and width of a canvas, for widgets that no window has told of its own yet."""
    return 600, 800


def ask_for_figure(
    canvas_px: tuple[int, int], folder: Path, name: str, parent: QWidget
) -> tuple[str, FigureOptions] | None:
    """Ask for a picture and its file; None if the user thinks better of it."""
    dialog = FigureDialog(canvas_px, parent)
    return _asked(dialog, "Save the picture", folder / name, "Pictures (*.png)")


def ask_for_movie(
    canvas_px: tuple[int, int], folder: Path, name: str, parent: QWidget
) -> tuple[str, FigureOptions] | None:
    """Ask for a movie and its file; None if the user thinks better of it."""
    return _asked(MovieDialog(canvas_px, parent), "Save the movie", folder / name, movie_kinds())


def _asked(
    dialog: FigureDialog, title: str, proposed: Path, kinds: str
) -> tuple[str, FigureOptions] | None:
    parent: Any = dialog.parentWidget()
    try:
        if not dialog.exec():
            return None
        options = dialog.options
    finally:
        dialog.deleteLater()
    path = ask_for_file(parent, title, str(proposed), kinds)
    return (path, options) if path else None


def _spin(low: int, high: int, value: int, unit: str) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(low, high)
    spin.setValue(value)
    spin.setSuffix(unit)
    return spin
