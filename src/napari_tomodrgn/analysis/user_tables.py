"""A user's own columns of particles: CSV, TSV, NumPy, pickles of other programs, star files.

Rows are matched by identity wherever the file says who they are. Arrays (``.npy``, ``.pkl``) do
not: theirs have to be as many as the star file has particles, in its order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from napari_tomodrgn.analysis.index_files import SUFFIXES, particle_numbers, read_array
from napari_tomodrgn.analysis.particle_values import ParticleValues
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import PARTICLE_COLUMNS, ParticleSet
from napari_tomodrgn.errors import BadInputError

_IDENTITY = ("particle_id", "tomogram", "particle")
# More columns than anybody means: a map or a stack was named by mistake.
_MAX_COLUMNS = 1000


@dataclass(frozen=True, eq=False)
class UserTable:
    """Columns that were joined.

    Attributes
    ----------
    columns
        Index ``particle_id``: one row a particle of the set, missing ones NaN or None.
    notes
        Sentences on particles that only one of the two sides has.
    """

    columns: pd.DataFrame
    notes: tuple[str, ...] = ()


def read_user_table(path: str | Path, particles: ParticleSet) -> UserTable:
    """Read columns of these particles from a file.

    Parameters
    ----------
    path
        ``.csv``, ``.tsv`` or ``.txt`` with a column ``particle_id`` (or ``tomogram`` and
        ``particle``); ``.parquet`` with the same; ``.star`` of the same particles; ``.npy`` or
        ``.pkl`` with one row a particle of the star file.
    particles
        The set.

    Raises
    ------
    BadInputError
        If the file cannot be read, names particles twice, or none of the set.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return UserTable(_from_array(path, particles))
    if suffix == ".star":
        table = _from_star(path)
    else:
        table = _by_identity(path, _read_table(path, suffix))
    return _matched(path, table, particles)


def _from_array(path: Path, particles: ParticleSet) -> pd.DataFrame:
    values, numbers = read_array(path), particle_numbers(particles)
    total = len(particles.source.blocks[particles.source.particle_block])
    whole = len(particles) if particles.source.rows_are_images else total
    if values.ndim not in (1, 2) or len(values) not in (len(particles), whole):
        raise BadInputError(
            f"{path}: values of shape {values.shape} for {len(particles)} particles.",
            remedy="An array has one row a particle; else give a table with a column particle_id.",
            code="other-particles",
        )
    rows = numbers if len(values) == whole else np.argsort(np.argsort(numbers))
    matrix = values.reshape(len(values), -1)[rows]
    if matrix.shape[1] > _MAX_COLUMNS:
        raise BadInputError(f"{path}: {matrix.shape[1]} columns are no table of particles.")
    names = [f"{path.stem} {number}" for number in range(matrix.shape[1])]
    names = [path.stem] if values.ndim == 1 else names
    return pd.DataFrame(matrix, columns=names, index=particles.particles.index)


def _from_star(path: Path) -> pd.DataFrame:
    """The columns of a star file as it stands; those that are numbers, as numbers."""
    particles = read_particles(path, images_needed=False)
    own = set(PARTICLE_COLUMNS)
    values = ParticleValues(particles)
    table = values.table([name for name in values.names() if name not in own])
    return pd.DataFrame({name: _as_numbers(series) for name, series in table.items()})


def _as_numbers(series: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(series, errors="coerce")
    return numbers if numbers.notna().all() else series


def _read_table(path: Path, suffix: str) -> pd.DataFrame:
    table: pd.DataFrame
    try:
        if suffix == ".parquet":
            table = pd.read_parquet(path).reset_index()
            return table
        separator = {".csv": ",", ".tsv": "\t"}.get(suffix)
        engine = "python" if separator is None else "c"  # .txt: blanks, tabs or commas, by looking
        table = pd.read_csv(
            path,
            sep=separator,
            engine=engine,  # type: ignore[call-overload]
            encoding="utf-8-sig",  # editors on Windows put a mark in front
            dtype=dict.fromkeys(_IDENTITY, str),
        )
        return table
    except (OSError, ValueError) as error:
        words = str(error).strip().splitlines()[0]
        raise BadInputError(
            f"{path}: cannot be read as a table ({words}).", code="bad-table"
        ) from error


def _by_identity(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    table = table.rename(columns=lambda name: str(name).strip())
    if "particle_id" in table:
        ids = table["particle_id"].astype(str).str.strip()
    elif {"tomogram", "particle"} <= set(table.columns):
        ids = table["tomogram"].astype(str).str.strip() + "/" + table["particle"].astype(str)
    else:
        raise BadInputError(
            f"{path}: has no column particle_id, nor tomogram and particle; found "
            f"{', '.join(map(str, table.columns[:6]))}.",
            remedy="Add the identities: `columns RUN --out TABLE.csv` writes them.",
            code="missing-column",
        )
    left = [name for name in table.columns if name not in (*_IDENTITY, "index")]
    columns: pd.DataFrame = table[left].set_axis(pd.Index(ids, name="particle_id"), axis=0)
    return columns


def _matched(path: Path, table: pd.DataFrame, particles: ParticleSet) -> UserTable:
    twice = table.index[table.index.duplicated()]
    if len(twice):
        raise BadInputError(
            f"{path}: particle {twice[0]!r} stands in it twice ({len(twice)} such rows).",
            code="duplicate-particle",
        )
    if not len(table.columns):
        raise BadInputError(f"{path}: has no column but the identities.", code="no-columns")
    index = particles.particles.index
    known = table.index.isin(index)
    if not known.any():
        raise BadInputError(
            f"{path}: none of its {len(table)} particles is in {particles.source.path}; it has "
            f"{table.index[0]!r}, the star file {index[0]!r}.",
            code="unknown-particle",
        )
    notes = []
    if not known.all():
        first = table.index[~known][0]
        notes.append(f"{path}: {int((~known).sum())} particles are not in the set ({first} …).")
    missing = index[~index.isin(table.index)]
    if len(missing):
        notes.append(f"{path}: has no values of {len(missing)} particles ({missing[0]} …).")
    return UserTable(table.reindex(index), tuple(notes))
