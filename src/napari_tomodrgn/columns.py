"""One value per particle: latents, components, columns of the star file, and what was added.

Pure functions of the three tables, all indexed by identity ``"<tomogram>/<particle>"``: ``latents``
(one row a particle of the run), the particles of the star file, and ``extras`` (columns that were
worked out or joined later: surroundings, UMAP, a user's own table).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents import latent_matrix as latent_matrix
from napari_tomodrgn.analysis.latents import mean_and_components as mean_and_components
from napari_tomodrgn.analysis.latents import mean_columns
from napari_tomodrgn.analysis.latents import principal_components as principal_components
from napari_tomodrgn.analysis.latents import with_columns as with_columns

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.data.particles import ParticleSet

# Columns with at most this many different values are coloured by category.
MAX_CATEGORIES = 20
# Name of the colour column that shows the named selections.
SELECTIONS = "selections"
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

    For categories ``values`` are codes into ``categories`` (-1 where there is none). Values that
    differ by ``period`` mean the same; 0 for those that have none.
    """

    name: str
    values: NDArray[Any]
    categories: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()  # of the categories, where they have colours of their own
    period: float = 0.0
    clip: Clip = Clip()

    @property
    def categorical(self) -> bool:
        """Whether the values are codes of categories."""
        return bool(self.categories)

    @property
    def finite(self) -> NDArray[Any]:
        """The values that there are."""
        values: NDArray[Any] = self.values[np.isfinite(self.values)]
        return values

    @property
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


def axis_names(
    latents: pd.DataFrame,
    particles: ParticleSet | None = None,
    extras: pd.DataFrame | None = None,
) -> list[str]:
    """Columns that can be an axis: components, latent dimensions, numbers of extras and star."""
    dimensions = len(mean_columns(latents))
    names = [f"PC {number}" for number in range(1, dimensions + 1)] if dimensions > 1 else []
    names += [f"z {number}" for number in range(dimensions)]
    more = _names(extras, numeric=True) + _names(_star_table(particles), numeric=True)
    return list(dict.fromkeys(names + more))


def colour_names(
    latents: pd.DataFrame,
    particles: ParticleSet | None = None,
    extras: pd.DataFrame | None = None,
) -> list[str]:
    """Columns that can colour the particles: the tomogram, categories, then every axis."""
    words = _names(extras, numeric=False) + _names(_star_table(particles), numeric=False)
    return list(dict.fromkeys(["tomogram", *words, *axis_names(latents, particles, extras)]))


def resolve_axes(wanted: tuple[str, str], names: list[str]) -> tuple[str, str]:
    """The wanted axes where they exist, else the first names that do."""
    if wanted[0] in names and wanted[1] in names:
        return wanted
    return names[0], names[min(1, len(names) - 1)]


def column(
    latents: pd.DataFrame,
    particles: ParticleSet | None,
    name: str,
    extras: pd.DataFrame | None = None,
) -> Column:
    """The values of a column by its name, one per row of ``latents``.

    The names of the latent table come first, then extras, then the star file.

    Raises
    ------
    KeyError
        If there is no such column.
    """
    if name.startswith("PC "):
        scores, _ = principal_components(latent_matrix(latents))
        return Column(name, scores[:, int(name[3:]) - 1])
    if name.startswith("z "):
        return Column(name, latents[f"mu_{name[2:]}"].to_numpy(np.float64))
    tables = (latents, extras, _star_table(particles))
    table = next((one for one in tables if one is not None and name in one), None)
    if table is None:
        raise KeyError(name)
    series = table[name] if table is latents else table[name].reindex(latents.index)
    if series.dtype.kind in "fiu" and (name != "tomogram"):
        period = 360.0 if _ANGLES.fullmatch(name) else 0.0
        return Column(name, series.to_numpy(np.float64), period=period)
    return _as_categories(name, series)


def axis_label(latents: pd.DataFrame, name: str) -> str:
    """The name as it stands on the axis, with the explained variance for components."""
    if not name.startswith("PC "):
        return name
    _, share = principal_components(latent_matrix(latents))
    return f"{name} ({share[int(name[3:]) - 1]:.0%})"


def mask_of(latents: pd.DataFrame, identities: Iterable[str]) -> NDArray[np.bool_]:
    """True for the rows of ``latents`` that bear one of these identities."""
    return np.asarray(latents.index.isin(list(identities)))


def rows_of(table: pd.DataFrame, identities: Iterable[str]) -> NDArray[np.int64]:
    """Rows of these identities in a table, in their order; −1 where there is none."""
    import pandas as pd

    return np.asarray(table.index.get_indexer(pd.Index(list(identities), dtype=object)))


def _star_table(particles: ParticleSet | None) -> pd.DataFrame | None:
    return None if particles is None else particles.particles


def _names(table: pd.DataFrame | None, *, numeric: bool) -> list[str]:
    if table is None:
        return []
    names = []
    for name, series in table.items():
        if numeric and series.dtype.kind in "fiu" and series.notna().any():
            names.append(str(name))
        elif not numeric and series.dtype.kind not in "fiu":
            # A name of its own for every particle is no category.
            names += [str(name)] if 1 <= series.nunique() <= MAX_CATEGORIES else []
    return names


def _as_categories(name: str, series: pd.Series[Any]) -> Column:
    known = series.notna().to_numpy(bool)
    codes = np.full(len(series), -1, np.int64)
    words = np.array([str(value) for value in series[known]], str)
    categories, codes[known] = np.unique(words, return_inverse=True)
    return Column(name, codes, tuple(str(word) for word in categories))
