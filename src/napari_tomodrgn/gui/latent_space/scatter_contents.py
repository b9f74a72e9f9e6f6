"""What the scatter shows of a session, worked out from its tables: in a thread if they are large.

A million particles take a second. A small set is shown at once: sooner than any thread could begin,
and without a moment in which the chart and its boxes disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.charts.colormaps import colors_of
from napari_tomodrgn.gui.charts.point_cloud import PlottedPoints
from napari_tomodrgn.gui.latent_space.color_legend import LegendData
from napari_tomodrgn.gui.latent_space.trajectories import is_latent
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.particle_columns import (
    SELECTIONS,
    Clip,
    ParticleTable,
    axis_label,
    names_where,
    resolve_axes,
    selected_mask,
)
from napari_tomodrgn.session import Session
from napari_tomodrgn.session.actions import Action
from napari_tomodrgn.session.enclosing import as_done, combine_selections

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.selections import Selection
    from napari_tomodrgn.gui.charts.interactive_scatter import LassoSelection
    from napari_tomodrgn.particle_columns import Column

# Rows up to which everything takes less than a frame.
AT_ONCE = 50_000
# Two latent directions share a unit: the shorter range is at least this share of the longer.
_Answer = TypeVar("_Answer")
_LEAST_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class ScatterRequest:
    """All of a session that the picture of its latent space depends on."""

    table: ParticleTable
    axes: tuple[str, str]
    color: str
    color_limits: Clip
    selections: tuple[Selection, ...]
    selection: frozenset[str]

    @classmethod
    def of(cls, session: Session) -> ScatterRequest | None:
        """What is asked for now, None where there are no latents."""
        table = session.table
        if session.latents is None or table is None:
            return None
        names = [name for name in cls.__dataclass_fields__ if name != "table"]
        return cls(table, **{name: getattr(session, name) for name in names})

    @property
    def is_large(self) -> bool:
        """Whether it is worked out in a thread."""
        return len(self.table) > AT_ONCE


@dataclass(frozen=True, eq=False)
class ScatterContents:
    """The scatter of a session, ready to be handed to the widgets.

    Attributes
    ----------
    asked
        What it was made from.
    names, color_names
        Columns that can be an axis, and that can colour.
    axes, labels
        Names of the two that are shown, and as they stand on the axes.
    placed, colors, selected
        Positions, three bytes each, and whether it is selected: of every particle.
    shade, explained
        The column that colours, and its legend.
    """

    asked: ScatterRequest
    names: list[str]
    color_names: list[str]
    axes: tuple[str, str]
    labels: tuple[str, str]
    placed: PlottedPoints
    colors: NDArray[np.uint8]
    selected: NDArray[np.bool_]
    shade: Column | None
    explained: LegendData | None


def _least_share(axes: tuple[str, str]) -> float:
    """Latent directions are in one unit: what hardly varies must not look as wide as what does."""
    latent = all(is_latent(name) for name in axes)
    return _LEAST_SHARE if latent else 0.0


def picture_of(asked: ScatterRequest) -> ScatterContents:
    """Work it out."""
    table = asked.table
    names, color_names = table.axis_names, table.color_names
    axes = resolve_axes(asked.axes, names)
    values = [table.column(name).values for name in axes]
    shade = table.color_column(asked.color, asked.color_limits, asked.selections)
    return ScatterContents(
        asked,
        names,
        [*([SELECTIONS] if asked.selections else []), *color_names],
        axes,
        (axis_label(table.rows, axes[0]), axis_label(table.rows, axes[1])),
        PlottedPoints.of(np.stack(values, axis=1), _least_share(axes)),
        colors_of(shade, len(table)),
        selected_mask(table.rows, asked.selection),
        shade,
        None if shade is None else LegendData.of(shade),
    )


@dataclass(frozen=True)
class Enclosed:
    """The selection after lines were drawn, and the actions that make it."""

    selection: frozenset[str]
    actions: tuple[Action, ...] = ()


class ScatterLoader(Service):
    """Works out pictures and selections of a session; only the newest of each arrives."""

    doing = "drawing the latent space"

    drawn = Signal(object)  # ScatterContents
    enclosed = Signal(object)  # Enclosed
    busy = Signal(str)  # what is being worked out; empty: nothing

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self._pictures = self.latest_task(self.drawn.emit)
        self._pictures.busy.connect(self._on_busy)
        self._selections = self.latest_task(self._on_selection)
        self._unfinished: Callable[[], Enclosed] | None = None
        self._others = self.latest_task(lambda answer: answer[0](answer[1]))

    def stop(self) -> None:
        """Nothing arrives any more."""
        self.close()
        self._unfinished = None
        self.busy.emit("")

    def draw(self, asked: ScatterRequest) -> None:
        """Ask for the picture."""
        if asked.is_large:
            self._pictures.request(lambda: iter([picture_of(asked)]))
        else:
            self._pictures.cancel()
            self.drawn.emit(picture_of(asked))

    def select_in_lasso(
        self, table: ParticleTable, lasso: LassoSelection, rule: Action | None = None
    ) -> None:
        """Ask for the selection that there is after a line was drawn; ``rule`` records it."""
        now, unfinished = Enclosed(self.session.selection), self._unfinished

        def work() -> Enclosed:
            # A line that was drawn while another was worked out goes on from what that one gives.
            before = unfinished() if unfinished is not None else now
            names = names_where(table.rows, lasso.mask)
            found = combine_selections(before.selection, names, lasso.mode)
            selected_mask(table.rows, found)  # which is asked for as soon as it is told
            done = as_done(table, lasso.mask, rule, lasso.mode)
            return Enclosed(found, (*before.actions, done))

        if len(table) > AT_ONCE:
            self._unfinished = work
            self._selections.request(lambda: iter([work()]))
        else:
            self.enclosed.emit(work())

    def run(self, work: Callable[[], _Answer], take: Callable[[_Answer], None], rows: int) -> None:
        """Do something else with a table of so many rows and hand the answer over."""
        if rows > AT_ONCE:
            self._others.request(lambda: iter([(take, work())]))
        else:
            self._others.cancel()
            take(work())

    def _on_selection(self, found: Enclosed) -> None:
        self._unfinished = None
        self.enclosed.emit(found)

    def _on_busy(self, busy: bool) -> None:
        session = self.session
        count = 0 if session.latents is None else len(session.latents)
        self.busy.emit(f"Preparing {count:,} points …" if busy and count else "")
