"""The physics of the particles that are open, asked in a thread; answers come in one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.session import Session, same_run
from napari_tomodrgn.work_status import WorkStatus

if TYPE_CHECKING:
    from napari_tomodrgn.data.checks import Check
    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.learn.run.directory import Run


class PreflightService(Service):
    """Adds the answers of ``analysis.preflight`` to the checks of the session.

    The run that is trained on the particles keeps them, and brings them along when it is opened.
    """

    doing = "checking the physics"

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.queue = self.latest_task(self._on_event, computes=True)
        self._answers: list[Check] = []  # also of before, until they are given anew
        self._given: list[Check] = []  # since it was asked last
        self._whole = False  # whether it ever came to its end
        self._open: tuple[Run | None, ParticleSet | None] = (None, None)
        self.keeping = self.task_queue(lambda _kept: None)
        self.reading = self.latest_task(self._on_kept)
        self.listen(self._on_opened, "particles", "run")

    def start(self) -> None:
        """Check the physics, unless a file check failed: images cannot be read then.

        What was answered before stands until it is answered anew: this may be stopped.
        """
        session, particles = self.session, self.session.particles
        files = [one for one in session.checks if one not in self._answers]
        if particles is None or any(check.verdict == "error" for check in files):
            return
        self._given = []
        session.preflight_status = WorkStatus(True, 0.0, "Reading a sample of the images")
        data = session.import_options.data

        def steps() -> Iterator[object]:
            from napari_tomodrgn.analysis.preflight import preflight

            return preflight(particles, data)

        self.queue.request(steps)

    def start_unless_trained(self) -> None:
        """Check what was opened; the physics of a run were checked before it was trained."""
        if self.session.run is None:
            self.start()

    def cancel(self) -> None:
        """Stop checking; what was answered stays."""
        self.queue.cancel()
        if self.session.preflight_status.busy:
            self.session.preflight_status = WorkStatus(stopped=not self._whole)

    def _forget(self) -> None:
        """Other particles: nothing that was asked before is of them."""
        self.queue.cancel()
        self._answers, self._given, self._whole = [], [], False
        self.session.preflight_status = WorkStatus()

    def _on_event(self, event: object) -> None:
        from napari_tomodrgn.analysis.preflight import CheckDone, PreflightProgress

        session = self.session
        if isinstance(event, PreflightProgress):
            session.preflight_status = WorkStatus(
                True, event.done / max(1, event.total), event.stage
            )
        elif isinstance(event, CheckDone):
            self._take(event.check)
        else:
            self._drop([one for one in self._answers if one not in self._given])
            self._whole = True
            session.preflight_status = WorkStatus()
            self._keep(session.run)

    def _on_opened(self, *_: object) -> None:
        """Keep the answers in a run that is trained on what was asked; else look what it keeps."""
        (old, before), run = self._open, self.session.run
        self._open = (run, self.session.particles)
        if before is not self.session.particles:
            self._forget()
        elif same_run(run, old):
            return  # at another epoch
        if run is None:
            return
        if self._answers and self._whole:
            self._keep(run)
        elif not self._answers:
            self.reading.request(lambda: _kept(run))

    def _keep(self, run: Run | None) -> None:
        if run is not None:
            checks = tuple(self._answers)
            self.keeping.add(lambda: _written(run, checks))

    def _on_kept(self, found: tuple[Run, tuple[Check, ...]]) -> None:
        run, checks = found
        if checks and same_run(run, self.session.run) and not self._answers:
            self._whole = True
            for one in checks:
                self._take(one)

    def _take(self, check: Check) -> None:
        """Add an answer in the place of the one that was given before."""
        self._given.append(check)
        if check not in self._answers:
            self._drop([one for one in self._answers if one.code == check.code])
            self._answers.append(check)
            self.session.checks = (*self.session.checks, check)

    def _drop(self, gone: list[Check]) -> None:
        if gone:
            self._answers = [one for one in self._answers if one not in gone]
            self.session.checks = tuple(one for one in self.session.checks if one not in gone)

    def on_failed(self, error: Exception) -> None:
        """Tell what went wrong; the checks are over."""
        self.session.preflight_status = WorkStatus()
        super().on_failed(error)


def _written(run: Run, checks: tuple[Check, ...]) -> Path:
    from napari_tomodrgn.analysis.preflight.kept import checks_file, keep_checks

    keep_checks(run, checks)
    return checks_file(run)


def _kept(run: Run) -> Iterator[tuple[Run, tuple[Check, ...]]]:
    from napari_tomodrgn.analysis.preflight.kept import kept_checks

    yield run, kept_checks(run)
