"""Work in steps that tells how far it is and stops when asked to."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

from napari_tomodrgn.learn.runtime.distributed import Cancelled
from napari_tomodrgn.learn.runtime.events import Event, WorkProgress

Stop = Callable[[], bool]
T = TypeVar("T")


def run_cancellable(
    steps: Generator[int, None, T], total: int, what: str, stop: Stop
) -> Generator[Event, None, T]:
    """Run steps that yield how many of ``total`` are done, telling so; what they return.

    Raises
    ------
    StoppedError
        After the step in which ``stop`` came to answer True.
    """
    while True:
        try:
            done = next(steps)
        except StopIteration as finished:
            value: T = finished.value
            return value
        yield WorkProgress(min(done, total), total, what)
        if stop():
            raise Cancelled
