"""Reads a path in a worker thread: particles with their file checks, or a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tomodrgn.config import ReadingConfig
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.background.error_message import IMPORT_FORM, error_message
from napari_tomodrgn.learn.run.archive import is_archive, unpacked
from napari_tomodrgn.particle_columns import ParticleTable, axes_of, typical_particle
from napari_tomodrgn.session import LoadedData
from napari_tomodrgn.session.exploration import read_as_said

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.analysis.selections import Selection
    from napari_tomodrgn.data.checks import Check
    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.learn.run.directory import Run


def run_folder(path: str | Path) -> Path | None:
    """The run directory that a path means: itself, the one whose run.json it is, a shared one."""
    path = Path(path)
    if is_archive(path):
        return unpacked(path)
    if path.name == "run.json":
        return path.parent
    return path if (path / "run.json").is_file() else None


def open_path(path: str | Path, reading: ReadingConfig) -> Iterator[LoadedData]:
    """Read a star file or a run directory.

    Raises
    ------
    BadInputError
        If it is neither, or damaged.
    """
    path = Path(path).expanduser()
    folder = run_folder(path)
    if folder is not None:
        yield _open_run(folder, reading)
    elif path.is_dir():
        raise BadInputError(
            f"{path}: not a run directory, it has no run.json.",
            remedy="Choose a star file, or the folder that a training wrote.",
            code="not-a-run",
        )
    else:
        yield _open_particles(path, reading)


def _open_particles(path: Path, reading: ReadingConfig) -> LoadedData:
    particles = read_as_said(path, reading)
    return _with_summary(LoadedData(path, reading, particles), reading.data.contrast)


def _with_summary(opened: LoadedData, contrast: str) -> LoadedData:
    """What the files and the numbers of the particles give to say."""
    from napari_tomodrgn.data.checks import file_checks, problems_of, summary

    particles = opened.particles
    assert particles is not None
    checks = tuple(file_checks(particles))
    if opened.run is not None:
        checks = tuple(_for_exploring(check) for check in checks)
    told = summary(particles, problems_of(checks), contrast)
    return replace(opened, checks=checks, summary=told)


def _for_exploring(check: Check) -> Check:
    """A check as it stands for who looks at a run: without its images there is still all of it."""
    if (check.code, check.verdict) != ("unreadable-stack", "error"):
        return check
    return replace(
        check,
        verdict="info",
        why="Exploring a run needs no images; training it longer or reconstructing from it does.",
        remedy=f"To do that, name their folder as “Images folder” under “{IMPORT_FORM}”.",
    )


def _open_run(folder: Path, reading: ReadingConfig) -> LoadedData:
    from napari_tomodrgn.learn.run.directory import Run

    run = Run.open(folder)
    shown = run.epoch_to_show()
    epoch, latents = shown or 0, None if shown is None else run.latents(shown)
    selections, note = _selections(folder)
    if latents is None:
        note = f"{folder.name}: no epoch is finished yet, so there is nothing to show."
    # Of a run only the place of its images can be another one: the rest is as it was trained.
    trained = ReadingConfig(
        images=reading.images, overrides=run.info.overrides, data=run.config.data
    )
    found = LoadedData(folder, trained, run=run, latents=latents, epoch=epoch, note=note)
    found = replace(found, selections=selections, quality=quality_of(run))
    added_columns, damaged = _extras(run)
    found = replace(
        found, metrics=metrics_of(run), added_columns=added_columns, note=note or damaged
    )
    found = _with_particles(found, run, reading)
    if latents is not None:
        make_ready(latents, found.particles, added_columns)
    return found


def quality_of(run: Run) -> dict[str, Any]:
    """Return what the run measured when it ended; empty while it trains."""
    try:
        return run.quality()
    except BadInputError:
        return {}  # what was measured is damaged: latents and maps can be looked at


def make_ready(
    latents: pd.DataFrame,
    particles: ParticleSet | None = None,
    added_columns: pd.DataFrame | None = None,
) -> None:
    """Work out in this thread what the window asks of a table first; it is kept."""
    typical_particle(latents)
    axes_of(latents)
    table = ParticleTable(latents, particles, added_columns)
    table.column(table.color_names[0])


def _with_particles(found: LoadedData, run: Run, reading: ReadingConfig) -> LoadedData:
    try:
        particles = run.particles(images=reading.images)
    except BadInputError as error:
        # Exploring needs no images: a run that was moved away from them can still be looked at.
        found = replace(found, note=found.note or error_message(error, "looking for the images"))
        return _without_images(found, run)
    return _with_summary(replace(found, particles=particles), run.config.data.contrast)


def _without_images(found: LoadedData, run: Run) -> LoadedData:
    """The particles nevertheless, for their places and columns, where the star file suffices."""
    try:
        particles = run.particles(images_needed=False)
    except BadInputError:
        return found
    return _with_summary(replace(found, particles=particles), run.config.data.contrast)


def metrics_of(run: Run) -> pd.DataFrame | None:
    """The losses of a run; None where the table is damaged, which hinders nothing else."""
    try:
        return run.metrics()
    except (OSError, ValueError):
        return None


def _extras(run: Run) -> tuple[pd.DataFrame | None, str]:
    """More columns of the particles; damaged ones are told of, and left where they are."""
    try:
        return run.extras(), ""
    except BadInputError as error:
        return None, str(error)


def _selections(folder: Path) -> tuple[tuple[Selection, ...], str]:
    """The named selections of a run; a damaged one is told of, and left where it is."""
    from napari_tomodrgn.analysis.selections import load_selection, selection_names

    found, note = [], ""
    for name in selection_names(folder):
        try:
            found.append(load_selection(folder, name))
        except BadInputError as error:
            note = str(error)
    return tuple(found), note
