"""Named sets of particles of a run: JSON files in ``RUN/analysis/selections``, and lists of ids.

A selection is ``{"name": ..., "particles": [identities], "color": "#rrggbb"}``, in a file called
after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import write_text

if TYPE_CHECKING:
    from napari_tomodrgn.learn.run.directory import Run

# What may stand in a file name everywhere; no dot first, so that nothing is hidden or above.
_NAME = re.compile(r"[\w+-][\w .+-]{0,99}")


class Selection(BaseModel):
    """A named set of particles.

    Attributes
    ----------
    name
        Letters, digits, spaces and ``_ . + -``.
    particles
        Identities ``"<tomogram>/<particle>"``, in order.
    color
        ``#rrggbb``, or empty.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    particles: tuple[str, ...]
    color: str = ""


def selection_names(run: str | Path) -> list[str]:
    """Names of the selections of a run directory, sorted."""
    return sorted(path.stem for path in _folder(run).glob("*.json"))


def save_selection(run: str | Path, selection: Selection) -> Path:
    """Write a selection, replacing one of the same name; the file is returned."""
    path = _file(run, selection.name)
    write_text(path, selection.model_dump_json(indent=2) + "\n")
    return path


def load_selection(run: str | Path, name: str) -> Selection:
    """Read a selection by its name.

    Raises
    ------
    BadInputError
        If there is none of that name, or its file is damaged.
    """
    path = _file(run, name)
    try:
        return Selection.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(selection_names(run)) or "none"
        raise BadInputError(
            f"{run}: no selection is called {name!r}; there are: {known}.", code="no-selection"
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"{path}: not a selection (JSON with name, particles, color).", code="bad-selection"
        ) from error


def delete_selection(run: str | Path, name: str) -> None:
    """Remove a selection; one that is not there is no error."""
    _file(run, name).unlink(missing_ok=True)


def ids_of_clusters(run: str | Path, clusters: Iterable[int]) -> list[str]:
    """Particles of some of a run's clusters, see `known_clusters`.

    Raises
    ------
    BadInputError
        If the run has no such table, or not all of these clusters.
    """
    table = read_clusters(run)
    ids, numbers = table.index, table["cluster"]
    wanted = set(clusters)
    if missing := sorted(wanted - set(numbers)):
        known = ", ".join(map(str, sorted(set(numbers))))
        raise BadInputError(
            f"{run}: has no cluster {missing[0]}; there are {known}.", code="no-cluster"
        )
    return [str(name) for name in ids[numbers.isin(wanted)]]


def read_clusters(run: str | Path) -> pd.DataFrame:
    """`known_clusters`; raises `BadInputError` where there are none yet."""
    known = known_clusters(run)
    if known is None:
        raise BadInputError(
            f"{run}: has no clusters yet.",
            remedy="Cluster the latents in the window or with analyze, or name the particles with "
            "--particles.",
            code="no-clusters",
        )
    return known


def known_clusters(run: str | Path) -> pd.DataFrame | None:
    """The clusters of a run's particles that were made last, in the window or by ``analyze``.

    Returns
    -------
    Index ``particle_id``, int column ``cluster``; None where none were made.

    Raises
    ------
    BadInputError
        If the table of ``analyze`` is damaged.
    """
    folder = Path(run) / "analysis"
    by_analyze, by_window = folder / "clusters.csv", folder / "columns.parquet"
    if by_window.exists() and not _is_newer(by_analyze, by_window):
        table = _clusters_of_window(by_window)
        if table is not None:
            return table
    return _clusters_of_analyze(by_analyze) if by_analyze.exists() else None


def _is_newer(one: Path, other: Path) -> bool:
    return one.exists() and one.stat().st_mtime_ns > other.stat().st_mtime_ns


def _clusters_of_window(path: Path) -> pd.DataFrame | None:
    """None where the window kept no clusters, or a user's own column of that name."""
    try:
        table = pd.read_parquet(path, columns=["particle_id", "cluster"]).dropna()
        return table.set_index("particle_id").astype({"cluster": int})
    except (OSError, ValueError, KeyError):
        return None


def _clusters_of_analyze(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype={"particle_id": str})
        return table.set_index("particle_id").astype({"cluster": int})[["cluster"]]
    except (OSError, ValueError, KeyError) as error:
        raise BadInputError(
            f"{path}: not a table with the columns particle_id and cluster.", code="bad-clusters"
        ) from error


def take_over(older: Run, newer: Run) -> str:
    """Copy named selections and columns of one run to another, by identity of the particles.

    Particles that the newer run does not have are left out of both; a selection or column that it
    has already stays as it is there.

    Returns
    -------
    What was taken over, in a sentence.
    """
    known = set(newer.latents().index)
    there = set(selection_names(newer.path))
    taken, lost = [], 0
    for name in selection_names(older.path):
        selection = load_selection(older.path, name)
        kept = tuple(one for one in selection.particles if one in known)
        lost += len(selection.particles) - len(kept)
        if name not in there:
            save_selection(newer.path, selection.model_copy(update={"particles": kept}))
            taken.append(name)
    columns = _take_over_columns(older, newer)
    left_out = (
        f"; {lost} entries of particles that are not in this run are left out" if lost else ""
    )
    return (
        f"{len(taken)} selections and {columns} columns taken over from {older.path}, "
        f"by the particles' ids{left_out}."
    )


def _take_over_columns(older: Run, newer: Run) -> int:
    """How many columns that the newer run lacks were copied to it."""
    extras, own = older.extras(), newer.extras()
    if extras is None:
        return 0
    ids = newer.latents().index
    more = extras.reindex(ids)
    more = more.drop(columns=[] if own is None else list(own.columns.intersection(more.columns)))
    if more.shape[1]:
        newer.save_extras(more if own is None else own.reindex(ids).join(more))
    return int(more.shape[1])


def _folder(run: str | Path) -> Path:
    return Path(run) / "analysis" / "selections"


def _file(run: str | Path, name: str) -> Path:
    if not _NAME.fullmatch(name) or name != name.strip():
        raise BadInputError(
            f"A selection cannot be called {name!r}.",
            remedy="Use letters, digits, spaces and _ . + - only.",
            code="bad-name",
        )
    return _folder(run) / f"{name}.json"
