"""The command `columns`: tables of a run's particles, in and out."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tomodrgn.analysis.index_files import SUFFIXES, labels_of, particle_numbers, write_array
from napari_tomodrgn.analysis.latents.components import with_columns
from napari_tomodrgn.analysis.particle_values import ParticleValues
from napari_tomodrgn.analysis.user_tables import read_user_table
from napari_tomodrgn.cli.choosing import given_files
from napari_tomodrgn.cli.terminal import say
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.exports import export_files

if TYPE_CHECKING:
    import pandas as pd

_TABLES = (".csv", ".tsv", ".parquet")


def run_columns(options: Namespace) -> int:
    """List the columns of a run's particles, add some from a file, or write some to one."""
    run = Run.open(options.run)
    particles = run.particles(images_needed=False)
    for path in options.add or ():
        table = read_user_table(path, particles)
        _add(run, path, table.columns, overwrite=options.overwrite)
        for note in table.notes:
            say(note)
        say(f"{', '.join(map(str, table.columns.columns))} → {run.columns_file}")
    extras = run.extras()
    latents = run.latents() if run.epoch_to_show() is not None else None
    values = ParticleValues(particles, latents, [] if extras is None else [extras])
    if options.out is not None:
        with export_files(
            overwrite=options.overwrite, files=given_files(options), particles=particles, run=run
        ) as outputs:
            outputs.check(options.out)
            _write(values, options.out, options.column)
        say(f"{len(particles)} particles → {options.out}")
    elif not options.add:
        print("\n".join(values.names()))
    return 0


def _add(run: Run, path: Path, table: pd.DataFrame, *, overwrite: bool) -> None:
    extras = run.extras()
    there = [] if extras is None else [name for name in table if name in extras]
    if there and not overwrite:
        raise BadInputError(
            f"{path}: the run has a column {there[0]!r} already.",
            remedy="Replace it with --overwrite, or give it another name.",
            code="exists",
        )
    own = [str(name) for name in table if str(name).startswith(("mu_", "logvar_", "cov_"))]
    if own:
        raise BadInputError(
            f"{path}: {own[0]!r} is what the run calls its latents.",
            remedy="Give the column another name.",
            code="reserved-column",
        )
    run.save_extras(with_columns(extras, table))


def _write(values: ParticleValues, out: Path, names: list[str] | None) -> None:
    chosen = names or [name for name in values.names() if name != "particle_id"]
    table = values.table(chosen)
    missing = [name for name in chosen if name not in table]
    if missing:
        raise BadInputError(
            f"No column is called {missing[0]!r}.",
            remedy="`columns RUN` lists them.",
            code="no-column",
        )
    suffix = out.suffix.lower()
    if suffix in SUFFIXES:
        _write_labels(values, out, table)
        return
    if suffix not in _TABLES:
        raise BadInputError(f"{out}: must end in {', '.join((*_TABLES, *SUFFIXES))}.")
    with written_atomically(out) as temporary:
        if suffix == ".parquet":
            table.rename_axis("particle_id").reset_index().to_parquet(temporary, index=False)
        else:
            separator = "," if suffix == ".csv" else "\t"
            table.to_csv(temporary, sep=separator, index_label="particle_id")


def _write_labels(values: ParticleValues, out: Path, table: pd.DataFrame) -> None:
    """One column as an array, in the order of the star file."""
    if len(table.columns) != 1:
        raise BadInputError(
            f"{out}: an array holds one column.", remedy="Name it with --column.", code="one-column"
        )
    name = str(table.columns[0])
    labels, words = labels_of(table[name])
    order = particle_numbers(values.particles).argsort()
    write_array(out, labels[order])
    if words:
        say("; ".join(f"{number}: {word}" for number, word in enumerate(words)))
