"""A map with its voxel size, to and from MRC files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.mrc import mapped, read_mrc_header, write_mrc
from napari_tomodrgn.errors import BadInputError


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
        """The same map with the other hand: z reversed about the middle, voxel ``n // 2``."""
        flipped = self.data[::-1]
        # Reversing takes the middle of an even box to the voxel before it.
        flipped = flipped if len(flipped) % 2 else np.roll(flipped, 1, axis=0)
        return Volume(np.ascontiguousarray(flipped), self.voxel_size_angstrom)


def read_volume(path: str | Path) -> Volume:
    """Read a 3-D MRC map; files without a MAP stamp, as the field's own tools write them, too.

    Raises
    ------
    BadInputError
        If the file is absent, not an MRC map, truncated or not three-dimensional.
    """
    header = read_mrc_header(path)
    voxel = header.voxel_size_zyx_angstrom[2]
    if header.is_stack or header.shape_zyx[0] == 1:
        raise BadInputError(
            f"{path}: expected a 3-D map, found {header.shape_zyx[0]} image(s).",
            code="unreadable-map",
        )
    return Volume(np.array(mapped(header), dtype=np.float32), voxel if voxel > 0 else 1.0)


def write_volume(path: str | Path, volume: Volume) -> None:
    """Write a map as MRC2014 float32 with its voxel size, atomically."""
    write_mrc(path, volume.data, (volume.voxel_size_angstrom,) * 3)
