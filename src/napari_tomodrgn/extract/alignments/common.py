"""What all readers of alignments are given, and what they check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.tilt_stack import TiltStack

# Of the entries of R Rᵀ, from those of the identity. Seven digits are written; a magnification of
# 1.001 moves the edge of a camera by two pixels.
_ROTATION_TOLERANCE = 1e-3
# Headers round pixel sizes, and calibrations move them by a percent or two.
_SAME_PIXEL = 0.03


@dataclass(frozen=True)
class AlignmentInput:
    """The alignment of one tilt series, and the stack that it aligns.

    Attributes
    ----------
    path
        The alignment's file.
    name
        The tilt series, as the files call it.
    stack
        The stack that images are cut from.
    ignore_local
        Whether local alignments are passed over.
    raw_pixel_size_angstrom
        Of the stack that was aligned, where ``stack`` is the aligned one.
    """

    path: Path
    name: str
    stack: TiltStack
    ignore_local: bool = False
    raw_pixel_size_angstrom: float | None = None


def off_rotations(matrices: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """How far ``(n, d, d)`` matrices are from rotations, and which are none, as mirror images."""
    product = matrices @ matrices.transpose(0, 2, 1)
    off = np.abs(product - np.eye(matrices.shape[-1])).max(axis=(1, 2))
    return off, np.flatnonzero(~((off < _ROTATION_TOLERANCE) & (np.linalg.det(matrices) > 0)))


def check_count(path: Path, what: str, found: int, stack: TiltStack) -> None:
    """Raise `BadInputError` unless there is one for each section of the stack."""
    if found != stack.count:
        raise BadInputError(
            f"{path}: has {found} {what}, but {stack.path.name} has {stack.count} sections.",
            remedy="Name the stack that was aligned.",
            code="wrong-count",
        )


def check_size(path: Path, size_px: tuple[int, int], stack: TiltStack) -> None:
    """Raise `BadInputError` unless the stack's images have the size that the alignment names."""
    if size_px != stack.size_px:
        raise BadInputError(
            f"{path}: aligns images of {size_px[0]} × {size_px[1]} px, but {stack.path.name} has "
            f"{stack.size_px[0]} × {stack.size_px[1]} px.",
            remedy="Name the stack that was aligned, not the aligned or a binned one.",
            code="wrong-size",
        )


def check_pixel(path: Path, pixel_size_angstrom: float | None, stack: TiltStack) -> None:
    """Raise `BadInputError` if the alignment counts other pixels (Å) than those of the stack."""
    if pixel_size_angstrom is None or pixel_size_angstrom <= 0:
        return
    known = (stack.stated_pixel_size_angstrom, stack.pixel_size_angstrom)
    if all(abs(pixel_size_angstrom / pixel - 1) > _SAME_PIXEL for pixel in known):
        raise BadInputError(
            f"{path}: aligns images with pixels of {pixel_size_angstrom:g} Å, but those of "
            f"{stack.path.name} are {known[0]:g} Å.",
            remedy="Name the stack that was aligned, not a binned one, or pass --pixel-size A if "
            "its header is wrong.",
            code="other-pixel-size",
        )
