"""Finds clusters of the latents in a thread, as a column that colours the particles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.particle_columns import CLUSTER, cluster_column
from napari_tomodrgn.session import Session
from napari_tomodrgn.session.actions import Action

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.analysis.latents.clusters import Method


# Instead of a number of clusters: the one that explains particles that were left out best.
AS_LATENTS_ASK = 0


_ASKING = "Asking how many clusters there are"


@dataclass(frozen=True)
class _Tried:
    done: int
    total: int


@dataclass(frozen=True, eq=False)
class _Found:
    column: pd.DataFrame | None  # None if there is no number to be proposed
    proposal: str  # in words, where one was asked for
    method: Method = "k-means"
    of: tuple[Path | None, int] = (None, 0)  # folder of the run, and epoch


class ClusterService(Service):
    """Puts clusters of the latents on show into ``session.added_columns``."""

    doing = "finding clusters"

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.queue = self.latest_task(self._on_clusters)

    def find(self, count: int) -> None:
        """Find so many clusters (or `AS_LATENTS_ASK`) and colour the particles by them."""
        latents = self.session.latents
        if latents is None:
            self.session.show_message(
                "Open a run first: clusters are found in its latents.",
                done=lambda: self.session.latents is not None,
            )
            return
        if count == AS_LATENTS_ASK:
            self.session.show_message(f"{_ASKING} …")
        else:
            self.session.record(Action.of("find_clusters", count))
        of = self._run_path(), self.session.epoch
        self.queue.request(
            lambda: (
                replace(one, of=of) if isinstance(one, _Found) else one
                for one in _found(latents, count)
            )
        )

    def _run_path(self) -> Path | None:
        return self.session.run.path if self.session.run is not None else None

    def _on_clusters(self, made: _Found | _Tried) -> None:
        if isinstance(made, _Tried):
            said = self.session.message
            if said is not None and said.text.startswith(_ASKING):  # over nothing said since
                words = f"{made.done} of {made.total} numbers tried"
                self.session.show_message(f"{_ASKING}: {words} …")
            return
        session, column = self.session, made.column
        if column is None:
            session.show_message(f"No clusters were made. {made.proposal}")
            return
        if session.latents is None or made.of[0] != self._run_path():
            return  # another run was opened or begun meanwhile
        session.add_columns(column, made.of[1])
        session.color = CLUSTER
        found = column[CLUSTER].nunique()
        if made.proposal:
            how = {} if made.method == "k-means" else {"method": made.method}
            session.record(Action.of("find_clusters", found, **how))
        session.show_message(
            f"{made.proposal or f'{found} clusters (k-means).'} In the legend a click on a name "
            "selects its particles, map shows its map."
        )


def _found(latents: pd.DataFrame, count: int) -> Iterator[_Found | _Tried]:
    if count != AS_LATENTS_ASK:
        yield _Found(cluster_column(latents, count), "")
        return
    from napari_tomodrgn.analysis.latents.cluster_count import proposal_steps_of

    steps = proposal_steps_of(latents)
    while True:
        try:
            done, total = next(steps)
        except StopIteration as finished:
            proposed = finished.value
            break
        yield _Tried(done, total)
    if proposed is None:
        yield _Found(None, "There are too few particles to ask.")
        return
    method = proposed.method
    column = cluster_column(latents, proposed.count, method) if proposed.count > 1 else None
    yield _Found(column, f"The data show {proposed.sentence}.", method)
