"""The one file that starts threads.

Work is a generator. Its items are handed over in the GUI thread as Qt signals, in order; an
exception is an item too (`failed`), so nothing is ever raised inside the event loop. Work is never
killed: it is asked to stop, and its generator is closed in its own thread.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import GeneratorWorker, create_worker
from qtpy.QtCore import QCoreApplication, QObject, QThreadPool

from napari_tomodrgn.gui.background.work import Work
from napari_tomodrgn.gui.widgets.qt import Signal

_log = logging.getLogger(__name__)

Stop = Callable[[], bool]

# Training, decoding and opening may run at once, beside napari's own workers; on a machine with
# one or two cores Qt's pool would otherwise make a click wait for the end of the training.
_MIN_THREADS = 6
_LONG_S = 2.0


@dataclass(frozen=True)
class Failure:
    """An exception that ended a piece of work."""

    error: Exception


class _Named(functools.partial):
    """A call that napari shows by a readable name when the window is closed while it runs."""

    name = "tomoDRGN"

    def __repr__(self) -> str:
        return self.name


class _StoppableWorker(GeneratorWorker):
    """A worker whose ``quit`` asks the work to end by itself, so that it can save first."""

    stop: threading.Event

    def quit(self) -> None:
        """Ask the work to stop. napari calls this too, when the viewer closes."""
        self.stop.set()


def leave_one_core_free() -> None:
    """Keep torch in the calling thread from taking the core that draws the window."""
    import torch

    count = getattr(os, "sched_getaffinity", None)
    cores = len(count(0)) if count else os.cpu_count() or 2
    torch.set_num_threads(max(1, cores - 1))


def give_memory_back() -> None:
    """Give the memory that nobody uses any more back to the system, where Linux keeps it.

    What a training frees stays with the process else: 2.5 GB instead of 0.9 after the linear
    engine of 400 particles, 3.4 instead of 1.8 after a comparison of them.
    """
    if trim := _malloc_trim():
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """The call of the GNU C library, None where there is another; Python runs on meanwhile."""
    try:
        call: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return call


def _guarded(make: Callable[[], Iterator[object]], computes: bool) -> Generator[Any, None, None]:
    """The items of the work; an exception becomes the last item."""
    began = time.monotonic()
    try:
        if computes:
            leave_one_core_free()
        items = make()
        # Generators are closed here, in their own thread; a list iterator needs no closing.
        with closing(items) if isinstance(items, Generator) else nullcontext():
            yield from items
    except Exception as error:  # noqa: BLE001 the last door of a thread
        _log.debug("Work in a thread failed", exc_info=True)
        yield Failure(error)
    if time.monotonic() - began > _LONG_S:  # not after each click
        give_memory_back()


def _start(worker: GeneratorWorker) -> None:
    pool: Any = QThreadPool.globalInstance()
    pool.setMaxThreadCount(max(pool.maxThreadCount(), _MIN_THREADS))
    worker.start()


def finish_threads(seconds: float = 30.0) -> bool:
    """Wait for all work to end, so that Python does not leave while a thread still reports.

    Events are delivered meanwhile: work hands over its last items through them. Returns whether
    all of it ended in time.
    """
    pool: Any = QThreadPool.globalInstance()
    end = time.monotonic() + seconds
    while pool.activeThreadCount() and time.monotonic() < end:
        QCoreApplication.processEvents()
        pool.waitForDone(10)
    QCoreApplication.processEvents()
    return not pool.activeThreadCount()


class LongTask(Work):
    """One piece of long work at a time, which ends by itself when it is asked to stop.

    napari knows of it: closing the window asks the user, then stops the work.

    Parameters
    ----------
    name
        What napari tells the user is still running.
    computes
        Whether the work uses torch.
    parent
        Owner.
    """

    item = Signal(object)
    failed = Signal(object)  # the exception
    ended = Signal()

    def __init__(self, name: str, parent: QObject | None = None, *, computes: bool = False) -> None:
        super().__init__(parent)
        self.name = name
        self._computes = computes
        self._worker: _StoppableWorker | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the work is under way."""
        return self._worker is not None

    def start(self, make: Callable[[Stop], Iterator[object]]) -> None:
        """Run ``make(stop)`` in a thread; ``stop()`` turns true when the work should end."""
        if self._worker is not None:
            raise RuntimeError(f"{self.name} is running already")
        stop = threading.Event()
        call = _Named(_guarded, lambda: make(stop.is_set), self._computes)
        call.name = self.name
        worker = create_worker(call, _worker_class=_StoppableWorker, _start_thread=False)
        worker.stop = stop
        worker.yielded.connect(self._on_yielded)
        worker.finished.connect(self._end)
        self._worker = worker
        _start(worker)

    def stop(self) -> None:
        """Ask the work to end; `ended` tells when it has."""
        if self._worker is not None:
            self._worker.quit()

    def close(self) -> None:
        """Ask the work to end."""
        self.stop()

    def _on_yielded(self, item: Any) -> None:
        if isinstance(item, Failure):
            self.failed.emit(item.error)
        else:
            self.item.emit(item)

    def _end(self) -> None:
        self._worker = None
        self.ended.emit()


class LatestTask(Work):
    """Short pieces of work of which only the newest matters.

    At most one runs and one waits. A newer request ends the running one between two of its items;
    whatever still arrives from it is dropped. Items that are None are steps without a result.
    ``computes`` says whether the work uses torch.
    """

    item = Signal(object)
    failed = Signal(object)  # the exception
    busy = Signal(bool)

    def __init__(self, parent: QObject | None = None, *, computes: bool = False) -> None:
        super().__init__(parent)
        self._computes = computes
        self._newest = 0
        self._waiting: Callable[[], Iterator[object]] | None = None
        self._worker: GeneratorWorker | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._worker is not None or self._waiting is not None

    def request(self, make: Callable[[], Iterator[object]]) -> None:
        """Run ``make()`` in a thread instead of whatever was asked before."""
        self._newest += 1
        self._waiting = make
        if self._worker is None:
            self.busy.emit(True)
            self._next()

    def cancel(self) -> None:
        """Forget what was asked; nothing of it arrives any more."""
        self._newest += 1
        self._waiting = None

    def close(self) -> None:
        """Forget what was asked."""
        self.cancel()

    def _next(self) -> None:
        make, self._waiting = self._waiting, None
        if make is None:
            self.busy.emit(False)
            return
        # Not through create_worker: it would enter every click into napari's list of tasks.
        worker = GeneratorWorker(self._numbered, self._newest, make)
        worker.yielded.connect(self._on_yielded)
        worker.finished.connect(self._end)
        self._worker = worker
        _start(worker)

    def _numbered(self, number: int, make: Callable[[], Iterator[object]]) -> Iterator[object]:
        with closing(_guarded(make, self._computes)) as items:
            for item in items:
                if number != self._newest:
                    return
                if item is not None:
                    yield number, item

    def _on_yielded(self, answer: tuple[int, Any]) -> None:
        number, item = answer
        if number != self._newest:
            return
        if isinstance(item, Failure):
            self.failed.emit(item.error)
        else:
            self.item.emit(item)

    def _end(self) -> None:
        self._worker = None
        self._next()
