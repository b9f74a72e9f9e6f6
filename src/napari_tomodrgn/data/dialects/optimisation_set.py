"""Optimisation sets: the file that names a particles star and the tomograms star beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_tomodrgn.data.dialects.common import StarInput
from napari_tomodrgn.data.dialects.locate import locate_star
from napari_tomodrgn.data.star import StarBlocks, as_list, read_star
from napari_tomodrgn.errors import BadInputError

PARTICLES_FILE, TOMOGRAMS_FILE = "rlnTomoParticlesFile", "rlnTomoTomogramsFile"


def entries_of(blocks: StarBlocks) -> dict[str, str]:
    """The entries of an optimisation set, as pairs or a loop of one row (empty for other files)."""
    lists = (as_list(block) for block in blocks.values())
    return next((entries for entries in lists if PARTICLES_FILE in entries), {})


def resolve_optimisation_set(source: StarInput) -> StarInput:
    """The particles star that an optimisation set names; other files as they are."""
    entries = entries_of(source.blocks)
    if PARTICLES_FILE not in entries:
        return source
    path = _named_star(source.path, entries, PARTICLES_FILE)
    return replace(source, path=path, blocks=read_star(path), named=source.path, entries=entries)


def tomograms_star(source: StarInput) -> Path:
    """The tomograms star that belongs to a particles star.

    Raises
    ------
    BadInputError
        If there is none.
    """
    if source.entries:
        return _named_star(source.named or source.path, source.entries, TOMOGRAMS_FILE)
    return _tomograms_beside(source.path)


def _named_star(path: Path, entries: dict[str, str], key: str) -> Path:
    if key not in entries:
        raise BadInputError(f"{path}: the optimisation set has no {key}.", code="missing-column")
    found = locate_star(entries[key], path)
    if found is None:
        raise BadInputError(
            f"{path}: {key} {entries[key]} was not found.",
            remedy="Keep the optimisation set, the particles and the tomograms star together.",
            code="no-file",
        )
    return found


def _tomograms_beside(path: Path) -> Path:
    """The tomograms star that belongs to a particles star, by its name or by a set that says so."""
    beside = path.with_name(f"{path.stem}_tomograms.star")
    if beside.is_file():
        return beside
    for candidate in sorted(path.absolute().parent.glob("*optimisation_set*.star")):
        entries = entries_of(read_star(candidate))
        if Path(entries.get(PARTICLES_FILE, "")).name == path.name:
            return _named_star(candidate, entries, TOMOGRAMS_FILE)
    alone = sorted(path.absolute().parent.glob("*tomograms.star"))
    if len(alone) == 1:
        return alone[0]
    raise BadInputError(
        f"{path}: the tomograms star with the tilt geometry was not found beside it.",
        remedy=f"Pass the optimisation set, or put {beside.name} beside the particles star.",
        code="missing-tomograms",
    )
