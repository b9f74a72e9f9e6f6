"""A heading that shows or hides what is below it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_tomodrgn.gui.widgets.qt import Signal


class _Heading(QToolButton):
    """A button in two lines where its words have no room in one: in large letters."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words
        # A heading in large letters does not make its page wider than the dock.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setStyleSheet("font-weight: bold; text-align: left;")
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.set_words(words)

    def set_words(self, words: str) -> None:
        """Other words."""
        self._words = words
        self.setText(words)
        self.setAccessibleName(words)
        self._break_line()

    def resizeEvent(self, event: Any) -> None:
        """Break the words anew."""
        super().resizeEvent(event)
        self._break_line()

    def _break_line(self) -> None:
        words = self._words.split()
        self.setText(self._words)
        if self.sizeHint().width() > self.width() and len(words) > 1:
            halves = [(" ".join(words[:n]), " ".join(words[n:])) for n in range(1, len(words))]
            self.setText("\n".join(min(halves, key=lambda two: max(map(len, two)))))


class CollapsibleSection(QWidget):
    """Heading and content; the content takes no room, and no work, while it is folded."""

    toggled = Signal(bool)

    def __init__(self, title: str, content: QWidget, tip: str = "", *, open: bool = False) -> None:
        super().__init__()
        self.content = content
        self.heading = _Heading(title)
        self.heading.setToolTip(tip)
        self.heading.setCheckable(True)
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
        self.heading.set_words(title)

    def _show(self, is_open: bool) -> None:
        arrows = Qt.ArrowType
        self.heading.setArrowType(arrows.DownArrow if is_open else arrows.RightArrow)
        self.content.setVisible(is_open)
        self.toggled.emit(is_open)
