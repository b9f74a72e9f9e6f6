"""Long work of a session as bars in napari's activity dock, beside those of the panels."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QApplication, QLabel

from napari_tomodrgn.gui.background.work import Work
from napari_tomodrgn.session import Session
from napari_tomodrgn.work_status import TrainingStatus, WorkStatus

_STEPS = 1000
_MILLISECONDS = 1000
# What napari writes beside a bar, behind the last stroke. By itself it would reckon a time of its
# own from how fast the bar moves, which is not the one that header and panel tell.
_BESIDE = "{{desc}}|{left}"
# napari turns its wheel 33 times a second. Each turn puts the whole window together again, with
# its canvases: where OpenGL is drawn by the processor 18 ms, more than half a core that trains.
_WHEEL_SPEED_PERCENT = 12


class ProgressBars(Work):
    """Shows one bar for the training and one for each other piece of work that is under way.

    napari's bars deliver all events that wait while they are moved. They are therefore moved from
    the event loop, never within a change of the session, whose listeners may be gone afterwards.
    """

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bars: dict[str, Any] = {}
        self._closed = False
        self._wanted: dict[str, tuple[str, float, str] | None] = {}
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_MILLISECONDS)
        self._later.timeout.connect(self._move)
        events = session.events
        events.training.connect(self._on_training)
        events.preflight_status.connect(self._on_checking)
        events.reconstruction_status.connect(self._on_validating)
        events.comparison_status.connect(self._on_comparing)

    @property
    def is_busy(self) -> bool:
        """Bars only follow the work of others."""
        return False

    def close(self) -> None:
        """Take all bars away, for good."""
        self._closed = True
        self._later.stop()
        while self._bars:
            self._bars.popitem()[1].close()

    def _on_training(self, status: TrainingStatus, _old: object = None) -> None:
        if status.is_at_work:
            self._schedule("training", (status.part, status.fraction, status.left))
        elif status.phase == "idle":
            self._schedule("training", None)
        else:
            total = f" of {status.epochs}" if status.epochs else ""
            words = f"{status.phase}, {status.unit} {status.epoch}{total}"
            self._schedule("training", (words, status.fraction, status.left))

    def _on_checking(self, status: WorkStatus, _old: object = None) -> None:
        self._schedule_work("checks", "checks", status)

    def _on_validating(self, status: WorkStatus, _old: object = None) -> None:
        self._schedule_work("maps", "reconstruction", status)

    def _on_comparing(self, status: WorkStatus, _old: Any = None) -> None:
        self._schedule_work("comparison", f"comparing: {status.what}", status)

    def _schedule_work(self, name: str, words: str, status: WorkStatus) -> None:
        self._schedule(name, (words, status.fraction, status.left) if status.busy else None)

    def _schedule(self, name: str, bar: tuple[str, float, str] | None) -> None:
        self._wanted[name] = bar
        if not self._later.isActive():
            self._later.start()

    def _move(self) -> None:
        while self._wanted:
            name, wanted = self._wanted.popitem()
            if wanted is not None:
                self._show(name, *wanted)
            elif name in self._bars:
                self._bars.pop(name).close()

    def _show(self, name: str, words: str, fraction: float, left: str) -> None:
        from napari.utils import progress

        words, done = f"tomoDRGN: {words}", round(_STEPS * fraction)
        bar = self._bars.get(name)
        if bar is None:
            bar = self._bars[name] = progress(
                total=_STEPS, desc=words, bar_format=_BESIDE.format(left="")
            )
            _slow_the_wheel()
        if self._closed:  # by an event that the bar delivered
            self.close()
            return
        beside = _BESIDE.format(left=left.removeprefix(", "))
        if bar.bar_format != beside:
            bar.bar_format = beside
            bar.refresh()
        if bar.desc.removesuffix(": ") != words:
            bar.set_description(words)
        if done != bar.n:
            bar.update(done - bar.n)


def _slow_the_wheel() -> None:
    """Let the wheel beside napari's *activity* turn four times a second."""
    for window in QApplication.topLevelWidgets():
        for label in window.findChildren(QLabel):
            movie = label.movie()
            if movie is not None:
                movie.setSpeed(_WHEEL_SPEED_PERCENT)
