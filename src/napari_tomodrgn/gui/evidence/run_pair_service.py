"""Lays the latents of another run over those on show: does it find the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from qtpy.QtCore import QObject

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.particle_columns import CLUSTER
from napari_tomodrgn.session import Session, same_run

if TYPE_CHECKING:
    from napari_tomodrgn.learn.run.directory import Run


@dataclass(frozen=True, eq=False)
class PairedRun:
    """What another run says of the particles on show.

    Attributes
    ----------
    name
        Of its folder.
    sentence
        How far both agree.
    columns
        By ``particle_id``: how far each particle is moved there, and its cluster of that run.
    """

    name: str
    sentence: str
    columns: pd.DataFrame


class RunPairService(Service):
    """Compares the run on show with another one of the same particles."""

    doing = "comparing two runs"

    paired = Signal(object)  # PairedRun; None: there is another run on show

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.queue = self.latest_task(self._on_paired)
        self.listen(self._on_run, "run")

    def compare(self, folder: str | Path) -> None:
        """Compare with the run in this folder, as it ended."""
        session, other = self.session, Path(folder)
        if session.latents is None or session.run is None:
            session.show_message("Train, or open a run, before another is laid over it.", "warning")
            return
        if other.resolve() == session.run.path.resolve():
            session.show_message(f"{other.name} is the run on show: choose another.", "warning")
            return
        latents = session.latents
        session.show_message(f"Laying {other.name} over this run …")
        self.queue.request(lambda: _paired(latents, other))

    def _on_run(self, run: Run | None, old: Run | None = None) -> None:
        if not same_run(run, old):
            self.queue.cancel()
            self.paired.emit(None)

    def _on_paired(self, found: PairedRun) -> None:
        self.session.add_columns(found.columns)
        self.session.color = str(found.columns.columns[0])
        self.session.show_message(f"{found.name}: {found.sentence}")
        self.paired.emit(found)


def _paired(latents: pd.DataFrame, folder: Path) -> Iterator[PairedRun]:
    from napari_tomodrgn.analysis.latents.run_pairs import compare_latents
    from napari_tomodrgn.learn.run.directory import Run

    other = Run.open(folder)
    name = folder.name
    pair = compare_latents(latents, other.latents())
    columns = pd.DataFrame({f"moved in {name}": pair.moved}, index=pd.Index(pair.ids))
    columns.index.name = "particle_id"
    try:
        extras = other.extras()
    except BadInputError:  # what was worked out in that run is not what was asked
        extras = None
    if extras is not None and CLUSTER in extras:
        columns[f"cluster in {name}"] = extras[CLUSTER].reindex(columns.index)
    yield PairedRun(name, pair.sentence(), columns)
