"""What differs between the Qt bindings, small widgets, and pictures to and from arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QSignalBlocker, Qt, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QImage, QPaintDevice, QPainter
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QScrollArea,
    QToolButton,
    QWidget,
)
from superqt import QElidingLabel

__all__ = [
    "ElidedLabel",
    "Signal",
    "clear_layout",
    "fill_box",
    "grey_levels",
    "labelled",
    "make_button",
    "make_heading",
    "make_label",
    "make_tool_button",
    "scrolled",
    "set_next",
    "soon",
    "to_image",
]


def soon(owner: QObject, call: Callable[[], object]) -> None:
    """Call once the event loop is back, unless ``owner`` is gone by then.

    `QTimer.singleShot` would call a method of what Qt has deleted meanwhile under PySide.
    """
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.timeout.connect(call)
    timer.timeout.connect(timer.deleteLater)
    timer.start(0)


class ElidedLabel(QElidingLabel):
    """One line that loses its middle where there is no room for all of it."""

    def __init__(self, name: str = "") -> None:
        super().__init__("")
        self.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.setAccessibleName(name)

    def resizeEvent(self, event: Any) -> None:
        """Leave room for what the style puts around the words: superqt does not know of it."""
        words = self.fontMetrics().horizontalAdvance(QLabel.text(self))
        self.setEllipsesWidth(max(2, QLabel.sizeHint(self).width() - words))
        super().resizeEvent(event)


def make_label(text: str = "", tip: str = "") -> QLabel:
    """A label that wraps its words."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setToolTip(tip)
    return label


def make_heading(text: str) -> QLabel:
    """A label that names what follows."""
    label = make_label(text)
    label.setStyleSheet("font-weight: bold;")
    return label


def make_button(text: str, tip: str, pressed: Callable[[], None]) -> QPushButton:
    """A button that calls ``pressed``."""
    button = QPushButton(text)
    button.setToolTip(tip)
    # The signal's own argument (checked) is not for the callee.
    button.clicked.connect(lambda _checked=False: pressed())
    return button


def set_next(button: QPushButton, on: bool) -> None:
    """Mark a button as the next thing to press in its step; style sheets know it as ``next``."""
    if bool(button.property("next")) != on:
        button.setProperty("next", on)
        style: Any = button.style()
        style.unpolish(button)
        style.polish(button)


def make_tool_button(text: str, tip: str, pressed: Callable[[], None]) -> QToolButton:
    """A small button that calls ``pressed``."""
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.clicked.connect(lambda _checked=False: pressed())
    return button


def fill_box(box: QComboBox, entries: dict[str, str], chosen: str) -> None:
    """Offer labels, by the names that stand for them, and show which is chosen; silently."""
    with QSignalBlocker(box):
        known = {box.itemData(row): box.itemText(row) for row in range(box.count())}
        if list(known.items()) != list(entries.items()):
            box.clear()
            for name, label in entries.items():
                box.addItem(label, name)
        box.setCurrentIndex(box.findData(chosen))


def labelled(*widgets: QWidget) -> QHBoxLayout:
    """Widgets in a row, of which the second takes the room that is left."""
    row = QHBoxLayout()
    for place, widget in enumerate(widgets):
        row.addWidget(widget, 1 if place == 1 else 0)
    return row


def scrolled(page: QWidget) -> QScrollArea:
    """A page that scrolls up and down where it is higher than its place."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(page)
    return area


def clear_layout(layout: QLayout) -> None:
    """Delete all widgets of a layout."""
    while (item := layout.takeAt(0)) is not None:
        widget: Any = item.widget()
        if widget is not None:
            widget.hide()  # until the event loop deletes it
            widget.deleteLater()


@contextmanager
def painter_on(device: QPaintDevice) -> Iterator[QPainter]:
    """Give a painter that ends with the block, whoever still holds it.

    A traceback, a debugger or a profiler keeps what a call had in hand; a painter that is let go
    after its widget, or in another thread, takes the process with it.
    """
    painter = QPainter(device)
    try:
        yield painter
    finally:
        painter.end()


def to_image(pixels: NDArray[np.uint8]) -> QImage:
    """A picture from RGBA bytes (height, width, 4), colours premultiplied by alpha."""
    height, width = pixels.shape[:2]
    data: Any = np.ascontiguousarray(pixels).data
    image = QImage(data, width, height, 4 * width, QImage.Format.Format_RGBA8888_Premultiplied)
    return image.copy()  # the array's memory is not ours to keep


def grey_levels(image: QImage) -> NDArray[np.uint8]:
    """The bytes (height, width) of a picture in ``Format_Grayscale8``."""
    bits: Any = image.constBits()
    if hasattr(bits, "setsize"):  # PyQt gives a pointer without a length, PySide a memoryview
        bits.setsize(image.sizeInBytes())
    rows = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : image.width()].copy()
