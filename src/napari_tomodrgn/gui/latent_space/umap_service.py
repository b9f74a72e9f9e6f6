"""UMAP of the latents in the background: axes that appear by themselves, and go when outdated.

It is computed when a run is opened that has none of its epoch, and at the end of a training; in a
child process, as it takes seconds to minutes and may not run in threads
(`analysis.latents.umap_child`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.learn.run.directory import Run

UMAP = "UMAP "


class UmapService(Service):
    """Keeps the UMAP columns of ``session.added_columns`` those of the latents on show."""

    doing = "computing UMAP"
    failure_severity = "warning"

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.queue = self.latest_task(self._on_columns)
        self._shown: tuple[Path, int] | None = None  # run and epoch that the columns are of
        self.listen(self._refresh, "latents", "training")

    def _refresh(self, *_: object) -> None:
        session = self.session
        run, epoch = session.run, session.epoch
        wanted = None if session.latents is None or run is None else (run.path, epoch)
        if wanted == self._shown:
            return
        self.queue.cancel()
        self._shown = None
        if run is None or wanted is None:
            return
        if session.training.busy:  # the next epoch has other latents: wait for the last
            self._drop_outdated()
            return
        self._shown = wanted
        known = session.added_columns is not None and f"{UMAP}1" in session.added_columns
        self.queue.request(lambda: _columns(run, epoch, known=known))

    def _drop_outdated(self) -> None:
        added_columns = self.session.added_columns
        if added_columns is not None:
            old = [name for name in added_columns.columns if str(name).startswith(UMAP)]
            if old:
                self.session.added_columns = added_columns.drop(columns=old)

    def _on_columns(self, columns: pd.DataFrame) -> None:
        self.session.add_columns(columns)


def _columns(run: Run, epoch: int, *, known: bool) -> Iterator[pd.DataFrame | None]:
    """UMAP columns of an epoch, unless the run has them already."""
    from napari_tomodrgn.analysis.latents.analyze import umap_columns

    mapped = run.analysis.umap()
    if known and mapped is not None and mapped.epoch == epoch:
        return
    yield from umap_columns(run, epoch)
