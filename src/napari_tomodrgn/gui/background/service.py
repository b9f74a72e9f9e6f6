"""`Service`: the base of all that works for a window in threads."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

from qtpy.QtCore import QObject, QTimer

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.background.error_message import error_message
from napari_tomodrgn.gui.background.task_queue import TaskQueue
from napari_tomodrgn.gui.background.work import Work
from napari_tomodrgn.gui.background.workers import LatestTask, LongTask
from napari_tomodrgn.session import Session, Severity

if TYPE_CHECKING:
    from napari_tomodrgn.files import OutputFiles

Handler = Callable[..., None]


class Service(Work):
    """Listens to a session, works in threads, writes results and failures into the session.

    Subclasses make their tasks with the methods below. These become Qt children, through which
    `is_busy` and `close` find them.

    Attributes
    ----------
    doing
        What it does, for the message about a failure: "Unexpected error while …".
    failure_severity
        Of that message.
    """

    doing: ClassVar[str] = "working"
    failure_severity: ClassVar[Severity] = "error"

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session

    def listen(self, handler: Handler, *fields: str) -> None:
        """Call ``handler`` when one of these fields of the session changes.

        What it cannot do is told as failed work is: an exception would keep the change from whoever
        listens after it, and a run may be moved away while it is open.
        """

        @functools.wraps(handler)  # as many values are handed over as it takes
        def heard(*values: Any) -> None:
            try:
                handler(*values)
            except BadInputError as error:
                self.on_failed(error)

        for name in fields:
            self.session.events[name].connect(heard)

    def latest_task(self, on_item: Handler, *, computes: bool = False) -> LatestTask:
        """Make a task of which only the newest request matters."""
        task = LatestTask(self, computes=computes)
        task.item.connect(on_item)
        task.failed.connect(self.on_failed)
        return task

    def task_queue(self, on_done: Handler, *, computes: bool = False) -> TaskQueue:
        """Make a queue of tasks that are all done, such as files to be written."""
        queue = TaskQueue(self, computes=computes)
        queue.done.connect(on_done)
        queue.failed.connect(self.on_failed)
        return queue

    def long_task(self, name: str, on_item: Handler) -> LongTask:
        """Make a task that computes for minutes, under the name that napari shows."""
        task = LongTask(name, self, computes=True)
        task.item.connect(on_item)
        task.failed.connect(self.on_failed)
        return task

    def delay(self, milliseconds: int, on_timeout: Callable[[], None]) -> QTimer:
        """Make a timer that calls once, so long after it was started."""
        timer = self.repeat(milliseconds, on_timeout)
        timer.setSingleShot(True)
        return timer

    def repeat(self, milliseconds: int, on_timeout: Callable[[], None]) -> QTimer:
        """Make a timer that calls again and again, once it was started."""
        timer = QTimer(self)
        timer.setInterval(milliseconds)
        timer.timeout.connect(on_timeout)
        return timer

    def exporting(self, *, overwrite: bool) -> AbstractContextManager[OutputFiles]:
        """A block that writes files: all or none, never onto what is open, see `export_files`.

        ``overwrite`` where a dialog has asked about the file, as it does not about a folder's.
        """
        from napari_tomodrgn.learn.run.exports import export_files

        session = self.session
        return export_files(overwrite=overwrite, particles=session.particles, run=session.run)

    def close(self) -> None:
        """Stop tasks and timers."""
        for timer in self.findChildren(QTimer):
            timer.stop()
        super().close()

    def on_failed(self, error: Exception) -> None:
        """Tell the user what went wrong; that a run came without its network is no fault."""
        imported = isinstance(error, BadInputError) and error.code == "imported"
        severity: Severity = "info" if imported else self.failure_severity
        self.session.show_message(error_message(error, self.doing), severity)
