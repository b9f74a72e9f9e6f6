"""Any star file of particles, row by row: for lists that have no tilt images (3-D particles)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.analysis.expressions import Expression
from napari_tomodrgn.analysis.index_files import read_array
from napari_tomodrgn.data.star import StarBlocks, read_star, write_star
from napari_tomodrgn.errors import BadInputError

# Of RELION, RELION before 4, and M.
_TOMOGRAM_COLUMNS = ("rlnTomoName", "rlnMicrographName", "wrpSourceName")


@dataclass(frozen=True, eq=False)
class StarRows:
    """The loop of a star file that lists particles; all values are text.

    Attributes
    ----------
    path, blocks
        The file.
    block
        Which of its blocks.
    """

    path: Path
    blocks: StarBlocks
    block: str

    @classmethod
    def read(cls, path: str | Path) -> StarRows:
        """Read a star file; its particles are the loop ``data_particles``, or its longest one.

        Raises
        ------
        BadInputError
            If it has no loop with rows.
        """
        blocks = read_star(path)
        loops = {
            name: len(block)
            for name, block in blocks.items()
            if isinstance(block, pd.DataFrame) and len(block)
        }
        if not loops:
            raise BadInputError(f"{path}: has no loop with rows.", code="no-particles")
        name = "particles" if "particles" in loops else max(loops, key=loops.__getitem__)
        return cls(Path(path), blocks, name)

    @property
    def frame(self) -> pd.DataFrame:
        """The rows."""
        block = self.blocks[self.block]
        assert isinstance(block, pd.DataFrame)
        return block

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.frame)

    def where(self, condition: Expression) -> NDArray[np.bool_]:
        """Where rows satisfy a condition on the file's columns, ``(row,)``."""
        return condition.mask(self.frame)

    def in_index(self, path: str | Path) -> NDArray[np.bool_]:
        """Where an index file names rows, counted from 0: ``(row,)``.

        Raises
        ------
        BadInputError
            If it is no index of this file.
        """
        numbers = read_array(path)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not numbers.size:
            raise BadInputError(f"{path}: expected one row of whole numbers.", code="bad-index")
        if numbers.min() < 0 or numbers.max() >= len(self):
            raise BadInputError(
                f"{path}: names rows {numbers.min()} to {numbers.max()}, counted from 0; "
                f"{self.path} has {len(self)}.",
                code="unknown-particle",
            )
        keep = np.zeros(len(self), dtype=bool)
        keep[numbers] = True
        return keep

    def tomograms(self) -> pd.Series:
        """Tomogram of each row.

        Raises
        ------
        BadInputError
            If no column tells it.
        """
        for name in _TOMOGRAM_COLUMNS:
            if name in self.frame:
                return self.frame[name]
        raise BadInputError(
            f"{self.path}: has none of {', '.join(_TOMOGRAM_COLUMNS)}, which name the tomogram.",
            code="missing-column",
        )

    def write(self, keep: NDArray[np.bool_], out: Path) -> Path:
        """Write the rows where ``keep`` ``(row,)`` is true, all else as it stands."""
        blocks = StarBlocks(self.blocks)
        blocks.comments = self.blocks.comments
        blocks[self.block] = self.frame[keep]
        write_star(out, blocks)
        return out
