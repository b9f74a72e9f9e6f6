"""Writing some of the particles back, in the dialect that they came in, all else untouched."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray

from napari_tomodrgn.data.dialects.cistem import STACK_COLUMN
from napari_tomodrgn.data.dialects.common import number_lists
from napari_tomodrgn.data.dialects.copies import COPY_COLUMN, copy_number
from napari_tomodrgn.data.dialects.locate import locate_star
from napari_tomodrgn.data.dialects.optimisation_set import PARTICLES_FILE, TOMOGRAMS_FILE
from napari_tomodrgn.data.dialects.tilts import SERIES_FILE
from napari_tomodrgn.data.particles import COPY_OF, ParticleSet, StarSource
from napari_tomodrgn.data.stack import read_header
from napari_tomodrgn.data.star import StarBlock, StarBlocks, as_loop, write_star
from napari_tomodrgn.data.star_table import StarTable, arrow_strings, meant
from napari_tomodrgn.errors import BadInputError

_VISIBLE = "rlnTomoVisibleFrames"


def write_subset(
    particles: ParticleSet, path: str | Path, columns: pd.DataFrame | None = None
) -> Path:
    """Write a star file of exactly these particles and images; other values letter for letter.

    Names of image files are made absolute where they would not be found from the new place. Of a
    set that came with a tomograms star, ``<stem>_tomograms.star`` and
    ``<stem>_optimisation_set.star`` are written beside ``path``.

    Parameters
    ----------
    particles
        What to write.
    path
        The star file of the particles.
    columns
        Index ``particle_id``: written beside what the file has, as `star_label` calls them.

    Returns
    -------
    The file to pass to `read_particles`: ``path``, or the optimisation set.

    Raises
    ------
    BadInputError
        If there is nothing to write, or hidden frames cannot be expressed in the dialect.
    """
    path = Path(path)
    source = particles.source
    if not len(particles):
        raise BadInputError(f"{path}: no particles to write.", code="no-particles")
    rows, first_image = np.unique(particles.images["source_row"], return_index=True)
    listed = as_loop(source.blocks[source.particle_block])
    frame = listed.iloc[rows].reset_index(drop=True)
    stacks = particles.images["stack"].iloc[first_image].astype(str).to_numpy()
    frame = _with_images(source, frame, stacks, path)
    if not source.rows_are_images:
        frame = _with_visible_frames(particles, frame, rows, stacks)
    owners = particles.images["particle_id"].iloc[first_image].astype(str).to_numpy()
    if columns is not None:
        frame = _with_columns(frame, columns.reindex(owners))
    if COPY_OF in particles.particles:
        frame = frame.assign(**{COPY_COLUMN: [copy_number(owner) for owner in owners]})
    write_star(path, _with_block(source.blocks, source.particle_block, frame))
    if source.tomogram_blocks is None:
        return path
    return _write_companions(particles, path)


def star_label(column: str) -> str:
    """What a column that is ours is called in a star file."""
    words = re.split(r"[^A-Za-z0-9]+", column)
    return "tomodrgn" + "".join(word[:1].upper() + word[1:] for word in words)


def _with_columns(frame: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    """The rows with more columns; numbers with six digits, ``None`` for words that are missing."""
    texts = {}
    for name, values in columns.items():
        if values.dtype.kind in "fiu":
            words = [f"{value:.6g}" for value in values.to_numpy(np.float64)]
        else:
            known = [
                "_".join(str(value).split()) if given else ""
                for value, given in zip(values, values.notna(), strict=True)
            ]
            words = [word or "None" for word in known]
        texts[star_label(str(name))] = pd.Series(words, index=frame.index, dtype="str")
    return frame.assign(**texts)


def _with_block(blocks: Mapping[str, StarBlock], name: str, frame: pd.DataFrame) -> StarBlocks:
    changed = StarBlocks({**blocks, name: frame})
    changed.comments = blocks.comments if isinstance(blocks, StarBlocks) else {}
    return changed


def _with_images(
    source: StarSource, frame: pd.DataFrame, stacks: NDArray[np.object_], path: Path
) -> pd.DataFrame:
    """The rows, with names of image files that lead there from the folder of ``path``."""
    column = source.image_column
    if column:
        return frame.assign(**{column: _names_from(frame[column], stacks, path)})
    if path.absolute().parent == source.path.absolute().parent and path.stem == source.path.stem:
        return frame
    # The stack was found by its place beside the star; from elsewhere it has to be named.
    return frame.assign(**{STACK_COLUMN: pd.Series(stacks, index=frame.index, dtype="str")})


def _names_from(names: pd.Series, stacks: NDArray[np.object_], path: Path) -> pd.Series:
    """Image names that lead from the folder of ``path`` to the files ``stacks``."""
    texts = arrow_strings(names)
    files = pc.replace_substring_regex(texts, r"^\d+@", "")
    pairs = pd.DataFrame({"name": files.to_pylist(), "file": stacks})
    different = pairs.drop_duplicates()
    folder = str(path.absolute().parent)
    moved = {
        (name, file)
        for name, file in zip(different["name"], different["file"], strict=True)
        if os.path.normpath(os.path.join(folder, name)) != file
    }
    if not moved:
        return names
    numbers = pc.replace_substring_regex(texts, "(^\\d+@)?.*$", "\\1").to_pylist()
    keys = zip(pairs["name"], pairs["file"], strict=True)
    new = [
        number + (key[1] if key in moved else key[0])
        for number, key in zip(numbers, keys, strict=True)
    ]
    return pd.Series(new, index=names.index, dtype="str")


def _with_visible_frames(
    particles: ParticleSet,
    frame: pd.DataFrame,
    rows: NDArray[np.int64],
    stacks: NDArray[np.object_],
) -> pd.DataFrame:
    """The rows, with frames that are not in ``particles`` hidden; other lists keep their text."""
    images = particles.images
    tilts = _tilt_counts(particles, frame)
    kept = images.groupby(np.searchsorted(rows, images["source_row"]))["tilt_index"]
    visible = _visible_counts(particles, frame, tilts)
    changed = np.flatnonzero(kept.size().to_numpy() != visible)
    if not changed.size:
        return frame
    column = _column(particles.source, frame, _VISIBLE)
    lists = [*frame[column]] if column in frame else [_flags(range(n), n) for n in tilts]
    for row in changed.tolist():
        _refuse_short_stack(Path(stacks[row]), int(tilts[row]))
        lists[row] = _flags(kept.get_group(row), int(tilts[row]))
    return frame.assign(**{column: pd.Series(lists, index=frame.index, dtype="str")})


def _tilt_counts(particles: ParticleSet, frame: pd.DataFrame) -> NDArray[np.int64]:
    tilts = {known.name: known.tilts for known in particles.source.tomograms}
    names = frame[_column(particles.source, frame, "rlnTomoName")]
    return np.array([tilts[name] for name in names], dtype=np.int64)


def _column(source: StarSource, frame: pd.DataFrame, name: str) -> str:
    """The column of the file that has this meaning."""
    column = source.overrides.columns.get(name, name)
    return column if column in frame else name


def _visible_counts(
    particles: ParticleSet, frame: pd.DataFrame, tilts: NDArray[np.int64]
) -> NDArray[np.int64]:
    source = particles.source
    table = StarTable(source.path, source.particle_block, meant(frame, source.overrides.columns))
    if _VISIBLE not in table:
        return tilts
    flags, lengths = number_lists(table, _VISIBLE)
    return np.add.reduceat(flags != 0, np.cumsum(lengths) - lengths, dtype=np.int64)


def _flags(visible: object, count: int) -> str:
    flags = np.zeros(count, np.int64)
    flags[np.asarray(visible)] = 1
    return f"[{','.join(map(str, flags))}]"


def _refuse_short_stack(stack: Path, tilts: int) -> None:
    if read_header(stack).count != tilts:
        raise BadInputError(
            f"{stack}: the stack holds only the visible frames, so no further frame can be hidden.",
            remedy="Write the particles with all their images.",
            code="cannot-hide-frames",
        )


def _write_companions(particles: ParticleSet, path: Path) -> Path:
    """The tomograms star and the optimisation set of a particles star just written."""
    source = particles.source
    tomograms = path.with_name(f"{path.stem}_tomograms.star")
    write_star(tomograms, _with_series_files(source, path.absolute().parent))
    entries = {
        name: str(locate_star(value, source.path) or value)
        for name, value in source.optimisation_set.items()
    }
    entries |= {PARTICLES_FILE: path.name, TOMOGRAMS_FILE: tomograms.name}
    optimisation_set = path.with_name(f"{path.stem}_optimisation_set.star")
    write_star(optimisation_set, {"": entries})
    return optimisation_set


def _with_series_files(source: StarSource, folder: Path) -> dict[str, StarBlock]:
    """The tomograms star; names of its tilt-series stars made absolute where they would be lost."""
    blocks = source.tomogram_blocks or {}
    overview, read = as_loop(blocks.get("global", {})), source.tomograms_path
    if read is None or SERIES_FILE not in overview:
        return blocks
    names = []
    for name in overview[SERIES_FILE]:
        found = locate_star(str(name), read)
        there = locate_star(str(name), folder / read.name)
        names.append(str(name) if found in (None, there) else str(found))
    changed = overview.assign(**{SERIES_FILE: pd.Series(names, index=overview.index, dtype="str")})
    return _with_block(blocks, "global", changed)
