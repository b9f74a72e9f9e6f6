"""Letters that are drawn ahead, unseen, while nobody waits.

napari works out the shape of each letter when it is drawn for the first time, some milliseconds
each on a computer without a graphics card. The words of a first volume would take a fifth of a
second, often while a training runs beside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_tomodrgn.gui.background.work import Work
from napari_tomodrgn.session import Session

# First those of most captions of volumes, then what else names of tomograms have.
_LETTERS = "TS_0123/·epochntur.smaσ456789bdfgijklqvwxyzPLGAÅ≈,-"
_MILLISECONDS_FIRST = 200
# So many at a time, milliseconds apart; fewer while a training takes its share of the time.
_AT_A_TIME, _MILLISECONDS = 3, 40
_WHILE_TRAINING = 2, 250


class GlyphWarmup(Work):
    """Draws some letters now and then, until all are known or there are words to be seen."""

    def __init__(
        self,
        viewer: Any,
        session: Session,
        is_idle: Callable[[], bool],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._session, self._is_idle = viewer, session, is_idle
        self._left = _LETTERS
        self.timer = QTimer(self)
        self.timer.setInterval(_MILLISECONDS_FIRST)
        self.timer.timeout.connect(self._draw_some)
        self.timer.start()

    def stop(self) -> None:
        """No more; words that are set now are seen."""
        if not self.timer.isActive():
            return
        self.timer.stop()
        text = self._viewer.canvas.overlays.text
        if text.opacity == 0:
            text.visible, text.text, text.opacity = False, "", 1.0

    def close(self) -> None:
        """Draw no more."""
        self.stop()

    def _draw_some(self) -> None:
        text = self._viewer.canvas.overlays.text
        if not self._left or (text.visible and text.opacity):
            self.stop()
            return
        busy = self._session.training.busy
        if not busy and not self._is_idle():
            return  # something is opened: that is what is waited for
        count, interval = _WHILE_TRAINING if busy else (_AT_A_TIME, _MILLISECONDS)
        self.timer.setInterval(interval)
        some, self._left = self._left[:count], self._left[count:]
        text.opacity, text.text, text.visible = 0.0, some, True
