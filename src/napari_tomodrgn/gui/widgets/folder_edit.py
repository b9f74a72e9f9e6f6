"""A line for a folder with a button to choose one."""

from __future__ import annotations

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QWidget

from napari_tomodrgn.gui.widgets.qt import make_tool_button


class FolderEdit(QWidget):
    """Path of a folder, typed or chosen; empty where none is meant."""

    def __init__(self, tip: str, placeholder: str, title: str) -> None:
        super().__init__()
        self._title = title
        self.line = QLineEdit()
        self.line.setToolTip(tip)
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
        """Put a folder into the line; its end, which tells most, is what is seen."""
        self.line.setText(folder)

    def _browse(self) -> None:
        name = QFileDialog.getExistingDirectory(self, self._title, self.folder)
        if name:
            self.set_folder(name)
