"""One sentence at the top of the dock: what went wrong, or what was just done."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QWidget

from napari_tomodrgn.gui.widgets.qt import make_label, make_tool_button
from napari_tomodrgn.session import Message, Session

# Text and ground, readable on napari's dark and light themes alike.
_COLORS = {
    "error": ("#ffffff", "#a83232"),
    "warning": ("#1b1b1b", "#e0a83c"),
    "info": ("#ffffff", "#2f6f9f"),
}


class Banner(QFrame):
    """Shows the session's message until it is dismissed or replaced."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setObjectName("tomodrgn_banner")
        self.label = make_label()
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        dismiss = make_tool_button("✕", "Dismiss", self._dismiss)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 5, 4, 5)
        layout.addWidget(self.label, 1)
        layout.addWidget(dismiss, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()
        session.events.message.connect(self.show_message)

    def show_message(self, message: Message | None, _old: object = None) -> None:
        """Show a message, or hide the banner."""
        if message is None:
            self.hide()
            return
        text, ground = _COLORS[message.severity]
        self.setStyleSheet(
            f"#tomodrgn_banner {{ background: {ground}; border-radius: 4px; }}"
            f"#tomodrgn_banner QLabel {{ color: {text}; background: transparent; }}"
            f"#tomodrgn_banner QToolButton {{ color: {text}; background: transparent;"
            " border: none; }"
        )
        # A long path has no spaces: zero-width ones let it wrap instead of widening the dock.
        self.label.setText(_breakable(message.text))
        self.show()

    @property
    def text(self) -> str:
        """The sentence on show, empty when there is none."""
        return self.label.text().replace("\u200b", "") if not self.isHidden() else ""

    def _dismiss(self) -> None:
        self._session.message = None


def _breakable(text: str) -> str:
    for mark in "/_,":
        text = text.replace(mark, mark + "\u200b")
    return text
