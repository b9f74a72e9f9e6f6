"""One question before a window or its dock is closed on long work, which says what it would stop.

napari 0.9 asks twice when the corner of the window is clicked: once with the work that runs, then,
this being confirmed, once more without a word of it. Our question takes the place of both. By its
menu and keys it asks once, and we say in its question what would stop. A window without work of
ours is napari's alone.
"""

from __future__ import annotations

import weakref
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QApplication, QLabel, QMessageBox, QPushButton, QWidget

from napari_tomodrgn.gui.background.work import Work
from napari_tomodrgn.gui.background.workers import LongTask
from napari_tomodrgn.gui.widgets.qt import soon

_CROSS = "QTitleBarCloseButton"  # of napari, in the title bar of a plugin's dock
_NAPARIS_QUESTION, _RUNNING = "ConfirmCloseDialog", "tomodrgn_running"


class CloseGuard(QObject):
    """Asks once while long tasks of ``work`` run in ``window``, or in a dock of it."""

    def __init__(self, window: QWidget, work: Work) -> None:
        super().__init__(work)
        self._work = work
        self._window = weakref.ref(window)  # it is not ours to keep alive
        window.installEventFilter(self)

    def watch_dock(self, dock: Any) -> None:
        """Ask when the cross of a plugin's dock is clicked, too."""
        cross = dock.findChild(QPushButton, _CROSS) if dock is not None else None
        if cross is not None:
            cross.installEventFilter(self)

    def release(self) -> None:
        """Ask no more; napari does."""
        if (window := self._window()) is not None:
            window.removeEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Take a click on the window's corner or on the dock's cross, and no other event."""
        if event.type() == QEvent.Type.MouseButtonRelease and watched.objectName() == _CROSS:
            return self._on_cross(watched, event)
        if event.type() == QEvent.Type.WindowBlocked and self._busy():
            soon(self, self._add_to_naparis_question)
        if event.type() != QEvent.Type.Close or not event.spontaneous():
            return False
        names = self._busy()
        if not names:
            return False
        event.ignore()
        if self.ask(names):
            # Not as a click, which napari would ask about again; it stops all work that it closes.
            soon(self, self._close)
        return True

    def _busy(self) -> list[str]:
        return [task.name for task in self._work.findChildren(LongTask) if task.is_busy]

    def _add_to_naparis_question(self) -> None:
        dialog: Any = QApplication.activeModalWidget()
        if type(dialog).__name__ != _NAPARIS_QUESTION or dialog.findChild(QLabel, _RUNNING):
            return  # a window manager may block the window twice
        label = QLabel(f"{_running(self._busy())} Closing stops it.")
        label.setObjectName(_RUNNING)
        dialog.layout().insertWidget(0, label)

    def _on_cross(self, cross: Any, event: Any) -> bool:
        inside = cross.rect().contains(event.position().toPoint())
        names = self._busy()
        if event.button() != Qt.MouseButton.LeftButton or not inside or not names:
            return False
        cross.setDown(False)
        if self.ask(names, "panel"):
            soon(self, cross.click)  # as napari takes it
        return True

    def _close(self) -> None:
        if (window := self._window()) is not None:
            window.close()

    def ask(self, names: list[str], what: str = "window") -> bool:
        """Whether to close ``what`` although these run."""
        box = QMessageBox(self._window())
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(f"Close the {what}?")
        box.setText(_running(names))
        box.setInformativeText(f"Closing the {what} stops it.")
        close: Any = box.addButton("Close", QMessageBox.ButtonRole.AcceptRole)
        keep: Any = box.addButton("Keep open", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.setEscapeButton(keep)
        box.exec()
        confirmed = box.clickedButton() is close
        box.deleteLater()
        return confirmed


def _running(names: list[str]) -> str:
    return f"Still running: {', '.join(names)}."
