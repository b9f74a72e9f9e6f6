"""Letters that are drawn ahead, unseen, while nobody waits.

napari works out the shape of each letter when it is drawn for the first time, some milliseconds
each on a computer without a graphics card. The words of a first volume would take a fifth of a
second, often while a training runs beside.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, QTimer

# Of the captions of volumes; those of names that are seen most.
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzTSPLGA_/.·σÅ≈,-"
_AT_A_TIME = 3
_MILLISECONDS = 60
_MILLISECONDS_FIRST = 1000


class Lettering(QObject):
    """Draws some letters now and then, until all are known or there are words to be seen."""

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
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

    def _draw_some(self) -> None:
        text = self._viewer.canvas.overlays.text
        if not self._left or (text.visible and text.opacity):
            self.stop()
            return
        self.timer.setInterval(_MILLISECONDS)
        some, self._left = self._left[:_AT_A_TIME], self._left[_AT_A_TIME:]
        text.opacity, text.text, text.visible = 0.0, some, True
