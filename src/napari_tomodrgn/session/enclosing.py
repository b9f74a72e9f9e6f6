"""Which particles a rule means: a line drawn around points, a value or a range of a column.

The window finds them by what is on the screen; a rule is recorded where it gives the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.geometry import inside_polygon
from napari_tomodrgn.particle_columns import ParticleTable, names_where
from napari_tomodrgn.session.actions import Action, ids_of
from napari_tomodrgn.session.values import SelectionMode

Mask = NDArray[np.bool_]
# Significant digits of the corners of a line, as they are recorded.
_DIGITS = 6


def in_lasso(table: ParticleTable, x: str, y: str, corners: Sequence[Sequence[float]]) -> Mask:
    """Mark the particles whose values of two columns lie inside a closed line, ``(particle,)``."""
    points = np.stack([table.column(name).values for name in (x, y)], axis=1)
    return inside_polygon(points.astype(np.float64), np.asarray(corners, np.float64))


def in_category(table: ParticleTable, column: str, value: str) -> Mask:
    """Mark the particles that have a value of a column of words, ``(particle,)``."""
    found = table.column(column)
    if value not in found.categories:
        raise KeyError(value)
    return np.asarray(found.values == found.categories.index(value))


def in_range(table: ParticleTable, column: str, low: float | None, high: float | None) -> Mask:
    """Mark the particles whose value is between two limits (None: none), ``(particle,)``."""
    values = table.column(column).values
    least, most = (-math.inf if low is None else low), (math.inf if high is None else high)
    return np.asarray((values >= least) & (values <= most))  # NaN is in no range


RULES: dict[str, Callable[..., Mask]] = {
    "lasso": in_lasso,
    "category": in_category,
    "in_range": in_range,
}


def lasso(axes: tuple[str, str], corners: NDArray[np.floating]) -> Action:
    """The rule of a line drawn over two axes, corners ``(corner, 2)`` in their units."""
    rounded = [[float(f"{value:.{_DIGITS}g}") for value in place] for place in corners.tolist()]
    return Action.of("lasso", *axes, rounded)


def as_done(table: ParticleTable, mask: Mask, rule: Action | None, mode: str) -> Action:
    """What is recorded of enclosing particles ``(particle,)``: the rule if it gives them, or ids.

    A point within rounding of a line may be on its other side by the rule.
    """
    options = {} if mode == "replace" else {"mode": mode}
    if rule is not None:
        try:
            if np.array_equal(RULES[rule.verb](table, *rule.arguments), mask):
                return Action.of(rule.verb, *rule.arguments, **options)
        except KeyError:  # of a column that only the window has
            pass
    return Action.of("select", ids_of(names_where(table.rows, mask)), **options)


def combine_selections(
    now: frozenset[str], enclosed: frozenset[str], mode: SelectionMode
) -> frozenset[str]:
    """Return the selection after more particles were enclosed."""
    match mode:
        case SelectionMode.ADD:
            return now | enclosed
        case SelectionMode.SUBTRACT:
            return now - enclosed
        case SelectionMode.INTERSECT:
            return now & enclosed
        case SelectionMode.REPLACE:
            return enclosed
