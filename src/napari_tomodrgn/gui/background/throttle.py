"""Something that is asked for often and done now and then, but never forgotten."""

from __future__ import annotations

from qtpy.QtCore import QObject, QTimer

from napari_tomodrgn.gui.widgets.qt import Signal


class Throttle(QObject):
    """`due` comes at once where the last was long ago, else when the time has passed."""

    due = Signal()

    def __init__(self, milliseconds: int, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wanted = False
        self.timer = QTimer(self)
        self.timer.setSingleShot(True)
        self.timer.setInterval(milliseconds)
        self.timer.timeout.connect(self.flush)

    def ask(self) -> None:
        """Ask for it."""
        self._wanted = True
        if not self.timer.isActive():
            self.flush()

    def flush(self) -> None:
        """Do what was asked for now."""
        if self._wanted:
            self._wanted = False
            self.timer.start()
            self.due.emit()

    def stop(self) -> None:
        """Forget what was asked for."""
        self._wanted = False
        self.timer.stop()
