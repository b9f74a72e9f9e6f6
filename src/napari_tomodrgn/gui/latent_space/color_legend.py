"""What the colours of the scatter mean, and which values they are spread over."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPoint, QRect, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import (
    QInputDialog,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_tomodrgn.column_labels import column_label
from napari_tomodrgn.gui.charts.colormaps import MISSING, colors_along, colors_of_categories
from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.charts.paper import ColorKey
from napari_tomodrgn.gui.widgets.letter_size import LetterSize, paints_letters
from napari_tomodrgn.gui.widgets.qt import Signal, painter_on, scrolled, to_image
from napari_tomodrgn.gui.widgets.wrapping_row import tight_row
from napari_tomodrgn.particle_columns import Clip, Column
from napari_tomodrgn.session.class_maps import class_name

_BAR_PX, _HISTOGRAM_PX, _BINS = 10, 34, 60
_CHIPS = 4  # categories that there is always room for
_FRAME_PX = 4  # that napari's style draws around what scrolls
_MOST_PX = 88  # of that room: of larger letters it would be more than there is beside the card
# In letters as large as this a line is, the counts below need some of that room.
_LARGE_PX, _MOST_LARGE_PX = 22, 54
_LEAST_PX = 40  # of histogram and bar
_MAP = "map"
_SELECTS = (
    "A click on a name selects these particles; Shift adds, Alt takes away. "
    "The right button saves them under a name of yours."
)
_NO_KEY, _SHIFT, _ALT = (
    getattr(Qt.KeyboardModifier, f"{key}Modifier") for key in ("No", "Shift", "Alt")
)
_SHOWS = f"{_MAP}: shows the map of these, decoded at the particle nearest to its middle."
_PERCENT = {"All values": 0.0, "Without 1 % at each end": 1.0, "Without 5 % at each end": 5.0}


@dataclass(frozen=True, eq=False)
class LegendData:
    """What a legend counts and paints, in whichever thread: of categories, or in a histogram."""

    counts: NDArray[np.int_]
    bar: NDArray[np.uint8]  # one row of RGBA; empty for categories

    @classmethod
    def of(cls, column: Column) -> LegendData:
        """Count the values of a column."""
        if column.categorical:
            known = column.values[column.values >= 0]
            nothing = np.zeros((1, 0, 4), np.uint8)
            return cls(np.bincount(known, minlength=len(column.categories)), nothing)
        values = column.finite
        if column.period:
            low = column.limits[0]
            values = np.mod(values - low, column.period) + low
        values = np.clip(values, *column.limits)
        span = column.limits if column.limits[1] > column.limits[0] else None
        counts, _ = np.histogram(values, bins=_BINS, range=span)
        return cls(counts, _opaque(colors_along(column)))


def color_key(
    column: Column | None, explained: LegendData | None, note: str = ""
) -> ColorKey | None:
    """The legend of a saved figure; None where nothing colours. ``note`` follows the name."""
    if column is None or explained is None:
        return None
    title = f"{column_label(column.name)} {note}".rstrip()
    if not column.categorical:
        low, high = column.limits
        return ColorKey(title, (), colors_along(column)[::-1], (f"{high:.4g}", f"{low:.4g}"))
    colors = [*colors_of_categories(column), MISSING]
    names = zip(column.categories, explained.counts, strict=False)
    entries = (
        (_counted(name, count), colors[min(row, len(colors) - 1)])
        for row, (name, count) in enumerate(names)
    )
    return ColorKey(title, tuple(entries))


def _counted(category: str, count: int) -> str:
    return f"{category or '(none)'}  {count:,}"


class Legend(QWidget):
    """Chips with names and counts for categories; histogram, bar and limits for numbers."""

    clip_chosen = Signal(object)  # Clip
    category_chosen = Signal(int, object)  # its code, the keys that were held
    map_chosen = Signal(int)  # the code of the category whose map is to be shown
    save_requested = Signal(int, str)  # the code of a category, and a name for its particles

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column: Column | None = None
        self.key = _Key()
        self.key.clicked.connect(self.category_chosen)
        self.key.map_clicked.connect(self.map_chosen)
        self.key.menu_requested.connect(self._show_menu)
        self.area = scrolled(self.key)  # there may be more categories than there is room for
        self.low, self.high = (
            _limit("Smallest value with a colour of its own"),
            _limit("Largest value with a colour of its own"),
        )
        self.low.editingFinished.connect(self._on_limits_edited)
        self.high.editingFinished.connect(self._on_limits_edited)
        self.range = QToolButton()
        self.range.setText("range  ")
        self.range.setToolTip(
            "Which values the colours are spread over; those beyond have the ends' colours"
        )
        self.range.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self)
        for words, percent in _PERCENT.items():
            action: Any = menu.addAction(words)
            action.triggered.connect(
                lambda _checked=False, percent=percent: self.clip_chosen.emit(Clip(percent))
            )
        self.range.setMenu(menu)
        self._limits = QWidget()
        row = tight_row(self._limits)
        row.addWidget(self.low, 1)
        row.addWidget(self.range)
        row.addWidget(self.high, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.area, 1)
        layout.addWidget(self._limits)
        self.set_column(None)
        LetterSize(self.key, self._fit_height)

    def set_column(
        self,
        column: Column | None,
        explained: LegendData | None = None,
        *,
        note: str = "",
        with_maps: bool = False,
    ) -> None:
        """Explain the colours of this column (None: nothing to explain).

        ``note`` follows its name; ``with_maps``: a map of each category can be shown.
        """
        self._column, self.key.note = column, note
        if column is not None and explained is None:
            explained = LegendData.of(column)
        self.key.set_column(column, explained, with_maps=with_maps)
        self._fit_height()
        numbers = column is not None and not column.categorical and not column.period
        self._limits.setVisible(numbers)
        if column is not None and numbers:
            for edit, value in zip((self.low, self.high), column.limits, strict=True):
                edit.setText(f"{value:.4g}")

    def _show_menu(self, code: int, at: QPoint) -> None:
        """What a click on a name does with keys held, in words; and a name for its particles."""
        menu = QMenu(self)
        for words, held in (
            ("Select these", _NO_KEY),
            ("Add these to the selection", _SHIFT),
            ("Take these from the selection", _ALT),
        ):
            menu.addAction(words, partial(self.category_chosen.emit, code, held))
        if self.key.with_maps:
            menu.addAction("Show their map", partial(self.map_chosen.emit, code))
        menu.addSeparator()
        menu.addAction("Save as a selection…", partial(self._save, code))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(at)

    def _save(self, code: int) -> None:
        assert self._column is not None
        there = class_name(self._column, code)
        name, given = QInputDialog.getText(
            self, "Save as a selection", f"Name of {there}:", text=there
        )
        if given and name.strip():
            self.save_requested.emit(code, name)

    def _fit_height(self) -> None:
        """Room for a name and a few categories, or histogram and bar; what is below gives way.

        The others are scrolled to.
        """
        large = self.key.line_px > _LARGE_PX
        most = _MOST_LARGE_PX if large else _MOST_PX
        self.area.setMinimumHeight(min(self.key.height_of(_CHIPS), most) + _FRAME_PX)
        self.key.setMinimumHeight(self.key.height_of())

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self.key.set_theme(theme)

    def _on_limits_edited(self) -> None:
        column = self._column
        if column is None:
            return
        words = self.low.text(), self.high.text()
        if words == tuple(f"{value:.4g}" for value in column.limits):
            return
        try:
            low, high = [float(word.replace(",", ".")) for word in words]
        except ValueError:
            low, high = float("nan"), float("nan")
        if low < high:  # and neither is NaN
            self.clip_chosen.emit(Clip(limits=(low, high), of=column.name))
        else:
            self.set_column(column)  # what was typed is no range: back to what holds


class _Key(QWidget):
    """The painted part."""

    clicked = Signal(int, object)
    map_clicked = Signal(int)
    menu_requested = Signal(int, object)  # place of a chip, and where on the screen

    def __init__(self) -> None:
        super().__init__()
        self._column: Column | None = None
        self._theme = ChartColors()
        self._bar: QImage | None = None
        self._explained: LegendData | None = None
        self.with_maps = False
        self.note = ""  # after the name of the column
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        paints_letters(self)

    def set_column(
        self, column: Column | None, explained: LegendData | None, *, with_maps: bool
    ) -> None:
        """Take what is to be painted."""
        self._column, self._explained, self._bar = column, explained, None
        self.with_maps = with_maps and column is not None and column.categorical
        self.setToolTip("")
        if column is not None and column.categorical:
            self.setToolTip(f"{_SELECTS} {_SHOWS}" if self.with_maps else _SELECTS)
        elif explained is not None:
            self._bar = to_image(explained.bar)
        self.update()

    def height_of(self, most: int | None = None) -> int:
        """Height of a name and all categories, or of so many at most; of a bar."""
        column = self._column
        chips = len(column.categories[:most]) if column is not None and column.categorical else 0
        return (1 + chips) * self.line_px if chips else _LEAST_PX

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self._theme = theme
        self.update()

    def mousePressEvent(self, event: Any) -> None:
        """Tell which chip was clicked, or the button beside which."""
        row = self._row_at(event)
        if row < 0:
            return
        if event.button() == Qt.MouseButton.RightButton:
            self.menu_requested.emit(row, event.globalPosition().toPoint())
        elif self._on_button(event):
            self.map_clicked.emit(row)
        else:
            self.clicked.emit(row, event.modifiers())

    def mouseMoveEvent(self, event: Any) -> None:
        """Show by the pointer that names and buttons can be clicked."""
        over = self._row_at(event) >= 0
        shape = Qt.CursorShape.PointingHandCursor if over else Qt.CursorShape.ArrowCursor
        self.setCursor(shape)

    def _row_at(self, event: Any) -> int:
        """Which chip the mouse is on; -1 for none."""
        row = int(event.position().y() // self.line_px) - 1
        column = self._column
        there = 0 if column is None or not column.categorical else len(column.categories)
        return row if 0 <= row < there else -1

    def _on_button(self, event: Any) -> bool:
        return self.with_maps and event.position().x() >= self._button(1).left()

    def _button(self, row: int) -> QRectF:
        """Where the button of a chip is (the first is 1)."""
        width, line = self.fontMetrics().horizontalAdvance(_MAP) + 10, self.line_px
        return QRectF(self.width() - width - 1, row * line + 1, width, line - 2)

    def paintEvent(self, event: Any) -> None:
        """Draw name, then chips or bar."""
        if self._column is None:
            return
        with painter_on(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QColor(self._theme.text))
            font = painter.font()
            font.setBold(True)
            painter.setFont(font)
            words = f"{column_label(self._column.name)} {self.note}".rstrip()
            self._write(painter, 0, words, indent=1)
            font.setBold(False)
            painter.setFont(font)
            if self._column.categorical:
                self._paint_chips(painter, self._column, event.rect())
            else:
                self._paint_bar(painter, self._column)

    @property
    def line_px(self) -> int:
        """Height of a line."""
        return self.fontMetrics().height() + 3

    def _write(self, painter: QPainter, row: float, words: str, indent: int = 17) -> None:
        taken = round(self._button(1).width()) + 4 if self.with_maps and row else 0
        width = self.width() - indent - 1 - taken
        text = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideMiddle, width)
        box = QRectF(indent, row * self.line_px, width, self.line_px)
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, text)

    def _paint_chips(self, painter: QPainter, column: Column, seen: QRect) -> None:
        """Draw the chips that are in sight: tomograms are categories, too, and may be many."""
        line = self.line_px
        assert self._explained is not None
        counts, colors = self._explained.counts, [*colors_of_categories(column), MISSING]
        first, last = max(0, seen.top() // line - 1), seen.bottom() // line
        for row in range(first + 1, min(last, len(column.categories), len(counts)) + 1):
            name, count = column.categories[row - 1], counts[row - 1]
            color = colors[min(row, len(colors)) - 1]
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(color))
            painter.drawEllipse(QRectF(1, row * line + line / 2 - 5, 10, 10))
            painter.setPen(QColor(self._theme.text))
            self._write(painter, row, _counted(name, count))
            if self.with_maps:
                self._paint_button(painter, self._button(row))

    def _paint_button(self, painter: QPainter, box: QRectF) -> None:
        painter.setPen(QColor(self._theme.text))
        painter.setBrush(QColor(self._theme.line))
        painter.drawRoundedRect(box, 3, 3)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, _MAP)

    def _paint_bar(self, painter: QPainter, column: Column) -> None:
        top = self.line_px + 2
        labels = self.line_px if column.period else 0
        room = self.height() - top - _BAR_PX - labels - 2
        histogram = QRectF(1, top, self.width() - 2, min(_HISTOGRAM_PX, max(0, room)))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._theme.line))
        heights = self._explained.counts if self._explained is not None else np.zeros(0)
        heights = heights / max(1, heights.max(initial=0))
        wide = histogram.width() / max(1, len(heights))
        for place, height in enumerate(heights):
            tall = height * histogram.height()
            box = QRectF(1 + place * wide, histogram.bottom() - tall, wide, tall)
            painter.drawRect(box)
        bar = QRectF(1, histogram.bottom() + 1, self.width() - 2, _BAR_PX)
        if self._bar is not None:
            painter.drawImage(bar, self._bar)
        if column.period:  # what limits are there for other numbers
            low, high = column.limits
            painter.setPen(QColor(self._theme.text))
            below = QRectF(1, bar.bottom() + 1, self.width() - 2, self.line_px)
            painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"{low:.0f}°")
            painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{high:.0f}°")


def _limit(tip: str) -> QLineEdit:
    edit = QLineEdit()
    edit.setToolTip(tip)
    edit.setAccessibleName(tip)
    edit.setAlignment(Qt.AlignmentFlag.AlignCenter)
    edit.setMinimumWidth(40)
    return edit


def _opaque(colors: np.ndarray) -> np.ndarray:
    """One row of RGBA of colours (step, 3)."""
    return np.dstack([colors[None], np.full((1, len(colors), 1), 255, np.uint8)])
