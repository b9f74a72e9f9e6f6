"""The header above all steps: what is open, the verdict, what is under way, the last message.

No message or state changes its height, so that nothing below it moves under the mouse.
"""

from __future__ import annotations

import re

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_tomodrgn.gui.widgets.letter_size import LetterSize
from napari_tomodrgn.gui.widgets.message_banner import Banner
from napari_tomodrgn.gui.widgets.qt import ElidedLabel
from napari_tomodrgn.session import Session
from napari_tomodrgn.session.verdict import Verdict
from napari_tomodrgn.work_status import percent

# Ground and ink; a sign as well, for those who cannot tell green from amber.
_CHIPS = {
    "supported": ("✓", "#2f8f5b", "#ffffff"),
    "doubted": ("!", "#e0a83c", "#1b1b1b"),
    "unsupported": ("!", "#e0a83c", "#1b1b1b"),
    "untested": ("?", "#5a606b", "#ffffff"),
}
# A run that is still trained: nobody forgot to test it.
_LATER = "pending"


class Header(QWidget):
    """Two lines of what is open and how it stands, and the last message."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.title = ElidedLabel("What is open")
        self.title.setStyleSheet("font-weight: bold;")
        self.chip = QLabel()
        self.state = ElidedLabel("What is under way")
        self.state.setElideMode(Qt.TextElideMode.ElideRight)  # its middle is a number
        self.banner = Banner(session)
        line = QHBoxLayout()
        line.addWidget(self.chip)
        line.addWidget(self.state, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.title)
        layout.addLayout(line)
        layout.addWidget(self.banner)
        LetterSize(self.title, self._fix_heights)
        for name in ("source", "run", "epoch", "quality", "latents", "particles"):
            session.events[name].connect(self.refresh)
        for name in (
            *("training", "preflight_status", "reconstruction_status"),
            *("comparison", "comparison_status", "image_map_status"),
        ):
            session.events[name].connect(self.refresh)
        self.refresh()

    def event(self, event: QEvent | None) -> bool:
        """Hear how high the dock is, once this is in one."""
        parent = self.parentWidget()
        if event is not None and event.type() == QEvent.Type.ParentChange and parent is not None:
            parent.installEventFilter(self)
        return bool(super().event(event))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """In a low window messages have fewer lines."""
        dock = self.parentWidget()
        resized = event is not None and event.type() == QEvent.Type.Resize
        if resized and dock is not None and watched is dock:
            self.banner.set_room(dock.height())
        return False

    def _fix_heights(self) -> None:
        """As high as the letters: no word on show changes that."""
        height = self.title.fontMetrics().height()
        self.title.setFixedHeight(height + 4)
        self.chip.setFixedHeight(height + 6)
        self.state.setFixedHeight(height + 6)

    def refresh(self, *_: object) -> None:
        """Show what the session holds."""
        session = self._session
        self.title.setText(title_of(session))
        self.title.setToolTip(str(session.source or ""))
        self.state.setText(state_of(session))
        training = session.training
        self.state.setToolTip(training.words if training.is_at_work else "")
        compared = session.comparison
        verdict = Verdict.of(session.quality).after(None if compared is None else compared.record)
        if awaited_run(session):
            verdict = Verdict.of({})  # not that of the run before
        sign, ground, ink = _CHIPS[verdict.kind]
        later = verdict.kind == "untested" and session.training.phase != "idle"
        self.chip.setVisible(session.run is not None)
        self.chip.setText(f"{sign} {_LATER if later else verdict.words}")
        self.chip.setToolTip(verdict.sentence)
        self.chip.setAccessibleName(verdict.sentence)
        self.chip.setStyleSheet(
            f"background: {ground}; color: {ink}; border-radius: 8px; padding: 0px 7px;"
        )


def awaited_run(session: Session) -> str:
    """Return the run that is trained while another one is on show; empty for none."""
    name, run = session.training.run_name, session.run
    return name if run is not None and run.path.name != name else ""


def title_of(session: Session) -> str:
    """Return data set, run and epoch in one line."""
    source, run = session.source, session.run
    if run is not None:
        on_show = f"{run.path.name}  ·  {session.epoch_words}"
        awaited = awaited_run(session)
        if not awaited:
            return on_show
        new, old = _told_apart(awaited, run.path.name)
        return f"{new}  ·  still on show: {old}  ·  {session.epoch_words}"
    if session.training.run_name:  # the first of these particles, from its start
        return f"{session.training.run_name}  ·  {session.epoch_words}"
    return source.name if source is not None else "No data open"


def _told_apart(one: str, other: str) -> tuple[str, str]:
    """Two names without the words that both begin with.

    Else a line with both has no room for what tells them apart.
    """
    ends = (found.end() for found in re.finditer("[_. -]", one))
    alike = (n for n in ends if one[:n] == other[:n])
    cuts = [n for n in alike if one[n : n + 1].isalpha() and other[n : n + 1].isalpha()]
    cut = cuts[-1] if cuts else 0
    return one[cut:], other[cut:]


def state_of(session: Session) -> str:
    """Return what is under way, or how many particles there are."""
    training = session.training
    if training.is_at_work:
        return training.short_words
    if training.phase != "idle":
        total = f" of {training.epochs}" if training.epochs else ""
        return f"{training.phase.capitalize()}, {training.unit} {training.epoch}{total}"
    if session.comparison_status.busy:  # one progress for all its parts
        return f"Comparing … {percent(session.comparison_status.fraction)}"
    for words, status in (
        ("Reconstructing", session.reconstruction_status),
        ("Map from images", session.image_map_status),
        ("Checking", session.preflight_status),
    ):
        if status.busy:
            # Each part counts from 0 to 100 %: said without its name it would run backwards.
            part = f", {status.what[0].lower()}{status.what[1:]}" if status.what else ""
            return f"{words}{part} … {percent(min(status.fraction, 0.99))}"
    table = session.table
    return "" if table is None else f"{len(table):,} particles"
