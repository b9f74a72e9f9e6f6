"""Tomograms stars: one row per tilt, one block (WarpTools, RELION 4) or file (RELION 5) a series.

WarpTools and RELION 4 give the projection of each tilt as a matrix. RELION 5 gives angles in
degrees about the fixed axes x, then y, then z, so that the matrix is
``Rz(ZRot) Ry(YTilt) Rx(XTilt)``. The shifts of the tilt images (``rlnTomoXShiftAngst``, last column
of the matrix) say where in the micrograph a particle lies; once it is cut out they have done their
work, and are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_tomodrgn.data.dialects.common import StarInput, number_lists
from napari_tomodrgn.data.dialects.exposure import accumulated_dose
from napari_tomodrgn.data.dialects.locate import locate_star
from napari_tomodrgn.data.particles import TomogramGeometry
from napari_tomodrgn.data.star import StarBlocks, read_star
from napari_tomodrgn.data.star_table import StarTable
from napari_tomodrgn.errors import BadInputError

SERIES_FILE = "rlnTomoTiltSeriesStarFile"
_ORDER_COLUMN = "rlnTomoTiltMovieIndex"  # RELION's chronological index of a tilt's movie
_PROJECTION_ROWS = ("rlnTomoProjX", "rlnTomoProjY", "rlnTomoProjZ")
_ANGLES = ("rlnTomoXTilt", "rlnTomoYTilt", "rlnTomoZRot")


@dataclass(frozen=True, eq=False)
class Tilts:
    """All tilts of some tomograms, one after the other; row i of each array is the same tilt."""

    projections: NDArray[np.float64]  # (tilt, 3, 3), specimen -> image, acting on xyz
    defocus_u_angstrom: NDArray[np.float64]
    defocus_v_angstrom: NDArray[np.float64]
    defocus_angle_deg: NDArray[np.float64]
    phase_shift_deg: NDArray[np.float64]
    dose_e_per_angstrom2: NDArray[np.float64]
    first: NDArray[np.int64]  # row of each tomogram's first tilt
    count: NDArray[np.int64]  # tilts of each tomogram

    @property
    def stage_tilt_deg(self) -> NDArray[np.float64]:
        """Tilt about the tilt axis, with its sign, from the matrix.

        ``CtfScalefactor`` keeps only the cosine of the nominal tilt, and 0 for a hidden one.
        """
        depth = self.projections[:, 2]
        return np.rad2deg(np.arctan2(-depth[:, 0], depth[:, 2]))


def read_tomograms(
    source: StarInput, path: Path, blocks: StarBlocks, names: Sequence[str]
) -> tuple[Tilts, list[TomogramGeometry], NDArray[np.float64]]:
    """Tilts, geometry and tilt-series pixel size (Å) of the tomograms ``names``, in that order.

    ``path`` and ``blocks`` are those of the tomograms star that belongs to ``source``.

    Raises
    ------
    BadInputError
        If a tomogram or a column is missing.
    """
    table = _global_table(source, path, blocks)
    known = {name: row for row, name in enumerate(table.texts("rlnTomoName").to_pylist())}
    own_files = SERIES_FILE in table
    unknown = [name for name in names if name not in known or not (own_files or name in blocks)]
    if unknown:
        raise BadInputError(
            f"{path}: no tilts for tomogram {unknown[0]}, which the particles star refers to "
            f"({len(unknown)} of {len(names)} tomograms missing).",
            remedy="Pass the optimisation set or the tomograms star that belongs to the particles.",
            code="missing-tomogram",
        )
    rows = [known[name] for name in names]
    pixel = table.numbers("rlnTomoTiltSeriesPixelSize")
    size = np.stack([table.numbers(f"rlnTomoSize{axis}") for axis in "XYZ"], axis=1)
    hand = table.numbers("rlnTomoHand", -1.0)
    series = [
        _own_file(source, table, row) if own_files else _own_block(source, path, blocks, name)
        for name, row in zip(names, rows, strict=True)
    ]
    geometry = [
        TomogramGeometry(
            name, tuple((size[row] * pixel[row]).tolist()), float(hand[row]), len(tilts)
        )
        for name, row, tilts in zip(names, rows, series, strict=True)
    ]
    per_tilt = source.overrides.dose_per_tilt_e_per_angstrom2
    return _concatenated([_tilts(tilts, per_tilt) for tilts in series]), geometry, pixel[rows]


def _global_table(source: StarInput, path: Path, blocks: StarBlocks) -> StarTable:
    frame = blocks.get("global")
    if not isinstance(frame, pd.DataFrame):
        raise BadInputError(
            f"{path}: no block data_global with a loop; not a tomograms star.", code="missing-block"
        )
    table = source.table(path, "global", frame)
    table.require(["rlnTomoName", "rlnTomoTiltSeriesPixelSize"])
    return table


def _own_block(source: StarInput, path: Path, blocks: StarBlocks, name: str) -> StarTable:
    """The block of the tomograms star that is called like the tomogram."""
    frame = blocks[name]
    if not isinstance(frame, pd.DataFrame):
        raise BadInputError(f"{path}: block data_{name} is not a loop of tilts.", code="bad-star")
    return source.table(path, name, frame)


def _own_file(source: StarInput, table: StarTable, row: int) -> StarTable:
    """The loop of the star file that a row of the tomograms star points to."""
    name = table.texts(SERIES_FILE)[row].as_py()
    path = locate_star(name, table.path)
    if path is None:
        found = f"is {name}, a file that was not found"
        raise table.problem(SERIES_FILE, row, found)
    for block, frame in read_star(path).items():
        if isinstance(frame, pd.DataFrame):
            return source.table(path, block, frame)
    raise BadInputError(f"{path}: has no loop of tilts.", code="bad-star")


def _tilts(table: StarTable, dose_per_tilt: float | None) -> Tilts:
    if not len(table):
        raise BadInputError(
            f"{table.path}: block data_{table.block} has no tilts.", code="missing-tomogram"
        )
    has_matrices = all(name in table for name in _PROJECTION_ROWS)
    by_angles = not has_matrices and _ANGLES[1] in table
    table.require(_ANGLES[1:] if by_angles else _PROJECTION_ROWS)
    table.require(["rlnDefocusU"])
    return Tilts(
        projections=_by_angles(table) if by_angles else _projections(table),
        defocus_u_angstrom=table.numbers("rlnDefocusU"),
        defocus_v_angstrom=table.numbers("rlnDefocusV"),
        defocus_angle_deg=table.numbers("rlnDefocusAngle"),
        phase_shift_deg=table.numbers("rlnPhaseShift", 0.0),
        dose_e_per_angstrom2=_dose(table, dose_per_tilt),
        first=np.zeros(1, np.int64),
        count=np.array([len(table)]),
    )


def _dose(table: StarTable, per_tilt: float | None) -> NDArray[np.float64]:
    """Exposure before each tilt, as the file says or anew from the order of acquisition."""
    if per_tilt is None:
        return table.numbers("rlnMicrographPreExposure")
    one_series = np.zeros(len(table), np.int64)
    stated = table.numbers("rlnMicrographPreExposure", 0.0)
    order = table.numbers(_ORDER_COLUMN, 0.0)
    return accumulated_dose(per_tilt, one_series, stated, order, np.arange(len(table), dtype=float))


def _by_angles(table: StarTable) -> NDArray[np.float64]:
    """Specimen → image: about x, then the new specimen about y, then in the plane of the image."""
    angles = np.stack([table.numbers(name, 0.0) for name in _ANGLES], axis=1)
    # Lower case: about fixed axes, one after the other.
    return np.asarray(Rotation.from_euler("xyz", angles, degrees=True).as_matrix())


def _projections(table: StarTable) -> NDArray[np.float64]:
    rows = [_matrix_row(table, column) for column in _PROJECTION_ROWS]
    matrices = np.stack(rows, axis=1)
    # Written with about seven digits; a scale or a mirror would be something else altogether.
    off = np.abs(matrices @ matrices.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    wrong = np.flatnonzero(~((off < 0.01) & (np.linalg.det(matrices) > 0)))
    if wrong.size:
        found = "is not, with the next two, a rotation"
        raise table.problem(_PROJECTION_ROWS[0], int(wrong[0]), found)
    return matrices


def _matrix_row(table: StarTable, column: str) -> NDArray[np.float64]:
    """The rotation part of one row of the projection matrix of each tilt."""
    values, lengths = number_lists(table, column)
    wrong = np.flatnonzero(lengths != 4)
    if wrong.size:
        row = int(wrong[0])
        raise table.problem(column, row, f"has {lengths[row]} numbers, not 4")
    return values.reshape(-1, 4)[:, :3]


def _concatenated(parts: Sequence[Tilts]) -> Tilts:
    names = [name for name in Tilts.__dataclass_fields__ if name != "first"]
    values = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Tilts(**values, first=np.concatenate([[0], np.cumsum(values["count"])[:-1]]))


def visible_frames(particles: StarTable, tilts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """For each particle in turn, which of its tomogram's tilts were kept; concatenated.

    Parameters
    ----------
    particles
        The particles' loop; without ``rlnTomoVisibleFrames`` all tilts are visible.
    tilts
        Number of tilts of each particle's tomogram.

    Raises
    ------
    BadInputError
        If a list has another length than the tilt series, or no tilt at all is visible.
    """
    column = "rlnTomoVisibleFrames"
    if column not in particles:
        return np.ones(int(tilts.sum()), np.bool_)
    flags, lengths = number_lists(particles, column)
    wrong = np.flatnonzero(lengths != tilts)
    if wrong.size:
        row = int(wrong[0])
        found = f"lists {lengths[row]} frames, but the tilt series has {tilts[row]}"
        raise particles.problem(column, row, found)
    if not flags.any():
        raise BadInputError(
            f"{particles.path}: column {column} hides every frame of every particle.",
            remedy="Export again with at least one visible frame a particle.",
            code="no-visible-frames",
        )
    return np.asarray(flags != 0)


def hidden_rows(particles: StarTable) -> int:
    """Number of rows of the particles' loop without any visible frame."""
    if "rlnTomoVisibleFrames" not in particles:
        return 0
    texts = particles.texts("rlnTomoVisibleFrames")
    return int(pc.sum(pc.invert(pc.match_substring_regex(texts, "[1-9]"))).as_py() or 0)
