"""Columns that say one thing twice, and differently: one of them is taken, and that is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.dialects.optics_table import SAME
from napari_tomodrgn.data.particles import Remark
from napari_tomodrgn.data.star_table import StarTable
from napari_tomodrgn.errors import BadInputError

# Columns for the same number, best first: the first that there is is read.
_PIXEL = ("rlnImagePixelSize", "rlnPixelSize", "rlnDetectorPixelSize")
# The same for shifts, in Å and in pixels of a size that need not be known: in proportion.
_SHIFTS = [(f"rlnOrigin{axis}Angst", f"rlnOrigin{axis}") for axis in "XYZ"]
# What an optics block and the rows that name its groups may both say; the block is read.
_OPTICS = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", *_PIXEL)


def twice_said(tables: Iterable[StarTable]) -> Iterator[Remark]:
    """What the tables of a set say twice and not alike, and which of both is taken."""
    known = list({(table.path, table.block): table for table in tables}.values())
    for table in known:
        for taken, other in (*combinations(_PIXEL, 2), *_SHIFTS):
            if taken in table and other in table and not _alike(table, taken, other):
                yield _remark(table, other, table, taken)
    for block, rows in _blocks_and_rows(known):
        for column in _OPTICS:
            if column in block and column in rows:
                one, two = np.unique(_numbers(block, column)), np.unique(_numbers(rows, column))
                if len(one) == 1 and len(two) and not np.allclose(two, one[0], rtol=SAME):
                    yield _remark(rows, column, block, column)


def _blocks_and_rows(tables: list[StarTable]) -> Iterator[tuple[StarTable, StarTable]]:
    blocks = [table for table in tables if table.block == "optics"]
    for block in blocks:
        for rows in tables:
            if rows.path == block.path and rows.block != "optics" and "rlnOpticsGroup" in rows:
                yield block, rows


def _alike(table: StarTable, taken: str, other: str) -> bool:
    """Whether two columns say the same: pixel sizes exactly, shifts up to a factor."""
    one, two = _numbers(table, taken), _numbers(table, other)
    if taken in _PIXEL:
        # In RELION 3.0 the detector's pixel is in micrometres, before magnification.
        return "rlnMagnification" in table or np.allclose(one, two, rtol=SAME)
    if not two.any() or not one.any():
        return not one.any() and not two.any()
    factor = float(one @ two / (two @ two))
    return bool(np.abs(one - factor * two).max() <= 1e-2 * max(np.abs(one).max(), 1e-9))


def _numbers(table: StarTable, column: str) -> NDArray[np.float64]:
    try:
        return table.numbers(column)
    except BadInputError:  # of a column that is not read
        return np.zeros(0)


def _remark(of_other: StarTable, other: str, of_taken: StarTable, taken: str) -> Remark:
    values = [_range(_numbers(of_taken, taken)), _range(_numbers(of_other, other))]
    where = "" if of_other is of_taken else f" of block data_{of_other.block}"
    kept = "" if of_other is of_taken else f" of block data_{of_taken.block}"
    return Remark(
        "said-twice",
        "warning",
        f"{taken}{kept} ({values[0]}) and {other}{where} ({values[1]}) of {of_taken.path.name} do "
        "not say the same; the first is taken.",
        "Remove the one that is wrong.",
        1.0,
    )


def _range(values: NDArray[np.float64]) -> str:
    if not len(values):
        return "no numbers"
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
