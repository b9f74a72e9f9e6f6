"""UMAP of the latents in the background: axes that appear by themselves, and go when outdated.

It is computed when a run is opened that has none of its epoch, and at the end of a training; in a
child process, as it takes seconds to minutes and may not run in threads
(`analysis.latents.umap_child`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.workers import LatestTask
from napari_tomodrgn.gui.particles.load import sentence
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.learn.run.directory import Run

UMAP = "UMAP "


class UmapService(QObject):
    """Keeps the UMAP columns of ``session.extras`` those of the latents on show."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.queue = LatestTask(self)
        self.queue.item.connect(self._take)
        self.queue.failed.connect(self._failed)
        self._shown: tuple[Any, int] | None = None  # run and epoch that the columns are of
        session.events.latents.connect(self._look)
        session.events.training.connect(self._look)

    def _look(self, *_: Any) -> None:
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
        known = session.extras is not None and f"{UMAP}1" in session.extras
        self.queue.request(lambda: _columns(run, epoch, known=known))

    def _drop_outdated(self) -> None:
        extras = self.session.extras
        if extras is not None:
            old = [name for name in extras.columns if str(name).startswith(UMAP)]
            if old:
                self.session.extras = extras.drop(columns=old)

    def _take(self, columns: pd.DataFrame) -> None:
        self.session.add_extras(columns)

    def _failed(self, error: Exception) -> None:
        self.session.say(sentence(error, "computing UMAP"), "warning")


def _columns(run: Run, epoch: int, *, known: bool) -> Iterator[pd.DataFrame | None]:
    """UMAP columns of an epoch, unless the run has them already."""
    from napari_tomodrgn.analysis.latents.analyze import umap_columns

    mapped = run.analysis.umap()
    if known and mapped is not None and mapped.epoch == epoch:
        return
    yield from umap_columns(run, epoch)
