"""The last message: one line of fixed height; all of it over what is below, while it is asked for.

It never pushes anything: what is under the mouse stays there.
"""

from __future__ import annotations

import re
from typing import Any

from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QHideEvent, QResizeEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from napari_tomodrgn.gui.widgets.letter_size import LetterSize
from napari_tomodrgn.gui.widgets.qt import make_label, make_tool_button
from napari_tomodrgn.session import Message, Session

# Text and ground, readable on napari's dark and light themes alike, and a sign.
_COLORS = {
    "error": ("#ffffff", "#a83232", "✕"),
    "warning": ("#1b1b1b", "#e0a83c", "!"),
    "info": ("#ffffff", "#2f6f9f", "i"),
}
_LINES = 2
_MARGINS = (6, 4, 6, 6)  # of the whole message, px
_FOLDERS = re.compile(r"(?<!\S)(?:[A-Za-z]:)?[/\\](?:[^\s/\\]+[/\\])+")


class Banner(QFrame):
    """Shows the session's message until it is dismissed or replaced."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._message: Message | None = None
        self._sign = ""
        self.setObjectName("tomodrgn_banner")
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.label.setMinimumWidth(1)
        self.more = make_tool_button("▾", "Show the whole message", self.toggle)
        self.dismiss = make_tool_button("✕", "Dismiss the message", self._dismiss)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 0, 2, 0)
        layout.setSpacing(0)
        layout.addWidget(self.label, 1)
        layout.addWidget(self.more)
        layout.addWidget(self.dismiss)
        self._whole = _Whole(self, self.dismiss)
        LetterSize(self.label, self._fix_height)
        session.events.message.connect(self.show_message)
        self.show_message(session.message)

    def _fix_height(self) -> None:
        """Two lines of letters as large as they are."""
        self.setFixedHeight(_LINES * self.label.fontMetrics().lineSpacing() + 8)
        self._elide()

    def show_message(self, message: Message | None, _old: object = None) -> None:
        """Show a message; without one the place stays, empty."""
        self._message = message
        self._whole.hide()
        for button in (self.more, self.dismiss):
            button.setVisible(message is not None)
        text, ground, sign = _COLORS[message.severity if message is not None else "info"]
        shown = ground if message is not None else "transparent"
        self.setStyleSheet(
            f"#tomodrgn_banner {{ background: {shown}; border-radius: 4px; }}"
            f"#tomodrgn_banner QLabel {{ color: {text}; background: transparent; }}"
            f"#tomodrgn_banner QToolButton {{ color: {text}; background: transparent;"
            " border: none; }"
        )
        self.label.setAccessibleName(message.text if message is not None else "")
        self.label.setToolTip(message.text if message is not None else "")
        self._sign = sign
        self._elide()

    @property
    def text(self) -> str:
        """The whole message on show, empty when there is none."""
        return self._message.text if self._message is not None else ""

    def toggle(self) -> None:
        """Show all of the message below its line, over whatever is there, or hide it again."""
        if self._message is None or self._whole.isVisible():
            self._whole.hide()
            return
        text, ground, _ = _COLORS[self._message.severity]
        below = self.mapToGlobal(QPoint(0, self.height()))
        self._whole.show_text(_breakable(self.text), below, self.width(), (text, ground))

    def mousePressEvent(self, event: Any) -> None:
        """Show all of the message."""
        self.toggle()
        event.accept()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fit the words into the new width."""
        super().resizeEvent(event)
        self._elide()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Take the whole message away with its line."""
        self._whole.hide()
        super().hideEvent(event)

    def _elide(self) -> None:
        """As much of the message as two lines hold."""
        words = f"{self._sign}  {self.text}" if self._message is not None else ""
        width, metrics = max(40, self.label.width() - 30), self.label.fontMetrics()
        shown = _breakable(words)
        flags = int(Qt.TextFlag.TextWordWrap)
        room = _LINES * metrics.lineSpacing() + 2

        def fits(text: str) -> bool:
            return metrics.boundingRect(0, 0, width, 10_000, flags, text).height() <= room

        if not fits(shown):  # what happened tells more than in which folder
            shown = _breakable(_FOLDERS.sub("…/", words))
        while shown and not fits(shown):
            shown = shown[: max(0, len(shown) - 2)].rstrip("…") + "…" if len(shown) > 2 else ""
        self.label.setText(shown)

    def _dismiss(self) -> None:
        self._session.message = None


class _Whole(QFrame):
    """All of a message, selectable, in a window of its own until one clicks elsewhere.

    A click elsewhere goes no further, but for one on ``dismiss``: whoever means that, means it.
    """

    def __init__(self, parent: QWidget, dismiss: QToolButton) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._dismiss = dismiss
        self.label = make_label()
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*_MARGINS)
        layout.addWidget(self.label)

    def show_text(self, text: str, at: QPoint, width: int, colors: tuple[str, str]) -> None:
        """Show this at a place of the screen."""
        self.setStyleSheet(f"QWidget {{ color: {colors[0]}; background: {colors[1]}; }}")
        self.label.setText(text)
        left, top, right, bottom = _MARGINS
        self.label.setFixedWidth(width - left - right)
        self.setFixedSize(width, self.label.heightForWidth(self.label.width()) + top + bottom)
        self.move(at)
        self.show()

    def mousePressEvent(self, event: Any) -> None:
        """Go; dismiss the message as well, if that was clicked on."""
        if self.rect().contains(event.position().toPoint()):
            super().mousePressEvent(event)
            return
        self.hide()
        place = self._dismiss.mapFromGlobal(event.globalPosition().toPoint())
        if self._dismiss.rect().contains(place):
            self._dismiss.click()


def _breakable(text: str) -> str:
    """A long path has no spaces: zero-width ones let it wrap."""
    for mark in "/_,":
        text = text.replace(mark, mark + "\u200b")
    return text
