"""Columns that are added: from files, and kept in the run until it is opened again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.session import LoadedData, Session
from napari_tomodrgn.session.actions import Action

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.user_tables import UserTable


class ColumnStore(Service):
    """Writes ``session.added_columns`` into the run whenever they or the run change."""

    doing = "keeping columns in the run"

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.files = self.task_queue(lambda _done: None)
        self.tables = self.task_queue(self._on_table)
        self._on_disk: tuple[Any, Any] = (None, None)  # folder and table
        self.listen(self._save, "added_columns", "run")

    def set_on_disk(self, data: LoadedData) -> None:
        """Note columns that were read from a run, which need not be written again."""
        if data.run is not None:
            self._on_disk = (data.run.path, data.added_columns)

    def add(self, path: str | Path) -> None:
        """Add the columns of a file, matched by particle, and colour by the first."""
        particles = self.session.particles
        if particles is None:
            self.session.show_message(
                "Open particles first: columns are of theirs.",
                "warning",
                lambda: self.session.particles is not None,
            )
            return

        def work() -> tuple[Path, UserTable]:
            from napari_tomodrgn.analysis.user_tables import read_user_table

            return Path(path), read_user_table(path, particles)

        self.tables.add(work)

    def _on_table(self, found: tuple[Path, UserTable]) -> None:
        (path, table), session = found, self.session
        if session.particles is None or list(session.particles.ids) != list(table.columns.index):
            return  # something else was opened meanwhile
        names = [str(name) for name in table.columns]
        session.add_columns(table.columns)
        session.color = names[0]
        session.record(Action.of("add_columns", str(path)))
        words = f"{len(names)} columns of {path.name} added: {', '.join(names[:5])}."
        session.show_message(" ".join([words, *table.notes]))

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
