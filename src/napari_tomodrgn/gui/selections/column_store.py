"""More columns of the particles are kept in the run, so that they are there when it is reopened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.workers import LatestTask
from napari_tomodrgn.gui.particles.load import sentence
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    import pandas as pd


class ColumnStore(QObject):
    """Writes ``session.extras`` into the run whenever they or the run change."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.files = LatestTask(self)
        self.files.failed.connect(self._failed)
        self._kept: tuple[Any, Any] = (None, None)  # folder and table as they are on disk
        for name in ("extras", "run"):
            getattr(session.events, name).connect(self._keep)

    def show(self, table: pd.DataFrame | None) -> None:
        """Show columns that were read from the run, which need not be written again."""
        run = self.session.run
        if run is not None and table is not None:
            self._kept = (run.path, table)
        self.session.extras = table

    def _keep(self, *_: Any) -> None:
        run, table = self.session.run, self.session.extras
        if run is None or table is None or (self._kept[0] == run.path and self._kept[1] is table):
            return
        self._kept = (run.path, table)

        def work() -> Iterator[bool]:
            run.save_extras(table)
            yield True

        self.files.request(work)

    def _failed(self, error: Exception) -> None:
        self._kept = (None, None)
        self.session.say(sentence(error, "keeping columns in the run"), "error")
