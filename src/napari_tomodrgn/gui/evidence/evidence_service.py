"""What the images of the run on show say, particle by particle: gathered once, used by many.

Reading and adding up the images takes seconds to minutes, comparing two groups or making a map
around a point takes a fraction of that. So the evidence is kept while its run is open, and a click
that asks for another map does not begin anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.background.workers import Stop
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.learn.runtime.events import WorkProgress
from napari_tomodrgn.session import Session, same_run

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.evidence.session import Evidence, TiltHalves
    from napari_tomodrgn.learn.run.directory import Run

T = TypeVar("T")
_FOR_HOLDERS = 0.1  # seconds, in which the window's thread hears of the tilt halves


@dataclass(frozen=True)
class _Gathered:
    """What there is of a run: latents of the tilt halves first, sums of its images later."""

    run: Run
    halves: TiltHalves
    evidence: Evidence | None = None


class EvidenceService(Service):
    """Gathers the evidence of the run on show for those who ask for it."""

    doing = "reading the images of the run"

    halves_ready = Signal(object)  # TiltHalves: `ready` follows, after seconds to minutes
    ready = Signal(object)  # Evidence
    progress = Signal(object)  # WorkProgress
    refused = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.job = self.long_task("tomoDRGN images of the run", self._on_event)
        self.job.ended.connect(self._on_ended)
        self._gathered: _Gathered | None = None
        self._waiting: set[str] = set()
        self._holding: set[str] = set()  # of them, those who compute something else first
        self._reading: Run | None = None
        self._images: str | None = None  # where those of the run on show were looked for
        self.listen(self._on_run, "run")

    def request(self, who: str) -> None:
        """Emit `ready` once the evidence is there: at once where it is; ``who`` can `release`."""
        there = self._gathered
        if there is not None and there.evidence is not None:
            self.ready.emit(there.evidence)
            return
        self._waiting.add(who)
        if not self.job.is_busy:
            self._start()
        elif there is not None:
            self.halves_ready.emit(there.halves)

    def is_awaited(self, who: str) -> bool:
        """Whether somebody waits for `ready`."""
        return who in self._waiting

    def hold(self, who: str) -> None:
        """Add up no images before `go_on`, unless somebody else waits: both take all cores."""
        self._holding.add(who)

    def go_on(self, who: str) -> None:
        """Go on where `hold` was called."""
        self._holding.discard(who)

    def _is_held(self) -> bool:
        return bool(self._holding) and self._waiting <= self._holding

    def release(self, who: str) -> None:
        """Wait no more; nobody else waiting, the work is given up."""
        self._waiting.discard(who)
        if not self._waiting:
            self.job.stop()  # before what it waits for is let go
        self._holding.discard(who)

    def _start(self) -> None:
        run, images = self.session.run, self.session.import_options.images
        self._reading, self._images = run, images
        if run is not None:
            known = self._gathered.halves if self._gathered is not None else None
            self.job.start(lambda stop: _steps(run, images, known, (stop, self._is_held)))

    def _on_event(self, item: Any) -> None:
        if item is None:  # it waits
            return
        if isinstance(item, WorkProgress):
            self.progress.emit(item)
        elif self._is_on_show(item.run):  # else another was opened meanwhile
            self._gathered = item
            if item.evidence is None:
                self.halves_ready.emit(item.halves)
                return
            self._waiting.clear()
            self.ready.emit(item.evidence)

    def _on_ended(self) -> None:
        # Who asked after another run was opened, or while the last request was being given up.
        if self._waiting and self.session.run is not None:
            self._start()

    def _is_on_show(self, run: Run | None) -> bool:
        """Whether this run, with its images where they were looked for, is still on show."""
        there = self._images == self.session.import_options.images
        return there and same_run(run, self.session.run)

    def _on_run(self, *_: Any) -> None:
        # While it trains a run is read anew at each epoch: its images stay what they are, and who
        # has asked for them still waits.
        if self._is_on_show(self._reading):
            return
        self._gathered = None
        self._waiting.clear()
        self.job.stop()

    def on_failed(self, error: Exception) -> None:
        """Tell why, to the user and to those who wait; not those who asked of another run since."""
        if self._is_on_show(self._reading):
            self._waiting.clear()
            super().on_failed(error)
            self.refused.emit()


def _steps(
    run: Run,
    images: str | None,
    halves: TiltHalves | None,
    asked: tuple[Stop, Callable[[], bool]],
) -> Iterator[WorkProgress | _Gathered | None]:
    """``asked``: whether to stop, and whether to wait before images are added up."""
    stop, held = asked
    from napari_tomodrgn.analysis.evidence.session import gather_tilt_halves, with_sums

    if halves is None:
        halves = yield from _until(stop, gather_tilt_halves(run, images))
        if halves is None:
            return
    yield _Gathered(run, halves)
    time.sleep(_FOR_HOLDERS)
    while held() and not stop():
        time.sleep(_FOR_HOLDERS)
        yield None
    if stop():
        return
    evidence = yield from _until(stop, with_sums(halves))
    if evidence is not None:
        yield _Gathered(run, halves, evidence)


def _until(stop: Stop, steps: Generator[WorkProgress, None, T]) -> Generator[Any, None, T | None]:
    """What the steps find; None where they are stopped before."""
    while True:
        try:
            event = next(steps)
        except StopIteration as finished:
            found: T = finished.value
            return found
        if stop():
            return None
        yield event
