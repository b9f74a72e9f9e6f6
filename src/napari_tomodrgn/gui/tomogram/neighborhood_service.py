"""Surroundings of particles as columns, and their association with a state: verbs, in a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.particle_columns import SELECTIONS, Column, selections_column
from napari_tomodrgn.session import Session, same_run

if TYPE_CHECKING:
    import pandas as pd
    from napari.layers import Labels, Layer, Surface
    from napari.viewer import Viewer

    from napari_tomodrgn.analysis.tomogram.context_tests import ContextTest
    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.learn.run.directory import Run

Points = Callable[[], NDArray[np.float64]]
# Corners of a mesh are this near to each other at most, as a share of a particle's box.
_MESH_EDGE = 0.25


@dataclass(frozen=True, eq=False)
class NeighborhoodColumns:
    """Columns of all particles."""

    table: pd.DataFrame


class NeighborhoodService(Service):
    """Computes columns into ``session.added_columns``; `tested` hands over associations.

    The run keeps each test, and brings it along as long as the state has the values it had.
    """

    doing = "computing context columns"

    tested = Signal(object)  # ContextTest; None: what was tested has changed

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.queue = self.latest_task(self._on_result)
        self.keeping = self.task_queue(lambda _kept: None)
        self.reading = self.latest_task(self._on_kept)
        self._shown: ContextTest | None = None
        self._open: tuple[Run | None, ParticleSet | None] = (None, None)
        self.listen(self._on_opened, "particles", "run")
        self.listen(self._drop_what_changed, "added_columns", "selections")

    def compute(self, radius_angstrom: float, state: str, layer: Any = None) -> None:
        """Columns of neighbours, place, defocus; and of a labels or surface layer, if any."""
        particles = self.session.particles
        if particles is None:
            self.session.show_message(
                "Open a star file first.", "warning", lambda: self.session.particles is not None
            )
            return
        labels = self._state(state)
        surface = None if layer is None else (self.session.tomogram, points_of(layer, particles))
        self.queue.request(lambda: _columns(particles, radius_angstrom, labels, surface))

    def test(self, state: str, permutations: int) -> None:
        """Whether a state goes with any of the columns, within tomograms."""
        states, known = self._state(state), self._known_columns()
        added_columns, table = self.session.added_columns, self.session.table
        if states is None or added_columns is None or table is None or not known:
            self.session.show_message(
                "Compute the columns first, and choose a state.",
                "warning",
                lambda: bool(self._known_columns()) and self._state(state) is not None,
            )
            return
        chosen = added_columns[[name for name in known if name != state]]
        tomograms = table.rows["tomogram"].astype(str)
        self.queue.request(lambda: _associations(state, (states, chosen, tomograms), permutations))

    def _known_columns(self) -> list[str]:
        """Columns of surroundings that there are."""
        added = self.session.added_columns
        return [name for name in context_columns() if added is not None and name in added]

    def _state(self, name: str) -> pd.Series | None:
        """A column as names of classes, or as numbers; None for none."""
        import pandas as pd

        session, table = self.session, self.session.table
        if table is None or not name:
            return None
        if name == SELECTIONS:
            found = selections_column(table.rows, session.selections)
        else:
            found = table.column(name)
        return pd.Series(_words(found), index=table.rows.index, name=name)

    def _on_result(self, item: NeighborhoodColumns | ContextTest) -> None:
        if not isinstance(item, NeighborhoodColumns):
            self._show(item)
            self.session.show_message(item.sentence)
            run = self.session.run
            if run is not None:
                self.keeping.add(lambda: _written(run, item))
            return
        self.session.add_columns(item.table)
        count = len(item.table.columns)
        self.session.show_message(f"{count} context columns added as axes, colours and filters.")

    def _show(self, test: ContextTest | None) -> None:
        self._shown = test
        self.tested.emit(test)

    def _on_opened(self, *_: Any) -> None:
        """Look what a run keeps; also where it is the one that was open before."""
        (old, before), run = self._open, self.session.run
        self._open = (run, self.session.particles)
        if same_run(run, old) and before is self.session.particles:
            return  # at another epoch
        self._shown = None
        if run is not None:
            self.reading.request(lambda: _kept(run))

    def _on_kept(self, found: tuple[Run, list[ContextTest]]) -> None:
        run, tests = found
        if same_run(run, self.session.run) and self._shown is None:
            there = [one for one in tests if self._still_holds(one)]
            if there:
                self._show(there[-1])

    def _drop_what_changed(self, *_: Any) -> None:
        if self._shown is not None and not self._still_holds(self._shown):
            self._show(None)

    def _still_holds(self, test: ContextTest) -> bool:
        """Whether its state is there, and has the values that were tested."""
        from napari_tomodrgn.analysis.tomogram.context_tests import digest_of

        names = [SELECTIONS] if self.session.selections else []
        if self.session.table is not None:
            names += self.session.table.color_names
        states = self._state(test.state) if test.state in names else None
        return states is not None and digest_of(states) == test.digest


def context_columns() -> tuple[str, ...]:
    """Names of the columns that are tested, in order."""
    from napari_tomodrgn.analysis.tomogram.neighborhood import COLUMNS

    return COLUMNS


def possible_surfaces(viewer: Viewer, ours: list[Layer]) -> list[Labels | Surface]:
    """Labels and surface layers of the user's, such as a membrane."""
    from napari.layers import Labels, Surface

    found = [layer for layer in viewer.layers if isinstance(layer, Labels | Surface)]
    return [layer for layer in found if layer.ndim == 3 and layer not in ours]


def points_of(layer: Any, particles: ParticleSet) -> Points:
    """What gives the points of a labels or surface layer, zyx in Å in the world, in a thread."""
    # Of an affine transform, where four points go is all there is to know.
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)), float)
    axes = np.stack([np.asarray(layer.data_to_world(row), float) for row in np.eye(layer.ndim)])
    matrix = axes - origin
    edge = _MESH_EDGE * particles.optics.box_size_px * particles.optics.pixel_size_angstrom
    data = layer.data

    def of_labels() -> NDArray[np.float64]:
        from napari_tomodrgn.analysis.tomogram.neighborhood import surface_points

        return surface_points(np.asarray(data), 1.0) @ matrix + origin

    def of_mesh() -> NDArray[np.float64]:
        from trimesh.remesh import subdivide_to_size

        corners = np.asarray(data[0], float) @ matrix + origin
        points, _ = subdivide_to_size(corners, np.asarray(data[1]), edge, max_iter=20)
        return np.unique(points, axis=0)

    return of_mesh if isinstance(data, tuple) else of_labels


def _columns(
    particles: ParticleSet,
    radius: float,
    labels: pd.Series | None,
    surface: tuple[str, Points] | None,
) -> Iterator[NeighborhoodColumns | None]:
    from napari_tomodrgn.analysis.tomogram.neighborhood import (
        defocus,
        neighbourhood,
        surface_context,
    )

    table = neighbourhood(particles, radius, labels)
    yield None
    table = table.join(defocus(particles))
    yield None
    if surface is not None:
        name, points = surface
        table = table.join(surface_context(particles, {name: points()}))
    # A column without a single value is none that one could look at.
    yield NeighborhoodColumns(table.dropna(axis=1, how="all"))


def _associations(
    state: str, series: tuple[pd.Series, pd.DataFrame, pd.Series], permutations: int
) -> Iterator[ContextTest | None]:
    from napari_tomodrgn.analysis.tomogram.association import association_steps
    from napari_tomodrgn.analysis.tomogram.context_tests import ContextTest, digest_of

    digest = digest_of(series[0])
    for table in association_steps(*series, permutations):
        yield None if table is None else ContextTest(state, digest, permutations, table)


def _written(run: Run, test: ContextTest) -> Path:
    from napari_tomodrgn.analysis.tomogram.context_tests import context_file, keep_test

    keep_test(run, test)
    return context_file(run)


def _kept(run: Run) -> Iterator[tuple[Run, list[ContextTest]]]:
    from napari_tomodrgn.analysis.tomogram.context_tests import kept_tests

    yield run, kept_tests(run)


def _words(found: Column) -> Any:
    if not found.categorical:
        return found.values
    names = np.array([*found.categories, None], dtype=object)
    return names[found.values]
