"""Comparisons that the run on show keeps from before: listed, and read again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.evidence.group_choice import AT_RANDOM, offered_groups
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.palette import OTHERS, PLAIN
from napari_tomodrgn.session import ComparedGroups, Session, same_run

if TYPE_CHECKING:
    from napari_tomodrgn.learn.run.directory import Run


class KeptComparisons(Service):
    """Lists what was compared, and reads the last of it when a run is opened.

    Groups that are offered first need not be those that were compared: who opens a run again finds
    what was compared last, and the rest in a list.
    """

    doing = "reading a comparison"

    listed = Signal(object)  # what to call each, by its folder; the newest first
    found = Signal(object)  # ComparedGroups, or BadInputError

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self._newest_wanted = False
        self.listing = self.latest_task(self._on_listed)
        self.reading = self.latest_task(self.found.emit)
        self.listen(self._on_run, "run")
        self.listen(self._on_comparison, "comparison")

    def show(self, folder: str) -> None:
        """Read the comparison that is kept in this folder."""
        session, run = self.session, self.session.run
        if run is not None:
            colors = {name: one.color for name, one in _by_name(session).items()}
            self.reading.request(lambda: _read(run, folder, colors))

    def _on_run(self, run: Run | None, old: Run | None = None) -> None:
        if same_run(run, old):
            return  # at another epoch
        self.reading.cancel()
        self.listed.emit({})
        self._newest_wanted = run is not None
        self._list()

    def _on_comparison(self, compared: ComparedGroups | None, *_: Any) -> None:
        if compared is not None and not self._newest_wanted:
            self._list()

    def _list(self) -> None:
        run = self.session.run
        if run is None:
            self.listing.cancel()
        else:
            self.listing.request(lambda: _listed(run))

    def _on_listed(self, names: dict[str, str]) -> None:
        self.listed.emit(names)
        wanted, self._newest_wanted = self._newest_wanted, False
        if wanted and names and not self.session.comparison_status.busy:
            self.show(next(iter(names)))


def _by_name(session: Session) -> dict[str, Any]:
    return {one.name: one for one in offered_groups(session).values()}


def _listed(run: Run) -> Iterator[dict[str, str]]:
    from napari_tomodrgn.analysis.evidence.records import read_comparisons

    try:
        records = read_comparisons(run)
    except BadInputError:  # which is told when groups of it are chosen
        records = []
    yield {one["folder"]: f"{one['a']} and {one['b']}" for one in reversed(records)}


def _read(
    run: Run, folder: str, colors: dict[str, str]
) -> Iterator[ComparedGroups | BadInputError]:
    """``colors``: of the groups that there are by now, by their names."""
    from napari_tomodrgn.analysis.evidence.records import read_comparisons, read_kept_maps

    try:
        records = [one for one in read_comparisons(run) if one["folder"] == folder]
        if not records:
            return
        ids, maps = read_kept_maps(Path(folder))
    except BadInputError as error:
        yield error
        return
    record = records[0]
    a, b = (
        frozenset(one for one, label in zip(ids, maps.drawn, strict=True) if label == side)
        for side in (1, -1)
    )
    names = (str(record["a"]), str(record["b"]))
    tints = (colors.get(names[0], PLAIN), colors.get(names[1], OTHERS))
    groups = (a, None if names[1] == AT_RANDOM else b)
    yield ComparedGroups(names, tints, groups, tuple(ids), maps, record, Path(folder))
