"""Shows two compared groups beside their difference, and gives the canvas back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject

from napari_tomodrgn.analysis.evidence.drawn_difference import FIRST_ERRORS, finest_piece
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.evidence.stage_layers import Cell, StageLayers
from napari_tomodrgn.gui.volumes.arrangement import view_of
from napari_tomodrgn.gui.volumes.isosurfaces import make_isosurface, make_surface_of_errors
from napari_tomodrgn.gui.volumes.surface_layers import box_angstrom
from napari_tomodrgn.palette import difference_colors
from napari_tomodrgn.session import ComparedGroups, Isosurface, Session

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.evidence.maps import ComparedMaps, GroupMap

# Of what a map encloses: a difference smaller than this is not seen unless one looks for it. The
# 5S RNP is 3 % of a large subunit, a factor of 10 kDa is 0.3 % of a ribosome.
_SPECK = 0.001


@dataclass(frozen=True, eq=False)
class _Cells:
    compared: ComparedGroups
    look: tuple[float, float, bool]  # contours of maps and difference, and whether halves are shown
    cells: list[Cell]


class ComparisonStage(Service):
    """Keeps the stage in step with the session: up in the canvas mode ``comparison`` only."""

    doing = "drawing a comparison"

    def __init__(self, session: Session, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self._viewer = viewer
        self.layers = StageLayers(viewer)
        self.contours = self.latest_task(self._on_cells)
        self.errors = FIRST_ERRORS
        self.halves = False
        self._arranged: ComparedMaps | None = None  # what the camera was set up for
        self._made: _Cells | None = None  # the last ones: who comes back sees them at once
        self._view: dict[str, Any] = {}  # how the stage was looked at, while it is on its way back
        self.listen(self._on_canvas_mode, "canvas_mode")
        self.listen(self._on_comparison, "comparison")
        self.listen(self._request, "sigma")
        # Another volume was asked for: it is shown, instead of being decoded out of sight.
        self.listen(self._leave, "focused", "free_point", "trajectory", "map_source")
        self.listen(self._leave, "validation")

    def set_errors(self, count: float) -> None:
        """Contour the difference at so many standard errors."""
        self.errors = count
        self._request()

    def show_halves(self, shown: bool) -> None:
        """Show the half maps of both groups instead of maps and difference."""
        self.halves = shown
        self._arranged = None  # there are other cells: the zoom is another
        self._request()

    def close(self) -> None:
        """Draw nothing more. What is up stays: the viewer's canvas may be gone already."""
        super().close()
        self.layers.let_go()

    def _on_canvas_mode(self, mode: str, _before: str = "") -> None:
        if mode == "comparison" and self.session.comparison is not None:
            self._view = view_of(self._viewer)  # which the tomogram's scene has just put back
            self._request()
        else:
            self.halves = False  # its button is up again
            self.contours.cancel()
            self.layers.strike()

    def _on_comparison(
        self, compared: ComparedGroups | None, old: ComparedGroups | None = None
    ) -> None:
        if compared is None or old is None or compared.found is not old.found:
            self.halves = False
        if compared is None:
            self._made = None
            self._leave()
        self._request()

    def _leave(self, *_: Any) -> None:
        if self.session.canvas_mode == "comparison":
            self.session.canvas_mode = "particle"

    def _request(self, *_: Any) -> None:
        compared, session = self.session.comparison, self.session
        if compared is None or session.canvas_mode != "comparison":
            return
        sigma, errors, halves = look = session.sigma, self.errors, self.halves
        made = self._made
        if made is not None and made.compared is compared and made.look == look:
            self.contours.cancel()
            self._on_cells(made)
            return

        def work() -> Iterator[_Cells]:
            made = half_cells(compared, sigma) if halves else map_cells(compared, sigma, errors)
            yield _Cells(compared, look, made)

        self.contours.request(work)

    def _on_cells(self, made: _Cells) -> None:
        session = self.session
        self._made = made
        if session.canvas_mode != "comparison":
            return
        if made.compared is not session.comparison:  # else the canvas would stay empty
            self._request()
            return
        was_up = self.layers.is_up
        self.layers.raise_stage()
        box = box_angstrom(made.compared.found.difference.difference)
        self.layers.show(made.cells, box, made.compared.sentence)
        if self._arranged is not made.compared.found:
            self._arranged = made.compared.found
            self.layers.set_up_view()
        elif not was_up:
            self.layers.look(self._view)


def map_cells(compared: ComparedGroups, sigma: float, errors: float) -> list[Cell]:
    """A, B and A − B, contoured."""
    cells = []
    for letter, name, color, count, made in _groups(compared):
        mesh = make_isosurface(made.filtered, sigma)
        label = f"{letter}: {name}, {count:,} particles\nfrom images, {_limit(made)}, {sigma:g} σ"
        cells.append(Cell(label, {f"{letter}: {name}": (mesh, color)}))
    difference = compared.found.difference
    more, less = make_surface_of_errors(
        difference.difference,
        difference.standard_error,
        errors,
        finest_piece(difference.difference, compared.found.resolution_angstrom),
    )
    colors = difference_colors(compared.colors)
    own = colors == compared.colors
    which = "in the colour of the one with more" if own else "more in A: magenta, in B: green"
    label = f"A − B at {errors:g} standard errors\n"
    if not (len(more.faces) or len(less.faces)):
        label += "nothing reaches that"
    elif _is_speck(sum(map(_enclosed, (more, less))), cells):
        label += f"next to nothing reaches that; {which}"
    else:
        label += which
    surfaces = {"A − B, more in A": (more, colors[0]), "A − B, more in B": (less, colors[1])}
    return [*cells, Cell(label, surfaces)]


def _is_speck(volume: float, cells: list[Cell]) -> bool:
    """Whether so many Å³ are next to nothing beside the maps of the groups."""
    maps = [_enclosed(mesh) for cell in cells for mesh, _color in cell.surfaces.values()]
    return volume < _SPECK * max(maps, default=0.0)


def _enclosed(mesh: Isosurface) -> float:
    """Å³ inside of a surface."""
    if not len(mesh.faces):
        return 0.0
    one, two, three = np.moveaxis(np.asarray(mesh.vertices, float)[mesh.faces], 1, 0)
    return abs(float((one * np.cross(two, three)).sum())) / 6


def half_cells(compared: ComparedGroups, sigma: float) -> list[Cell]:
    """Both half maps of A, then of B, contoured."""
    cells = []
    for letter, name, color, _count, made in _groups(compared):
        for number, half in enumerate((made.half1, made.half2), start=1):
            title = f"{letter}: {name}, half {number}"
            mesh = make_isosurface(half, sigma)
            cells.append(Cell(f"{title}\nunfiltered, {sigma:g} σ", {title: (mesh, color)}))
    return cells


def _groups(compared: ComparedGroups) -> Iterator[tuple[str, str, str, int, GroupMap]]:
    record = compared.record
    counts = (int(str(record["particles_a"])), int(str(record["particles_b"])))
    maps = compared.found.maps or ()
    yield from zip("AB", compared.names, compared.colors, counts, maps, strict=False)


def _limit(made: GroupMap) -> str:
    limit = made.fsc.resolution_angstrom()
    return f"{limit:.1f} Å" if math.isfinite(limit) else "half maps do not agree"
