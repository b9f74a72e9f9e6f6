"""RELION's own tomography sets with 2-D stacks: those of RELION 5, and coordinates of RELION 4.

RELION 5 gives places in Å from the middle of the tomogram, RELION 4 in pixels of the tilt series
from its corner. In both, ``rlnTomoHand`` times the projected z adds to the defocus.
"""

from __future__ import annotations

import numpy as np

from napari_tomodrgn.data.dialects.common import StarInput
from napari_tomodrgn.data.dialects.tilt_expansion import (
    POSE_COLUMNS,
    SUBTOMOGRAM_COLUMNS,
    Expansion,
    SetLayout,
    counted_coordinates,
    read_expanded,
)
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.geometry import FloatArray

_CENTRED = tuple(f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ")
RELION5_COLUMNS = (*POSE_COLUMNS, *_CENTRED)
RELION4_COLUMNS = (
    *POSE_COLUMNS,
    *(f"rlnCoordinate{axis}" for axis in "XYZ"),
    *SUBTOMOGRAM_COLUMNS,
)


def read_relion5(source: StarInput) -> ParticleSet:
    """Read particles of RELION 5 with its tomograms star and one star file per tilt series."""
    return read_expanded(source, SetLayout("relion5", RELION5_COLUMNS, _from_middle))


def read_relion4(source: StarInput) -> ParticleSet:
    """Read particles whose coordinates count pixels of the tilt series."""
    # Asked for by name, a set without subtomogram angles is read as well.
    columns = RELION4_COLUMNS[: -len(SUBTOMOGRAM_COLUMNS)]
    return read_expanded(source, SetLayout("relion4", columns, _from_corner))


def _from_middle(expansion: Expansion) -> FloatArray:
    return np.asarray(expansion.table.vectors(_CENTRED) + expansion.extents_angstrom / 2.0)


def _from_corner(expansion: Expansion) -> FloatArray:
    counted = counted_coordinates(expansion.table)
    return np.asarray(counted * expansion.pixel_sizes_angstrom[:, None])
