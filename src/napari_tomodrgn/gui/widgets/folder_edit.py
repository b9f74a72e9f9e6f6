"""A line for a folder with a button to choose one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QFontMetrics, QPalette
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QStyle,
    QStyleOptionFrame,
    QWidget,
)

from napari_tomodrgn.gui.widgets.qt import Signal, make_tool_button, painter_on

_MARGIN_PX = 2  # of Qt, between the frame and the words of a line


class _PathLine(QLineEdit):
    """Shows the folder that a path ends with, where there is no room for all of it."""

    def paintEvent(self, event: Any) -> None:
        """Paint the path shortened, unless it is being typed or fits."""
        option = QStyleOptionFrame()
        self.initStyleOption(option)
        style: Any = self.style()
        room = style.subElementRect(QStyle.SubElement.SE_LineEditContents, option, self)
        room.adjust(_MARGIN_PX, 0, -_MARGIN_PX, 0)
        words = shortened(self.text(), self.fontMetrics(), room.width())
        if self.hasFocus() or words == self.text():
            super().paintEvent(event)
            return
        with painter_on(self) as painter:
            style.drawPrimitive(QStyle.PrimitiveElement.PE_PanelLineEdit, option, painter, self)
            middle = Qt.AlignmentFlag.AlignVCenter
            ink, on = QPalette.ColorRole.Text, self.isEnabled()
            style.drawItemText(painter, room, middle, option.palette, on, words, ink)


def shortened(path: str, letters: QFontMetrics, room_px: int) -> str:
    """Return a path as far as there is room: its last folder first, which loses its middle."""
    if letters.horizontalAdvance(path) <= room_px:
        return path
    up = "…/"
    room = room_px - letters.horizontalAdvance(up)
    return up + letters.elidedText(Path(path).name, Qt.TextElideMode.ElideMiddle, room)


class FolderEdit(QWidget):
    """Path of a folder, typed or chosen; empty where none is meant."""

    changed = Signal()  # by the user, to another folder

    def __init__(self, tip: str, placeholder: str, title: str) -> None:
        super().__init__()
        self._title = title
        self._tip = tip
        self.line = _PathLine()
        self.line.setToolTip(tip)
        self.line.textChanged.connect(self._say_whole)
        self.line.editingFinished.connect(self._tell)
        self._told = ""
        self.line.setPlaceholderText(placeholder)
        self.line.setAccessibleName(title)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line, 1)
        layout.addWidget(make_tool_button("…", "Choose a folder", self._browse))

    @property
    def folder(self) -> str:
        """What stands in the line."""
        return self.line.text().strip()

    def set_folder(self, folder: str) -> None:
        """Put a folder into the line."""
        self.line.setText(folder)

    def _say_whole(self, path: str) -> None:
        self.line.setToolTip(f"{self._tip}\n{path}" if path else self._tip)

    def _browse(self) -> None:
        name = QFileDialog.getExistingDirectory(self, self._title, self.folder)
        if name:
            self.line.setText(name)
            self._tell()

    def _tell(self) -> None:
        if self.folder != self._told:
            self._told = self.folder
            self.changed.emit()
