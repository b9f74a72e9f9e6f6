"""Chosen particles of an extracted set as the list that they came from, in its own form."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TypedDict

import numpy as np

from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.lists import ParticleList, read_list
from napari_tomodrgn.files import written_atomically

_ABOUT = "extraction.json"


class _List(TypedDict):
    path: str
    sha256: str


class _Tomogram(TypedDict):
    name: str
    list_name: str


# What is read of `extraction.json`, which says more; `list` is one of its words.
class _About(TypedDict):
    list: _List
    tomograms: list[_Tomogram]


def extraction_of(particles: ParticleSet) -> Path | None:
    """The `extraction.json` beside the images of a set; None if it was not extracted here."""
    for stack in particles.images["stack"].cat.categories[:1]:
        found = Path(str(stack)).absolute().parents
        if len(found) > 2 and (found[2] / _ABOUT).is_file():
            return found[2] / _ABOUT
    return None


def list_name_of(particles: ParticleSet) -> str:
    """Name of the list that a set was extracted by; empty for other sets, or if it is not known."""
    file = extraction_of(particles)
    try:
        return "" if file is None else Path(_read(file)["list"]["path"]).name
    except BadInputError:
        return ""  # which is told when rows of it are asked for


def write_list_back(particles: ParticleSet, beside: Path) -> Path | None:
    """Write the particles in the form of the list that they were extracted by.

    Everything that the list says of them is kept as it stands. The file is called after ``beside``
    and the package: ``chosen_dynamo.tbl`` beside ``chosen.star``.

    Returns
    -------
    The file; None for sets that were not extracted here.

    Raises
    ------
    BadInputError
        If the list has gone or was changed since.
    """
    file = extraction_of(particles)
    if file is None:
        return None
    about = _read(file)
    path = Path(about["list"]["path"])
    source = _unchanged_list(path, str(about["list"]["sha256"]), file)
    names = {one["name"]: one["list_name"] for one in about["tomograms"]}
    rows = _rows(source, particles, names)
    out = beside.with_name(f"{beside.stem}_{source.format}{path.suffix}")
    with written_atomically(out) as temporary:
        temporary.write_bytes(source.subset(rows))
    return out


def _read(file: Path) -> _About:
    try:
        about: _About = json.loads(file.read_text(encoding="utf-8"))
        about["list"]["path"], about["list"]["sha256"], about["tomograms"][0]["list_name"]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise BadInputError(
            f"{file}: does not say which list was extracted.", code="bad-extraction"
        ) from error
    return about


def _unchanged_list(path: Path, checksum: str, file: Path) -> ParticleList:
    source = read_list(path)
    if hashlib.sha256(source.path.read_bytes()).hexdigest() != checksum:
        raise BadInputError(
            f"{path}: is not the list any more that {file} was made of.",
            remedy="Put the list back as it was.",
            code="changed-list",
        )
    return source


def _rows(
    source: ParticleList, particles: ParticleSet, names: dict[str, str]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Rows of the list, in its order, by the particles' names."""
    known = {who: row for row, who in enumerate(zip(source.tomogram, source.particle, strict=True))}
    table = particles.particles
    wanted = zip(table["tomogram"].astype(str), table["particle"].astype(str), strict=True)
    rows = [known.get((names.get(tomogram, tomogram), name), -1) for tomogram, name in wanted]
    if min(rows) < 0:
        row = rows.index(-1)
        raise BadInputError(
            f"{source.path}: has no particle {table['particle'].iloc[row]} of "
            f"{table['tomogram'].iloc[row]}.",
            code="unknown-particle",
        )
    return np.sort(np.array(rows, dtype=np.int64))
