"""Alignments of AreTomo, ``.aln``: the offset of the tilts is already in the column TILT.

Rows are the tilts that were aligned, by their section in the stack; dark ones stand in the head.
Since version 2.0.10 sections count from 1, before from 0: both together have to be 0 … N − 1 or
1 … N, or it cannot be told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.alignments.common import AlignmentInput, check_size
from napari_tomodrgn.extract.geometry import TiltGeometry, centre_index, tilt_rotations
from napari_tomodrgn.extract.text_files import content_lines, numbers_of, read_lines

_MOST_LOCAL_PX = 1.0  # of movement of a patch; beyond, refused: local alignments are not applied
_COLUMNS = 10  # of the row of a tilt


@dataclass(frozen=True, eq=False)
class AlnFile:
    """What an ``.aln`` says: head, rows of tilts ``(tilt, 10)``, rows of patches ``(n, 7)``."""

    path: Path
    raw_size_px: tuple[int, int, int]
    dark: list[list[int]]  # the whole numbers of each DarkFrame line: its place, its section
    tilts: NDArray[np.float64]
    local: NDArray[np.float64]


def read_aretomo(source: AlignmentInput) -> TiltGeometry:
    """Read an ``.aln``.

    Raises
    ------
    BadInputError
        If it is damaged, aligns a stack of another size, does not tell from where sections count,
        or moves patches by more than a pixel and ``ignore_local`` is not set.
    """
    aln, stack = read_aln(source.path), source.stack
    nx, ny, count = aln.raw_size_px
    check_size(source.path, (nx, ny), stack)
    if count != stack.count:
        raise BadInputError(
            f"{source.path}: aligns {count} sections, but {stack.path.name} has {stack.count}.",
            remedy="Name the stack that was aligned.",
            code="wrong-count",
        )
    _refuse_local(aln, source.ignore_local)
    _refuse_magnification(aln)
    rows = aln.tilts
    sections = aligned_sections(aln)
    order = np.argsort(sections)
    rotations = tilt_rotations(rows[:, 1], rows[:, 9], 0.0)
    middle = centre_index((nx, ny), "n/2") + rows[:, 3:5]
    return TiltGeometry(
        rotations=rotations[order],
        middle_px=middle[order],
        sections=sections[order],
        pixel_size_angstrom=stack.pixel_size_angstrom,
        image_size_px=stack.size_px,
        rule="n/2",
    )


def read_aln(path: Path) -> AlnFile:
    """The parts of an ``.aln``; raises `BadInputError` if it is damaged."""
    lines = read_lines(path)
    size = _head(path, lines)
    global_rows: list[list[float]] = []
    local_rows: list[list[float]] = []
    rows = global_rows
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            rows = local_rows if "Local Alignment" in line else rows
            continue
        for _, text in content_lines([line]):
            rows.append(numbers_of(path, number, text))
    wrong = [row for row in global_rows if len(row) != _COLUMNS]
    if wrong or not global_rows or any(len(row) != 7 for row in local_rows):
        raise BadInputError(
            f"{path}: rows of tilts must have {_COLUMNS} numbers and those of patches 7; "
            f"found {len(wrong[0]) if wrong else len(global_rows)}.",
            remedy="The file may be cut off.",
            code="bad-row",
        )
    return AlnFile(
        path,
        size,
        _dark_frames(lines),
        np.array(global_rows),
        np.array(local_rows, dtype=np.float64).reshape(-1, 7),
    )


def _head(path: Path, lines: list[str]) -> tuple[int, int, int]:
    for line in lines:
        match = re.match(r"#\s*RawSize\s*=\s*(\d{1,8})\s+(\d{1,8})\s+(\d{1,8})\s*$", line)
        if match:
            return int(match[1]), int(match[2]), int(match[3])
    raise BadInputError(
        f"{path}: has no line '# RawSize = x y z'; not an .aln of AreTomo.", code="not-aln"
    )


def _dark_frames(lines: list[str]) -> list[list[int]]:
    found = []
    for line in lines:
        match = re.match(r"#\s*DarkFrame\s*=\s*(.*)$", line)
        if match:
            found.append([int(word) for word in match[1].split() if re.fullmatch(r"\d{1,8}", word)])
    return found


def aligned_sections(aln: AlnFile) -> NDArray[np.int64]:
    """Section, counted from 0, of each row of tilts, ``(row,)``.

    Raises
    ------
    BadInputError
        If rows and dark frames together are neither 0 … N − 1 nor 1 … N.
    """
    count = aln.raw_size_px[2]
    stated = aln.tilts[:, 0]
    sections = stated.astype(np.int64)
    if (sections == stated).all():
        # The section in the file stands second; older files give one number alone.
        for column in (1, 0):
            dark = [row[column] for row in aln.dark if len(row) > column]
            union = np.sort(np.concatenate([sections, np.array(dark, np.int64)]))
            for first in (0, 1):
                if np.array_equal(union, np.arange(first, first + count)):
                    return np.asarray(sections - first)
    raise BadInputError(
        f"{aln.path}: sections {int(stated.min())} to {int(stated.max())} and {len(aln.dark)} dark "
        f"frames are neither 0 to {count - 1} nor 1 to {count}, so from where they count cannot "
        "be told.",
        remedy="Write the alignment again with a stack whose tilts are all in it.",
        code="aretomo-sections",
    )


def _refuse_local(aln: AlnFile, ignore: bool) -> None:
    """Patches that moved further than a pixel; those marked bad (last column 0) do not count."""
    good = aln.local[aln.local[:, 6] > 0]
    worst = float(np.abs(good[:, 4:6]).max()) if len(good) else 0.0
    if worst > _MOST_LOCAL_PX and not ignore:
        raise BadInputError(
            f"{aln.path}: local alignments move patches by up to {worst:.1f} px, which is not "
            "applied.",
            remedy="Pass --ignore-local to use the global alignment alone.",
            code="local-alignment",
        )


def _refuse_magnification(aln: AlnFile) -> None:
    wrong = np.flatnonzero(np.abs(aln.tilts[:, 2] - 1) > 1e-3)
    if wrong.size:
        row = int(wrong[0])
        raise BadInputError(
            f"{aln.path}: tilt {row + 1} has a magnification (GMAG) of {aln.tilts[row, 2]:g}, "
            "which is not applied.",
            remedy="Align again with magnification fixed.",
            code="not-a-rotation",
        )
