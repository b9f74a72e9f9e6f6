"""Selections of a window: combining, undo, names that are kept in the run, export to a star file.

Files are written in a thread: a run may lie on a slow disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.palette import CATEGORIES
from napari_tomodrgn.particle_columns import SELECTIONS
from napari_tomodrgn.session import SelectionMode, Session
from napari_tomodrgn.session.actions import Action, file_name, ids_of
from napari_tomodrgn.session.enclosing import combine_selections
from napari_tomodrgn.session.selection_history import SelectionHistory

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.selections import Selection


@dataclass(frozen=True)
class SelectionSaved:
    """A named selection was written to the run, removed from it (None), or could not be written."""

    words: str
    run: Path
    name: str
    selection: Selection | None
    error: Exception | None = None


class SelectionService(Service):
    """Verbs on the selection of a session."""

    doing = "writing a selection"

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.files = self.task_queue(self._on_done)
        self._history = SelectionHistory()
        self._travelling = False
        self.listen(self._on_selection, "selection")
        self.listen(self._on_particles, "particles")

    # -- the selection at hand ----------------------------------------------------------------

    def combine(
        self, identities: frozenset[str], mode: SelectionMode, how: Action | None = None
    ) -> None:
        """Replace the selection, add to it or subtract from it; ``how`` is the rule, if any."""
        found = combine_selections(self.session.selection, identities, mode)
        self.session.select(found, how or Action.of("select", ids_of(identities), mode=mode))

    def invert(self) -> None:
        """Select what is not selected."""
        table = self.session.latents
        if table is not None:
            others = frozenset(map(str, table.index)) - self.session.selection
            self.session.select(others, Action.of("invert"))

    def clear(self) -> None:
        """Select nothing."""
        self.session.select(frozenset(), Action.of("clear"))

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier selection."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether something was undone."""
        return self._history.can_redo

    def undo(self) -> None:
        """Go back to the selection before."""
        self._travel(self._history.undo, "undo")

    def redo(self) -> None:
        """Undo the undoing."""
        self._travel(self._history.redo, "redo")

    def _travel(self, move: Callable[[frozenset[str]], frozenset[str]], verb: str) -> None:
        self._travelling = True
        try:
            found = move(self.session.selection)
            if found != self.session.selection:
                self.session.select(found, Action.of(verb))
        finally:
            self._travelling = False

    def _on_selection(self, _new: object, old: frozenset[str]) -> None:
        if not self._travelling:
            self._history.remember(old)

    def _on_particles(self, *_: object) -> None:
        self._history.clear()

    # -- named selections ---------------------------------------------------------------------

    def save_category(self, code: int, name: str) -> None:
        """Select the particles of a category of the colour, and keep them under a name."""
        session, column = self.session, self.session.color_column
        if session.latents is None or column is None or code >= len(column.categories):
            return
        members = session.latents.index[column.values == code]
        rule = Action.of("category", column.name, column.categories[code])
        session.select(frozenset(map(str, members)), rule)
        self.save(name)

    def save(self, name: str) -> None:
        """Keep the selection under a name in the run, numbered where another set has the name."""
        from napari_tomodrgn.analysis.selections import Selection, save_selection

        session, asked = self.session, name.strip()
        name = _free_name(session, asked)
        run = session.run
        if run is None or not session.selection or not name:
            session.show_message(
                "Open a run, select some particles and give them a name.",
                "warning",
                lambda: session.run is not None and bool(session.selection),
            )
            return
        writing = session.selections_in_writing
        color = _color_for(name, {one.name: one.color for one in (*writing, *session.selections)})
        new = Selection(name=name, particles=tuple(sorted(session.selection)), color=color)

        def work() -> SelectionSaved:
            words = f"{len(new.particles):,} particles saved as {name!r} in {run.path.name}."
            words += f" {asked!r} was there already, and stays." if name != asked else ""
            try:
                save_selection(run.path, new)
            except Exception as error:  # noqa: BLE001 its name is free again, and it is told of
                return SelectionSaved("", run.path, name, new, error)
            return SelectionSaved(words, run.path, name, new)

        session.selections_in_writing = (*writing, new)
        session.record(Action.of("save_selection", name, color))
        self.files.add(work)

    def show(self, name: str) -> None:
        """Make a named selection the selection at hand."""
        found = next((one for one in self.session.selections if one.name == name), None)
        if found is not None:
            self.session.select(frozenset(found.particles), Action.of("show_selection", name))

    def delete(self, name: str) -> None:
        """Forget a named selection, its file as well; the particles stay."""
        from napari_tomodrgn.analysis.selections import delete_selection

        run = self.session.run
        if run is None:
            return

        def work() -> SelectionSaved:
            delete_selection(run.path, name)
            return SelectionSaved(f"Selection {name!r} deleted.", run.path, name, None)

        self.session.record(Action.of("delete_selection", name))
        self.files.add(work)

    def export(self, path: str | Path) -> None:
        """Write the selected particles, or all if none is, as they came; with added columns."""
        from napari_tomodrgn.session.particle_files import write_particles

        session = self.session
        particles, chosen, added = session.particles, session.selection, session.added_columns
        if particles is None:
            session.show_message(
                "Open a star file first.", "warning", lambda: session.particles is not None
            )
            return
        writing = self.exporting(overwrite=True)

        def work() -> str:
            with writing:
                return write_particles(particles, chosen, path, added)

        session.record(Action.of("export_particles", file_name(path)))
        self.files.add(work)

    def _on_done(self, result: SelectionSaved | str) -> None:
        if isinstance(result, str):
            self.session.show_message(result)
        else:
            self._on_saved(result)

    def _on_saved(self, kept: SelectionSaved) -> None:
        session = self.session
        if kept.error is not None:
            self.on_failed(kept.error)
        writing = tuple(one for one in session.selections_in_writing if one is not kept.selection)
        if session.run is None or session.run.path != kept.run or kept.error is not None:
            session.selections_in_writing = writing
            return
        others = [one for one in session.selections if one.name != kept.name]
        now = others if kept.selection is None else [*others, kept.selection]
        in_order = tuple(sorted(now, key=lambda one: one.name))
        session.update(selections=in_order, selections_in_writing=writing)
        # Several regions, one after the other: each is seen in its colour as soon as it has one.
        if kept.selection is not None and not session.color:
            session.color = SELECTIONS
        session.show_message(kept.words)


# The one of CATEGORIES before it is next to the green of differences.
_FIRST = 9
_GREYS = ("#a0a7b4", "#90a4ae")


def _free_name(session: Session, name: str) -> str:
    """The name, or where another set of particles has it, the next one with a number.

    Nothing that is there is ever replaced, as with files; the same set again replaces nothing. On
    some file systems names that differ in capitals are one.
    """
    kept = {one.name: one for one in (*session.selections, *session.selections_in_writing)}
    if name in kept and frozenset(kept[name].particles) == session.selection:
        return name
    taken = {one.casefold() for one in kept}
    numbered = (name if number == 1 else f"{name} {number}" for number in count(1))
    return next(one for one in numbered if one.casefold() not in taken)


def _color_for(name: str, known: dict[str, str]) -> str:
    """The colour that the name has already, else one that no other has."""
    # Clusters take the first colours; greys come last, they look as what is in no selection.
    strong = [color for color in CATEGORIES[_FIRST:] if color not in _GREYS]
    free = (color for color in [*strong, *reversed(CATEGORIES)] if color not in known.values())
    return known.get(name) or next(free, CATEGORIES[-1])
