"""Sets with coordinates in pixels and one matrix a tilt: WarpTools', and others' in its layout."""

from __future__ import annotations

from napari_tomodrgn.data.dialects.common import StarInput
from napari_tomodrgn.data.dialects.tilt_expansion import (
    POSE_COLUMNS,
    Expansion,
    SetLayout,
    counted_coordinates,
    is_tomostar,
    read_expanded,
)
from napari_tomodrgn.data.dialects.tilts import SERIES_FILE
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.star import as_loop
from napari_tomodrgn.data.star_table import StarTable
from napari_tomodrgn.geometry import FloatArray

PARTICLE_COLUMNS = (*POSE_COLUMNS, "rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ")


def read_warptools(source: StarInput) -> ParticleSet:
    """Read a particles star of WarpTools with its tomograms star."""
    # A rotation of WarpTools is the mirror image of RELION's: hand −1 adds the projected height.
    return read_expanded(source, SetLayout("warptools", PARTICLE_COLUMNS, _box_centres, -1.0))


def read_relion_matrices(source: StarInput) -> ParticleSet:
    """Read a set in the same layout whose matrices are RELION's, as nextPYP exports it."""
    return read_expanded(source, SetLayout("relion-matrices", PARTICLE_COLUMNS, _box_centres, 1.0))


def is_warptools(table: StarTable) -> bool:
    """Whether the tomograms of a particles' table have the names that WarpTools gives them."""
    return is_tomostar(table.texts("rlnTomoName")[0].as_py())


def _box_centres(expansion: Expansion) -> FloatArray:
    """Coordinates in Å.

    WarpTools counts coordinates in pixels of the extracted images, RELION in pixels of the tilt
    series. Where no file of RELION's is in play, the extent of the tomogram has to decide.
    """
    counted = counted_coordinates(expansion.table)
    extracted = counted * expansion.stated_pixel_angstrom[:, None]
    series = counted * expansion.pixel_sizes_angstrom[:, None]
    overview = as_loop(expansion.tomogram_blocks["global"])
    outside = (extracted > expansion.extents_angstrom).any(axis=1)
    # A particle at the edge must not decide for all.
    return series if SERIES_FILE in overview or outside.mean() > 0.5 else extracted
