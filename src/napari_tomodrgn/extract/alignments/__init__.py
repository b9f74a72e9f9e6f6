"""Alignments of tilt series, whichever program wrote them: one `TiltGeometry` comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.alignments.aretomo import read_aretomo
from napari_tomodrgn.extract.alignments.common import AlignmentInput
from napari_tomodrgn.extract.alignments.eman2 import read_eman2
from napari_tomodrgn.extract.alignments.imod import read_imod, read_imod_aligned
from napari_tomodrgn.extract.alignments.relion import read_relion, series_names
from napari_tomodrgn.extract.alignments.warp_xml import read_warp_xml
from napari_tomodrgn.extract.geometry import TiltGeometry

__all__ = ["AlignmentInput", "Found", "find_alignment", "read_alignment", "tomograms_star_in"]

Format = Literal["imod", "aretomo", "warp", "relion", "eman2"]
_READERS: dict[Format, Callable[[AlignmentInput], TiltGeometry]] = {
    "imod": read_imod,
    "aretomo": read_aretomo,
    "warp": read_warp_xml,
    "relion": read_relion,
    "eman2": read_eman2,
}
# One file a tilt series, called after it.
_SUFFIXES: dict[Format, tuple[str, ...]] = {
    "imod": (".xf",),
    "aretomo": (".aln", ".mrc.aln", ".st.aln"),
    "warp": (".xml",),
    "eman2": ("_info.json",),
}


@dataclass(frozen=True)
class Found:
    """An alignment that was found: its format, its file, and the series' name in it."""

    format: Format
    path: Path
    name: str


def find_alignment(place: Path, names: Iterable[str]) -> Found:
    """The alignment of a tilt series in a folder, or in a tomograms star.

    Parameters
    ----------
    place
        Folder with a file or a folder a tilt series; or a tomograms star or optimisation set.
    names
        What the series may be called, best first.

    Raises
    ------
    BadInputError
        If there is none, or several formats say something.
    """
    names = list(names)
    star = tomograms_star_in(place)
    found = [] if place.is_file() else _files(place, names)
    looked_in = "a tomograms star"
    if star is not None:
        known = series_names(star)
        looked_in = f"{star.name}, which has {', '.join(known[:6])}"
        found += [Found("relion", star, name) for name in _in_star(names, known)][:1]
    formats = sorted({one.format for one in found})
    if len(formats) > 1:
        raise BadInputError(
            f"{place}: holds alignments of {names[0]} by {' and '.join(formats)}.",
            remedy="Name the folder of one of them.",
            code="several-alignments",
        )
    if not found:
        raise BadInputError(
            f"{place}: no alignment of {names[0]} was found (looked for "
            f"{', '.join(names[0] + end for ends in _SUFFIXES.values() for end in ends[:1])} and "
            f"{looked_in}).",
            remedy="Name the folder that holds it with --alignment DIR, or the names that belong "
            "together with --match TABLE.csv.",
            code="no-alignment",
        )
    if len({one.path for one in found}) > 1:
        raise BadInputError(
            f"{place}: {found[0].path.name} of {names[0]} stands in several folders.",
            remedy="Name one of them.",
            code="several-alignments",
        )
    return found[0]


def tomograms_star_in(place: Path) -> Path | None:
    """The tomograms star, or the optimisation set, that a folder holds or that is named itself."""
    if place.is_file():
        return place if place.suffix == ".star" else None
    for pattern in ("*optimisation_set*.star", "*tomograms.star", "aligned_tilt_series.star"):
        stars = sorted(place.glob(pattern))
        if len(stars) == 1:
            return stars[0]
    return None


def _files(place: Path, names: list[str]) -> list[Found]:
    found = []
    for name in names:
        for format_, suffixes in _SUFFIXES.items():
            for suffix in suffixes:
                for path in (place / f"{name}{suffix}", place / name / f"{name}{suffix}"):
                    if path.is_file():
                        found.append(Found(format_, path, name))
        if found:
            break
    return found


def _in_star(names: list[str], known: list[str]) -> list[str]:
    """Tomograms of a star that are called so, with or without an extension."""
    stems = {Path(name).stem if name.endswith(".tomostar") else name: name for name in known}
    return [stems[name] for name in names if name in stems]


def read_alignment(
    found: Found, source: AlignmentInput, *, aligned_stack: bool = False
) -> TiltGeometry:
    """Read an alignment that was found.

    Parameters
    ----------
    found
        Of `find_alignment`.
    source
        Stack and options; path and name are those of ``found``.
    aligned_stack
        Whether the stack's images are aligned already: IMOD's ``.ali`` alone.

    Raises
    ------
    BadInputError
        If it is damaged or says what is not applied.
    """
    if aligned_stack:
        if found.format != "imod":
            raise BadInputError(
                f"{source.stack.path}: an aligned stack goes with an alignment of IMOD only, "
                f"found {found.path.name}.",
                remedy="Name the raw stack.",
                code="aligned-stack",
            )
        return read_imod_aligned(source)
    return _READERS[found.format](source)
