"""Files and folders that are dropped anywhere on napari's window while the panel is open.

napari has no way for a plugin to be preferred for a folder: it asks which reader to take and
proposes its own, which fails on a run. What can only be opened in the panel is therefore taken
before napari sees it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QDragLeaveEvent, QGuiApplication
from qtpy.QtWidgets import QLineEdit, QMainWindow, QWidget

from napari_tomodrgn.gui.extraction.recognize import is_averaging_list, lists_particles
from napari_tomodrgn.gui.widgets.qt import soon
from napari_tomodrgn.learn.run.archive import is_archive


class FileDrops(QObject):
    """Opens what is dropped on ``panel``, and particles and runs dropped on the window around it.

    Parameters
    ----------
    panel
        Takes every single file or folder: what cannot be opened is told there.
    open_path
        Opens a path in the panel.
    """

    def __init__(self, panel: QWidget, open_path: Callable[[Path], object]) -> None:
        super().__init__(panel)
        self._panel, self._open = panel, open_path
        self._window: Callable[[], Any] = lambda: None
        panel.setAcceptDrops(True)
        panel.installEventFilter(self)

    def watch(self, window: QMainWindow) -> None:
        """Take particles and runs from napari's window, and from its canvas before it asks."""
        self._window = weakref.ref(window)
        middle = window.centralWidget()
        inner: list[QWidget] = [] if middle is None else middle.findChildren(QWidget)
        for widget in inner:
            if widget.acceptDrops() and not isinstance(widget, QLineEdit):
                widget.installEventFilter(self)
        window.setAcceptDrops(True)  # so that all docks are taken along
        window.installEventFilter(self)

    def release(self) -> None:
        """Leave all to napari again."""
        if (window := self._window()) is not None:
            window.setAcceptDrops(False)
            window.removeEventFilter(self)
            for widget in window.findChildren(QWidget):
                widget.removeEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Take a drag that brings something for the panel, and no other event."""
        kind = event.type()
        if kind not in (QEvent.Type.DragEnter, QEvent.Type.Drop):
            return False
        path = _only_path(event)
        if path is None or not (watched is self._panel or opens_here(path)):
            return False
        by_napari = watched not in (self._panel, self._window())
        if by_napari and _asks_for_choice():
            return False
        if kind == QEvent.Type.DragEnter:
            if not by_napari:
                event.acceptProposedAction()
            return not by_napari  # else napari shows that something is held over its canvas
        event.acceptProposedAction()
        if by_napari:
            watched.dragLeaveEvent(QDragLeaveEvent())
        soon(self, partial(self._open, path))  # the program that it comes from waits for the end
        return True


def opens_here(path: Path) -> bool:
    """Whether a path is particles, a list of them or a run: what the panel alone can open."""
    if holds_run(path):
        return True
    return path.suffix.lower() == ".star" and (lists_particles(path) or is_averaging_list(path))


def holds_run(path: Path) -> bool:
    """Whether a path is the folder of a run, its run.json or a run in one file."""
    return is_archive(path) or path.name == "run.json" or (path / "run.json").is_file()


def _only_path(event: Any) -> Path | None:
    """The one local file or folder that is dragged; None for several, which napari stacks."""
    urls = event.mimeData().urls()
    if len(urls) != 1 or not urls[0].isLocalFile():
        return None
    return Path(urls[0].toLocalFile())


def _asks_for_choice() -> bool:
    """Whether Alt is held, for which napari lets choose the reader.

    Asked of the keyboard: with Alt and Tab one goes to the program that the file comes from, and
    that Alt was let go there is an event that Qt never sees.
    """
    return bool(QGuiApplication.queryKeyboardModifiers() & Qt.KeyboardModifier.AltModifier)
