"""`Work`: what may be under way and can be closed, asked of a tree of Qt objects.

Tasks are Qt children of the services that start them, and services of the registry of the window.
`is_busy` and `close` walk the children, so there is no list that something could be missing from.
"""

from __future__ import annotations

from qtpy.QtCore import QObject


class Work(QObject):
    """Something that may be under way; owns more of it as Qt children."""

    @property
    def parts(self) -> list[Work]:
        """The work that it owns."""
        return [child for child in self.children() if isinstance(child, Work)]

    @property
    def is_busy(self) -> bool:
        """Whether a result is still to come."""
        return any(part.is_busy for part in self.parts)

    def close(self) -> None:
        """Stop; nothing arrives any more. Files that were asked for are still written."""
        for part in self.parts:
            part.close()
