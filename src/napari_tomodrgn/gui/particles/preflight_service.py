"""The physics of the particles that are open, asked in a thread; answers come in one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.workers import LatestTask
from napari_tomodrgn.gui.particles.load import sentence
from napari_tomodrgn.session import Session
from napari_tomodrgn.work_status import WorkStatus


class PreflightService(QObject):
    """Adds the answers of ``analysis.preflight`` to the checks of the session."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.queue = LatestTask(self, computes=True)
        self.queue.item.connect(self._take)
        self.queue.failed.connect(self._failed)
        self._answers: list[Any] = []
        session.events.particles.connect(self.cancel)

    def start(self) -> None:
        """Ask; what is broken so that images cannot be read is not asked further."""
        session, particles = self.session, self.session.particles
        if particles is None or any(check.verdict == "error" for check in session.checks):
            return
        session.checks = tuple(one for one in session.checks if one not in self._answers)
        self._answers = []
        session.checking = WorkStatus(True, 0.0, "Reading a sample of the images")
        data = session.reading.data

        def steps() -> Iterator[Any]:
            from napari_tomodrgn.analysis.preflight import preflight

            return preflight(particles, data)

        self.queue.request(steps)

    def cancel(self, *_: Any) -> None:
        """Ask no further; nothing more arrives."""
        self.queue.cancel()
        self.session.checking = WorkStatus()

    def _take(self, event: Any) -> None:
        from napari_tomodrgn.analysis.preflight import CheckDone, PreflightProgress

        session = self.session
        if isinstance(event, PreflightProgress):
            session.checking = WorkStatus(True, event.done / max(1, event.total), event.stage)
        elif isinstance(event, CheckDone):
            self._answers.append(event.check)
            session.checks = (*session.checks, event.check)
        else:
            session.checking = WorkStatus()

    def _failed(self, error: Exception) -> None:
        self.session.checking = WorkStatus()
        self.session.say(sentence(error, "checking the physics"), "error")
