"""Writes added columns into the run, so that they are there when it is opened again."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.session import LoadedData, Session


class ColumnStore(Service):
    """Writes ``session.added_columns`` into the run whenever they or the run change."""

    doing = "keeping columns in the run"

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.files = self.task_queue(lambda _done: None)
        self._on_disk: tuple[Any, Any] = (None, None)  # folder and table
        self.listen(self._save, "added_columns", "run")

    def set_on_disk(self, data: LoadedData) -> None:
        """Note columns that were read from a run, which need not be written again."""
        if data.run is not None:
            self._on_disk = (data.run.path, data.added_columns)

    def _save(self, *_: object) -> None:
        run, table = self.session.run, self.session.added_columns
        if run is None or table is None:
            return
        if self._on_disk[0] == run.path and self._on_disk[1] is table:
            return
        self._on_disk = (run.path, table)
        self.files.add(lambda: run.save_extras(table))

    def on_failed(self, error: Exception) -> None:
        """Tell that columns were not written; the next change tries again."""
        self._on_disk = (None, None)
        super().on_failed(error)
