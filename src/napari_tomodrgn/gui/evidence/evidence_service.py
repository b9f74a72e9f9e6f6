"""What the images of the run on show say, particle by particle: gathered once, used by many.

Reading and adding up the images takes seconds to minutes, comparing two groups or making a map
around a point takes a fraction of that. So the evidence is kept while its run is open, and a click
that asks for another map does not begin anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.background.workers import Stop
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.learn.runtime.events import WorkProgress
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.evidence.session import Evidence
    from napari_tomodrgn.learn.run.directory import Run


@dataclass(frozen=True)
class _Gathered:
    run: Run
    evidence: Evidence


class EvidenceService(Service):
    """Gathers the evidence of the run on show for those who ask for it."""

    doing = "reading the images of the run"

    ready = Signal(object)  # Evidence
    progress = Signal(object)  # WorkProgress
    refused = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.job = self.long_task("tomoDRGN evidence", self._on_event)
        self.job.ended.connect(self._on_ended)
        self._gathered: _Gathered | None = None
        self._waiting: set[str] = set()
        self._reading: Run | None = None
        self.listen(self._on_run, "run")

    def request(self, who: str) -> None:
        """Emit `ready` once the evidence is there: at once where it is; ``who`` can `release`."""
        if self._gathered is not None and self._gathered.run is self.session.run:
            self.ready.emit(self._gathered.evidence)
            return
        self._waiting.add(who)
        if not self.job.is_busy:
            self._start()

    def release(self, who: str) -> None:
        """Wait no more; nobody else waiting, the work is given up."""
        self._waiting.discard(who)
        if not self._waiting:
            self.job.stop()

    def _start(self) -> None:
        run, images = self.session.run, self.session.import_options.images
        self._reading = run
        if run is not None:
            self.job.start(lambda stop: _steps(run, images, stop))

    def _on_event(self, item: Any) -> None:
        if isinstance(item, WorkProgress):
            self.progress.emit(item)
        elif item.run is self.session.run:  # else another was opened meanwhile
            self._gathered = item
            self._waiting.clear()
            self.ready.emit(item.evidence)

    def _on_ended(self) -> None:
        # Who asked after another run was opened, or while the last request was being given up.
        if self._waiting and self.session.run is not None:
            self._start()

    def _on_run(self, run: Any, _old: Any = None) -> None:
        if self._gathered is not None and self._gathered.run is not run:
            self._gathered = None
        self._waiting.clear()
        self.job.stop()

    def on_failed(self, error: Exception) -> None:
        """Tell why, to the user and to those who wait."""
        self._waiting.clear()
        if self._reading is self.session.run:
            super().on_failed(error)
            self.refused.emit()


def _steps(run: Run, images: str | None, stop: Stop) -> Iterator[Any]:
    from napari_tomodrgn.analysis.evidence.session import gather_evidence

    steps = gather_evidence(run, images)
    while True:
        try:
            event = next(steps)
        except StopIteration as finished:
            yield _Gathered(run, finished.value)
            return
        if stop():
            return
        yield event
