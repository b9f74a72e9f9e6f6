"""Takes a sentence that asks the user for something away, once that has been done."""

from __future__ import annotations

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.session import Session

_LOOK_MS = 250


class MessageExpiry(Service):
    """Looks as long as such a sentence stands, for what it asks for may be done anywhere."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self._timer = self.repeat(_LOOK_MS, self._look)
        self.listen(self._on_message, "message")

    def _on_message(self, *_: object) -> None:
        message = self.session.message
        if message is not None and message.done is not None:
            self._timer.start()
        else:
            self._timer.stop()

    def _look(self) -> None:
        message = self.session.message
        if message is not None and message.done is not None and message.done():
            self.session.message = None
