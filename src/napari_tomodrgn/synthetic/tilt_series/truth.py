"""What is true of a tilt series, before any program's habits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.extract.geometry import CentreRule, centre_index, tilt_rotations

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrueSeries:
    """A tilt series: where voxels fall in its images, one entry a tilt.

    Attributes
    ----------
    name
        Of the series.
    axis_deg, tilt_deg
        a and t of `napari_tomodrgn.extract.geometry`.
    corner_px
        Where voxel (0, 0, 0) of the unbinned volume falls, ``(tilt, 2)`` xy.
    image_size_px, volume_size_px
        xy and xyz, unbinned.
    pixel_size_angstrom
        Of the images.
    order
        Place of each tilt in time, from 0.
    dose_per_tilt
        e/Å².
    defocus_u_angstrom, defocus_v_angstrom, defocus_angle_deg
        In the middle of the specimen.
    """

    name: str
    axis_deg: FloatArray
    tilt_deg: FloatArray
    corner_px: FloatArray
    image_size_px: tuple[int, int]
    volume_size_px: tuple[int, int, int]
    pixel_size_angstrom: float
    order: NDArray[np.int64]
    dose_per_tilt: float
    defocus_u_angstrom: FloatArray
    defocus_v_angstrom: FloatArray
    defocus_angle_deg: FloatArray

    @property
    def rotations(self) -> FloatArray:
        """P of each tilt."""
        return tilt_rotations(self.axis_deg, self.tilt_deg, 0.0)

    def place(self, voxels: FloatArray) -> FloatArray:
        """Where unbinned voxels, counted from 0, ``(point, 3)``, fall: ``(tilt, point, 2)``."""
        turned = np.einsum("tij,nj->tni", self.rotations, voxels)
        return np.asarray(turned[..., :2] + self.corner_px[:, None])

    def middle_px(self, rule: CentreRule) -> FloatArray:
        """Where that falls which a program takes for the middle of the volume, ``(tilt, 2)``."""
        return self.place(centre_index(self.volume_size_px, rule)[None])[:, 0]

    def shifts_px(self, rule: CentreRule) -> FloatArray:
        """s of a program of that rule, ``(tilt, 2)``."""
        return self.middle_px(rule) - centre_index(self.image_size_px, rule)
