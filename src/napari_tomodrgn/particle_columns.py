"""One value per particle: latents, components, columns of the star file, and what was added.

Pure functions of the three tables, all indexed by identity ``"<tomogram>/<particle>"``: ``latents``
(one row a particle of the run), the particles of the star file, and ``extras`` (columns that were
worked out or joined later: surroundings, UMAP, a user's own table).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents.components import (
    STRIP,
    PrincipalAxes,
    across_strip,
    axes_of_table,
    mean_columns,
)
from napari_tomodrgn.analysis.latents.components import latent_matrix as latent_matrix
from napari_tomodrgn.analysis.latents.components import principal_components as principal_components
from napari_tomodrgn.analysis.latents.components import with_columns as with_columns
from napari_tomodrgn.column_labels import column_label
from napari_tomodrgn.table_cache import kept

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from napari_tomodrgn.analysis.latents.clusters import Method
    from napari_tomodrgn.analysis.selections import Selection
    from napari_tomodrgn.data.particles import ParticleSet

# Columns with at most this many different values are coloured by category.
MAX_CATEGORIES = 20
# Name of the colour column that shows the named selections.
SELECTIONS = "selections"
# The column that clusters are kept in, by the window and by the analysis of a run.
CLUSTER = "cluster"
# Columns that are kept, each of 8 bytes a particle: axes, colour, and what is asked beside them.
_KEPT = 8
_KEPT_ROWS = 256  # rows that were looked for, as several panels do for each particle
# Euler angles of particles, in our names and RELION's: 359° lies beside 1°.
_ANGLES = re.compile(r"(rlnAngle|rlnTomoSubtomogram)(Rot|Tilt|Psi).*|(rot|tilt|psi)(_deg)?")


@dataclass(frozen=True)
class Clip:
    """Which values of a column get colours of their own; beyond, the ends' colours go on.

    Attributes
    ----------
    percent
        Share of the values, in percent, that is left beyond either end.
    limits
        Smallest and largest value instead, of the column ``of``.
    """

    percent: float = 0.0
    limits: tuple[float, float] | None = None
    of: str = ""


@dataclass(frozen=True, eq=False)
class Column:
    """One value per particle, in the order of the latent table.

    For categories ``values`` ``(particle,)`` are codes into ``categories`` (-1 where there is
    none). Values that differ by ``period`` mean the same; 0 for those that have none.
    """

    name: str
    values: NDArray[np.number]
    categories: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()  # of the categories, where they have colours of their own
    period: float = 0.0
    clip: Clip = Clip()

    @property
    def categorical(self) -> bool:
        """Whether the values are codes of categories."""
        return bool(self.categories)

    @cached_property
    def finite(self) -> NDArray[np.number]:
        """The values that there are, ``(value,)``."""
        known = np.isfinite(self.values)
        return self.values if known.all() else self.values[known]

    @cached_property
    def limits(self) -> tuple[float, float]:
        """Values at the ends of the colours; (0, 1) where there is none, a turn for angles."""
        finite = self.finite
        if not finite.size:
            return 0.0, 1.0
        if self.period:
            low = -self.period / 2 if finite.min() < 0 else 0.0
            return low, low + self.period
        if self.clip.limits is not None and self.clip.of == self.name:
            return self.clip.limits
        low, high = np.percentile(finite, [self.clip.percent, 100 - self.clip.percent])
        return float(low), float(high)


@dataclass(frozen=True, eq=False)
class ParticleTable:
    """What is known of each particle, in three tables that are joined by identity.

    The tables are never changed in place: what is worked out of them is kept while they live, so
    that another `ParticleTable` of the same tables is free.

    Attributes
    ----------
    rows
        The table whose rows the values are of: the latents of a run, or before there are any, the
        particles of the star file.
    particles
        The star file.
    added_columns
        Columns that were worked out or joined later.
    """

    rows: pd.DataFrame
    particles: ParticleSet | None = None
    added_columns: pd.DataFrame | None = None

    def __len__(self) -> int:
        """Return the number of particles."""
        return len(self.rows)

    @property
    def axis_names(self) -> list[str]:
        """Columns that can be an axis: components, latent dimensions, numbers of the others."""
        dimensions = len(mean_columns(self.rows))
        flat = dimensions > 0 and axes_of(self.rows).has_one_component
        names = _numbered("PC", 1, dimensions) if dimensions > 1 else ["z 0"][:dimensions]
        names[1:1] = [STRIP] if flat else []  # before the others, which are next to nothing
        names += [f"z {number}" for number in range(dimensions)]
        return list(dict.fromkeys([*names, *self._names(numeric=True)]))

    @property
    def color_names(self) -> list[str]:
        """Columns that can colour the particles: the tomogram, categories, then every axis."""
        return list(dict.fromkeys(["tomogram", *self._names(numeric=False), *self.axis_names]))

    def column(self, name: str) -> Column:
        """Return the values of a column by its name, one per row.

        Of several columns of one name that of the latents is meant, then an added one.

        Raises
        ------
        KeyError
            If there is no such column.
        """
        return _column(self.rows, self.particles, name, self.added_columns)

    def color_column(
        self, name: str, limits: Clip, selections: tuple[Selection, ...]
    ) -> Column | None:
        """Return the column that colours particles; None for one colour, or if there is none."""
        tables = self.rows, self.particles, self.added_columns
        return _color_column(*tables, name, limits, selections)

    def _names(self, *, numeric: bool) -> list[str]:
        added = _names(self.added_columns, numeric=numeric)
        return added + _names(_star_table(self.particles), numeric=numeric)


def resolve_axes(wanted: tuple[str, str], names: list[str]) -> tuple[str, str]:
    """Return the wanted axes where they exist, else the first names that do.

    Two empty names are wanted before anyone has chosen.
    """
    if wanted[0] in names and wanted[1] in names:
        return wanted
    return names[0], names[min(1, len(names) - 1)]


def selections_column(rows: pd.DataFrame, selections: tuple[Selection, ...]) -> Column:
    """Return to which named selection each particle belongs; of several, to the last."""
    codes = np.full(len(rows), -1, np.int64)
    for number, selection in enumerate(selections):
        codes[mask_of(rows, selection.particles)] = number
    names = tuple(selection.name for selection in selections)
    return Column(SELECTIONS, codes, names, tuple(selection.color for selection in selections))


@kept(4)
def _color_column(
    rows: pd.DataFrame,
    particles: ParticleSet | None,
    added_columns: pd.DataFrame | None,
    name: str,
    limits: Clip,
    selections: tuple[Selection, ...],
) -> Column | None:
    if not name:
        return None
    if name == SELECTIONS:
        return selections_column(rows, selections) if selections else None
    try:
        found = _column(rows, particles, name, added_columns)
    except KeyError:  # wished for another table; it may still be computed for this one
        return None
    return replace(found, clip=limits)


@kept(_KEPT)
def _column(
    latents: pd.DataFrame,
    particles: ParticleSet | None,
    name: str,
    added_columns: pd.DataFrame | None = None,
) -> Column:
    dimensions = len(mean_columns(latents))
    if name in _numbered("PC", 1, dimensions):
        axes, number = axes_of(latents), int(name[3:]) - 1
        vector = axes.vectors[:, number]
        return Column(name, latent_matrix(latents) @ vector - axes.mean @ vector)
    if name in _numbered("z", 0, dimensions):
        return Column(name, latents[f"mu_{name[2:]}"].to_numpy(np.float64))
    if name == STRIP and dimensions and axes_of(latents).has_one_component:
        return Column(name, across_strip(latent_matrix(latents) @ axes_of(latents).vectors[:, 0]))
    tables = (latents, added_columns, _star_table(particles))
    table = next((one for one in tables if one is not None and name in one), None)
    if table is None:
        raise KeyError(name)
    series = table[name] if table is latents else table[name].reindex(latents.index)
    if series.dtype.kind in "fiu" and (name != "tomogram"):
        period = 360.0 if _ANGLES.fullmatch(name) else 0.0
        return Column(name, series.to_numpy(np.float64), period=period)
    return _as_categories(name, series)


def axis_label(latents: pd.DataFrame, name: str) -> str:
    """The name as it stands on the axis, with the explained variance for components.

    None for a strip, whose height only spreads the points apart.
    """
    if name == STRIP:
        return ""
    if not name.startswith("PC "):
        return column_label(name)
    return f"{name} ({axes_of(latents).share[int(name[3:]) - 1]:.0%})"


@kept(2)
def axes_of(latents: pd.DataFrame) -> PrincipalAxes:
    """The principal components of a table of latents, worked out once."""
    return axes_of_table(latents)


@kept(2)
def typical_particle(latents: pd.DataFrame) -> str:
    """The particle nearest to the median latent: what to show before anyone has chosen."""
    points = latent_matrix(latents)
    distances = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    return str(latents.index[int(np.nanargmin(distances))])


@kept(2)
def _names_in(table: pd.DataFrame) -> pa.Array:
    """The identities of a table, as what is searched fast and without Python's lock."""
    import pyarrow as pa

    return pa.array(table.index, type=pa.large_string())


@kept(_KEPT_ROWS)
def row_of(table: pd.DataFrame, identity: str | None) -> int:
    """Row of an identity, -1 if there is none.

    pandas would first make a table of all names, which takes a fifth of a second for a million.
    """
    import pyarrow.compute as pc

    return -1 if identity is None else int(pc.index(_names_in(table), identity).as_py())


def latent_of(latents: pd.DataFrame, identity: str) -> NDArray[np.float32]:
    """The mean of a particle's posterior, float32 ``(latent,)``.

    Raises
    ------
    KeyError
        If the table has no such particle.
    """
    row = row_of(latents, identity)
    if row < 0:
        raise KeyError(identity)
    # One row of each column: the whole matrix of a large set takes longer than a hover may.
    names = mean_columns(latents)
    return np.array([latents[name].to_numpy()[row] for name in names], np.float32)


def cluster_column(latents: pd.DataFrame, count: int, method: Method = "k-means") -> pd.DataFrame:
    """So many clusters as a column of words, which sort as their numbers do."""
    import pandas as pd

    from napari_tomodrgn.analysis.latents.clusters import clusters_of_table

    labels = clusters_of_table(latents, count, method=method).labels
    width = len(str(labels.max()))
    return pd.DataFrame({CLUSTER: [f"{one:0{width}d}" for one in labels]}, index=latents.index)


def mask_of(latents: pd.DataFrame, identities: Iterable[str]) -> NDArray[np.bool_]:
    """Mark the rows of ``latents`` that bear one of these identities, ``(row,)``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(list(identities), type=pa.large_string())
    if not len(wanted):
        return np.zeros(len(latents), bool)
    found = pc.is_in(_names_in(latents), value_set=wanted)
    return np.asarray(found.to_numpy(zero_copy_only=False), bool)


@kept(2)
def selected_mask(latents: pd.DataFrame, selection: frozenset[str]) -> NDArray[np.bool_]:
    """`mask_of` of a selection, ``(row,)``, worked out once for all that show it."""
    return mask_of(latents, selection)


def names_where(latents: pd.DataFrame, mask: NDArray[np.bool_]) -> frozenset[str]:
    """Identities of the rows where the mask ``(row,)`` is true."""
    import pyarrow as pa

    return frozenset(_names_in(latents).filter(pa.array(mask)).to_pylist())


def rows_of(table: pd.DataFrame, identities: Iterable[str]) -> NDArray[np.int64]:
    """Rows of these identities in a table, ``(identity,)``; −1 where there is none."""
    import pandas as pd

    return np.asarray(table.index.get_indexer(pd.Index(list(identities), dtype=object)))


def _numbered(letters: str, first: int, count: int) -> list[str]:
    return [f"{letters} {number}" for number in range(first, first + count)]


def _star_table(particles: ParticleSet | None) -> pd.DataFrame | None:
    return None if particles is None else particles.particles


def _names(table: pd.DataFrame | None, *, numeric: bool) -> list[str]:
    if table is None:
        return []
    return list(_names_of(table, numeric))


@kept(12)
def _names_of(table: pd.DataFrame, numeric: bool) -> tuple[str, ...]:
    names = []
    for name, series in table.items():
        if numeric and series.dtype.kind in "fiu" and series.notna().any():
            names.append(str(name))
        elif not numeric and series.dtype.kind not in "fiu":
            # A name of its own for every particle is no category.
            names += [str(name)] if 1 <= series.nunique() <= MAX_CATEGORIES else []
    return tuple(names)


def _as_categories(name: str, series: pd.Series) -> Column:
    """Codes of the different values, in the order of their words; missing ones have none."""
    import pandas as pd

    codes, values = pd.factorize(series)
    categories, place = np.unique([str(value) for value in values], return_inverse=True)
    places = np.append(place, -1).astype(np.int64)  # code -1 takes the last
    return Column(name, places[codes], tuple(str(word) for word in categories))
