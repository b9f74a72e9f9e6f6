"""Files that list particles but no tilt images: what they are, and what to do with them.

Positions (pick lists, motive lists, species) and 3-D subtomograms are no input for a network that
learns from 2-D tilt images. Each is told by name, with the command that makes tilt images of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_tomodrgn.data.star import StarBlocks
from napari_tomodrgn.errors import BadInputError

_HEAD_BYTES = 4096  # read to tell what kind of file it is
_EXTRACT = (
    "Extract 2-D tilt images at these positions first: napari-tomodrgn extract, WarpTools "
    "ts_export_particles --2d, or RELION 5's Extract subtomos with 2-D stacks; then name the star "
    "file that it writes."
)
_POSITIONS = "it holds positions, and no tilt images"
_MAPS_OF_CLASSES = "class,particles,map,"  # as `session.class_maps` begins its table


@dataclass(frozen=True)
class _Kind:
    """Something that is no tilt series: what it is, what it holds, and what to do."""

    what: str
    holds: str = _POSITIONS
    remedy: str = _EXTRACT


def _is_of_positions(line: str) -> bool:
    """Whether a table's first line has names of places, or is of numbers alone."""
    names = {name.strip().lower() for name in line.split(",")}
    numbers = re.fullmatch(r"[-+\d.,\seE]+", line) is not None
    return numbers or not names.isdisjoint(("tomogram", "x", "x_angstrom", "x_centred_angstrom"))


_TEXTS: tuple[tuple[Callable[[Path, str], bool], _Kind], ...] = (
    (lambda _, text: text.startswith("#LSX"), _Kind("an EMAN2 list (.lst)")),
    (lambda _, text: "<ParticleList" in text, _Kind("a PyTom particle list (XML)")),
    (lambda _, text: "pickable_object_name" in text, _Kind("a copick pick list")),
    (lambda path, _: path.suffix == ".tbl", _Kind("a Dynamo table")),
    (lambda path, _: path.suffix == ".em", _Kind("an EM file, as of a motive list")),
    (
        lambda path, _: path.suffix in (".mrc", ".mrcs", ".map", ".rec", ".st"),
        _Kind(
            "an image file",
            "it holds pixels, and neither poses nor doses",
            "Name the star file that lists the particles.",
        ),
    ),
    (
        lambda _, text: bool(re.match(r"\s*<(!DOCTYPE|html)", text, re.IGNORECASE)),
        _Kind(
            "a web page",
            "it is what a browser saved",
            "Download the file itself.",
        ),
    ),
    (
        lambda path, text: path.suffix == ".csv" and text.startswith(_MAPS_OF_CLASSES),
        _Kind(
            "the table of maps that “Map of each cluster” has written",
            "it says which map is of which class, and lists no particles",
            "Open the maps themselves: the MRC files beside it.",
        ),
    ),
    (
        lambda path, text: path.suffix == ".csv" and _is_of_positions(text.split("\n")[0]),
        _Kind("a CSV table"),
    ),
    (
        lambda path, text: path.suffix == ".csv" and "," in text,
        _Kind(
            "a CSV table",
            "it is no list of particles that is known",
            "Name the star file that lists them. Columns of one's own are dropped on the latent "
            "space, once particles are open.",
        ),
    ),
    (lambda path, _: path.suffix == ".xml", _Kind("an XML file")),
    (
        lambda path, _: path.suffix == ".json",
        _Kind(
            "a JSON file",
            "it is no list of particles that is known",
            "Name the star file that lists them, or the folder of a run.",
        ),
    ),
)


def refuse_other_files(path: Path) -> None:
    """Raise `BadInputError` if a file is of a known kind that is no star file.

    Only the first few kilobytes are read; files that are not there are left to the reader.
    """
    try:
        with open(path, "rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return
    text = head.decode("utf-8", "replace").removeprefix("\ufeff")
    if re.search(r"^\s*data_", text, re.MULTILINE):
        return
    for fits, kind in _TEXTS:
        if fits(path, text):
            raise _error(path, kind)


_IN_POSITIONS = ("rlnCoordinateX", "rlnCenteredCoordinateXAngst")


def foreign_star(path: Path, blocks: StarBlocks, columns: set[str]) -> BadInputError | None:
    """What to say of a star file that lists no tilt images; None if it seems to list some.

    ``columns`` are those of the table of particles, or of all tables where there is none.
    """
    kind = _star_kind(blocks, columns)
    return _error(path, kind) if kind else None


def _star_kind(blocks: StarBlocks, columns: set[str]) -> _Kind | None:
    if "stopgap_motivelist" in blocks:
        return _Kind("a STOPGAP motive list")
    if "wrpMovieName" in columns:
        remedy = "Name the star file that WarpTools ts_export_particles --2d writes."
        return _Kind("a .tomostar of Warp", "it lists the tilts of a series, no particles", remedy)
    if "wrpCoordinateX1" in columns:
        remedy = "Export the species as 2-D image series (WarpTools ts_export_particles --2d)."
        return _Kind("the particles of an M species", _POSITIONS, remedy)
    if "global" in blocks and "particles" not in blocks:
        remedy = "Name the optimisation set or the particles star."
        return _Kind("a tomograms star", "it lists tilt series, no particles", remedy)
    of_images = {"rlnImageName", "rlnTomoVisibleFrames"}
    if not columns & of_images and columns & set(_IN_POSITIONS):
        return _Kind(_picker(columns))
    return None


def _picker(columns: set[str]) -> str:
    if "rlnLCCmax" in columns:
        return "a pick list of pytom-match-pick"
    if "rlnAutopickFigureOfMerit" in columns:
        return "a pick list of Warp's template matching"
    return "a list of positions"


def volumes_error(path: Path, why: str) -> BadInputError:
    """The error about a set of 3-D subtomograms; ``why`` says how it is known."""
    return BadInputError(
        f"{path}: the particles are 3-D subtomograms ({why}), and no 2-D tilt images.",
        remedy="Extract or export them as 2-D stacks: WarpTools ts_export_particles --2d, or "
        "RELION 5's Extract subtomos with 2-D stacks.",
        code="unsupported-dialect",
    )


def _error(path: Path, kind: _Kind) -> BadInputError:
    return BadInputError(
        f"{path}: this is {kind.what}: {kind.holds}.", remedy=kind.remedy, code="unsupported-file"
    )
