"""Which groups of particles a window can compare: what is selected, named, or a cluster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_tomodrgn.gui.charts.colormaps import color_at
from napari_tomodrgn.palette import OTHERS, PLAIN
from napari_tomodrgn.particle_columns import CLUSTER
from napari_tomodrgn.session import Session

REST, MATCHED = "rest", "matched"
SELECTED = "selected"
AT_RANDOM = "others at random"  # what a group that is drawn like A is called


@dataclass(frozen=True)
class ChosenGroup:
    """A group of particles by identity, as people call it, in its colour (``#rrggbb``)."""

    name: str
    color: str
    ids: frozenset[str]


def offered_groups(session: Session) -> dict[str, ChosenGroup]:
    """Return all groups that can be compared, by a key that stays the same while they change."""
    groups: dict[str, ChosenGroup] = {}
    if session.latents is None:
        return groups
    named = {frozenset(one.particles) for one in session.selections}
    if session.selection and session.selection not in named:  # else it goes by its name
        groups[SELECTED] = ChosenGroup("selection", PLAIN, session.selection)
    for one in session.selections:
        color = one.color or PLAIN
        groups[f"named {one.name}"] = ChosenGroup(one.name, color, frozenset(one.particles))
    return groups | cluster_groups(session)


def cluster_groups(session: Session) -> dict[str, ChosenGroup]:
    """Return the clusters that there are, by a key that stays the same."""
    table = session.table
    if table is None or CLUSTER not in table.color_names:
        return {}
    column = table.column(CLUSTER)
    names = table.rows.index.to_numpy(dtype=object)
    if not column.categorical:  # the analysis of a run may have written numbers
        values = np.asarray(column.values)
        kinds = [(f"{kind:g}", values == kind) for kind in np.unique(values[np.isfinite(values)])]
    else:
        kinds = [(kind, column.values == code) for code, kind in enumerate(column.categories)]
    return {
        f"cluster {kind}": ChosenGroup(
            f"cluster {kind}",
            color_at(column, int(mask.argmax())) or PLAIN,
            frozenset(map(str, names[mask])),
        )
        for kind, mask in kinds
        if mask.any()
    }


def rest_of(session: Session, group: ChosenGroup) -> ChosenGroup:
    """Return all other particles of the run."""
    assert session.latents is not None
    return ChosenGroup("all others", OTHERS, frozenset(map(str, session.latents.index)) - group.ids)
