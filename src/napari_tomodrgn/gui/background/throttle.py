"""`Throttle`: emits at most once an interval, and never forgets a request."""

from __future__ import annotations

from qtpy.QtCore import QObject, QTimer

from napari_tomodrgn.gui.background.work import Work
from napari_tomodrgn.gui.widgets.qt import Signal


class Throttle(Work):
    """`due` comes at once where the last was long ago, else when the interval has passed."""

    due = Signal()

    def __init__(self, milliseconds: int, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wanted = False
        self.timer = QTimer(self)
        self.timer.setSingleShot(True)
        self.timer.setInterval(milliseconds)
        self.timer.timeout.connect(self.flush)

    def request(self) -> None:
        """Ask for `due`."""
        self._wanted = True
        if not self.timer.isActive():
            self.flush()

    def flush(self) -> None:
        """Emit now what was requested."""
        if self._wanted:
            self._wanted = False
            self.timer.start()
            self.due.emit()

    def close(self) -> None:
        """Forget what was requested."""
        self._wanted = False
        self.timer.stop()
