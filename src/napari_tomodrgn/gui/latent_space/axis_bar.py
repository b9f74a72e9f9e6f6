"""What the axes of the scatter show, what colours it, how it is drawn."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QComboBox, QLabel, QToolButton, QWidget

from napari_tomodrgn.analysis.latents.components import STRIP
from napari_tomodrgn.column_labels import column_label
from napari_tomodrgn.gui.widgets import icons
from napari_tomodrgn.gui.widgets.qt import Signal, fill_box
from napari_tomodrgn.gui.widgets.wrapping_row import tight_row

_SETTLING = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon


ONE_COLOR = "one colour"
_HEIGHT = "What the vertical axis shows"
_STRIP_TIP = "One component is wide; the height only spreads the points apart."
_NARROW_TIP = 'One component is wide; "strip" spreads the points apart instead of the other ones.'
# Capital letters as wide as "PC 1" and "one colour": shorter boxes cut them off, longer ones fold
# the row at 1440 pixels.
_LETTERS = {"x": 3, "y": 3, "Colour": 8}


class AxisBar(QWidget):
    """Three boxes of column names and two buttons."""

    axes_chosen = Signal()
    color_chosen = Signal()
    density_toggled = Signal(bool)
    fit_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.x_box, self.y_box, self.color = QComboBox(), QComboBox(), QComboBox()
        row = tight_row(self)
        for words, box, tip in (
            ("x", self.x_box, "What the horizontal axis shows"),
            ("y", self.y_box, _HEIGHT),
            ("Colour", self.color, "What colours the points, and the volume on show"),
        ):
            box.setToolTip(tip)
            box.setAccessibleName(tip)
            box.setSizeAdjustPolicy(_SETTLING)
            box.setMinimumContentsLength(_LETTERS[words])  # wider where there is room
            listed: Any = box.view()
            listed.setMinimumWidth(190)  # names of star columns are longer than the box
            row.addWidget(QLabel(words))
            row.addWidget(box, 1)
        self.density = self._button(
            "How many particles are where, instead of a point for each; their mean colour if they "
            "have colours. On by itself for very large sets."
        )
        self.density.setCheckable(True)
        self.density.toggled.connect(self.density_toggled)
        self.fit = self._button("Show all particles (Home, or a double click)")
        self.fit.clicked.connect(lambda _checked=False: self.fit_requested.emit())
        for button in (self.density, self.fit):
            row.addWidget(button)
        for box in (self.x_box, self.y_box):
            box.activated.connect(lambda _row: self.axes_chosen.emit())
        self.color.activated.connect(lambda _row: self.color_chosen.emit())

    @property
    def axes(self) -> tuple[str, str]:
        """Names in the two boxes."""
        return str(self.x_box.currentData()), str(self.y_box.currentData())

    def set_theme(self, color: str, chosen: str) -> None:
        """Draw the icons in this colour, what is on upon the other one."""
        self.setStyleSheet(f"QToolButton:checked {{ background: {chosen}; }}")
        self.density.setIcon(icons.icon("density", color))
        self.fit.setIcon(icons.icon("fit", color))

    def fill(self, names: list[str], axes: tuple[str, str], colors: list[str], color: str) -> None:
        """Offer these columns; show which are chosen. An empty colour is one for all."""
        axis_labels = {name: column_label(name) for name in names}
        fill_box(self.x_box, axis_labels, axes[0])
        fill_box(self.y_box, axis_labels, axes[1])
        more = _STRIP_TIP if axes[1] == STRIP else _NARROW_TIP if STRIP in names else ""
        self.y_box.setToolTip(f"{_HEIGHT}. {more}" if more else _HEIGHT)
        fill_box(self.color, {"": ONE_COLOR} | {one: column_label(one) for one in colors}, color)

    def _button(self, tip: str) -> QToolButton:
        button = QToolButton()
        button.setIconSize(icons.SIZE)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        return button
