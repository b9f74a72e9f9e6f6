"""What comes out of every estimate of the CTF: one entry a section of the stack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError

FloatArray = NDArray[np.float64]
_MOST_DEFOCUS_ANGSTROM = 3e5  # of either sign; a larger one is refused


@dataclass(frozen=True, eq=False)
class TiltContrast:
    """Defocus of each section of a stack, in the middle of the specimen; NaN where none is known.

    Attributes
    ----------
    path
        Where it was read.
    defocus_u_angstrom, defocus_v_angstrom, defocus_angle_deg, phase_shift_deg
        ``(section,)``; positive is underfocus.
    hand
        Sign of the depth in the defocus, where the file says (RELION's label).
    voltage_kv, spherical_aberration_mm, amplitude_contrast
        Where the file says.
    """

    path: Path
    defocus_u_angstrom: FloatArray
    defocus_v_angstrom: FloatArray
    defocus_angle_deg: FloatArray
    phase_shift_deg: FloatArray
    hand: float | None = None
    voltage_kv: float | None = None
    spherical_aberration_mm: float | None = None
    amplitude_contrast: float | None = None

    def checked(self, sections: NDArray[np.int64]) -> TiltContrast:
        """Return the same if all sections that are used have a sensible defocus.

        ``sections`` ``(row,)`` are those that the alignment uses, from 0.

        Raises
        ------
        BadInputError
            If a section that is used has no defocus, or an absurd one.
        """
        mean = ((self.defocus_u_angstrom + self.defocus_v_angstrom) / 2)[sections]
        missing = np.flatnonzero(~np.isfinite(mean))
        if missing.size:
            raise BadInputError(
                f"{self.path}: has no defocus of section {sections[missing[0]] + 1}, which the "
                f"alignment uses ({missing.size} such).",
                remedy="Estimate the CTF of all tilts, or leave these out of the alignment.",
                code="missing-defocus",
            )
        wrong = np.flatnonzero(~(np.abs(mean) < _MOST_DEFOCUS_ANGSTROM))
        if wrong.size:
            raise BadInputError(
                f"{self.path}: the defocus of section {sections[wrong[0]] + 1} is "
                f"{mean[wrong[0]]:g} Å.",
                code="bad-value",
            )
        return self


def scattered(values: FloatArray, sections: NDArray[np.int64], count: int) -> FloatArray:
    """Values at their sections, NaN elsewhere: ``(count,)``."""
    whole = np.full(count, np.nan)
    whole[sections] = values
    return whole


def sections_of_rows(
    path: Path, rows: int, sections: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Which sections ``rows`` rows belong to, ``(row,)`` from 0.

    All ``count`` sections of the stack, or ``sections``, which the alignment uses.

    Raises
    ------
    BadInputError
        If there are as many rows as neither.
    """
    if rows == count:
        return np.arange(count)
    if rows == len(sections):
        return sections
    raise BadInputError(
        f"{path}: has {rows} rows, but the stack has {count} sections, {len(sections)} of them "
        "aligned.",
        remedy="Name the estimate of this stack.",
        code="wrong-count",
    )
