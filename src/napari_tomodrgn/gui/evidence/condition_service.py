"""Shares clusters out between conditions of tomograms: does a treatment change what there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QObject

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import write_text, written_atomically
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.evidence.evidence_service import EvidenceService
from napari_tomodrgn.gui.evidence.group_choice import cluster_groups
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.particle_columns import CLUSTER
from napari_tomodrgn.session import Session, same_run

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.latents.class_shares import ClassShares
    from napari_tomodrgn.learn.run.directory import Run

_NAME = "conditions"


@dataclass(frozen=True, eq=False)
class _Asked:
    """A run, the clusters of its particles by ``particle_id``, and conditions by tomogram."""

    run: Run
    clusters: pd.Series
    conditions: dict[str, str]


class ConditionService(Service):
    """Says at once how clusters are shared out, and again once tilt halves correct the shares."""

    doing = "comparing conditions"

    found = Signal(object)  # ClassShares; None: nothing holds any more
    known = Signal(object)  # conditions by tomogram that the run keeps

    def __init__(
        self, session: Session, evidence: EvidenceService, parent: QObject | None = None
    ) -> None:
        super().__init__(session, parent)
        self._evidence = evidence
        self._asked: _Asked | None = None
        self.queue = self.latest_task(self.found.emit)
        self.reading = self.latest_task(self.known.emit)
        evidence.halves_ready.connect(self._on_halves)
        evidence.ready.connect(self._on_halves)
        self.listen(self._on_run, "run")
        self.listen(self._on_columns, "added_columns")

    def compare(self, conditions: dict[str, str]) -> None:
        """Share the clusters on show out between these conditions, which the run keeps."""
        session, clusters = self.session, self._clusters()
        if session.run is None or clusters is None:
            session.show_message("Make clusters first: they are what is shared out.", "warning")
            return
        try:
            _check(session.latents, conditions)
        except BadInputError as error:
            self.on_failed(error)
            return
        self._asked = asked = _Asked(session.run, clusters, conditions)
        self.queue.request(lambda: _shares(asked, keep=True))
        if not _has_halves(asked.run):
            self._evidence.request(_NAME)

    def save(self, path: str, chart: str, found: ClassShares) -> None:
        """Write the figure, and the table beside it."""
        try:
            self._write(Path(path), chart, found)
        except (BadInputError, OSError) as error:
            self.on_failed(error)

    def _write(self, path: Path, chart: str, found: ClassShares) -> None:
        table = path.with_suffix(".csv")
        with self.exporting(overwrite=True) as outputs:  # the dialog has asked about the figure
            outputs.check(path)
            if table.exists():
                raise BadInputError(
                    f"{table} exists and is not written over: choose another name.",
                    code="output-exists",
                )
            outputs.check(table)
            write_text(path, chart)
            with written_atomically(table) as temporary:
                found.table.to_csv(temporary, index=False)
        self.session.show_message(f"Saved {path} and {table.name}.")

    def _clusters(self) -> pd.Series | None:
        groups = cluster_groups(self.session)
        names = {
            identity: key.removeprefix(f"{CLUSTER} ")
            for key, group in groups.items()
            for identity in group.ids
        }
        return pd.Series(names).sort_index() if names else None

    def _on_halves(self, _halves: Any) -> None:
        asked = self._asked
        if asked is None or not self._evidence.is_awaited(_NAME):
            return
        self._evidence.release(_NAME)
        self.queue.request(lambda: _shares(asked))

    def _on_run(self, run: Run | None, old: Run | None = None) -> None:
        if same_run(run, old):
            return
        self._on_columns()
        if run is not None:
            self.reading.request(lambda: _kept(run))

    def _on_columns(self, *_: Any) -> None:
        """Other clusters: what was said is of none that there are."""
        clusters = self._clusters()
        if self._asked is not None and (
            clusters is None or not clusters.equals(self._asked.clusters)
        ):
            self._asked = None
            self.queue.cancel()
            self._evidence.release(_NAME)
            self.found.emit(None)


def _check(latents: pd.DataFrame | None, conditions: dict[str, str]) -> None:
    """Raise where a tomogram has no condition, before images are read."""
    from napari_tomodrgn.analysis.latents.class_shares import conditions_of

    if latents is not None:
        conditions_of(latents["tomogram"].astype(str).unique().astype(np.str_), conditions)


def _has_halves(run: Run) -> bool:
    from napari_tomodrgn.analysis.evidence.session import kept_tilt_halves

    return kept_tilt_halves(run) is not None


def _shares(asked: _Asked, *, keep: bool = False) -> Iterator[ClassShares]:
    from napari_tomodrgn.analysis.latents.class_shares import keep_conditions, shares_of_run

    found = shares_of_run(asked.run, asked.clusters, asked.conditions)
    if keep:
        keep_conditions(asked.run, asked.conditions)
    yield found


def _kept(run: Run) -> Iterator[dict[str, str]]:
    from napari_tomodrgn.analysis.latents.class_shares import conditions_file, read_conditions

    yield read_conditions(conditions_file(run)) if conditions_file(run).exists() else {}
