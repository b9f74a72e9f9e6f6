"""The command `select`: some particles of a run or a star file, as a star file or an index."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.analysis.expressions import parse
from napari_tomodrgn.analysis.index_files import (
    SUFFIXES,
    ids_of_index,
    particle_numbers,
    write_array,
)
from napari_tomodrgn.analysis.particle_values import ParticleValues
from napari_tomodrgn.analysis.selections import ids_of_clusters, load_selection
from napari_tomodrgn.analysis.star_rows import StarRows
from napari_tomodrgn.analysis.user_tables import read_user_table
from napari_tomodrgn.cli.terminal import say
from napari_tomodrgn.data.choice import read_ids
from napari_tomodrgn.data.dialects import read_particles, recognise, write_subset
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.star import read_star
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run


def select(options: Namespace) -> int:
    """Write some particles, all else untouched."""
    suffix = options.out.suffix.lower()
    if suffix not in (".star", *SUFFIXES):
        raise BadInputError(f"{options.out}: the file to write must end in .star, .pkl or .npy.")
    if options.per_tomogram and suffix != ".star":
        raise BadInputError("--per-tomogram writes star files, so --out must end in .star.")
    if not _asked_for(options):
        raise BadInputError(
            "Which particles? Name them by --clusters, --selection, --particles, --index or "
            "--where."
        )
    run = Run.open(options.source) if (options.source / "run.json").exists() else None
    if run is None and (rows := _without_images(options)) is not None:
        return _select_rows(rows, options)
    particles = _particles(run, options)
    keep = np.asarray(particles.particles.index.isin(_chosen(run, particles, options)))
    keep = _kept(keep, options)
    for path in _written(particles.take(keep), options):
        say(f"→ {path}")
    say(f"{int(keep.sum())} of {len(particles)} particles")
    return 0


def _asked_for(options: Namespace) -> bool:
    names = ("clusters", "selection", "particles", "index", "where")
    return any(getattr(options, name) is not None for name in names)


def _kept(chosen: NDArray[np.bool_], options: Namespace) -> NDArray[np.bool_]:
    keep = ~chosen if options.invert else chosen
    if not keep.any():
        raise BadInputError(
            f"{options.source}: none of {len(keep)} particles is left to write.",
            code="no-particles",
        )
    return keep


def _without_images(options: Namespace) -> StarRows | None:
    """The star file as rows, if it lists particles without tilt images."""
    try:
        recognise(options.source, read_star(options.source))
    except BadInputError as error:
        if error.code != "missing-column":
            raise
        rows = StarRows.read(options.source)
        say(f"{options.source}: no tilt images; rows of data_{rows.block} as they stand.")
        return rows
    return None


def _select_rows(rows: StarRows, options: Namespace) -> int:
    for name in ("clusters", "selection", "particles", "table"):
        if getattr(options, name) is not None:
            raise BadInputError(
                f"{options.source}: its rows have no identity that --{name} could find.",
                remedy="Choose them by --where or --index.",
            )
    keep = np.ones(len(rows), dtype=bool)
    if options.index is not None:
        keep &= rows.in_index(options.index)
    if options.where is not None:
        keep &= rows.where(parse(options.where))
    keep = _kept(keep, options)
    if options.out.suffix.lower() in SUFFIXES:
        write_array(options.out, np.flatnonzero(keep))
    elif options.per_tomogram:
        tomograms = rows.tomograms()
        for name in dict.fromkeys(tomograms[keep]):
            rows.write(keep & (tomograms == name).to_numpy(), _of_tomogram(options.out, name))
    else:
        rows.write(keep, options.out)
    say(f"{int(keep.sum())} of {len(rows)} particles → {options.out}")
    return 0


def _particles(run: Run | None, options: Namespace) -> ParticleSet:
    if run is not None:
        return run.particles(options.images, images_needed=options.images is not None)
    needed = options.images is not None
    return read_particles(options.source, images=options.images, images_needed=needed)


def _chosen(run: Run | None, particles: ParticleSet, options: Namespace) -> list[str]:
    """Identities of the particles that all of the options agree on."""
    ways: list[list[str]] = []
    if options.selection is not None:
        selection = load_selection(_run(run, "--selection").path, options.selection)
        ways.append(list(selection.particles))
    if options.clusters is not None:
        ways.append(ids_of_clusters(_run(run, "--clusters").path, options.clusters))
    if options.particles is not None:
        ways.append(read_ids(options.particles))
    if options.index is not None:
        ways.append(ids_of_index(options.index, particles))
    if options.where is not None:
        ways.append(_where(run, particles, options))
    first, *others = ways
    for other in others:
        agreed = set(other)
        first = [name for name in first if name in agreed]
    return first


def _where(run: Run | None, particles: ParticleSet, options: Namespace) -> list[str]:
    added = []
    for path in options.table or ():
        table = read_user_table(path, particles)
        added.append(table.columns)
        for note in table.notes:
            say(note)
    latents = None
    if run is not None:
        latents = run.latents() if run.epochs() else None
        extras = run.extras()
        added += [] if extras is None else [extras]
        added.append(_clusters(run))
    return ParticleValues(particles, latents, added).ids_where(parse(options.where))


def _clusters(run: Run) -> pd.DataFrame:
    """The run's clusters, where no column of that name tells them already."""
    file = run.analysis.clusters
    if not file.exists():
        return pd.DataFrame()
    return pd.read_csv(file, dtype={"particle_id": str}).set_index("particle_id")


def _run(run: Run | None, option: str) -> Run:
    if run is None:
        raise BadInputError(f"{option} is of a run; the source is a star file.")
    return run


def _written(chosen: ParticleSet, options: Namespace) -> Iterator[Path]:
    """Write what was asked for; the files, as they come."""
    out: Path = options.out
    if out.suffix.lower() in SUFFIXES:
        write_array(out, np.sort(particle_numbers(chosen)))
        yield out
        return
    if not options.per_tomogram:
        yield write_subset(chosen, out)
        return
    tomograms = chosen.particles["tomogram"].astype(str)
    for name in dict.fromkeys(tomograms):
        part = chosen.take((tomograms == name).to_numpy())
        yield write_subset(part, _of_tomogram(out, name))


def _of_tomogram(out: Path, name: str) -> Path:
    safe = re.sub(r"[^\w.+-]+", "_", name)
    return out.with_name(f"{out.stem}_{safe}.star")
