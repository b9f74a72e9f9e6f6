"""The one geometry of a tilt series: where each point of the specimen is in each image.

Every alignment, whichever program wrote it, is brought to this form. With columns (x, y, z), images
and voxels counted from 0, and all lengths in pixels of the tilt series::

    u      = Ry(t) · Rx(b) · (X − Cv)      Ry: x' = x cos t + z sin t,  z' = −x sin t + z cos t
    image  = Ci + s + R2(a) · (u_x, u_y)   R2 counter-clockwise
    depth  = u_z,   P = Rz(a) · Ry(t) · Rx(b)
    defocus of a particle = defocus of the tilt + hand · depth        (RELION's label of the hand)

``a`` is the angle of the tilt axis, ``t`` the tilt, ``b`` a tilt about x, ``s`` the shift of the
image, ``Cv`` and ``Ci`` the middle of the volume and of the image. Programs differ in signs and in
what the middle is (`CentreRule`): half a pixel there costs more resolution than anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

FloatArray = NDArray[np.float64]
CentreRule = Literal["(n-1)/2", "n/2", "n//2"]
# ``(xy_px (tilt, point, 2)) -> (tilt, point, 2)``: what is subtracted from the global place.
LocalMotion = Callable[[FloatArray], FloatArray]


def centre_index(size_px: ArrayLike, rule: CentreRule) -> FloatArray:
    """The index, counted from 0, that a program takes for the middle of ``n`` pixels."""
    size = np.asarray(size_px, dtype=np.float64)
    if rule == "(n-1)/2":
        return np.asarray((size - 1) / 2)
    return np.asarray(size / 2 if rule == "n/2" else np.floor(size / 2))


def tilt_rotations(axis_deg: ArrayLike, tilt_deg: ArrayLike, x_tilt_deg: ArrayLike) -> FloatArray:
    """``P = Rz(a) Ry(t) Rx(b)``, specimen → image, shape ``(tilt, 3, 3)``, acting on xyz."""
    parts = np.broadcast_arrays(x_tilt_deg, tilt_deg, axis_deg)
    angles = np.stack([np.asarray(part, dtype=np.float64) for part in parts], axis=-1)
    # Lower case: about fixed axes, x first.
    return np.asarray(Rotation.from_euler("xyz", angles, degrees=True).as_matrix())


def tilt_angles(rotations: FloatArray) -> FloatArray:
    """a, t, b in degrees of each rotation, ``(tilt, 3)``: inverse of `tilt_rotations`."""
    return np.asarray(Rotation.from_matrix(rotations).as_euler("xyz", degrees=True))[:, ::-1]


@dataclass(frozen=True, eq=False)
class Projected:
    """Points in images: ``xy_px`` ``(tilt, point, 2)``, ``depth_angstrom`` ``(tilt, point)``.

    ``xy_px`` counts pixels of the images from 0; ``depth_angstrom`` is along the beam, from the
    middle of the specimen.
    """

    xy_px: FloatArray
    depth_angstrom: FloatArray


@dataclass(frozen=True, eq=False)
class TiltGeometry:
    """The alignment of one tilt series in the form of this module; one entry a used tilt image.

    Attributes
    ----------
    rotations
        P, ``(tilt, 3, 3)``.
    middle_px
        Where the middle of the specimen is in each image, ``Ci + s``, ``(tilt, 2)`` xy.
    sections
        Section of the stack that each tilt is, counted from 0, ``(tilt,)``.
    pixel_size_angstrom
        Of the images.
    image_size_px
        ``(x, y)``.
    rule
        What the program that wrote the alignment takes for the middle of images and volumes.
    specimen_size_px
        xyz size of the volume in pixels of the tilt series, where the alignment knows.
    specimen_shift_px
        What is subtracted from ``X − Cv``, xyz: IMOD's SHIFT.
    hand
        Sign of the depth in the defocus, where the alignment knows.
    local
        Motion of parts of the specimen, in pixels, where the alignment has it.
    own_views
        Rotations specimen → image by which particles are seen, where they are refined apart from
        those that place them (M's angle grids), ``(tilt, 3, 3)``.
    """

    rotations: FloatArray
    middle_px: FloatArray
    sections: NDArray[np.int64]
    pixel_size_angstrom: float
    image_size_px: tuple[int, int]
    rule: CentreRule
    specimen_size_px: tuple[float, float, float] | None = None
    specimen_shift_px: tuple[float, float, float] = (0.0, 0.0, 0.0)
    hand: float | None = None
    local: LocalMotion | None = None
    own_views: FloatArray | None = None

    def __len__(self) -> int:
        """Return the number of tilt images that are used."""
        return len(self.sections)

    @property
    def views(self) -> FloatArray:
        """Rotation specimen → image of what is seen in each image, ``(tilt, 3, 3)``."""
        return self.rotations if self.own_views is None else self.own_views

    @property
    def shifts_px(self) -> FloatArray:
        """s: shift of each image from its middle by this alignment's rule, ``(tilt, 2)``."""
        return np.asarray(self.middle_px - centre_index(self.image_size_px, self.rule))

    @property
    def stage_tilt_deg(self) -> FloatArray:
        """t of each image."""
        return tilt_angles(self.rotations)[:, 1]

    def project(self, centred_angstrom: ArrayLike) -> Projected:
        """Where points of the specimen are in each image.

        Parameters
        ----------
        centred_angstrom
            ``(point, 3)`` xyz in Å from the middle of the specimen, as `from_voxels` gives it.
        """
        points = np.asarray(centred_angstrom, dtype=np.float64).reshape(-1, 3)
        shifted = points / self.pixel_size_angstrom - np.asarray(self.specimen_shift_px)
        turned = np.einsum("tij,nj->tni", self.rotations, shifted)
        xy = turned[..., :2] + self.middle_px[:, None]
        if self.local is not None:
            xy = xy - self.local(xy)
        return Projected(xy, turned[..., 2] * self.pixel_size_angstrom)


@dataclass(frozen=True)
class VoxelFrame:
    """How voxels of a tomogram lie in the specimen.

    Attributes
    ----------
    size_px
        xyz size in voxels; fractions where a size was divided by a binning.
    voxel_size_angstrom
        Edge of a voxel.
    rule
        What the program that made the tomogram takes for its middle. With ``(n-1)/2`` a binned
        voxel is the mean of whole voxels, with ``n//2`` it is a Fourier crop.
    """

    size_px: tuple[float, float, float]
    voxel_size_angstrom: float
    rule: CentreRule

    def from_voxels(self, index: ArrayLike, origin: int) -> FloatArray:
        """Å from the middle of the specimen, of voxel indices that count from ``origin``."""
        counted = np.asarray(index, dtype=np.float64) - origin
        return np.asarray(counted - centre_index(self.size_px, self.rule)) * float(
            self.voxel_size_angstrom
        )

    def to_voxels(self, centred_angstrom: ArrayLike, origin: int) -> FloatArray:
        """Inverse of `from_voxels`."""
        counted = np.asarray(centred_angstrom, dtype=np.float64) / self.voxel_size_angstrom
        return np.asarray(counted + centre_index(self.size_px, self.rule) + origin)


def mirrored_z(
    centred_angstrom: FloatArray, rotations: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Positions and poses of a tomogram whose z runs the other way.

    A tomogram with its z reversed is the mirror image of the specimen, and the average found in it
    the mirror image of the particle: ``R → M R M`` with ``M = diag(1, 1, −1)``.
    """
    mirror = np.array([1.0, 1.0, -1.0])
    return centred_angstrom * mirror, rotations * (mirror[:, None] * mirror[None, :])
