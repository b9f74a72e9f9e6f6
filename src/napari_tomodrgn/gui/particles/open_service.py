"""Opening a star file or a run in a thread, and reading it again with other options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QObject

from napari_tomodrgn.config import ReadingConfig
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.extraction.recognize import lists_particles
from napari_tomodrgn.gui.particles.load import open_path
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.gui.widgets.stored_settings import load_setting, save_setting
from napari_tomodrgn.learn.run.archive import is_archive
from napari_tomodrgn.session import LoadedData, NotOpened, Session
from napari_tomodrgn.session.verdict import Verdict

# Refusals of what is no star file at all, or lists no particles: no pixel size mends that.
_NO_PARTICLES = (
    *("no-file", "empty-file", "not-star", "bad-star", "duplicate-block", "missing-block"),
    *("unsupported-file", "unsupported-dialect"),
)


def may_open(session: Session) -> bool:
    """Whether something else can be opened; says why, where it cannot.

    Also for who is about to ask the user for a file, which would be chosen in vain.
    """
    if session.training.busy:
        session.show_message(
            "Stop the training before you open something else.",
            "warning",
            lambda: not session.training.busy,
        )
    return not session.training.busy


class OpenService(Service):
    """Opens what is asked for last; ``session.asked`` is what could not be, and can be corrected.

    What is open stays as it is then, the way that it was read too.
    """

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
        asked = self.session.asked
        path = self.session.source if asked is None else asked.path
        if path is not None:
            self.request(path, options)

    def _request(
        self, prepare: Callable[[], Path], options: ReadingConfig, path: Path | None
    ) -> None:
        if not may_open(self.session):
            return
        self.session.message = None
        if self.session.asked is not None and self.session.asked.path != path:
            self.session.asked = None
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
        """Tell what went wrong; particles that were read wrongly can be read again otherwise."""
        super().on_failed(error)
        if self._asked is not None and isinstance(error, BadInputError):
            path, options = self._asked
            again = can_be_corrected(path, error)
            self.session.asked = NotOpened(path, options) if again else None


def can_be_corrected(path: Path, error: BadInputError) -> bool:
    """Whether a file that was refused lists particles, which another way of reading may help."""
    if path.is_dir() or is_archive(path):
        return False  # a run says itself how it is read
    return lists_particles(path) or error.code not in _NO_PARTICLES
