"""One question before a window is closed on long work, which says what would be stopped.

napari 0.9 asks twice when the corner of the window is clicked: once with the work that runs, then,
this being confirmed, once more without a word of it. Our question takes the place of both; a window
without work of ours is napari's alone.
"""

from __future__ import annotations

import weakref
from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_tomodrgn.gui.background.work import Work
from napari_tomodrgn.gui.background.workers import LongTask
from napari_tomodrgn.gui.widgets.qt import soon


class CloseGuard(QObject):
    """Asks once while long tasks of ``work`` run in ``window``."""

    def __init__(self, window: QWidget, work: Work) -> None:
        super().__init__(work)
        self._work = work
        self._window = weakref.ref(window)  # it is not ours to keep alive
        window.installEventFilter(self)

    def release(self) -> None:
        """Ask no more; napari does."""
        if (window := self._window()) is not None:
            window.removeEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Take a click on the window's corner, and no other event."""
        if event.type() != QEvent.Type.Close or not event.spontaneous():
            return False
        names = [task.name for task in self._work.findChildren(LongTask) if task.is_busy]
        if not names:
            return False
        event.ignore()
        if self.ask(names):
            # Not as a click, which napari would ask about again; it stops all work that it closes.
            soon(self, self._close)
        return True

    def _close(self) -> None:
        if (window := self._window()) is not None:
            window.close()

    def ask(self, names: list[str]) -> bool:
        """Whether to close the window although these run."""
        box = QMessageBox(self._window())
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Close the window?")
        box.setText(f"Still running: {', '.join(names)}.")
        box.setInformativeText("Closing the window stops it.")
        close: Any = box.addButton("Close", QMessageBox.ButtonRole.AcceptRole)
        keep: Any = box.addButton("Keep open", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.setEscapeButton(keep)
        box.exec()
        confirmed = box.clickedButton() is close
        box.deleteLater()
        return confirmed
