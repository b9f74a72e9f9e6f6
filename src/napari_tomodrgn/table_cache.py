"""Answers of pure functions of large tables, kept while the tables live."""

from __future__ import annotations

import functools
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import ParamSpec, TypeVar

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")


def kept(
    most: int,
) -> Callable[[Callable[_Given, _Answer]], Callable[_Given, _Answer]]:
    """Keep the newest ``most`` answers of a function, from whichever thread it was asked.

    Tables and sets of particles are told apart by who they are, as they are never changed in place,
    and are not held: an answer goes with the first of them that goes, so it must not hold one.
    """

    def decorate(function: Callable[_Given, _Answer]) -> Callable[_Given, _Answer]:
        answers: OrderedDict[Hashable, tuple[list[object], _Answer]] = OrderedDict()
        lock = threading.Lock()

        @functools.wraps(function)
        def ask(*given: _Given.args, **named: _Given.kwargs) -> _Answer:
            parts = [*given, *(named[name] for name in sorted(named))]
            key = (*(one if _is_value(one) else id(one) for one in parts), *sorted(named))
            with lock:
                found = answers.get(key)
                if found is not None:
                    answers.move_to_end(key)
                    return found[1]
            answer = function(*given, **named)

            def forget(_gone: object) -> None:
                answers.pop(key, None)  # without the lock: a table may go while it is held

            held = [_held(one, forget) for one in parts if not _is_value(one)]
            with lock:
                answers[key] = (held, answer)
                while len(answers) > most:
                    answers.popitem(last=False)
            return answer

        return ask

    return decorate


def _held(given: object, forget: Callable[[object], None]) -> object:
    """What tells when a table goes; of what cannot tell, such as a tuple, the thing itself."""
    try:
        return weakref.ref(given, forget)
    except TypeError:
        return given


def _is_value(given: object) -> bool:
    """Whether it is told apart by what it says: words, numbers, frozen settings."""
    if given is None or isinstance(given, (str, int, float, bool)):
        return True
    if isinstance(given, tuple):
        return all(_is_value(one) for one in given)
    settings = getattr(given, "__dataclass_params__", None)
    return settings is not None and bool(settings.frozen and settings.eq)
