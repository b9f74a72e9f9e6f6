"""Pieces of work that are all done, one after the other: files that users asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.work import Work
from napari_tomodrgn.gui.background.workers import LatestTask
from napari_tomodrgn.gui.widgets.qt import Signal


class TaskQueue(Work):
    """A list of work and the thread that does it.

    Requests that wait in a `LatestTask` replace each other, so the work is in a list of its own.
    """

    done = Signal(object)  # what the work gave
    failed = Signal(object)  # the exception

    def __init__(self, parent: QObject | None = None, *, computes: bool = False) -> None:
        super().__init__(parent)
        self.queue = LatestTask(self, computes=computes)
        self.queue.item.connect(self._emit_results)
        self._closed = False
        self._pending: deque[Callable[[], Any]] = deque()
        self._results: deque[Any] = deque()

    def close(self) -> None:
        """Report nothing more; what was asked for is still done."""
        self._closed = True

    def add(self, work: Callable[[], Any]) -> None:
        """Run this after what was added before."""
        self._pending.append(work)
        self.queue.request(self._work_off)

    def _work_off(self) -> Iterator[bool]:
        """Do all that waits. Items of a replaced request are dropped, so results are listed."""
        while self._pending:
            try:
                self._results.append(self._pending.popleft()())
            except Exception as error:  # noqa: BLE001 the next piece of work must still be done
                self._results.append(error)
        yield True

    def _emit_results(self, *_: object) -> None:
        while self._results:
            result = self._results.popleft()
            if self._closed:
                continue
            (self.failed if isinstance(result, Exception) else self.done).emit(result)
