"""What an export may never write: the set that it was made from, and the files of a run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from napari_tomodrgn.data.dialects.locate import locate_star
from napari_tomodrgn.data.dialects.optimisation_set import entries_of
from napari_tomodrgn.data.dialects.tilts import SERIES_FILE
from napari_tomodrgn.data.star import read_star
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import OutputFiles, all_or_none
from napari_tomodrgn.learn.run.lock import LOCK_NAME

if TYPE_CHECKING:
    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.learn.run.directory import Run

# Folders of a run in which nothing but the run writes; in analysis/ new files are welcome.
_OWN_FOLDERS = ("checkpoints", "latents", "cache")
_OWN_FILES = ("run.json", "metrics.csv", LOCK_NAME)
# Larger stars are no optimisation sets, which have a line or two.
_LARGEST_SET_BYTES = 1 << 16


def export_files(
    *,
    overwrite: bool = False,
    particles: ParticleSet | None = None,
    run: Run | None = None,
    files: Iterable[Path] = (),
) -> AbstractContextManager[OutputFiles]:
    """A block whose files are put in place together, and never onto what they were made from.

    Parameters
    ----------
    overwrite
        Whether files that exist may be replaced, if they are none of those below.
    particles
        Their star files and image stacks are left alone.
    run
        So is the star file that it was trained on. Files of any run are left alone in any case.
    files
        Other files that are read, such as lists.
    """
    sources = [path for path in files if path.is_file()]
    if particles is not None:
        sources += star_files(particles)
    if run is not None:
        sources += _trained_on(run)
    stacks = frozenset(
        () if particles is None else map(str, particles.images["stack"].cat.categories)
    )

    def reject(path: Path) -> None:
        real = Path(os.path.realpath(path))
        if is_run_file(real):
            raise BadInputError(
                f"{path}: is a file of a run and is not written over.",
                remedy="Name another file or folder.",
                code="run-file",
            )
        if not real.exists():
            return
        if str(path) in stacks or str(real) in stacks or any(map(real.samefile, sources)):
            raise BadInputError(
                f"{path}: is read here, or belongs to what is read, and is not written over.",
                remedy="Name another file or folder.",
                code="source-file",
            )

    return all_or_none(overwrite=overwrite, reject=reject)


def star_files(particles: ParticleSet) -> Iterator[Path]:
    """All star files that a set was read from, as far as they are there."""
    source = particles.source
    names = [*source.optimisation_set.values()]
    overview = (source.tomogram_blocks or {}).get("global")
    if source.tomograms_path is not None and isinstance(overview, pd.DataFrame):
        names += [str(name) for name in overview.get(SERIES_FILE, ())]
    found = [locate_star(name, source.path) for name in dict.fromkeys(names)]
    for path in (source.path, source.tomograms_path, *found):
        if path is not None and path.exists():
            yield path


def is_run_file(path: Path) -> bool:
    """Whether a path is, or would be, one of the files that a run consists of."""
    for folder in path.parents:
        if (folder / "run.json").exists():
            first, *rest = path.relative_to(folder).parts
            if rest:
                return first in _OWN_FOLDERS or (first == "analysis" and path.exists())
            return first in _OWN_FILES or (path.suffix == ".star" and path.exists())
    return False


def _trained_on(run: Run) -> list[Path]:
    """The star file that a run names as its source, and what that names, if they are there."""
    source = Path(run.info.source)
    if not source.is_file():
        return []
    found = [source]
    beside = [source.with_name(f"{source.stem}_{kind}.star") for kind in ("tomograms",)]
    if source.stat().st_size <= _LARGEST_SET_BYTES:
        try:
            names = entries_of(read_star(source)).values()
        except BadInputError:
            names = {}.values()  # damaged since: there is nothing that it can name
        beside += [one for name in names if (one := locate_star(name, source)) is not None]
    return found + [one for one in beside if one.exists()]
