"""Doses of tilt series: what the specimen had received before each section, e/Å².

In this order: pre-exposure columns of RELION and Dose of Warp; mdoc; a dose per tilt and an order
from the user. A dose-symmetric scheme is never assumed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.alignments import find_alignment, tomograms_star_in
from napari_tomodrgn.extract.alignments.relion import read_series
from napari_tomodrgn.extract.alignments.warp_xml import read_warp_series
from napari_tomodrgn.extract.dose.mdoc import mdoc_doses, read_mdoc, rows_by_angle
from napari_tomodrgn.extract.text_files import number_rows

__all__ = ["doses_by_order", "find_dose", "read_doses"]

FloatArray = NDArray[np.float64]
_ENDS = (".mrc.mdoc", ".st.mdoc", ".mdoc", ".xml")
_MOST_DOSE = 1e4  # e/Å²; a larger one is refused


def find_dose(place: Path, names: list[str]) -> Path | None:
    """The file with the doses of a tilt series in a folder, or None."""
    star = tomograms_star_in(place)
    if star is not None:
        return star
    for name in names:
        for end in _ENDS:
            for path in (place / f"{name}{end}", place / name / f"{name}{end}"):
                if path.is_file():
                    return path
    return None


def read_doses(path: Path, name: str, tilt_deg: FloatArray) -> FloatArray:
    """Dose before each section of a stack.

    Parameters
    ----------
    path
        Of `find_dose`.
    name
        The series, as a tomograms star calls it.
    tilt_deg
        Tilt of each section by its alignment, NaN where it is not used.

    Raises
    ------
    BadInputError
        If the file does not say, or is of another stack.
    """
    if path.suffix == ".star":
        tilts = read_series(path, find_alignment(path, [name]).name).tilts
        doses = tilts.numbers("rlnMicrographPreExposure")
    elif path.suffix == ".xml":
        doses = read_warp_series(path).numbers("Dose", len(tilt_deg))
    else:
        doses = mdoc_doses(read_mdoc(path), tilt_deg)
    return _checked(path, doses, len(tilt_deg))


def doses_by_order(path: Path, dose_per_tilt: float, tilt_deg: FloatArray) -> FloatArray:
    """Dose before each section of a stack, of the dose of one tilt and the order of acquisition.

    Parameters
    ----------
    path
        Text with one row a tilt: its number in time, from 0 or 1, in the order of the stack; or
        that number and its tilt angle, in any order.
    dose_per_tilt
        e/Å².
    tilt_deg
        Tilt of each section by its alignment, NaN where it is not used.

    Raises
    ------
    BadInputError
        If there are not as many rows, or they are no order.
    """
    rows, count = number_rows(path, None), len(tilt_deg)
    if rows.shape[1] > 2:
        raise BadInputError(
            f"{path}: has {rows.shape[1]} numbers a row, not 1 (or 2, with the angle).",
            code="bad-row",
        )
    order = rows[:, 0]
    if len(order) != count:
        raise BadInputError(
            f"{path}: orders {len(order)} tilts, but the stack has {count} sections.",
            code="wrong-count",
        )
    if rows.shape[1] == 2:
        by_angle = rows_by_angle(rows[:, 1], tilt_deg)
        if by_angle is None:
            raise BadInputError(
                f"{path}: its tilt angles are not those of the alignment.", code="other-tilts"
            )
        order = order[by_angle]
    ranked = np.sort(order)
    if not any(np.array_equal(ranked, np.arange(first, first + count)) for first in (0, 1)):
        raise BadInputError(
            f"{path}: is no order: not 0 to {count - 1} or 1 to {count}, each once.",
            code="unknown-order",
        )
    return np.asarray((order - ranked[0]) * dose_per_tilt)


def _checked(path: Path, doses: FloatArray, count: int) -> FloatArray:
    if len(doses) != count:
        raise BadInputError(
            f"{path}: has the dose of {len(doses)} tilts, but the stack has {count} sections.",
            code="wrong-count",
        )
    if not ((doses >= 0) & (doses < _MOST_DOSE)).all():
        raise BadInputError(
            f"{path}: has doses from {doses.min():g} to {doses.max():g} e/Å².", code="bad-value"
        )
    if count > 1 and np.ptp(doses) == 0:
        raise BadInputError(
            f"{path}: has the same dose, {doses[0]:g} e/Å², for all tilts.",
            remedy="Pass --dose-per-tilt E and --order FILE.",
            code="no-dose",
        )
    return doses
