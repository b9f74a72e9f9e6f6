"""One row under the scatter: make a trajectory, go along it, play it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSlider, QToolButton, QWidget

from napari_tomodrgn.gui.latent_points import TYPICAL
from napari_tomodrgn.gui.qt import Signal, make_tool_button
from napari_tomodrgn.session import Session, axis_names

_FRAME_MS = 180
_NONE, _PINNED = "no path", "between pinned particles"


class PathControls(QWidget):
    """Which path, slider, play; says how many particles are near each frame."""

    along_requested = Signal(int)
    between_requested = Signal()
    forget_requested = Signal()
    frame_requested = Signal(int)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.kind = QComboBox()
        self.kind.setToolTip("A series of volumes along a component, or between pinned particles")
        self.play = QToolButton()
        self.play.setText("▶")
        self.play.setCheckable(True)
        self.play.setToolTip("Play the path, to and fro")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setToolTip("Frame of the path")
        self.words = QLabel()
        self.words.setToolTip(
            f"Particles whose latents are near this frame; {TYPICAL} are near a typical particle. "
            "With none near, the volume is the network's invention."
        )
        self.words.setMinimumWidth(self.words.fontMetrics().horizontalAdvance("21/21   9999 near"))
        self.stop = make_tool_button("✕", "Take the path away", self.forget_requested.emit)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("Path"))
        row.addWidget(self.kind)
        row.addWidget(self.play)
        row.addWidget(self.slider, 1)
        row.addWidget(self.words)
        row.addWidget(self.stop)
        self._step, self._timer = 1, QTimer(self)
        self._timer.setInterval(_FRAME_MS)
        self._timer.timeout.connect(self._advance)
        self.kind.activated.connect(self._choose)
        self.slider.valueChanged.connect(self.frame_requested)
        self.play.toggled.connect(self._toggle)
        for name in ("path", "frame", "latents"):
            getattr(session.events, name).connect(self.refresh)
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show what the session holds."""
        session, path = self._session, self._session.path
        self._fill()
        self.kind.setEnabled(session.latents is not None)
        for widget in (self.play, self.slider, self.stop):
            widget.setEnabled(path is not None)
        if path is None:
            self.play.setChecked(False)
            self.words.setText("")
            return
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, len(path.points) - 1)
            self.slider.setValue(session.frame)
        near = path.points[session.frame].near
        self.words.setText(f"{session.frame + 1}/{len(path.points)}   {near:,} near")

    def _fill(self) -> None:
        table, path = self._session.latents, self._session.path
        names = axis_names(table) if table is not None else []
        words = [_NONE, *(name for name in names if name.startswith("PC ")), _PINNED]
        if [self.kind.itemText(row) for row in range(self.kind.count())] != words:
            self.kind.clear()
            self.kind.addItems(words)
        shown = _NONE if path is None else path.name
        self.kind.setCurrentText(shown if shown in words else _PINNED)

    def _choose(self, _row: int) -> None:
        chosen = self.kind.currentText()
        self._fill()  # the box says what is there until the path is
        if chosen == _NONE:
            self.forget_requested.emit()
        elif chosen == _PINNED:
            self.between_requested.emit()
        else:
            self.along_requested.emit(int(chosen[3:]))

    def _toggle(self, on: bool) -> None:
        self.play.setText("❚❚" if on else "▶")
        if on:
            self._timer.start()
        else:
            self._timer.stop()

    def _advance(self) -> None:
        session, path = self._session, self._session.path
        if path is None:
            return
        shown = session.decoded
        wanted = path.points[session.frame]
        if shown is None or shown.point != wanted or not shown.complete:
            return  # a slow machine plays slowly, rather than showing previews only
        if not 0 <= session.frame + self._step < len(path.points):
            self._step = -self._step
        self.frame_requested.emit(session.frame + self._step)
