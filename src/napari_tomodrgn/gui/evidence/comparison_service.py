"""Compares two groups of the run's particles in a thread, and takes the result to files."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.background.error_message import error_message
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.background.workers import Stop
from napari_tomodrgn.gui.evidence.evidence_service import EvidenceService
from napari_tomodrgn.gui.evidence.group_choice import ChosenGroup, offered_groups, rest_of
from napari_tomodrgn.learn.runtime.events import WorkProgress
from napari_tomodrgn.session import ComparedGroups, Session, same_run
from napari_tomodrgn.session.actions import Action, file_name, ids_of
from napari_tomodrgn.session.verdict import Verdict
from napari_tomodrgn.session.workspace import OTHERS, SEED, SELECTION, write_comparison
from napari_tomodrgn.work_status import ComparisonProgress, WorkStatus

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.analysis.evidence.comparison import Comparison
    from napari_tomodrgn.analysis.evidence.session import Evidence
    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.learn.run.directory import Run

_NAME = "comparison"
_MOST_KEPT = 4


@dataclass(frozen=True, eq=False)
class ComparisonRequest:
    """Two groups of a run; ``matched``: B is drawn at random, alike in all that is no structure."""

    run: Run
    a: ChosenGroup
    b: ChosenGroup
    matched: bool = False


@dataclass(frozen=True, eq=False)
class _Answer:
    asked: ComparisonRequest
    compared: ComparedGroups
    adjusted: dict[str, float] = field(default_factory=dict)  # p of each kept one, by its folder


class ComparisonService(Service):
    """Puts ``session.comparison``; only the newest request may."""

    doing = "comparing two groups"

    def __init__(
        self, session: Session, evidence: EvidenceService, parent: QObject | None = None
    ) -> None:
        super().__init__(session, parent)
        self._evidence = evidence
        self._asked: ComparisonRequest | None = None
        self._next: tuple[ComparisonRequest, Evidence] | None = None
        self._progress = ComparisonProgress()
        self._began = 0.0
        self._made: list[ComparedGroups] = []  # of this run, the newest last
        self._told_damage = ""
        self._answered = ""  # the verdict with the comparison that was shown last
        self.job = self.long_task("tomoDRGN comparison", self._on_event)
        self.job.ended.connect(self._on_ended)
        self.kept = self.latest_task(self._on_kept)
        self.files = self.task_queue(session.show_message, computes=True)
        evidence.ready.connect(self._on_evidence)
        evidence.progress.connect(self._on_reading)
        evidence.refused.connect(self._on_refused)
        self.listen(self._on_run, "run")
        self.listen(self._on_groups, "selection", "selections", "added_columns", "latents")

    # -- comparing ----------------------------------------------------------------------------

    def start(self, a: ChosenGroup, b: ChosenGroup, matched: bool = False) -> None:
        """Compare these groups instead of what was asked before."""
        run = self.session.run
        if run is None:
            self.session.show_message(
                "Open a run first: groups of its particles are compared.",
                done=lambda: self.session.run is not None,
            )
            return
        try:
            if not matched:
                _reject_shared(a, b)
        except BadInputError as error:
            self.session.show_message(error_message(error, "comparing"))
            return
        self.stop()
        self.kept.cancel()
        self.session.message = None
        self._asked = ComparisonRequest(run, a, b, matched)
        self.session.comparison_status = WorkStatus(True, 0.0, "Reading images")
        self._progress, self._began = ComparisonProgress(), time.monotonic()
        self._evidence.request(_NAME)

    def stop(self) -> None:
        """Give the comparison up."""
        self._asked, self._next = None, None
        self._evidence.release(_NAME)
        self.job.stop()
        self.session.comparison_status = WorkStatus()

    def _on_evidence(self, evidence: Evidence) -> None:
        asked = self._asked
        if asked is None or not same_run(asked.run, self.session.run):
            return
        if self.job.is_busy:  # the one before is still giving up
            self._next = (asked, evidence)
        else:
            self.job.start(lambda stop: _steps(asked, evidence, stop))

    def _on_ended(self) -> None:
        waiting, self._next = self._next, None
        if waiting is not None and waiting[0] is self._asked:
            self._on_evidence(waiting[1])

    def _on_reading(self, event: WorkProgress) -> None:
        if self._asked is not None and not self.job.is_busy:
            self._show(event)

    def _on_event(self, item: Any) -> None:
        asked = self._asked
        if asked is None:
            return  # it was given up, or another run was opened
        if isinstance(item, WorkProgress):
            self._show(item)
        elif isinstance(item, _Answer) and item.asked is asked:
            self._asked = None
            made = [*self._made[1 - _MOST_KEPT :], item.compared]
            self._made = [_adjusted(one, item.adjusted) for one in made]
            self.session.comparison_status = WorkStatus()
            self.session.update(comparison=item.compared, canvas_mode="comparison")
            if item.compared.folder is not None:  # else the message says why it is not kept
                self.session.show_message(item.compared.sentence)
            self.session.record(_action(self.session, asked))
        elif isinstance(item, BadInputError):  # the result is there, but could not be kept
            super().on_failed(item)

    def _show(self, event: WorkProgress) -> None:
        self._progress.tell(event, time.monotonic() - self._began)
        known = self._progress
        status = WorkStatus(True, known.fraction, event.what, known.seconds_left)
        self.session.comparison_status = status

    def _on_run(self, run: Run | None, old: Run | None = None) -> None:
        self._made, self._told_damage = [], ""
        # At another epoch of a run that trains, groups that are compared are still its particles.
        if self._asked is not None and not same_run(run, old):
            self.stop()

    def recall(self, a: ChosenGroup, b: ChosenGroup, matched: bool = False) -> None:
        """Show what was found for these groups, if they were compared before."""
        asked = (a.ids, None if matched else b.ids)
        self.kept.cancel()
        for compared in self._made:
            if compared.groups == asked and compared.names == (a.name, b.name):
                self.session.comparison = compared
                return
        run = self.session.run
        if run is not None and self._asked is None:
            request = ComparisonRequest(run, a, b, matched)
            self.kept.request(lambda: _kept(request))

    def _on_kept(self, item: _Answer | BadInputError) -> None:
        """Of a run that was opened again: as it was found then."""
        if isinstance(item, BadInputError):
            if str(item) != self._told_damage:  # once, not at each choice of groups
                self._told_damage = str(item)
                self.session.show_message(error_message(item, "reading a comparison"))
        elif same_run(item.asked.run, self.session.run) and self._asked is None:
            self._show_found(item.compared)

    def show_kept(self, item: ComparedGroups | BadInputError) -> None:
        """Show a comparison that the run keeps, whatever groups are chosen; or why it is not."""
        run = self.session.run
        if run is None or self._asked is not None:
            return
        self.kept.cancel()
        if isinstance(item, BadInputError):
            self._on_kept(item)
            return
        self._show_found(item)
        self._on_groups()

    def _show_found(self, compared: ComparedGroups) -> None:
        self._made = [*self._made[1 - _MOST_KEPT :], compared]
        self.session.comparison = compared
        self._answer_verdict(compared)

    def _answer_verdict(self, compared: ComparedGroups) -> None:
        """Where the message is still the verdict, which asks for a comparison: this is one.

        Of a run that is opened, that of the groups offered first may come before the last one.
        """
        told, verdict = self.session.message, Verdict.of(self.session.quality)
        if told is not None and told.text in (verdict.sentence, self._answered):
            self._answered = verdict.after(compared.record).sentence
            self.session.show_message(self._answered)

    def _on_groups(self, *_: Any) -> None:
        """Say of what is on show whether its groups have become others since."""
        compared = self.session.comparison
        if compared is None:
            return
        known = _groups_by_name(self.session)
        pairs = zip(compared.names, compared.groups, strict=True)
        # Of other clusters the same name may be written otherwise (01), or not be there any more.
        earlier = any(
            known.get(name, ids if not name.startswith("cluster ") else None) != ids
            for name, ids in pairs
            if ids
        )
        if earlier != compared.earlier:
            self.session.comparison = replace(compared, earlier=earlier)

    def _on_refused(self) -> None:
        self._asked = None
        self.session.comparison_status = WorkStatus()

    def on_failed(self, error: Exception) -> None:
        """Tell why there is no result."""
        if self._asked is not None or not self.job.is_busy:
            super().on_failed(error)
        self._on_refused()

    # -- files --------------------------------------------------------------------------------

    def export(self, folder: str | Path) -> None:
        """Write maps, half maps, curves, memberships, and a star file of each group."""
        session, compared = self.session, self.session.comparison
        run, particles = session.run, session.particles
        if compared is None or run is None:
            return
        session.record(Action.of("export_comparison", file_name(folder)))
        self.files.add(lambda: _export(compared, Path(folder), run, particles))

    def save_report(self, path: str | Path) -> None:
        """Write the page of the run, this comparison in it, as one HTML file."""
        run, columns = self.session.run, self.session.added_columns
        if run is not None:
            self.session.show_message("Writing the report …")
            self.session.record(Action.of("save_report", file_name(path)))
            self.files.add(lambda: _write_report(run, Path(path), columns))


def _action(session: Session, asked: ComparisonRequest) -> Action:
    """The groups as they are called, or where that means others by now, with their particles."""
    known = _groups_by_name(session)

    def words(group: ChosenGroup) -> str | tuple[str, list[str]]:
        return group.name if known.get(group.name) == group.ids else (group.name, ids_of(group.ids))

    if asked.matched:
        return Action.of("compare", words(asked.a), asked.b.name, matched=True)
    rest = asked.b.ids == rest_of(session, asked.a).ids
    return Action.of("compare", words(asked.a), OTHERS if rest else words(asked.b))


def _groups_by_name(session: Session) -> dict[str, frozenset[str]]:
    known = {one.name: one.ids for one in offered_groups(session).values()}
    return known | {SELECTION: session.selection}


def _steps(asked: ComparisonRequest, evidence: Evidence, stop: Stop) -> Iterator[Any]:
    from napari_tomodrgn.analysis.evidence.comparison import compare_groups
    from napari_tomodrgn.analysis.evidence.groups import Group, label_groups, match_group

    a, b = (Group(one.name, one.ids) for one in (asked.a, asked.b))
    if asked.matched:
        drawn = match_group(evidence.data.particles, label_groups(evidence.ids, a) == 1, SEED)
    else:
        drawn = label_groups(evidence.ids, a, b)
    found = yield from _until_stopped(compare_groups(evidence, drawn, seed=SEED), stop)
    if found is None:
        return
    compared, failure = _recorded(asked, evidence, found)
    if failure is not None:
        yield failure
        yield _Answer(asked, compared)
    else:
        yield _Answer(asked, compared, _adjusted_p(asked.run))


def _adjusted_p(run: Run) -> dict[str, float]:
    """p of each comparison that a run keeps, adjusted for their number by now, by its folder."""
    from napari_tomodrgn.analysis.evidence.records import read_comparisons

    return {one["folder"]: one["p_holm"] for one in read_comparisons(run)}


def _adjusted(compared: ComparedGroups, adjusted: dict[str, float]) -> ComparedGroups:
    """The same with the p that one more comparison leaves it."""
    p = adjusted.get(str(compared.folder))
    if p in (None, compared.record.get("p_holm")):
        return compared
    return replace(compared, record={**compared.record, "p_holm": p})


def _reject_shared(a: ChosenGroup, b: ChosenGroup) -> None:
    from napari_tomodrgn.analysis.evidence.groups import Group, reject_shared

    reject_shared(Group(a.name, a.ids), Group(b.name, b.ids))


def _until_stopped(
    steps: Generator[WorkProgress, None, Comparison], stop: Stop
) -> Generator[WorkProgress, None, Comparison | None]:
    while True:
        try:
            event = next(steps)
        except StopIteration as finished:
            result: Comparison = finished.value
            return None if stop() else result
        if stop():
            steps.close()
            return None
        yield event


def _recorded(
    asked: ComparisonRequest, evidence: Evidence, found: Comparison
) -> tuple[ComparedGroups, BadInputError | None]:
    """The result, kept in the run where that can be written; why not, where it cannot."""
    from napari_tomodrgn.analysis.evidence.records import describe_comparison, record_comparison

    names, ids = (asked.a.name, asked.b.name), evidence.ids
    colors = (asked.a.color, asked.b.color)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    groups = (asked.a.ids, None if asked.matched else asked.b.ids)
    record = describe_comparison(ids, names, found)
    plain = ComparedGroups(names, colors, groups, tuple(ids), found.kept, record)
    try:
        record = record_comparison(asked.run, ids, names, found, made)
    except BadInputError as error:
        return plain, error
    return replace(plain, record=record, folder=Path(record["folder"])), None


def _kept(asked: ComparisonRequest) -> Iterator[_Answer | BadInputError]:
    """The comparison of these groups that the run keeps, if it does."""
    from napari_tomodrgn.analysis.evidence.records import find_kept

    a, b = asked.a, asked.b
    groups = (a.ids, None if asked.matched else b.ids)
    try:
        found = find_kept(asked.run, a.ids, b.name if asked.matched else b.ids)
    except BadInputError as error:
        yield error
        return
    if found is None:
        return
    record, ids, maps = found
    names, colors = (a.name, b.name), (a.color, b.color)
    folder = Path(record["folder"])
    yield _Answer(asked, ComparedGroups(names, colors, groups, tuple(ids), maps, record, folder))


def _export(compared: ComparedGroups, folder: Path, run: Run, particles: ParticleSet | None) -> str:
    from napari_tomodrgn.learn.run.exports import export_files

    with export_files(particles=particles, run=run):  # never over a file that is there
        write_comparison(list(compared.ids), compared.found, folder, particles)
    return f"Maps, half maps, curves and star files of both groups written to {folder}."


def _write_report(run: Run, path: Path, columns: pd.DataFrame | None) -> str:
    from napari_tomodrgn.analysis.report import write_report
    from napari_tomodrgn.learn.run.exports import export_files

    with export_files(overwrite=True, run=run) as outputs:  # the dialog asked already
        outputs.check(path)
        write_report(run, path, columns)
    return f"Report written to {path}."
