"""Checks as traffic lights: a summary, then a row each with its number, why and remedy."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_tomodrgn.data.checks.check_labels import name_of, number_of, rank, tally
from napari_tomodrgn.gui.background.error_message import in_window_terms
from napari_tomodrgn.gui.widgets.collapsible import CollapsibleSection
from napari_tomodrgn.gui.widgets.qt import (
    Signal,
    clear_layout,
    make_button,
    make_label,
    make_tool_button,
)
from napari_tomodrgn.gui.widgets.steady_label import SteadyLabel
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    from napari_tomodrgn.data.checks import Check
    from napari_tomodrgn.work_status import WorkStatus

# Sign and ground: who cannot tell red from green reads the sign. Words for screen readers.
_LIGHTS = {
    "error": ("✕", "#c93c3c", "#ffffff", "Error: the result would be wrong"),
    "warning": ("!", "#e0a83c", "#1b1b1b", "Warning: deserves a look"),
    "info": ("i", "#3f7fb5", "#ffffff", "Note: undecided, or good to know"),
    "ok": ("✓", "#2f8f5b", "#ffffff", "Passed"),
}
_LIGHT_PX = 18


class CheckList(QWidget):
    """What was asked of the particles; the physics come in while they are being asked."""

    check_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.summary = SteadyLabel()
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setFixedHeight(8)
        self.bar.setTextVisible(False)
        self.stage, self._longest_stage = SteadyLabel(), ""
        self.cancel = make_tool_button("✕", "Stop checking", self.cancel_requested.emit)
        self.again = make_button(
            "Check the physics",
            "Looks at a sample of the images: pixel size, CTF, contrast, poses, direction of the "
            "tilts, doses",
            self.check_requested.emit,
        )
        # One in the place of the other: nothing moves from under the mouse as the checks end.
        self._below = QStackedWidget()
        self._below.addWidget(self._running())
        self._below.addWidget(self._asking())
        self._rows, passed = QVBoxLayout(), QWidget()
        self._passed = QVBoxLayout(passed)
        for rows in (self._rows, self._passed):
            rows.setSpacing(2)
            rows.setContentsMargins(0, 0, 0, 0)
        self.passed = CollapsibleSection(
            "", passed, "Checks with nothing to say against the particles"
        )
        self._shown: list[Check] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.summary)
        # Above the rows, which push what is below them down as they come.
        layout.addWidget(self._below)
        layout.addLayout(self._rows)
        layout.addWidget(self.passed)
        session.events.checks.connect(self.refresh)
        session.events.preflight_status.connect(self._show_running)
        self.refresh()

    def _running(self) -> QWidget:
        running = QWidget()
        grid = QGridLayout(running)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.stage, 0, 0)
        grid.addWidget(self.cancel, 0, 1)
        grid.addWidget(self.bar, 1, 0, 1, 2)
        grid.setColumnStretch(0, 1)
        return running

    def _asking(self) -> QWidget:
        """The button that asks, but where the one that stops was: a second click is no answer."""
        asking = QWidget()
        row = QHBoxLayout(asking)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.again, 1)
        row.addSpacing(self.cancel.sizeHint().width())
        return asking

    @property
    def rows(self) -> list[CheckRow]:
        """The rows on show, worst first."""
        return [*_rows_of(self._rows), *_rows_of(self._passed)]

    def refresh(self, *_: object) -> None:
        """Show the checks of the session; rows that stay are left as they are."""
        checks = list(self._session.checks)
        known = len(self._shown)
        if checks[:known] != self._shown:
            clear_layout(self._rows)
            clear_layout(self._passed)
            known = 0
        for check in checks[known:]:
            rows = self._passed if check.verdict == "ok" else self._rows
            ranks = [rank(row.check) for row in _rows_of(rows)]
            rows.insertWidget(bisect_right(ranks, rank(check)), CheckRow(check))
        self._shown = checks
        count = self._passed.count()
        self.passed.setVisible(count > 0)
        self.passed.set_title("What was checked")
        self._show_running()

    def _show_running(self, *_: object) -> None:
        status = self._session.preflight_status
        self._show_summary(status)
        words = f"{status.what} …"
        self._longest_stage = max(self._longest_stage, words, key=len)
        # As the checks end nothing moves up from under the mouse: room is let go once it is away.
        self.stage.keep_room_for(*[self._longest_stage] * self._holds_room(status))
        self.stage.setText(words)
        self.bar.setValue(round(1000 * status.fraction))
        asked = "pixels" in {check.code for check in self._session.checks}
        self.again.setText("Check the physics again" if asked else "Check the physics")
        self._below.setCurrentIndex(0 if status.busy else 1)
        self._below.setVisible(bool(self._session.checks) or status.busy)

    def _holds_room(self, status: WorkStatus) -> bool:
        return status.busy or self.underMouse()

    def leaveEvent(self, event: Any) -> None:
        """Let go of room for words that are over."""
        super().leaveEvent(event)
        self._show_running()

    def _show_summary(self, status: WorkStatus) -> None:
        checks = self._session.checks
        self.summary.setVisible(bool(checks))
        if checks:
            so_far = f"{tally(checks)} so far"
            words = so_far if status.busy else tally(checks)
            words += "; stopped before the rest was checked" if status.stopped else ""
            color = _LIGHTS[min(checks, key=rank).verdict][1]
            bold = "<b><span style='color:{}'>■</span> {}</b>".format
            self.summary.keep_room_for(*[bold(color, so_far)] * self._holds_room(status))
            self.summary.setText(bold(color, words))
            self.summary.setAccessibleName(words)


def _rows_of(layout: QVBoxLayout) -> list[CheckRow]:
    items: list[Any] = [layout.itemAt(place) for place in range(layout.count())]
    return [item.widget() for item in items]


class CheckRow(QWidget):
    """One check; a click shows why it is asked and what to do."""

    def __init__(self, check: Check, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.check = check
        sign, ground, ink, meaning = _LIGHTS[check.verdict]
        light = QLabel(sign)
        light.setAlignment(Qt.AlignmentFlag.AlignCenter)
        light.setFixedSize(_LIGHT_PX, _LIGHT_PX)
        light.setStyleSheet(
            f"background: {ground}; color: {ink}; border-radius: {_LIGHT_PX // 2}px;"
            " font-weight: bold;"
        )
        light.setToolTip(meaning)
        light.setAccessibleName(meaning)
        name = make_label(name_of(check.code))
        name.setStyleSheet("font-weight: bold;" if check.verdict != "ok" else "")
        number = QLabel(number_of(check))
        self.more = make_tool_button("▸", "Why this is asked, and what to do", self.toggle)
        self.more.setStyleSheet("border: none; background: transparent;")
        head = QHBoxLayout()
        head.addWidget(light)
        head.addWidget(name, 1)
        head.addWidget(number)
        head.addWidget(self.more)
        self.message = make_label(in_window_terms(check.message))
        self.details = make_label(_details(check))
        self.details.setTextFormat(Qt.TextFormat.RichText)
        for label in (self.message, self.details):
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setContentsMargins(_LIGHT_PX + 6, 0, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(head)
        layout.addWidget(self.message)
        layout.addWidget(self.details)
        self.setToolTip("" if check.verdict != "ok" else check.message)
        self._open = check.verdict == "error"
        self._show_details()

    def toggle(self) -> None:
        """Show why and remedy, or hide them."""
        self._open = not self._open
        self._show_details()

    def mousePressEvent(self, event: Any) -> None:
        """Anywhere in the row will do."""
        self.toggle()
        event.accept()

    def _show_details(self) -> None:
        self.more.setText("▾" if self._open else "▸")
        # What is not well is told at once; what is, when it is asked for.
        self.message.setVisible(self._open or self.check.verdict in ("error", "warning"))
        self.details.setVisible(self._open and bool(self.details.text()))


def _details(check: Check) -> str:
    parts = []
    if check.why:
        parts.append(f"<b>Why:</b> {_escaped(check.why)}")
    if check.remedy:
        parts.append(f"<b>What to do:</b> {_escaped(in_window_terms(check.remedy))}")
    return "<br>".join(parts)


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
