"""Estimates in tables of text: ctffind 4 and 5, AreTomo.

Columns: micrograph, defocus 1 and 2 in Å, azimuth in degrees, phase shift in **radians**, score,
resolution; AreTomo may add the hand of the defocus as an eighth. AreTomo writes a row for each tilt
that it kept, or for all.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.ctf.common import TiltContrast, scattered, sections_of_rows
from napari_tomodrgn.extract.text_files import number_rows, read_lines

_FEWEST_COLUMNS = 7  # all up to the resolution
_HAND_COLUMN = 7  # counted from 0; only AreTomo has it
_MARKS = {
    "voltage_kv": r"acceleration voltage:\s*([\d.]+)",
    "spherical_aberration_mm": r"spherical aberration:\s*([\d.]+)",
    "amplitude_contrast": r"amplitude contrast:\s*([\d.]+)",
}


def read_ctf_table(path: Path, sections: NDArray[np.int64], count: int) -> TiltContrast:
    """Read the table of ctffind or AreTomo.

    Parameters
    ----------
    path
        The file.
    sections
        ``(row,)`` sections that the alignment uses, from 0.
    count
        Sections of the stack.

    Raises
    ------
    BadInputError
        If it is damaged or has rows for other tilts.
    """
    rows = number_rows(path, None)
    if rows.shape[1] < _FEWEST_COLUMNS:
        raise BadInputError(
            f"{path}: has {rows.shape[1]} columns, a table of ctffind or AreTomo at least "
            f"{_FEWEST_COLUMNS}.",
            code="bad-row",
        )
    if (np.diff(rows[:, 0]) <= 0).any():
        raise BadInputError(f"{path}: its rows are not in order.", code="bad-row")
    at = sections_of_rows(path, len(rows), sections, count)
    optics = _optics("\n".join(line for line in read_lines(path) if line.startswith("#")))
    return TiltContrast(
        path=path,
        defocus_u_angstrom=scattered(rows[:, 1], at, count),
        defocus_v_angstrom=scattered(rows[:, 2], at, count),
        defocus_angle_deg=scattered(rows[:, 3], at, count),
        phase_shift_deg=scattered(np.rad2deg(rows[:, 4]), at, count),
        hand=_hand(rows),
        **optics,
    )


def _optics(head: str) -> dict[str, float]:
    found = {}
    for name, pattern in _MARKS.items():
        match = re.search(pattern, head, re.IGNORECASE)
        if match:
            try:
                found[name] = float(match[1])
            except ValueError:
                continue
    return found


def _hand(rows: NDArray[np.float64]) -> float | None:
    """The hand of AreTomo, if it is the same sign in all rows."""
    if rows.shape[1] <= _HAND_COLUMN:
        return None
    signs = np.unique(np.sign(rows[:, _HAND_COLUMN]))
    return float(signs[0]) if len(signs) == 1 and signs[0] != 0 else None
