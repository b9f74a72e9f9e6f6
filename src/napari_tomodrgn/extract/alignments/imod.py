"""Alignments of IMOD: ``.xf`` and ``.tlt``, with what ``tilt.com`` and ``newst.com`` add.

A row of the ``.xf`` takes raw image to aligned image, ``x' = A (x − Ci) + d + Ci'`` with both
middles at ``(N − 1) / 2``; the tilt axis of the aligned image is vertical. So, row by row::

    a = −atan2(A21, A11)      s = −A⁻¹ d      t of the .tlt (the .rawtlt is what the stage said)

``tilt.com``: SHIFT is subtracted from the place in the specimen, EXCLUDELIST counts from 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.alignments.common import AlignmentInput, check_count, off_rotations
from napari_tomodrgn.extract.geometry import TiltGeometry, centre_index, tilt_rotations
from napari_tomodrgn.extract.text_files import content_lines, number_rows, parse_number, read_lines

# At 2,000 px from the middle, 0.02° about x move a point by less than a pixel.
_X_TILT_TOLERANCE_DEG = 0.02
_SUBSET_TOLERANCE_PX = 1.0  # by which SUBSETSTART may move the middle of the volume


@dataclass(frozen=True)
class TiltCommand:
    """What a ``tilt.com`` says: entries by upper-case name, all words of each."""

    path: Path
    entries: dict[str, list[str]] = field(default_factory=dict)

    def numbers(self, name: str) -> list[float]:
        """The numbers of an entry; none where it is absent."""
        return [parse_number(self.path, 0, word) for word in self.entries.get(name, [])]


def read_imod(source: AlignmentInput) -> TiltGeometry:
    """Read a ``.xf`` with the ``.tlt`` beside it.

    Raises
    ------
    BadInputError
        If a file is missing or damaged, or says what is not applied: a transform that is no
        rotation, OFFSET, XAXISTILT, tilts about x, or local alignments.
    """
    path, stack = source.path, source.stack
    rows = number_rows(path, 6)
    check_count(path, "transforms", len(rows), stack)
    tilt = _tilt_angles(path, len(rows))
    matrices = _rotations(path, rows[:, :4].reshape(-1, 2, 2))
    command = _tilt_command(path)
    _refuse_unapplied(source, command, len(rows))
    sections = np.setdiff1d(np.arange(len(rows)), _excluded(command, len(rows)))
    if not len(sections):
        raise BadInputError(f"{command.path}: EXCLUDELIST leaves no tilt.", code="no-tilts")
    shifts = -np.einsum("tji,tj->ti", matrices, rows[:, 4:])  # A⁻¹ of a rotation is Aᵀ
    axis = -np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    return TiltGeometry(
        rotations=tilt_rotations(axis, tilt, 0.0)[sections],
        middle_px=(centre_index(stack.size_px, "(n-1)/2") + shifts)[sections],
        sections=sections,
        pixel_size_angstrom=stack.pixel_size_angstrom,
        image_size_px=stack.size_px,
        rule="(n-1)/2",
        specimen_size_px=_specimen_size(command),
        specimen_shift_px=_specimen_shift(command),
    )


def read_imod_aligned(source: AlignmentInput) -> TiltGeometry:
    """The geometry of a stack that IMOD has already aligned: its axis is vertical, in the middle.

    Raises
    ------
    BadInputError
        As `read_imod`, or if the stack's size is not that of the aligned stack.
    """
    path, stack = source.path, source.stack
    rows = number_rows(path, 6)
    check_count(path, "transforms", len(rows), stack)
    raw = read_imod(source)
    full = raw.specimen_size_px
    pixel = source.raw_pixel_size_angstrom or stack.pixel_size_angstrom
    binning = stack.pixel_size_angstrom / pixel
    if full is not None and any(
        abs(stack.size_px[axis] * binning - full[axis]) > 2 * binning for axis in range(2)
    ):
        raise BadInputError(
            f"{stack.path}: is {stack.size_px[0]} × {stack.size_px[1]} px, but the aligned stack "
            f"of {_tilt_command(path).path.name} is {full[0]:g} × {full[1]:g} px unbinned.",
            remedy="Pass --stacks raw for a stack that was not aligned yet, or check --pixel-size.",
            code="not-aligned-stack",
        )
    tilt = raw.stage_tilt_deg
    middle = centre_index(stack.size_px, "(n-1)/2")
    return TiltGeometry(
        rotations=tilt_rotations(0.0, tilt, 0.0),
        middle_px=np.tile(middle, (len(tilt), 1)),
        sections=raw.sections,
        pixel_size_angstrom=stack.pixel_size_angstrom,
        image_size_px=stack.size_px,
        rule="(n-1)/2",
        specimen_size_px=_scaled(full, 1 / binning),
        specimen_shift_px=_scaled(raw.specimen_shift_px, 1 / binning) or (0.0, 0.0, 0.0),
    )


def _scaled(
    size: tuple[float, float, float] | None, factor: float
) -> tuple[float, float, float] | None:
    return None if size is None else (size[0] * factor, size[1] * factor, size[2] * factor)


def _tilt_angles(path: Path, count: int) -> np.ndarray:
    tilts = path.with_suffix(".tlt")
    if not tilts.is_file():
        raise BadInputError(
            f"{path}: {tilts.name}, the refined tilt angles, is not beside it.",
            remedy="The .rawtlt holds what the stage said and is not taken instead.",
            code="no-tilt-angles",
        )
    angles = number_rows(tilts, 1)[:, 0]
    if len(angles) != count:
        raise BadInputError(
            f"{tilts}: has {len(angles)} angles, but {path.name} has {count} transforms.",
            code="wrong-count",
        )
    if np.abs(angles).max() > 90:
        raise BadInputError(f"{tilts}: has an angle beyond 90°.", code="bad-value")
    return np.asarray(angles)


def _rotations(path: Path, matrices: np.ndarray) -> np.ndarray:
    off, wrong = off_rotations(matrices)
    if wrong.size:
        row = int(wrong[0])
        scale = np.sqrt(abs(np.linalg.det(matrices[row])))
        raise BadInputError(
            f"{path}: row {row + 1} is no rotation: scale {scale:.4f}, off by {off[row]:.2g}.",
            remedy="Align again with magnification fixed and no distortion or stretch.",
            code="not-a-rotation",
        )
    return matrices


def _tilt_command(path: Path) -> TiltCommand:
    """The ``tilt.com`` of the series: called ``tilt.com`` or after it."""
    for name in ("tilt.com", f"{path.stem}_tilt.com", f"tilt_{path.stem}.com"):
        command = path.with_name(name)
        if command.is_file():
            entries: dict[str, list[str]] = {}
            for _, line in content_lines(read_lines(command)):
                words = line.replace(",", " ").split()
                if words[0].startswith("$"):
                    continue
                # An entry may be given several times, as EXCLUDELIST is.
                entries.setdefault(words[0].upper(), []).extend(words[1:])
            return TiltCommand(command, entries)
    return TiltCommand(path.with_name("tilt.com"))


def _refuse_unapplied(source: AlignmentInput, command: TiltCommand, count: int) -> None:
    for name, what in (("OFFSET", "an offset of the tilt angles"), ("XAXISTILT", "a tilt about x")):
        values = command.numbers(name)
        if values and abs(values[0]) > _X_TILT_TOLERANCE_DEG:
            raise BadInputError(
                f"{command.path}: {name} is {values[0]:g}, {what} that is not applied here.",
                remedy=f"Put it into the alignment and set {name} to 0, then reconstruct anew.",
                code=f"imod-{name.lower()}",
            )
    _refuse_x_tilts(source.path, count)
    local = command.entries.get("LOCALFILE")
    if local and not source.ignore_local:
        raise BadInputError(
            f"{command.path}: LOCALFILE {local[0]} holds local alignments, which are not applied.",
            remedy="Pass --ignore-local to use the global alignment alone.",
            code="local-alignment",
        )
    _refuse_subset(command)


def _refuse_x_tilts(path: Path, count: int) -> None:
    file = path.with_suffix(".xtilt")
    if not file.is_file():
        return
    angles = number_rows(file, 1)[:, 0]
    if len(angles) != count:
        raise BadInputError(
            f"{file}: has {len(angles)} angles, but {path.name} has {count} transforms.",
            code="wrong-count",
        )
    worst = int(np.abs(angles).argmax())
    if abs(angles[worst]) > _X_TILT_TOLERANCE_DEG:
        raise BadInputError(
            f"{file}: row {worst + 1} is {angles[worst]:g}, a tilt about x that is not applied.",
            remedy="Align again without tilts about x.",
            code="imod-xtilt",
        )


def _refuse_subset(command: TiltCommand) -> None:
    """A part of the aligned image may be reconstructed, if its middle stays where it was."""
    start, full = command.numbers("SUBSETSTART"), command.numbers("FULLIMAGE")
    if not start or not full:
        return
    size = _aligned_size(command)
    if size is None:
        return
    for axis, name in enumerate("xy"):
        if len(start) <= axis or len(full) <= axis:
            continue
        off = start[axis] + size[axis] / 2 - full[axis] / 2
        if abs(off) > _SUBSET_TOLERANCE_PX:
            raise BadInputError(
                f"{command.path}: SUBSETSTART moves the middle of the volume by {off:g} px in "
                f"{name}, which is not applied.",
                remedy="Reconstruct the whole of the aligned stack.",
                code="imod-subset",
            )


def _aligned_size(command: TiltCommand) -> tuple[float, float] | None:
    """Unbinned size of the aligned stack, of ``newst.com``."""
    newst = command.path.with_name("newst.com")
    if not newst.is_file():
        return None
    entries = {}
    for _, line in content_lines(read_lines(newst)):
        words = line.replace(",", " ").split()
        entries[words[0].upper()] = words[1:]
    size = [parse_number(newst, 0, word) for word in entries.get("SIZETOOUTPUTINXANDY", [])]
    if len(size) != 2:
        return None
    words = entries.get("BINBYFACTOR", ["1"])
    binning = parse_number(newst, 0, words[0]) if words else 1.0
    return size[0] * binning, size[1] * binning


def _excluded(command: TiltCommand, count: int) -> np.ndarray:
    """0-based views that the reconstruction left out, of lists such as ``1,3-5``."""
    views: list[int] = []
    for name in ("EXCLUDELIST", "EXCLUDELIST2", "EXCLUDE"):
        for word in command.entries.get(name, []):
            first, dash, last = word.partition("-")
            try:
                stop = int(last) if dash else int(first)
                views.extend(range(int(first), min(stop, count) + 1))
                good = 1 <= int(first) <= stop <= count
            except ValueError:
                good = False
            if not good:
                raise BadInputError(
                    f"{command.path}: {name} has {word!r}, not views from 1 to {count}.",
                    code="bad-value",
                )
    return np.unique(np.array(views, dtype=np.int64) - 1)


def _specimen_size(command: TiltCommand) -> tuple[float, float, float] | None:
    full, thickness = command.numbers("FULLIMAGE"), command.numbers("THICKNESS")
    if len(full) < 2 or not thickness:
        return None
    size = _aligned_size(command) or (full[0], full[1])
    return size[0], size[1], thickness[0]


def _specimen_shift(command: TiltCommand) -> tuple[float, float, float]:
    """SHIFT gives x and z."""
    shift = [*command.numbers("SHIFT"), 0.0, 0.0]
    return shift[0], 0.0, shift[1]
