"""Tables of Dynamo, ``.tbl``.

Counted from 1: 1 tag, 4–6 shift, 7–9 tdrot, tilt, narot, 20 tomogram, 24–26 place; voxels from 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.lists.common import (
    ParticleList,
    lines_subset,
    whole_names,
    zxz_rotations,
)
from napari_tomodrgn.extract.text_files import content_lines, parse_number, read_lines

_NEEDED = 26  # columns, up to z of the place


def read_dynamo(path: Path) -> ParticleList:
    """Read a table of Dynamo.

    Raises
    ------
    BadInputError
        If a row has fewer than 26 columns or one that is needed is no number.
    """
    lines = list(content_lines(read_lines(path)))
    rows = []
    for line_number, line in lines:
        words = line.split()
        if len(words) < _NEEDED:
            raise BadInputError(
                f"{path}: line {line_number} has {len(words)} columns, a table of Dynamo has at "
                f"least {_NEEDED}.",
                code="bad-row",
            )
        # Complex numbers and NaN stand in columns that nobody needs here.
        chosen = [0, 3, 4, 5, 6, 7, 8, 19, 23, 24, 25]
        rows.append([parse_number(path, line_number, words[column]) for column in chosen])
    values = np.array(rows, dtype=np.float64).reshape(-1, 11)
    tdrot, tilt, narot = values[:, 4], values[:, 5], values[:, 6]
    return ParticleList(
        path=path,
        format="dynamo",
        tomogram=whole_names(path, values[:, 7], "tomogram (column 20)"),
        particle=whole_names(path, values[:, 0], "tag (column 1)"),
        coordinates=values[:, 8:11] + values[:, 1:4],
        unit="voxels",
        rotations=zxz_rotations(-narot, -tilt, -tdrot),
        subset=lines_subset([], [f"{line}\n" for _, line in lines]),
        origin=1,
    )
