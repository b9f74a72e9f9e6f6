"""Optics of a set: what the microscope gives, and how finely images are sampled.

Images are made coarser as they are read: all groups come to one pixel size and one box. The pixel
size is one at which the smallest field of view is an even number of pixels, the nearest to what was
asked for; of larger images only so much of the middle is kept. `physics.binning` does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_tomodrgn.errors import BadInputError

# Of images that anything can be learnt of: below, there is no shell in which the checks and the
# linear engine could measure noise.
SMALLEST_BOX_PX = 8
# A pixel size that differs by less is the same: star files round it.
_SAME_PIXEL = 1e-3


@dataclass(frozen=True)
class Sampling:
    """Edge in pixels and pixel size of square images."""

    box_size_px: int
    pixel_size_angstrom: float

    @property
    def field_of_view_angstrom(self) -> float:
        """Edge of the images."""
        return self.box_size_px * self.pixel_size_angstrom

    def __str__(self) -> str:
        return f"{self.pixel_size_angstrom:g} Å, {self.box_size_px} px"


@dataclass(frozen=True)
class OpticsGroup:
    """What images of one microscope session share.

    ``b_factor_per_dose_angstrom2`` is RELION's ``rlnCtfBfactorPerElectronDose``: where it is above
    0, the dose leaves the amplitude ``exp(-B dose s² / 4)`` instead of the critical-exposure curve.
    The last three are given where pixel size or box differ between groups: those of the image
    files, and what the star file calls the group.
    """

    voltage_kv: float
    spherical_aberration_mm: float
    amplitude_contrast: float
    b_factor_per_dose_angstrom2: float = 0.0
    stored_box_size_px: int | None = None
    stored_pixel_size_angstrom: float | None = None
    group_name: str = ""


@dataclass(frozen=True)
class Optics:
    """What all images of a set share, and what was done to them when they were extracted.

    Attributes
    ----------
    pixel_size_angstrom, box_size_px
        Of the images; of the first group's, as long as groups are not brought to one (`refused`).
    voltage_kv, spherical_aberration_mm, amplitude_contrast, b_factor_per_dose_angstrom2, group_name
        Of the group that most images belong to.
    ctf_premultiplied, dose_weighted
        Whether images were multiplied by their CTF, or weighted by exposure.
    ctf_phase_flipped, ctf_corrected
        Whether the sign of their CTF was taken out, or all of it.
    other_groups
        Groups of images that differ in what the microscope gives; usually none.
    stored_box_size_px, stored_pixel_size_angstrom
        Of the image files, where images are binned as they are read; None where they are taken as
        they are.
    """

    pixel_size_angstrom: float
    voltage_kv: float
    spherical_aberration_mm: float
    amplitude_contrast: float
    box_size_px: int
    ctf_premultiplied: bool
    dose_weighted: bool
    ctf_phase_flipped: bool = False
    ctf_corrected: bool = False
    b_factor_per_dose_angstrom2: float = 0.0
    other_groups: tuple[OpticsGroup, ...] = ()
    stored_box_size_px: int | None = None
    stored_pixel_size_angstrom: float | None = None
    group_name: str = ""

    @property
    def groups(self) -> tuple[OpticsGroup, ...]:
        """All groups; ``optics_group`` of an image is a position here."""
        first = OpticsGroup(
            self.voltage_kv,
            self.spherical_aberration_mm,
            self.amplitude_contrast,
            self.b_factor_per_dose_angstrom2,
            self.stored_box_size_px or self.box_size_px,
            self.stored_pixel_size_angstrom or self.pixel_size_angstrom,
            self.group_name,
        )
        return (first, *self.other_groups)

    @property
    def stored(self) -> tuple[Sampling, ...]:
        """Sampling of the image files of each of `groups`."""
        box = self.stored_box_size_px or self.box_size_px
        pixel = self.stored_pixel_size_angstrom or self.pixel_size_angstrom
        others = (
            Sampling(
                group.stored_box_size_px or box,
                group.stored_pixel_size_angstrom or pixel,
            )
            for group in self.other_groups
        )
        return (Sampling(box, pixel), *others)

    @property
    def differs(self) -> bool:
        """Whether images have several samplings: not brought to one yet."""
        return self.stored_pixel_size_angstrom is None and len(set(self.stored)) > 1

    @property
    def samplings(self) -> tuple[Sampling, ...]:
        """Sampling that the images of each of `groups` are worked with."""
        if self.differs:
            return self.stored
        return (Sampling(self.box_size_px, self.pixel_size_angstrom),) * len(self.groups)

    def covers(self, target: Sampling) -> bool:
        """Whether all image files are as fine as that sampling, and as large, but for rounding."""
        return all(
            one.pixel_size_angstrom <= target.pixel_size_angstrom * (1 + _SAME_PIXEL)
            and one.field_of_view_angstrom >= target.field_of_view_angstrom * (1 - _SAME_PIXEL)
            for one in self.stored
        )

    def sampled(self, target: Sampling) -> Optics:
        """The same, all images brought to one sampling as they are read."""
        stored = self.stored[0]
        as_stored = set(self.stored) == {target}
        return replace(
            self,
            box_size_px=target.box_size_px,
            pixel_size_angstrom=target.pixel_size_angstrom,
            stored_box_size_px=None if as_stored else stored.box_size_px,
            stored_pixel_size_angstrom=None if as_stored else stored.pixel_size_angstrom,
        )

    def of_groups(self, used: Sequence[int]) -> Optics:
        """The same of some of the groups, ``(group,)`` positions in `groups`."""
        first, *rest = (self.groups[number] for number in used)
        fields = {**vars(first), "other_groups": tuple(rest)}
        if self.differs:
            fields |= vars(self.stored[used[0]])
            fields |= {"stored_box_size_px": None, "stored_pixel_size_angstrom": None}
        return replace(self, **fields)


def scaled_box_px(box_size_px: int, pixel_size_angstrom: float, target_angstrom: float) -> int:
    """Edge of an image in pixels of about ``target_angstrom``: an even number, field of view kept.

    Raises
    ------
    BadInputError
        If the target leaves too few pixels.
    """
    scaled = 2 * round(box_size_px * pixel_size_angstrom / target_angstrom / 2)
    if scaled < SMALLEST_BOX_PX:
        raise BadInputError(
            f"At a pixel size of {target_angstrom:g} Å images of {box_size_px} px and "
            f"{pixel_size_angstrom:g} Å have only {scaled} px.",
            remedy=f"Choose a finer one, so that at least {SMALLEST_BOX_PX} px are left.",
            code="bad-binning",
        )
    return min(scaled, box_size_px)


def binned_sampling(
    stored: Mapping[Sampling, str],
    pixel_size_target_angstrom: float | None,
    box_target_px: int | None,
) -> Sampling:
    """Box and pixel size that all images of a set are brought to.

    Parameters
    ----------
    stored
        Of the images in their files, each with whose it is, in words. Several of them have one
        pixel size if none is asked for.
    pixel_size_target_angstrom
        What the pixel size is to be, or nearly: the box has to be even. None: as it is.
    box_target_px
        Edge of the middle that is kept, in the new pixels. None: all that every image covers.

    Raises
    ------
    BadInputError
        If some images are too coarse or too small for that; says which.
    """
    smallest = min(stored, key=lambda one: one.field_of_view_angstrom)
    box, pixel = smallest.box_size_px, smallest.pixel_size_angstrom
    if pixel_size_target_angstrom is not None:
        coarsest = max(stored, key=lambda one: one.pixel_size_angstrom)
        if pixel_size_target_angstrom < coarsest.pixel_size_angstrom * (1 - _SAME_PIXEL):
            raise BadInputError(
                f"A pixel size of {pixel_size_target_angstrom:g} Å is finer than that of "
                f"{stored[coarsest]}, {coarsest.pixel_size_angstrom:g} Å.",
                remedy="Images can be made coarser as they are read, not finer.",
                code="bad-binning",
            )
        scaled = scaled_box_px(box, pixel, pixel_size_target_angstrom)
        field = smallest.field_of_view_angstrom
        if coarsest.pixel_size_angstrom > pixel:
            # The nearest even number may be one at which the coarsest pixels would be made finer.
            scaled = min(scaled, 2 * int(field / coarsest.pixel_size_angstrom / 2 + 1e-6))
        box, pixel = scaled, pixel if scaled == box else field / scaled
    if box_target_px is not None:
        if box_target_px > box:
            raise BadInputError(
                f"A box of {box_target_px} px of {pixel:.4g} Å is larger than that of "
                f"{stored[smallest]}, {box} px.",
                remedy="Choose a smaller box.",
                code="bad-binning",
            )
        box = box_target_px
    return Sampling(box, pixel)


def mixed_optics(path: Path, stored: Mapping[Sampling, str]) -> BadInputError:
    """The error about images that are not sampled alike; ``stored`` says whose is which."""
    by_pixel = sorted(stored, key=lambda one: (one.pixel_size_angstrom, one.box_size_px))
    finest, coarsest = by_pixel[0], by_pixel[-1]
    flag, field = f"--box-target {finest.box_size_px} or less", "“Box to work at”"
    if finest.pixel_size_angstrom < coarsest.pixel_size_angstrom:
        flag = f"--pixel-size-target {coarsest.pixel_size_angstrom:g} or more"
        field = "“Pixel size to work at”"
    parts = "; ".join(f"{one} in {stored[one]}" for one in by_pixel)
    return BadInputError(
        f"{path}: pixel size or box differ between images: {parts}.",
        remedy=f"Bring them to one with {flag} (in the window: {field}).",
        code="mixed-optics",
    )
