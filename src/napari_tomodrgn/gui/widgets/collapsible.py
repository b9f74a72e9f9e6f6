"""A heading that shows or hides what is below it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_tomodrgn.gui.widgets.qt import Signal


class CollapsibleSection(QWidget):
    """Heading and content; the content takes no room, and no work, while it is folded."""

    toggled = Signal(bool)

    def __init__(self, title: str, content: QWidget, tip: str = "", *, open: bool = False) -> None:
        super().__init__()
        self.content = content
        self.heading = QToolButton()
        self.heading.setText(title)
        self.heading.setToolTip(tip)
        self.heading.setCheckable(True)
        self.heading.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        # A heading in large letters does not make its page wider than the dock.
        self.heading.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.heading.setStyleSheet("font-weight: bold; text-align: left;")
        self.heading.toggled.connect(self._show)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(4)
        layout.addWidget(self.heading)
        layout.addWidget(content)
        self.heading.setChecked(open)
        self._show(open)

    @property
    def is_open(self) -> bool:
        """Whether the content is on show."""
        return self.heading.isChecked()

    def set_open(self, is_open: bool) -> None:
        """Show the content, or hide it."""
        self.heading.setChecked(is_open)

    def set_title(self, title: str) -> None:
        """Another heading."""
        self.heading.setText(title)

    def _show(self, is_open: bool) -> None:
        arrows = Qt.ArrowType
        self.heading.setArrowType(arrows.DownArrow if is_open else arrows.RightArrow)
        self.content.setVisible(is_open)
        self.toggled.emit(is_open)
