"""What comes out of every list: where particles are, how they are turned, and what they are called.

A pose is the rotation matrix reference → specimen, acting on xyz columns. STOPGAP, AV3, Dynamo and
PyTom turn about z, x, z: RELION's matrix with ``rot = 90 − phi, tilt = the, psi = −90 − psi``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from napari_tomodrgn.errors import BadInputError

FloatArray = NDArray[np.float64]
# voxels: of the list's tomogram; series_px: of the tilt series, in the tomogram's frame;
# centred_angstrom, middle_px: from the middle of the tomogram; corner_angstrom: from its corner.
Unit = Literal["voxels", "series_px", "centred_angstrom", "corner_angstrom", "middle_px"]
# Rows of a list → the bytes of a list of these rows alone, all else untouched.
SubsetWriter = Callable[[NDArray[np.int64]], bytes]

_MOST_COORDINATE = 1e7  # of either sign, in the unit of the list; a larger one is refused


@dataclass(frozen=True, eq=False)
class ParticleList:
    """A list of particles of one averaging package; one entry a particle.

    Attributes
    ----------
    path, format
        The file, and the package's name.
    tomogram
        Name, or number as text, of each particle's tomogram.
    particle
        Name of each particle within its tomogram.
    coordinates, unit
        ``(particle, 3)`` xyz, refined shifts applied, and what they count.
    rotations
        Reference → specimen, ``(particle, 3, 3)``.
    origin
        From where voxels count, 0 or 1; None where the package does not settle it.
    voxel_size_angstrom
        Of the list's tomograms, where it says.
    pose_proven
        Whether the direction of the poses is known from the package's own code or data.
    subset
        Writes some rows in the list's own form.
    """

    path: Path
    format: str
    tomogram: tuple[str, ...]
    particle: tuple[str, ...]
    coordinates: FloatArray
    unit: Unit
    rotations: FloatArray
    subset: SubsetWriter
    origin: int | None = None
    voxel_size_angstrom: float | None = None
    pose_proven: bool = True

    def __len__(self) -> int:
        """Return the number of particles."""
        return len(self.particle)

    @property
    def tomograms(self) -> list[str]:
        """Names of the tomograms, in order of appearance."""
        return list(dict.fromkeys(self.tomogram))

    def rows_of(self, tomogram: str) -> NDArray[np.int64]:
        """Rows of the particles of a tomogram, ``(row,)``."""
        return np.flatnonzero(np.array(self.tomogram, dtype=object) == tomogram)

    def checked(self) -> ParticleList:
        """The list itself.

        Raises
        ------
        BadInputError
            If it is empty, a particle stands in it twice, or a place or pose makes no sense.
        """
        if not len(self):
            raise BadInputError(f"{self.path}: lists no particles.", code="no-particles")
        wrong = np.flatnonzero(~(np.abs(self.coordinates) < _MOST_COORDINATE).all(axis=1))
        if wrong.size:
            row = int(wrong[0])
            raise BadInputError(
                f"{self.path}: row {row + 1} places its particle at {self.coordinates[row]}.",
                remedy="Repair or remove that row.",
                code="bad-value",
            )
        if not np.isfinite(self.rotations).all():
            row = int(np.flatnonzero(~np.isfinite(self.rotations).all(axis=(1, 2)))[0])
            raise BadInputError(f"{self.path}: row {row + 1} has no pose.", code="bad-value")
        self._refuse_odd_names()
        self._refuse_twice()
        return self

    def _refuse_odd_names(self) -> None:
        """Names become parts of ``<tomogram>/<particle>`` in star files."""
        for row, who in enumerate(zip(self.tomogram, self.particle, strict=True)):
            for what, name in zip(("tomogram", "particle"), who, strict=True):
                if not name or "/" in name or any(letter.isspace() for letter in name):
                    raise BadInputError(
                        f"{self.path}: row {row + 1} calls its {what} {name!r}.",
                        remedy="Use names without blanks and slashes.",
                        code="bad-name",
                    )

    def _refuse_twice(self) -> None:
        seen: dict[tuple[str, str], int] = {}
        for row, who in enumerate(zip(self.tomogram, self.particle, strict=True)):
            if who in seen:
                raise BadInputError(
                    f"{self.path}: particle {who[1]} of tomogram {who[0]} stands in rows "
                    f"{seen[who] + 1} and {row + 1}.",
                    remedy="Remove the duplicates.",
                    code="duplicate-particle",
                )
            seen[who] = row


def zxz_rotations(phi_deg: ArrayLike, the_deg: ArrayLike, psi_deg: ArrayLike) -> FloatArray:
    """``Rz(psi) · Rx(the) · Rz(phi)``, reference → specimen, ``(particle, 3, 3)``."""
    angles = np.stack(np.broadcast_arrays(phi_deg, the_deg, psi_deg), axis=-1).astype(np.float64)
    # Lower case: about fixed axes, phi first.
    return np.asarray(Rotation.from_euler("zxz", angles.reshape(-1, 3), degrees=True).as_matrix())


def zxz_angles(rotations: FloatArray) -> FloatArray:
    """phi, the, psi in degrees: inverse of `zxz_rotations`, ``(particle, 3)``."""
    turned = Rotation.from_matrix(rotations)
    return np.asarray(turned.as_euler("zxz", degrees=True, suppress_warnings=True))


def whole_names(path: Path, values: ArrayLike, what: str) -> tuple[str, ...]:
    """Names of numbers that count something: ``3.0`` is called 3.

    Raises
    ------
    BadInputError
        If one is no whole number.
    """
    numbers = np.asarray(values, dtype=np.float64)
    wrong = np.flatnonzero(~((numbers == np.rint(numbers)) & (np.abs(numbers) < 1e12)))
    if wrong.size:
        row = int(wrong[0])
        raise BadInputError(
            f"{path}: row {row + 1} has {numbers[row]:g} as {what}, not a whole number.",
            code="bad-value",
        )
    return tuple(str(int(number)) for number in numbers)


def lines_subset(header: Sequence[str], rows: Sequence[str]) -> SubsetWriter:
    """Writer of lists that are lines of text, one a particle, below some lines of head."""

    def subset(chosen: NDArray[np.int64]) -> bytes:
        return "".join([*header, *(rows[row] for row in chosen)]).encode("utf-8")

    return subset
