"""Work as generators of steps: whoever runs them may stop between any two."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

Stop = Callable[[], bool]
T = TypeVar("T")


class Cancelled(Exception):
    """Someone asked to stop; raised and caught within the generators that train."""


def never() -> bool:
    """Answer that nobody asks to stop."""
    return False


def run_to_end(steps: Generator[object, None, T]) -> T:
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            value: T = done.value
            return value


def offset_steps(steps: Generator[int, None, T], done: int) -> Generator[int, None, T]:
    """The same steps that count what is done, after so many that were done before."""
    while True:
        try:
            yield done + next(steps)
        except StopIteration as finished:
            value: T = finished.value
            return value
