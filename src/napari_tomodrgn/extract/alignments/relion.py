"""Alignments in tomograms stars: matrices of RELION 4, angles of RELION 5.

RELION 5: ``a`` rlnTomoZRot, ``t`` rlnTomoYTilt, ``b`` rlnTomoXTilt, ``s`` rlnTomoX/YShiftAngst in
Å, middles at ``floor(N / 2)``. RELION 4: the rows of a projection matrix, whose last column places
the corner of the volume, in pixels of the tilt series.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.data.dialects.common import number_lists
from napari_tomodrgn.data.dialects.locate import locate_star
from napari_tomodrgn.data.dialects.optimisation_set import TOMOGRAMS_FILE, entries_of
from napari_tomodrgn.data.star import StarBlocks, read_star
from napari_tomodrgn.data.star_table import StarTable
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.alignments.common import (
    AlignmentInput,
    check_count,
    check_pixel,
    off_rotations,
)
from napari_tomodrgn.extract.geometry import TiltGeometry, centre_index, tilt_rotations

FloatArray = NDArray[np.float64]
SERIES_FILE = "rlnTomoTiltSeriesStarFile"
_ROWS = ("rlnTomoProjX", "rlnTomoProjY", "rlnTomoProjZ")


@dataclass(frozen=True, eq=False)
class SeriesRow:
    """One tomogram of a tomograms star: its row of the overview, and its loop of tilts."""

    overview: StarTable
    tilts: StarTable

    def value(self, column: str) -> float | None:
        """A number of the overview; None where there is no such column."""
        return float(self.overview.numbers(column)[0]) if column in self.overview else None


def series_names(path: Path) -> list[str]:
    """Tomograms of a tomograms star."""
    _, _, table = _overview(path)
    return [str(name) for name in table.texts("rlnTomoName").to_pylist()]


def read_series(path: Path, name: str) -> SeriesRow:
    """The row and the tilts of one tomogram of a tomograms star, or of an optimisation set.

    Raises
    ------
    BadInputError
        If there is no such tomogram, or its tilts are not found.
    """
    path, blocks, table = _overview(path)
    names = [str(known) for known in table.texts("rlnTomoName").to_pylist()]
    if name not in names:
        raise BadInputError(f"{path}: no tomogram is called {name}.", code="missing-tomogram")
    overview = StarTable(path, "global", table.frame.iloc[[names.index(name)]])
    if SERIES_FILE in table:
        file = str(overview.texts(SERIES_FILE)[0].as_py())
        found = locate_star(file, path)
        if found is None:
            raise overview.problem(SERIES_FILE, 0, f"is {file}, a file that was not found")
        loops = {key: part for key, part in read_star(found).items() if _is_loop(part)}
        path = found
    else:
        loops = {name: blocks[name]} if _is_loop(blocks.get(name)) else {}
    if not loops:
        raise BadInputError(f"{path}: no loop of tilts of {name}.", code="missing-tomogram")
    block, frame = next(iter(loops.items()))
    if not len(frame):
        raise BadInputError(f"{path}: block data_{block} has no tilts.", code="no-tilts")
    assert isinstance(frame, pd.DataFrame)
    return SeriesRow(overview, StarTable(path, block, frame))


def _is_loop(block: object) -> bool:
    return isinstance(block, pd.DataFrame)


def _overview(path: Path) -> tuple[Path, StarBlocks, StarTable]:
    blocks = read_star(path)
    named = entries_of(blocks).get(TOMOGRAMS_FILE)
    if named:
        found = locate_star(named, path)
        if found is None:
            raise BadInputError(
                f"{path}: {TOMOGRAMS_FILE} {named} was not found.",
                remedy="Keep the optimisation set and the tomograms star together.",
                code="no-file",
            )
        path, blocks = found, read_star(found)
    frame = blocks.get("global")
    if not isinstance(frame, pd.DataFrame):
        raise BadInputError(
            f"{path}: no block data_global with a loop; not a tomograms star.", code="missing-block"
        )
    return path, blocks, StarTable(path, "global", frame)


def read_relion(source: AlignmentInput) -> TiltGeometry:
    """Read the alignment of one tomogram, by angles (RELION 5) or matrices (RELION 4).

    Raises
    ------
    BadInputError
        If columns are missing or a matrix is no rotation, or it does not fit the stack.
    """
    row, stack = read_series(source.path, source.name), source.stack
    check_count(row.tilts.path, "tilts", len(row.tilts), stack)
    check_pixel(source.path, row.value("rlnTomoTiltSeriesPixelSize"), stack)
    by_angles = "rlnTomoYTilt" in row.tilts
    rotations, middle, rule = _by_angles(row, source) if by_angles else _by_matrices(row)
    hand = row.value("rlnTomoHand")
    return TiltGeometry(
        rotations=rotations,
        middle_px=middle,
        sections=np.arange(len(row.tilts)),
        pixel_size_angstrom=stack.pixel_size_angstrom,
        image_size_px=stack.size_px,
        rule=rule,  # type: ignore[arg-type]
        specimen_size_px=_size(row),
        hand=None if hand is None else float(np.sign(hand)),
    )


def _by_angles(row: SeriesRow, source: AlignmentInput) -> tuple[FloatArray, FloatArray, str]:
    tilts = row.tilts
    tilts.require(["rlnTomoYTilt", "rlnTomoZRot", "rlnTomoXShiftAngst", "rlnTomoYShiftAngst"])
    rotations = tilt_rotations(
        tilts.numbers("rlnTomoZRot"),
        tilts.numbers("rlnTomoYTilt"),
        tilts.numbers("rlnTomoXTilt", 0.0),
    )
    shifts = np.stack([tilts.numbers(f"rlnTomo{axis}ShiftAngst") for axis in "XY"], axis=1)
    # The file's own pixel size: a corrected one stretches pixels, it does not move them.
    pixel = row.value("rlnTomoTiltSeriesPixelSize") or source.stack.pixel_size_angstrom
    middle = centre_index(source.stack.size_px, "n//2") + shifts / pixel
    return rotations, middle, "n//2"


def _by_matrices(row: SeriesRow) -> tuple[FloatArray, FloatArray, str]:
    tilts = row.tilts
    tilts.require(_ROWS)
    matrices = np.stack([_matrix_row(tilts, column) for column in _ROWS], axis=1)
    rotations = matrices[..., :3]
    _, wrong = off_rotations(rotations)
    if wrong.size:
        raise tilts.problem(_ROWS[0], int(wrong[0]), "is not, with the next two, a rotation")
    size = _size(row)
    if size is None:
        row.overview.require([f"rlnTomoSize{axis}" for axis in "XYZ"])
    assert size is not None
    middle = np.einsum("tij,j->ti", rotations, np.array(size) / 2)[:, :2] + matrices[:, :2, 3]
    return rotations, middle, "n/2"


def _matrix_row(tilts: StarTable, column: str) -> FloatArray:
    values, lengths = number_lists(tilts, column)
    wrong = np.flatnonzero(lengths != 4)
    if wrong.size:
        row = int(wrong[0])
        raise tilts.problem(column, row, f"has {lengths[row]} numbers, not 4")
    return np.asarray(values.reshape(-1, 4))


def _size(row: SeriesRow) -> tuple[float, float, float] | None:
    x, y, z = (row.value(f"rlnTomoSize{axis}") for axis in "XYZ")
    if x is None or y is None or z is None or min(x, y, z) <= 0:
        return None
    return x, y, z
