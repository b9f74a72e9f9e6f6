"""Opening a star file or a run in a thread, and reading it again otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QObject

from napari_tomodrgn.config import ReadingConfig
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.background.workers import LatestTask
from napari_tomodrgn.gui.particles.load import LoadedData, open_path, sentence
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.gui.widgets.stored_settings import recall, remember
from napari_tomodrgn.session import Session


class OpenService(QObject):
    """What is asked for last is opened; ``session.asked`` says what could not be."""

    opened = Signal(object)  # Opened

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.queue = LatestTask(self)
        self.queue.item.connect(self._take)
        self.queue.failed.connect(self._failed)
        self._asked: tuple[Path, ReadingConfig] | None = None
        self._note = ""

    def request(self, path: Path, reading: ReadingConfig | None = None) -> None:
        """Open a path; the images are looked for where they were found the last time."""
        if reading is None:
            reading = ReadingConfig(images=recall("images", path) or None)
        self._ask(lambda: path, reading, path)

    def request_prepared(self, prepare: Callable[[], Path], note: str = "") -> None:
        """Open what ``prepare`` gives; it runs in the thread, so it may take its time.

        ``note`` is said then, instead of what the window would say by itself.
        """
        self._ask(prepare, ReadingConfig(), None)
        self._note = note

    def again(self, reading: ReadingConfig) -> None:
        """Read what is open, or could not be opened, once more, so."""
        path = self.session.asked or self.session.source
        if path is not None:
            self.request(path, reading)

    def _ask(self, prepare: Callable[[], Path], reading: ReadingConfig, path: Path | None) -> None:
        self.session.message = None
        self._note = ""
        self._asked = None if path is None else (path, reading)
        self.queue.request(lambda: open_path(prepare(), reading))

    def _take(self, found: LoadedData) -> None:
        if self._asked is not None and found.particles is not None:
            remember("images", self._asked[0], found.reading.images or "")
        self.session.asked = None
        self.opened.emit(found)
        if self._note:
            self.session.say(self._note)

    def _failed(self, error: Exception) -> None:
        self.session.say(sentence(error, "opening a file"), "error")
        if self._asked is not None and isinstance(error, BadInputError):
            path, self.session.reading = self._asked
            self.session.asked = path
