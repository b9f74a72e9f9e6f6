"""Opening a star file or a run in a thread, and reading it again with other options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QObject

from napari_tomodrgn.config import ReadingConfig
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.particles.load import open_path
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.gui.widgets.stored_settings import load_setting, save_setting
from napari_tomodrgn.session import LoadedData, Session
from napari_tomodrgn.session.verdict import Verdict


def may_open(session: Session) -> bool:
    """Whether something else can be opened; says why, where it cannot.

    Also for who is about to ask the user for a file, which would be chosen in vain.
    """
    if session.training.busy:
        session.show_message("Stop the training before you open something else.", "warning")
    return not session.training.busy


class OpenService(Service):
    """Opens what is asked for last; ``session.asked`` is the path that could not be opened."""

    doing = "opening a file"
    loaded = Signal(object)  # LoadedData, before the session shows it
    opened = Signal()  # the session shows it

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.queue = self.latest_task(self._on_loaded)
        self._asked: tuple[Path, ReadingConfig] | None = None
        self._note = ""

    def request(self, path: Path, options: ReadingConfig | None = None) -> None:
        """Open a path; the images are looked for where they were found the last time."""
        if options is None:
            images = load_setting("images", path)
            # A folder that is gone is no fault of what is opened: without it they may be found.
            options = ReadingConfig(images=images if images and Path(images).exists() else None)
        self._request(lambda: path, options, path)

    def request_prepared(self, prepare: Callable[[], Path], note: str = "") -> None:
        """Open what ``prepare`` returns; it runs in the thread, so it may take its time.

        ``note`` is shown then, instead of the window's own message.
        """
        self._request(prepare, ReadingConfig(), None)
        self._note = note

    def request_again(self, options: ReadingConfig) -> None:
        """Read what is open, or could not be opened, with other options."""
        path = self.session.asked or self.session.source
        if path is not None:
            self.request(path, options)

    def _request(
        self, prepare: Callable[[], Path], options: ReadingConfig, path: Path | None
    ) -> None:
        if not may_open(self.session):
            return
        self.session.message = None
        self._note = ""
        self._asked = None if path is None else (path, options)
        self.queue.request(lambda: open_path(prepare(), options))

    def _on_loaded(self, data: LoadedData) -> None:
        if self._asked is not None and data.particles is not None:
            save_setting("images", self._asked[0], data.import_options.images or "")
        session = self.session
        self.loaded.emit(data)
        session.open(data)
        if self._note:
            session.show_message(self._note)
        elif data.note:
            session.show_message(data.note, "warning")
        elif data.quality:
            session.show_message(Verdict.of(data.quality).sentence)
        self.opened.emit()

    def on_failed(self, error: Exception) -> None:
        """Tell what went wrong; what was read wrongly can be read again otherwise."""
        super().on_failed(error)
        if self._asked is not None and isinstance(error, BadInputError):
            path, options = self._asked
            self.session.update(asked=path, import_options=options)
