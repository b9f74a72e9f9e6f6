"""Particle sets of EMAN2: ``.lst`` files whose lines end in JSON.

The pose is the inverse of ``xform.align3d``; ``ptcl_source_coord`` counts pixels from the middle of
the tomogram. Both are for the proof on the data to confirm.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.lists.common import ParticleList, lines_subset
from napari_tomodrgn.extract.lists.stars import numbered
from napari_tomodrgn.extract.text_files import content_lines, read_lines


def read_eman2_list(path: Path) -> ParticleList:
    """Read a ``.lst`` with ``xform.align3d`` and ``ptcl_source_coord`` in each line.

    Raises
    ------
    BadInputError
        If a line has no JSON or lacks one of the two.
    """
    lines = read_lines(path)
    heads = [line + "\n" for line in lines if line.startswith("#")]
    rows = list(content_lines(lines))
    tomograms, places, rotations = [], [], []
    for line_number, line in rows:
        words = line.split("\t", 2)
        try:
            found = json.loads(words[2])
            matrix = np.array(found["xform.align3d"]["matrix"], dtype=np.float64).reshape(3, 4)
            places.append(np.array(found["ptcl_source_coord"], dtype=np.float64).reshape(3))
            tomograms.append(Path(str(found.get("ptcl_source_image", words[1]))).stem)
        except (IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise BadInputError(
                f"{path}: line {line_number} lacks xform.align3d (a matrix of 12) or "
                "ptcl_source_coord.",
                remedy="Write the set with both in it; they may stand in the headers of the HDF.",
                code="bad-row",
            ) from error
        turned = matrix[:, :3]
        # The shift is applied after the turn, to the particle: taken back to where it is.
        rotations.append(turned.T)
        places[-1] = places[-1] - turned.T @ matrix[:, 3]
    names = [Path(name).stem.partition("__")[0] for name in tomograms]
    return ParticleList(
        path=path,
        format="eman2",
        tomogram=tuple(names),
        particle=numbered(names),
        coordinates=np.array(places, dtype=np.float64).reshape(-1, 3),
        unit="middle_px",
        rotations=np.array(rotations, dtype=np.float64).reshape(-1, 3, 3),
        subset=lines_subset(heads, [f"{line}\n" for _, line in rows]),
        origin=0,
        pose_proven=False,
    )
