"""Doses out of SerialEM's mdoc: PriorRecordDose, else ExposureDose summed in the order of DateTime.

Real mdocs are often sorted by tilt and the stacks too, but not always both: entries are matched to
sections by ZValue where angles agree, else by angle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.text_files import parse_number, read_lines

FloatArray = NDArray[np.float64]
_FORMATS = ("%d-%b-%y %H:%M:%S", "%d-%b-%Y %H:%M:%S", "%Y-%b-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S")
# An alignment moves tilts by a few degrees as a whole; what is left must be smaller than a step.
_MOST_ANGLE_DEG = 1.0


@dataclass(frozen=True)
class MdocEntry:
    """One section: its number, and its entries as they stand."""

    section: int
    line: int
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mdoc:
    """A file: what stands above the sections, and the sections."""

    path: Path
    head: dict[str, str]
    entries: tuple[MdocEntry, ...]

    def numbers(self, name: str) -> FloatArray | None:
        """The first number of an entry of each section; None unless all have it."""
        texts = [entry.values.get(name) for entry in self.entries]
        if any(text is None for text in texts):
            return None
        return np.array(
            [
                parse_number(self.path, entry.line, (text or "").split()[0] if text else "")
                for entry, text in zip(self.entries, texts, strict=True)
            ]
        )

    def value(self, name: str) -> float | None:
        """A number of the head, else the one that all sections share."""
        text = self.head.get(name)
        if text:
            return parse_number(self.path, 1, text.split()[0])
        shared = self.numbers(name)
        return float(shared[0]) if shared is not None and np.ptp(shared) == 0 else None


def read_mdoc(path: Path) -> Mdoc:
    """Read an mdoc.

    Raises
    ------
    BadInputError
        If it has no sections of a tilt series.
    """
    head: dict[str, str] = {}
    entries: list[MdocEntry] = []
    current = head
    for line_number, line in enumerate(read_lines(path), 1):
        text = line.strip()
        if text.startswith("[ZValue") or text.startswith("[FrameSet"):
            section = parse_number(path, line_number, text.strip("[]").partition("=")[2].strip())
            entries.append(MdocEntry(int(section), line_number))
            current = entries[-1].values
        elif not text.startswith("["):
            name, equals, value = text.partition("=")
            if equals:
                current[name.strip()] = value.strip()
    if not entries:
        raise BadInputError(f"{path}: has no [ZValue = …]; not an mdoc.", code="not-mdoc")
    return Mdoc(path, head, tuple(entries))


def mdoc_doses(mdoc: Mdoc, tilt_deg: FloatArray) -> FloatArray:
    """Dose before each section, e/Å².

    Parameters
    ----------
    mdoc
        The file.
    tilt_deg
        Tilt of each section of the stack by its alignment, NaN where it is not used.

    Raises
    ------
    BadInputError
        If it has other sections, or says neither doses nor their order.
    """
    prior = mdoc.numbers("PriorRecordDose")
    dose = mdoc.numbers("ExposureDose")
    if prior is None or not prior.any():
        if dose is None or not (dose > 0).all():
            raise BadInputError(
                f"{mdoc.path}: has neither PriorRecordDose nor an ExposureDose above 0 everywhere.",
                remedy="Pass --dose-per-tilt E and --order FILE.",
                code="no-dose",
            )
        order = acquisition_order(mdoc)
        prior = np.empty(len(dose))
        prior[order] = np.cumsum(dose[order]) - dose[order]
    return np.asarray(prior[matched(mdoc, tilt_deg)])


def acquisition_order(mdoc: Mdoc) -> NDArray[np.int64]:
    """Entries in the order in which they were taken, ``(entry,)`` from 0.

    Raises
    ------
    BadInputError
        If they have no times, or two the same.
    """
    times = [_time(entry.values.get("DateTime", "")) for entry in mdoc.entries]
    known = [time for time in times if time is not None]
    if len(known) < len(times) or len(set(known)) < len(times):
        raise BadInputError(
            f"{mdoc.path}: the order in which tilts were taken is not known "
            f"({len(set(known))} different DateTime of {len(times)} sections).",
            remedy="Pass --dose-per-tilt E and --order FILE.",
            code="unknown-order",
        )
    return np.array(sorted(range(len(times)), key=lambda row: known[row]), dtype=np.int64)


def _time(text: str) -> datetime | None:
    words = " ".join(text.split())
    for form in _FORMATS:
        try:
            return datetime.strptime(words, form)
        except ValueError:
            continue
    return None


def matched(mdoc: Mdoc, tilt_deg: FloatArray) -> NDArray[np.int64]:
    """The entry of each section of the stack, ``(section,)`` from 0.

    ``tilt_deg`` ``(section,)`` is the tilt of each by its alignment, NaN where it is not used.

    Raises
    ------
    BadInputError
        If neither ZValue nor the angles tell.
    """
    if len(mdoc.entries) != len(tilt_deg):
        raise BadInputError(
            f"{mdoc.path}: has {len(mdoc.entries)} sections, but the stack has {len(tilt_deg)}.",
            remedy="Name the mdoc of this stack.",
            code="wrong-count",
        )
    angles = mdoc.numbers("TiltAngle")
    by_number = np.argsort([entry.section for entry in mdoc.entries], kind="stable")
    if angles is None or _agree(angles[by_number], tilt_deg):
        return np.asarray(by_number)
    by_angle = rows_by_angle(angles, tilt_deg)
    if by_angle is not None:
        return by_angle
    raise BadInputError(
        f"{mdoc.path}: its tilt angles ({angles.min():.1f} to {angles.max():.1f}°) are not those "
        f"of the alignment ({np.nanmin(tilt_deg):.1f} to {np.nanmax(tilt_deg):.1f}°).",
        remedy="Name the mdoc of this stack.",
        code="other-tilts",
    )


def rows_by_angle(angles: FloatArray, tilt_deg: FloatArray) -> NDArray[np.int64] | None:
    """The row of each section of the stack by the order of their angles, ``(section,)``.

    Parameters
    ----------
    angles
        ``(row,)`` degrees, of the file.
    tilt_deg
        ``(section,)`` of the alignment.

    Returns
    -------
    None if they differ, even with the other sign.
    """
    if len(angles) != len(tilt_deg) or not np.isfinite(tilt_deg).all():
        return None
    for sign in (1.0, -1.0):
        rows = np.argsort(sign * angles)[np.argsort(np.argsort(tilt_deg))]
        if _agree(sign * angles[rows], tilt_deg):
            return np.asarray(rows)
    return None


def _agree(angles: FloatArray, tilt_deg: FloatArray) -> bool:
    """Whether angles differ by the same for all sections, whichever way the stage tilts."""
    for sign in (1.0, -1.0):
        off = (sign * angles - tilt_deg)[np.isfinite(tilt_deg)]
        if len(off) and np.abs(off - np.median(off)).max() < _MOST_ANGLE_DEG:
            return True
    return False
