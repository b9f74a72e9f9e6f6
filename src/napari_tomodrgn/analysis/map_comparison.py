"""Two maps against each other: correlation and Fourier shell correlation under a mask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from napari_tomodrgn.analysis.fsc import FscCurve, correlation, fsc
from napari_tomodrgn.analysis.volume_masks import make_mask
from napari_tomodrgn.data.volume import Volume, read_volume
from napari_tomodrgn.errors import BadInputError

# Headers are written with few digits, and 0.5 % shifts a shell at 1/200 of the box by none.
_SAME_VOXEL = 5e-3


@dataclass(frozen=True, eq=False)
class MapComparison:
    """What two maps have in common.

    Attributes
    ----------
    correlation
        Pearson correlation of their voxels, inside the mask.
    curve
        Correlation by shell.
    """

    correlation: float
    curve: FscCurve

    @property
    def mean_fsc(self) -> float:
        """Mean of the curve over all shells but the origin: tomoDRGN's FSC integral, twice."""
        return float(self.curve.correlation[1:].mean())

    def table(self) -> pd.DataFrame:
        """Columns ``shell, frequency_per_angstrom, fsc``."""
        curve = self.curve
        return pd.DataFrame(
            {
                "shell": range(len(curve.correlation)),
                "frequency_per_angstrom": curve.frequency_per_angstrom,
                "fsc": curve.correlation,
            }
        )


def compare_maps(
    first: str | Path,
    second: str | Path,
    mask: str | Path = "none",
    voxel_size_angstrom: float | None = None,
) -> MapComparison:
    """Compare two map files.

    Parameters
    ----------
    first, second
        MRC files of one box.
    mask
        As `volume_masks.make_mask` takes it; ``tight`` and ``soft`` are of the sum of both maps.
    voxel_size_angstrom
        Instead of what the headers say.

    Raises
    ------
    BadInputError
        If a file is no map, or boxes or voxel sizes differ.
    """
    one, two = read_volume(first), read_volume(second)
    for path, volume in ((first, one), (second, two)):
        if len(set(volume.data.shape)) > 1:
            shape = " × ".join(map(str, volume.data.shape[::-1]))
            raise BadInputError(f"{path}: a map of {shape} voxels; expected a cube.")
    if one.box_size_px != two.box_size_px:
        raise BadInputError(
            f"{second}: a box of {two.box_size_px}³, {first} has {one.box_size_px}³.",
            remedy="Bring both maps into one box.",
            code="wrong-box",
        )
    a, b = one.voxel_size_angstrom, two.voxel_size_angstrom
    if voxel_size_angstrom is None and abs(a - b) > _SAME_VOXEL * a:
        raise BadInputError(
            f"{second}: voxels of {b:g} Å, {first} has {a:g} Å.",
            remedy="If a header is wrong, give the size with --pixel-size.",
            code="wrong-voxel",
        )
    one = Volume(one.data, voxel_size_angstrom or a)
    weights = make_mask(mask, Volume(one.data + two.data, one.voxel_size_angstrom))
    return MapComparison(correlation(one, two, weights), fsc(one, two, weights))
