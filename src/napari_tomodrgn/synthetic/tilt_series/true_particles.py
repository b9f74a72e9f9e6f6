"""Particles of a simulated tilt series as lists tell of them, in every unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.extract.lists.common import zxz_angles

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrueParticles:
    """Particles of several tomograms, one entry a particle, together by tomogram.

    Attributes
    ----------
    tomogram
        Number of each particle's tomogram, from 1; it is called ``TS_001`` and so on.
    number
        Of the particle within its tomogram, from 1.
    voxels
        Place in voxels of the binned tomogram, from 0, ``(particle, 3)`` xyz.
    centred_angstrom
        Place from the middle of the tomogram as RELION counts it.
    series_px
        Place in unbinned voxels, from 0.
    voxel_size_angstrom, binning
        Of the binned tomogram.
    rotations
        Reference → specimen.
    """

    tomogram: NDArray[np.int64]
    number: NDArray[np.int64]
    voxels: FloatArray
    centred_angstrom: FloatArray
    series_px: FloatArray
    voxel_size_angstrom: float
    binning: float
    rotations: FloatArray

    @property
    def names(self) -> list[str]:
        """Of each particle's tomogram."""
        return [f"TS_{number:03d}" for number in self.tomogram]

    def rows(self) -> Iterator[tuple[int, int, FloatArray, FloatArray, FloatArray]]:
        """Tomogram, number, place split into whole voxels from 1 and the rest, phi, the, psi."""
        whole = np.rint(self.voxels + 1)
        return zip(
            self.tomogram.tolist(),
            self.number.tolist(),
            whole,
            self.voxels + 1 - whole,
            zxz_angles(self.rotations),
            strict=True,
        )

    @property
    def pixel_size_angstrom(self) -> float:
        """Of the tilt series."""
        return self.voxel_size_angstrom / self.binning
