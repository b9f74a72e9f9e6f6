"""Selections before and after the one at hand, for undo and redo."""

from __future__ import annotations

Selected = frozenset[str]
_REMEMBERED = 200  # steps


class SelectionHistory:
    """Remembers selections of identities as others take their place."""

    def __init__(self) -> None:
        self._past: list[Selected] = []
        self._future: list[Selected] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier selection."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether something was undone."""
        return bool(self._future)

    def remember(self, before: Selected) -> None:
        """Another selection takes the place of ``before``; what was undone is over."""
        self._past = [*self._past, before][-_REMEMBERED:]
        self._future.clear()

    def undo(self, now: Selected) -> Selected:
        """The selection before; ``now`` if there is none."""
        return _moved(self._past, self._future, now)

    def redo(self, now: Selected) -> Selected:
        """The selection that was undone last; ``now`` if there is none."""
        return _moved(self._future, self._past, now)

    def clear(self) -> None:
        """Forget all: the particles are others."""
        self._past.clear()
        self._future.clear()


def _moved(source: list[Selected], target: list[Selected], now: Selected) -> Selected:
    if not source:
        return now
    target.append(now)
    return source.pop()
