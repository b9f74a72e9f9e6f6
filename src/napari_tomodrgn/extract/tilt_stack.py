"""Stacks of whole tilt images, one image in memory at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.mrc import MrcHeader, mapped, read_mrc_header
from napari_tomodrgn.errors import BadInputError


@dataclass(frozen=True)
class TiltStack:
    """A stack of tilt images as its header describes it.

    ``pixel_size_angstrom`` is what the user says, else the header; 0 where neither does.
    """

    header: MrcHeader
    pixel_size_angstrom: float

    @property
    def stated_pixel_size_angstrom(self) -> float:
        """What the header says, in which lengths of other files are counted; else the user's."""
        stated = self.header.voxel_size_zyx_angstrom[2]
        return stated if stated > 0 and stated != 1.0 else self.pixel_size_angstrom

    @property
    def path(self) -> Path:
        """The file."""
        return self.header.path

    @property
    def size_px(self) -> tuple[int, int]:
        """``(x, y)`` of its images."""
        return self.header.shape_zyx[2], self.header.shape_zyx[1]

    @property
    def count(self) -> int:
        """Number of sections."""
        return self.header.shape_zyx[0]

    def image(self, section: int) -> NDArray[np.float32]:
        """One section, ``(y, x)`` float32, in its own memory.

        Raises
        ------
        BadInputError
            If the stack has no such section.
        """
        if not 0 <= section < self.count:
            raise BadInputError(
                f"{self.path}: has {self.count} sections, but section {section + 1} is asked for.",
                code="short-stack",
            )
        return np.array(mapped(self.header)[section], dtype=np.float32)


def open_tilt_stack(path: Path, pixel_size_angstrom: float | None = None) -> TiltStack:
    """Read the header of a stack of tilt images.

    Raises
    ------
    BadInputError
        If it cannot be read, or no pixel size is known.
    """
    header = read_mrc_header(path, "a tilt series")
    pixel = pixel_size_angstrom or header.voxel_size_zyx_angstrom[2]
    # IMOD writes 1 Å where nothing is known.
    if pixel_size_angstrom is None and (pixel <= 0 or pixel == 1.0):
        raise BadInputError(
            f"{path}: the header's pixel size is {pixel:g} Å, which says that none is known.",
            remedy="Pass --pixel-size A.",
            code="no-pixel-size",
        )
    return TiltStack(header, float(pixel))
