"""Letters that are drawn ahead, unseen, while nobody waits.

All words on a canvas share one font. The letters are drawn by an overlay of our own, which nobody
sees and nobody else sets; napari's text overlay is the user's and is only looked at.

napari works out the shape of each letter when it is drawn for the first time, some milliseconds
each on a computer without a graphics card. The words of a first volume would take a fifth of a
second, often while a training runs beside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari.components.overlays import TextOverlay
from qtpy.QtCore import QObject, QTimer

from napari_tomodrgn.gui.background.work import Work
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    from napari.viewer import Viewer

# With an underscore, as napari's own overlays that are no concern of the user.
_NAME = "_tomodrgn_letters"
# First those of most captions of volumes, then what else names of tomograms have.
_LETTERS = "TS_0123/·epochntur.smaσ456789bdfgijklqvwxyzPLGAÅ≈,-"
_MILLISECONDS_FIRST = 200
# So many at a time, milliseconds apart; fewer while a training takes its share of the time.
_AT_A_TIME, _MILLISECONDS = 3, 40
_WHILE_TRAINING = 2, 250


class GlyphWarmup(Work):
    """Draws some letters now and then, until all are known or a map is there with its words."""

    def __init__(
        self,
        viewer: Viewer,
        session: Session,
        is_idle: Callable[[], bool],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._session, self._is_idle = viewer, session, is_idle
        self._left = _LETTERS
        # A position that is none of napari's: laid out with the other overlays, it would move them.
        self._overlay = TextOverlay(position=(0, 0), opacity=0.0, visible=True)
        self.timer = QTimer(self)
        self.timer.setInterval(_MILLISECONDS_FIRST)
        self.timer.timeout.connect(self._draw_some)
        self.timer.start()

    def stop(self) -> None:
        """Draw no more letters and take the unseen overlay away."""
        self.timer.stop()
        self._viewer.canvas.overlays.pop(_NAME, None)

    def close(self) -> None:
        """Draw no more."""
        self.stop()

    def _draw_some(self) -> None:
        overlays = self._viewer.canvas.overlays
        # What a canvas says while a map is awaited has few of the letters of the map's words.
        there = self._session.decoded is not None
        if not self._left or there or _shows_words(overlays.get("text")):
            self.stop()
            return
        busy = self._session.training.busy
        if not busy and not self._is_idle():
            return  # something is opened: that is what is waited for
        count, interval = _WHILE_TRAINING if busy else (_AT_A_TIME, _MILLISECONDS)
        self.timer.setInterval(interval)
        some, self._left = self._left[:count], self._left[count:]
        self._overlay.text = some
        overlays.setdefault(_NAME, self._overlay)


def _shows_words(overlay: TextOverlay | None) -> bool:
    return overlay is not None and overlay.visible and bool(overlay.text)
