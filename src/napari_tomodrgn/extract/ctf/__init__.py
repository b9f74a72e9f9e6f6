"""Estimates of the CTF of tilt series, whichever program made them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.alignments import find_alignment, tomograms_star_in
from napari_tomodrgn.extract.ctf.common import TiltContrast
from napari_tomodrgn.extract.ctf.imod_defocus import read_imod_defocus
from napari_tomodrgn.extract.ctf.stars import read_relion_contrast, read_warp_contrast
from napari_tomodrgn.extract.ctf.tables import read_ctf_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["TiltContrast", "find_contrast", "read_contrast"]

_ENDS = (
    "_CTF.txt",
    ".defocus",
    ".xml",
    "_ctffind5.txt",
    "_ctffind4.txt",
    "_ctffind.txt",
    "_diagnostic.txt",
    "_ctf.txt",
    ".txt",
)


def find_contrast(place: Path, names: list[str]) -> Path:
    """The file with the CTF of a tilt series in a folder; the tomograms star where there is one.

    Raises
    ------
    BadInputError
        If there is none.
    """
    star = tomograms_star_in(place)
    if star is not None:
        return find_alignment(star, names).path
    for name in names:
        for end in _ENDS:
            for path in (place / f"{name}{end}", place / name / f"{name}{end}"):
                if path.is_file():
                    return path
    _refuse_emclarity(place, names)
    raise BadInputError(
        f"{place}: no CTF of {names[0]} was found (looked for "
        f"{', '.join(names[0] + end for end in _ENDS)} and a tomograms star).",
        remedy="Name the folder that holds it with --ctf DIR.",
        code="no-ctf",
    )


def _refuse_emclarity(place: Path, names: list[str]) -> None:
    """Its table is told by its name: no file of it was at hand to learn the columns from."""
    for name in names:
        for path in sorted([*place.glob(f"{name}_*ctf.tlt"), *place.glob(f"*/{name}_*ctf.tlt")]):
            raise BadInputError(
                f"{path}: an estimate of emClarity, which is not read.",
                remedy="Estimate the CTF with ctffind, AreTomo or IMOD's ctfplotter, and name its "
                "folder with --ctf DIR.",
                code="emclarity-ctf",
            )


def read_contrast(path: Path, name: str, sections: NDArray[np.int64], count: int) -> TiltContrast:
    """Read the CTF of a tilt series.

    Parameters
    ----------
    path
        Of `find_contrast`.
    name
        The series, as a tomograms star calls it.
    sections
        ``(row,)`` sections that the alignment uses, from 0.
    count
        How many sections the stack has.

    Raises
    ------
    BadInputError
        If it is damaged, belongs to another stack, or lacks sections.
    """
    if path.suffix == ".star":
        found = read_relion_contrast(path, find_alignment(path, [name]).name)
    elif path.suffix == ".xml":
        found = read_warp_contrast(path)
    elif path.suffix == ".defocus":
        found = read_imod_defocus(path, sections, count)
    else:
        found = read_ctf_table(path, sections, count)
    if len(found.defocus_u_angstrom) != count:
        raise BadInputError(
            f"{path}: has the CTF of {len(found.defocus_u_angstrom)} tilts, but the stack has "
            f"{count} sections.",
            code="wrong-count",
        )
    return found.checked(sections)
