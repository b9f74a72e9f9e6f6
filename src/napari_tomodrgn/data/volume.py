"""A map with its voxel size, to and from MRC files."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically


@dataclass(frozen=True, eq=False)
class Volume:
    """A real-space map.

    Attributes
    ----------
    data
        Voxels indexed zyx, float32.
    voxel_size_angstrom
        Edge of one (cubic) voxel in Å.
    """

    data: NDArray[np.float32]
    voxel_size_angstrom: float

    @property
    def box_size_px(self) -> int:
        """Edge of the (cubic) box in voxels."""
        return int(self.data.shape[-1])

    def flipped_z(self) -> Volume:
        """The same map with the other hand (z reversed)."""
        return Volume(np.ascontiguousarray(self.data[::-1]), self.voxel_size_angstrom)


def read_volume(path: str | Path) -> Volume:
    """Read a 3-D MRC map; files without a MAP stamp, as the field's own tools write them, too.

    Raises
    ------
    BadInputError
        If the file is absent, not an MRC map, truncated or not three-dimensional.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # permissive mode warns of what is checked below
            with mrcfile.open(path, permissive=True) as mrc:
                data = None if mrc.data is None else np.array(mrc.data, dtype=np.float32)
                voxel = float(mrc.voxel_size.x)
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"{path}: cannot be read as an MRC map ({error}).", code="unreadable-map"
        ) from error
    if data is None or data.ndim != 3:
        found = "no complete data block" if data is None else f"{data.ndim} dimensions"
        raise BadInputError(f"{path}: expected a 3-D map, found {found}.", code="unreadable-map")
    return Volume(data, voxel if voxel > 0 else 1.0)


def write_volume(path: str | Path, volume: Volume) -> None:
    """Write a map as MRC2014 float32 with its voxel size, atomically."""
    with written_atomically(path) as temporary, mrcfile.new(temporary, overwrite=True) as mrc:
        mrc.set_data(np.ascontiguousarray(volume.data, dtype=np.float32))
        mrc.voxel_size = volume.voxel_size_angstrom
