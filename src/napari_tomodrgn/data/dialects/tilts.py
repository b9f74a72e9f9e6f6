"""Tomograms stars: one row per tilt, one block (WarpTools, RELION 4) or file (RELION 5) a series.

WarpTools and RELION 4 give the projection of each tilt as a matrix. RELION 5 gives angles in
degrees about the fixed axes x, then y, then z, so that the matrix is
``Rz(ZRot) Ry(YTilt) Rx(XTilt)``. The shifts of the tilt images (``rlnTomoXShiftAngst``, last column
of the matrix) say where in the micrograph a particle lies; once it is cut out they have done their
work, and are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_tomodrgn.data.dialects.common import (
    MICROMETRES,
    StarInput,
    defocus_in_micrometres,
    number_lists,
)
from napari_tomodrgn.data.dialects.exposure import accumulated_dose
from napari_tomodrgn.data.dialects.locate import locate_star
from napari_tomodrgn.data.particles import Remark, TomogramGeometry
from napari_tomodrgn.data.star import StarBlocks, as_loop, read_star
from napari_tomodrgn.data.star_table import Quantity, StarTable
from napari_tomodrgn.errors import BadInputError

SERIES_FILE = "rlnTomoTiltSeriesStarFile"
_ORDER_COLUMN = "rlnTomoTiltMovieIndex"  # RELION's chronological index of a tilt's movie
_PROJECTION_ROWS = ("rlnTomoProjX", "rlnTomoProjY", "rlnTomoProjZ")
_SIZES = ("rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ")
_ANGLES = ("rlnTomoXTilt", "rlnTomoYTilt", "rlnTomoZRot")
_B_FACTOR = "rlnCtfBfactorPerElectronDose"
_TOMOGRAM = {
    "pixel": Quantity(rlnTomoTiltSeriesPixelSize=1.0),
    "hand": Quantity(rlnTomoHand=1.0, default=-1.0),
    "slope": Quantity(rlnTomoDefocusSlope=1.0, default=1.0),
    "b_factor": Quantity(rlnCtfBfactorPerElectronDose=1.0, default=0.0),
}
_TILT = {
    "defocus_u_angstrom": Quantity(rlnDefocusU=1.0),
    "defocus_v_angstrom": Quantity(rlnDefocusV=1.0),
    "defocus_angle_deg": Quantity(rlnDefocusAngle=1.0),
    "phase_shift_deg": Quantity(rlnPhaseShift=1.0, default=0.0),
    "ctf_scale": Quantity(rlnCtfScalefactor=1.0, default=np.nan),
}


@dataclass(frozen=True, eq=False)
class Tilts:
    """All tilts of some tomograms, one after the other; row i of each array is the same tilt."""

    projections: NDArray[np.float64]  # (tilt, 3, 3), specimen -> image, acting on xyz
    defocus_u_angstrom: NDArray[np.float64]
    defocus_v_angstrom: NDArray[np.float64]
    defocus_angle_deg: NDArray[np.float64]
    phase_shift_deg: NDArray[np.float64]
    dose_e_per_angstrom2: NDArray[np.float64]
    ctf_scale: NDArray[np.float64]
    first: NDArray[np.int64]  # row of each tomogram's first tilt
    count: NDArray[np.int64]  # tilts of each tomogram

    @property
    def stage_tilt_deg(self) -> NDArray[np.float64]:
        """Tilt about the tilt axis in degrees, ``(tilt,)``, with its sign, from the matrix.

        ``CtfScalefactor`` keeps only the cosine of the nominal tilt, and 0 for a hidden one.
        """
        depth = self.projections[:, 2]
        return np.rad2deg(np.arctan2(-depth[:, 0], depth[:, 2]))


def read_tomograms(
    source: StarInput, path: Path, blocks: StarBlocks, names: Sequence[str]
) -> tuple[Tilts, list[TomogramGeometry], NDArray[np.float64]]:
    """Read the tilts, the geometry and the tilt-series pixel size of some tomograms.

    Parameters
    ----------
    source
        The star file of the particles.
    path, blocks
        The tomograms star that belongs to it.
    names
        Tomograms to read, in the order of the answers.

    Returns
    -------
    Tilts, one geometry a tomogram, and ``(tomogram,)`` pixel sizes in Å.

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
    values = table.read(_TOMOGRAM)
    pixel = values["pixel"]
    _reject_what_cannot_be(replace(table, frame=table.frame.iloc[rows]))
    size = table.vectors(_SIZES) * pixel[:, None]
    _remark_on_hand(source, table)
    series = [
        _own_file(source, table, row) if own_files else _own_block(source, path, blocks, name)
        for name, row in zip(names, rows, strict=True)
    ]
    geometry = [
        TomogramGeometry(
            name,
            tuple(size[row].tolist()),
            hand=float(values["hand"][row]),
            tilts=len(tilts),
            defocus_slope=float(values["slope"][row]),
            b_factor_per_dose_angstrom2=_b_factor(tilts, float(values["b_factor"][row])),
        )
        for name, row, tilts in zip(names, rows, series, strict=True)
    ]
    per_tilt = source.overrides.dose_per_tilt_e_per_angstrom2
    found = _concatenated([_tilts(tilts, per_tilt) for tilts in series])
    _remark_on_unit(source, found)
    return found, geometry, pixel[rows]


def _reject_what_cannot_be(used: StarTable) -> None:
    """Raise where a tomogram has no size, no pixel, or a hand that is none."""
    used.require_where(("rlnTomoTiltSeriesPixelSize", *_SIZES), lambda v: v > 0, "above 0")
    used.require_where(("rlnTomoHand",), lambda v: np.abs(v) == 1, "1 or −1")


def _remark_on_unit(source: StarInput, tilts: Tilts) -> None:
    """Say that defoci are in µm: once the heights of particles are added it is not seen."""
    most = float(np.abs([tilts.defocus_u_angstrom, tilts.defocus_v_angstrom]).max(initial=0))
    if 0 < most < MICROMETRES:
        source.remarks.append(defocus_in_micrometres(most))


def _remark_on_hand(source: StarInput, table: StarTable) -> None:
    """Say that a hand was assumed where neither file nor user gives one."""
    if "rlnTomoHand" in table or source.overrides.hand is not None:
        return
    message = f"The tomograms star {table.path.name} has no rlnTomoHand; −1 is taken."
    remedy = "See the check of the defocus hand; if it is the other one, say --hand 1."
    source.remarks.append(Remark("no-hand", "info", message, remedy, -1.0))


def _b_factor(tilts: StarTable, of_all: float) -> float:
    """B-factor per dose of a tilt series: its own, or that of the tomograms star."""
    return tilts.constant(_B_FACTOR) if _B_FACTOR in tilts else of_all


def _global_table(source: StarInput, path: Path, blocks: StarBlocks) -> StarTable:
    if "global" not in blocks:
        raise BadInputError(
            f"{path}: no block data_global with a loop; not a tomograms star.", code="missing-block"
        )
    table = source.table(path, "global", as_loop(blocks["global"]))
    table.require(["rlnTomoName", "rlnTomoTiltSeriesPixelSize"])
    return table


def _own_block(source: StarInput, path: Path, blocks: StarBlocks, name: str) -> StarTable:
    """The block of the tomograms star that is called like the tomogram."""
    return source.table(path, name, as_loop(blocks[name]))


def _own_file(source: StarInput, table: StarTable, row: int) -> StarTable:
    """The table of the star file that a row of the tomograms star points to."""
    name = table.texts(SERIES_FILE)[row].as_py()
    path = locate_star(name, table.path)
    if path is None:
        found = f"is {name}, a file that was not found"
        raise table.problem(SERIES_FILE, row, found, "Keep it where the tomograms star says.")
    for block, rows in read_star(path).items():
        if "rlnDefocusU" in rows or isinstance(rows, pd.DataFrame):
            return source.table(path, block, as_loop(rows))
    raise BadInputError(f"{path}: has no loop of tilts.", code="bad-star")


def _tilts(table: StarTable, dose_per_tilt: float | None) -> Tilts:
    if not len(table):
        raise BadInputError(
            f"{table.path}: block data_{table.block} has no tilts.", code="missing-tomogram"
        )
    has_matrices = all(name in table for name in _PROJECTION_ROWS)
    by_angles = not has_matrices and _ANGLES[1] in table
    table.require(_ANGLES[1:] if by_angles else _PROJECTION_ROWS)
    projections = _by_angles(table) if by_angles else _projections(table)
    values = table.read(_TILT)
    if np.isnan(values["ctf_scale"]).any():
        # What the programs would write: the cosine of the tilt.
        values["ctf_scale"] = projections[:, 2, 2]
    return Tilts(
        **values,
        projections=projections,
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
    angles = table.vectors(_ANGLES, 0.0)
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
    # The fourth number, a shift of the whole tilt image, is in the particles' boxes already.
    return values.reshape(-1, 4)[:, :3]


def _concatenated(parts: Sequence[Tilts]) -> Tilts:
    names = [name for name in Tilts.__dataclass_fields__ if name != "first"]
    values = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Tilts(**values, first=np.concatenate([[0], np.cumsum(values["count"])[:-1]]))


def visible_frames(particles: StarTable, tilts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which tilts of its tomogram each particle kept, ``(frame,)``, particle by particle.

    Parameters
    ----------
    particles
        The particles' loop; without ``rlnTomoVisibleFrames`` all tilts are visible.
    tilts
        ``(particle,)`` number of tilts of each particle's tomogram.

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
        remedy = "Repair or remove that row."
        if wrong.size > len(tilts) // 2:
            remedy = (
                f"So it is in {wrong.size} of {len(tilts)} rows: pass the tomograms star that "
                "belongs to these particles (name their optimisation set)."
            )
        raise particles.problem(column, row, found, remedy)
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
