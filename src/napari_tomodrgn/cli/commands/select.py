"""The command `select`: some particles of a run or a star file, as a star file or an index."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.expressions import parse
from napari_tomodrgn.analysis.index_files import SUFFIXES, particle_numbers, write_array
from napari_tomodrgn.analysis.star_rows import StarRows
from napari_tomodrgn.cli.choosing import (
    chosen_of_run,
    data_config,
    given_files,
    require_suffix,
    run_at,
    says_which,
)
from napari_tomodrgn.cli.terminal import say
from napari_tomodrgn.data.choice import choose_images
from napari_tomodrgn.data.dialects import read_particles, recognise, write_subset
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.star import read_star
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.way_back import write_list_back
from napari_tomodrgn.file_names import as_file_name
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.exports import export_files

# What finds particles by their identity, which rows of any star file do not have.
_OF_IDENTITIES = (
    "clusters",
    "selection",
    "particles",
    "tomogram",
    "table",
    "star",
    "min_tilts",
    "max_tilts",
    "max_dose",
    "exclude_tilts",
)


# Why a star file is none of tilt images: lists of 3-D particles, positions, single particles.
_NO_TILT_IMAGES = (
    "missing-column",
    "unsupported-file",
    "unsupported-dialect",
    "no-particle-groups",
)


def run_select(options: Namespace) -> int:
    """Write some particles, all else untouched."""
    require_suffix(options.out, (".star", *SUFFIXES), "the file to write")
    if options.per_tomogram and options.out.suffix != ".star":
        raise BadInputError("--per-tomogram writes star files, so --out must end in .star.")
    if not says_which(options):
        raise BadInputError(
            "Nothing says which particles to write.",
            remedy="Give --clusters, --selection, --particles, --tomogram, --where, --index or a "
            "limit on tilts.",
            code="bad-choice",
        )
    run = run_at(options.source)
    if run is None and (rows := _without_images(options)) is not None:
        return _select_rows(rows, options)
    particles = _particles(run, options)
    chosen = chosen_of_run(run, particles, options, invert=options.invert)
    if options.star is not None:
        chosen = _same_of_other_star(chosen, options)
    with export_files(
        overwrite=options.overwrite, files=given_files(options), particles=chosen, run=run
    ) as outputs:
        if not options.per_tomogram:
            outputs.check(options.out)
        written = list(_write(chosen, options))
    shown = written[0] if len(written) == 1 else f"{len(written)} files, {written[0].name} …"
    say(f"{len(chosen):,} of {len(particles):,} particles → {shown}")
    return 0


def _particles(run: Run | None, options: Namespace) -> ParticleSet:
    needed = options.images is not None
    if run is not None:
        return run.stored_particles(options.images, images_needed=needed)
    return read_particles(options.source, images=options.images, images_needed=needed)


def _write(chosen: ParticleSet, options: Namespace) -> Iterator[Path]:
    """Write what was asked for; the files, as they come."""
    out: Path = options.out
    if out.suffix in SUFFIXES:
        write_array(out, np.sort(particle_numbers(chosen)))
        yield out
        return
    if not options.per_tomogram:
        yield _write_star(chosen, out)
        return
    tomograms = chosen.particles["tomogram"].astype(str)
    for name in dict.fromkeys(tomograms):
        yield _write_star(chosen.take((tomograms == name).to_numpy()), _of_tomogram(out, name))


def _write_star(chosen: ParticleSet, out: Path) -> Path:
    """Write a star file, and the list that the particles were extracted by if they were."""
    written = write_subset(chosen, out)
    back = write_list_back(chosen, out)
    if back is not None:
        say(f"As the list that they were extracted by: {back}")
    return written


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
        if error.code not in _NO_TILT_IMAGES:
            raise
        rows = StarRows.read(options.source)
        say(f"{options.source}: no tilt images; rows of data_{rows.block} as they stand.")
        return rows
    return None


def _select_rows(rows: StarRows, options: Namespace) -> int:
    for name, value in vars(options).items():
        if name in _OF_IDENTITIES and value is not None:
            raise BadInputError(
                f"{options.source}: lists no tilt images, so that --{name.replace('_', '-')} does "
                "not apply.",
                remedy="Choose its rows by --where or --index.",
                code="bad-choice",
            )
    keep = np.ones(len(rows), dtype=bool)
    if options.index is not None:
        keep &= rows.in_index(options.index)
    if options.where is not None:
        keep &= rows.where(parse(options.where))
    keep = _kept(keep, options)
    with export_files(overwrite=options.overwrite, files=given_files(options)) as outputs:
        if options.out.suffix in SUFFIXES:
            outputs.check(options.out)
            write_array(options.out, np.flatnonzero(keep))
        elif options.per_tomogram:
            tomograms = rows.tomograms()
            for name in dict.fromkeys(tomograms[keep]):
                rows.write(keep & (tomograms == name).to_numpy(), _of_tomogram(options.out, name))
        else:
            outputs.check(options.out)
            rows.write(keep, options.out)
    say(f"{int(keep.sum()):,} of {len(rows):,} particles → {options.out}")
    return 0


def _same_of_other_star(chosen: ParticleSet, options: Namespace) -> ParticleSet:
    """The chosen particles as another star file has them, with its poses."""
    other = read_particles(
        options.star, images=options.images, images_needed=options.images is not None
    )
    there = [name for name in chosen.ids if name in other.particles.index]
    if not there:
        raise BadInputError(
            f"{options.star}: has none of the {len(chosen)} particles; its names look like "
            f"{other.ids[0]!r}, those of the run like {chosen.ids[0]!r}.",
            code="other-particles",
        )
    if len(there) < len(chosen):
        say(f"{len(chosen) - len(there):,} of {len(chosen):,} are not in {options.star}.")
    return choose_images(other.select(there), data_config(options))


def _of_tomogram(out: Path, name: str) -> Path:
    return out.with_name(f"{out.stem}_{as_file_name(name)}.star")
