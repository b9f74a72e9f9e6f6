"""The last message, in lines of fixed height; all of a longer one beside, while it is asked for.

It never pushes anything: what is under the mouse stays there. Nor does it cover the steps.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QEvent, QObject, QPoint, QRect, Qt
from qtpy.QtGui import QHideEvent, QResizeEvent, QShowEvent
from qtpy.QtWidgets import QApplication, QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_tomodrgn.gui.widgets.letter_size import LetterSize
from napari_tomodrgn.gui.widgets.qt import make_label, make_tool_button
from napari_tomodrgn.session import Message, Session

# Where lines may not be broken, and where they may: neither is seen.
_JOINED, _BROKEN = "\u2060", "\u200b"
_INVISIBLE = dict.fromkeys(map(ord, _JOINED + _BROKEN))
# Text and ground, readable on napari's dark and light themes alike, and a sign.
_COLORS = {
    "error": ("#ffffff", "#a83232", "✕"),
    "warning": ("#1b1b1b", "#e0a83c", "!"),
    "info": ("#ffffff", "#2f6f9f", "i"),
}
# Lines of a sentence of 160 letters in a dock as wide as it comes; in one that is lower than so
# many lines, pages below would lack them.
_LINES, _LINES_IF_LOW, _LOW = 4, 2, 50
_STYLE_PX = 6  # of the height that lines and what styles put around them may take
_WRAP = int(Qt.TextFlag.TextWordWrap)
_MARGINS = (6, 4, 6, 6)  # of the whole message, px
_WHOLE_PX, _BESIDE_PX = 460, 12  # its width, and how far it is from the banner
_FOLDERS = re.compile(r"(?<!\S)(?:[A-Za-z]:)?[/\\](?:[^\s/\\]+[/\\])+")


class Banner(QFrame):
    """Shows the session's message until it is dismissed or replaced."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._message: Message | None = None
        self._sign, self._lines = "", _LINES_IF_LOW  # until the room is known
        self.setObjectName("tomodrgn_banner")
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.label.setMinimumWidth(1)
        self.more = make_tool_button("▾", "Show the whole message", self.toggle)
        self.dismiss = make_tool_button("✕", "Dismiss the message", self._dismiss)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(4, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.label, 1)
        buttons = QVBoxLayout()  # below each other: the words need the width
        buttons.setSpacing(0)
        for button in (self.dismiss, self.more):
            policy = button.sizePolicy()
            policy.setRetainSizeWhenHidden(True)  # the words are as wide whoever is there
            button.setSizePolicy(policy)
            buttons.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(buttons)
        self._whole = _Whole(self)
        LetterSize(self.label, self._fix_height)
        session.events.message.connect(self.show_message)
        self.show_message(session.message)

    def set_room(self, height_px: int) -> None:
        """Take as many lines as a dock of this height has room for."""
        low = height_px < _LOW * self.label.fontMetrics().lineSpacing()
        self._lines = _LINES_IF_LOW if low else _LINES
        self._fix_height()

    def _fix_height(self) -> None:
        """Lines of letters as large as they are."""
        self.setFixedHeight(self._room_px() + _STYLE_PX + 2)
        self._elide()

    def _room_px(self) -> int:
        """As high as so many lines are drawn: often more than their spacing times their number."""
        lines = "\n".join("x" * self._lines)
        return int(self.label.fontMetrics().boundingRect(0, 0, 999, 9_999, _WRAP, lines).height())

    def show_message(self, message: Message | None, _old: object = None) -> None:
        """Show a message; without one the place stays, empty."""
        self._message = message
        self._whole.hide()
        self.dismiss.setVisible(message is not None)
        text, ground, sign = _COLORS[message.severity if message is not None else "info"]
        shown = ground if message is not None else "transparent"
        narrow = self.label.fontMetrics().height() + 3  # the words need the width
        self.setStyleSheet(
            f"#tomodrgn_banner {{ background: {shown}; border-radius: 4px; }}"
            f"#tomodrgn_banner QLabel {{ color: {text}; background: transparent;"
            " padding: 0px; margin: 0px; }"
            f"#tomodrgn_banner QToolButton {{ color: {text}; background: transparent;"
            f" border: none; padding: 0px; margin: 0px; width: {narrow}px; }}"
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
        """Show all of the message beside it, over the canvas, or hide it again."""
        if self._message is None or self._whole.isVisible():
            self._whole.hide()
            return
        text, ground, _ = _COLORS[self._message.severity]
        here = QRect(self.mapToGlobal(QPoint(0, 0)), self.size())
        self._whole.show_text(_breakable(self.text), here, (text, ground))

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
        """As much of the message as the lines hold."""
        words = f"{self._sign}  {self.text}" if self._message is not None else ""
        shown = _breakable(words)
        whole = self._fits(shown)
        self.more.setVisible(not whole)
        if not whole:  # what happened tells more than in which folder
            shown = _breakable(_FOLDERS.sub("…/", words))
        if not self._fits(shown):
            letters = range(len(shown))
            most = bisect_left(letters, True, key=lambda end: not self._fits(f"{shown[:end]}…"))
            shown = f"{shown[: max(0, most - 1)].rstrip()}…"
        self.label.setText(shown)

    def _fits(self, text: str) -> bool:
        """Whether the label has room for a text; it alone knows what its style takes of that."""
        self.label.setText(text)
        needed = self.label.heightForWidth(max(40, self.label.width()))
        return bool(needed <= self._room_px() + _STYLE_PX)

    def _dismiss(self) -> None:
        self._session.message = None


class _Whole(QFrame):
    """All of a message, selectable, in a window of its own until one clicks elsewhere.

    It takes no click from what is elsewhere: whoever means a button there, means it.
    """

    def __init__(self, banner: QWidget) -> None:
        super().__init__(banner, Qt.WindowType.ToolTip)
        self._banner = banner
        self.label = make_label()
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*_MARGINS)
        layout.addWidget(self.label)

    def show_text(self, text: str, beside: QRect, colors: tuple[str, str]) -> None:
        """Show this to the left of a place of the screen, or below it where that is at the edge."""
        self.setStyleSheet(f"QWidget {{ color: {colors[0]}; background: {colors[1]}; }}")
        self.label.setText(text)
        left, top, right, bottom = _MARGINS
        screen: Any = self._banner.screen()
        room = beside.left() - _BESIDE_PX - screen.availableGeometry().left()
        width = _WHOLE_PX if room >= _WHOLE_PX else beside.width()
        self.label.setFixedWidth(width - left - right)
        self.setFixedSize(width, self.label.heightForWidth(self.label.width()) + top + bottom + 4)
        place = QPoint(beside.left() - _BESIDE_PX - width, beside.top())
        self.move(place if room >= _WHOLE_PX else QPoint(beside.left(), beside.bottom() + 1))
        self.show()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Hear of clicks anywhere, and of what is copied."""
        super().showEvent(event)
        application: Any = QApplication.instance()
        application.installEventFilter(self)
        application.clipboard().changed.connect(self._clean_copy)

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Hear of them no more."""
        application: Any = QApplication.instance()
        application.removeEventFilter(self)
        with suppress(TypeError, RuntimeError):  # it is hidden before it was ever shown, too
            application.clipboard().changed.disconnect(self._clean_copy)
        super().hideEvent(event)

    def _clean_copy(self, mode: Any) -> None:
        """Leave out of what is copied from here what only breaks lines: a path is looked for."""
        clipboard: Any = QApplication.clipboard()
        words = clipboard.text(mode)
        clean = words.translate(_INVISIBLE)
        if clean != words and words == self.label.selectedText():
            clipboard.setText(clean, mode)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Go at a click elsewhere, with Escape, and when another window comes to the front."""
        if event is None or not isinstance(watched, QWidget):
            return False
        kind = event.type()
        if kind == QEvent.Type.MouseButtonPress:
            # One on the banner hides it there, or dismisses the message.
            ours = any(watched is one or one.isAncestorOf(watched) for one in (self, self._banner))
            gone = not ours
        elif kind == QEvent.Type.KeyPress:
            key: Any = event
            gone = key.key() == Qt.Key.Key_Escape
        else:
            gone = kind == QEvent.Type.WindowDeactivate and watched is self._banner.window()
        if gone:
            self.hide()
        return False


def _breakable(text: str) -> str:
    """A long path has no spaces: zero-width ones let it wrap, but not after its first slash."""
    text = re.sub(r"(?<!\S)/", f"/{_JOINED}", text)
    return re.sub(f"([/_,])(?!{_JOINED})", f"\\1{_BROKEN}", text)
