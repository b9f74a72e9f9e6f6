"""Estimates of IMOD's ctfplotter, ``.defocus``: nm, one row a range of views.

The first line of the newer versions holds flags: 1 astigmatism, 2 its angle in radians, 4 phase,
8 phase in radians, 16 tilts inverted, 32 cut-on. Without such a line a row has the views, the
angles and the defocus, and the first one the version as a sixth number.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.ctf.common import TiltContrast
from napari_tomodrgn.extract.text_files import content_lines, numbers_of, read_lines

_ASTIGMATISM, _RADIANS, _PHASE, _PHASE_RADIANS = 1, 2, 4, 8  # bits of the first line
_ANGSTROM_PER_NM = 10.0


def read_imod_defocus(path: Path, sections: NDArray[np.int64], count: int) -> TiltContrast:
    """Read a ``.defocus``; a view in several ranges takes their mean.

    Parameters
    ----------
    path
        The file.
    sections
        ``(row,)`` sections that the alignment uses; not asked for, as rows name their views.
    count
        Sections of the stack.

    Raises
    ------
    BadInputError
        If it is damaged, or a range lies outside of the stack.
    """
    rows = [numbers_of(path, n, line) for n, line in content_lines(read_lines(path))]
    flags, rows = _flags(path, rows)
    needed = 5 + (2 if flags & _ASTIGMATISM else 0) + (1 if flags & _PHASE else 0)
    sums = np.zeros((count, 4))
    hits = np.zeros(count)
    for row in rows:
        if len(row) < needed:
            raise BadInputError(
                f"{path}: a row has {len(row)} numbers, its flags ask for {needed}.", code="bad-row"
            )
        first, last = int(row[0]) - 1, int(row[1]) - 1
        if not 0 <= first <= last < count:
            raise BadInputError(
                f"{path}: views {row[0]:g} to {row[1]:g} are not among the {count} of the stack.",
                code="wrong-count",
            )
        sums[first : last + 1] += _values(row, flags)
        hits[first : last + 1] += 1
    with np.errstate(invalid="ignore"):
        u, v, angle, phase = (sums / hits[:, None]).T
    known = np.flatnonzero(hits)
    if not len(known):
        raise BadInputError(f"{path}: has no rows.", code="no-rows")
    # A range stands for the views around it: those between two ranges take the nearer one's.
    nearest = known[np.abs(np.arange(count)[:, None] - known[None]).argmin(axis=1)]
    return TiltContrast(path, u[nearest], v[nearest], angle[nearest], phase[nearest])


def _flags(path: Path, rows: list[list[float]]) -> tuple[int, list[list[float]]]:
    if not rows:
        raise BadInputError(f"{path}: has no rows.", code="no-rows")
    first = rows[0]
    # flags 0 0 0 0 version: no range of views begins and ends at 0.
    if len(first) == 6 and first[1] == first[2] == first[3] == first[4] == 0:
        return int(first[0]), rows[1:]
    if any(len(row) > 6 for row in rows):
        raise BadInputError(
            f"{path}: its rows have more than a defocus, but no first line says what.",
            code="bad-row",
        )
    return 0, rows


def _values(row: list[float], flags: int) -> list[float]:
    u = row[4] * _ANGSTROM_PER_NM
    v, angle, at = u, 0.0, 5
    if flags & _ASTIGMATISM:
        v, angle, at = row[5] * _ANGSTROM_PER_NM, row[6], 7
        angle = float(np.rad2deg(angle)) if flags & _RADIANS else angle
    phase = row[at] if flags & _PHASE else 0.0
    return [u, v, angle, float(np.rad2deg(phase)) if flags & _PHASE_RADIANS else phase]
