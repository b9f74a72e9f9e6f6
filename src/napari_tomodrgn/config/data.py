"""Settings of reading: what is wrong in the files, which particles and tilts, how fine."""

from __future__ import annotations

import re
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, field_validator

_LONGEST_RANGE = 100_000  # from the first to the last number of a range such as 3-5
# Fields of `DataConfig` that leave out particles or images.
_CHOICES = (
    "tomograms",
    "particles",
    "min_tilts",
    "max_tilts",
    "max_dose_e_per_angstrom2",
    "exclude_tilts",
)

_Words = TypeVar("_Words")


def unrolled(words: _Words) -> list[int | _Words]:
    """Numbers that a range such as ``"3-5"`` stands for; anything else as the only one."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*-\s*(\d{1,9})\s*", str(words))
    if match is None:
        return [words]
    first, last = int(match[1]), int(match[2])
    if last < first or last - first > _LONGEST_RANGE:
        raise ValueError(f"{words} is no range")
    return list(range(first, last + 1))


class Settings(BaseModel):
    """Frozen, and without fields that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Overrides(Settings):
    """What the user knows better than the star file; empty: as the file says."""

    pixel_size_angstrom: float | None = Field(
        None,
        gt=0.0,
        allow_inf_nan=False,
        title="Pixel size (Å)",
        description="Of the images. Places in the tomogram stay where the file has them.",
    )
    hand: Literal[-1, 1] | None = Field(
        None,
        title="Hand",
        description="rlnTomoHand of all tomograms: the other one turns the sign of what a "
        "particle's height in its tomogram adds to the defocus.",
    )
    dose_per_tilt_e_per_angstrom2: float | None = Field(
        None,
        gt=0.0,
        allow_inf_nan=False,
        title="Dose per tilt (e/Å²)",
        description="Doses are built up anew, this much for each image that was taken before: in "
        "the order of the doses in the file; where it has none, of rlnTomoTiltMovieIndex; else "
        "of its rows.",
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        title="Columns",
        description="Which column to read instead of the one of this name, for example "
        "rlnDefocusU = myDefocus.",
    )

    @field_validator("hand", mode="before")
    @classmethod
    def _whole(cls, hand: object) -> object:
        """A hand of 1.0, as it may stand in a file, is 1."""
        return int(hand) if isinstance(hand, float) and hand.is_integer() else hand

    @field_validator("columns")
    @classmethod
    def _without_underscore(cls, columns: dict[str, str]) -> dict[str, str]:
        """Names as they stand in a star file have a leading underscore, tables have none."""
        return {name.lstrip("_"): column.lstrip("_") for name, column in columns.items()}


class DataConfig(Settings):
    """How images become Fourier samples."""

    contrast: Literal["auto", "keep", "invert"] = Field(
        "auto",
        title="Contrast",
        description="Sign of the images. auto: decided by a quick reconstruction of a sample.",
    )
    ctf_premultiplied: bool | None = Field(
        None,
        title="CTF pre-multiplied",
        description="Images were multiplied by their CTF on export; empty: as the star file says.",
    )
    dose_weighted: bool | None = Field(
        None,
        title="Dose-weighted",
        description="Images were dose-weighted on export; empty: as the star file says.",
    )
    window_inner: float = Field(
        0.8,
        ge=0.0,
        le=1.5,
        title="Window, inner radius",
        description="Fraction of half the box inside which pixels are kept in full.",
    )
    window_outer: float = Field(
        0.9,
        ge=0.0,
        le=1.5,
        title="Window, outer radius",
        description="Fraction of half the box beyond which pixels are zero.",
    )
    window_center: Literal["particle", "box"] = Field(
        "particle",
        title="Window about",
        description="particle: the window is moved with the particle's shift, so that no side of "
        "it is cut; box: the middle of the image, whatever the shift.",
    )
    image_scale: float | None = Field(
        None,
        gt=0.0,
        title="Image scale",
        description="What Fourier samples are divided by; empty: the root mean square of a sample "
        "of them, the same every time.",
    )
    held_out_fraction: float = Field(
        0.1,
        ge=0.0,
        le=0.5,
        title="Held-out images",
        description="Share of each particle's tilt images kept from training to measure "
        "over-fitting.",
    )
    memory_gb: float = Field(
        4.0,
        gt=0.0,
        title="Memory for images (GB)",
        description="Fourier samples larger than this are kept in a file in the run directory.",
    )
    pixel_size_target_angstrom: float | None = Field(
        None,
        gt=0.0,
        allow_inf_nan=False,
        title="Pixel size to work at (Å)",
        json_schema_extra={"empty": "as in the files"},
        description="Images are cropped in Fourier space to about this pixel size as they are "
        "read: coarser, smaller, faster. Empty: as in the files.",
    )
    box_target_px: int | None = Field(
        None,
        ge=8,
        title="Box to work at (px)",
        json_schema_extra={"empty": "all of it"},
        description="Of the images, at the pixel size to work at, only the middle of this edge is "
        "kept; even. Empty: all of it.",
    )
    tomograms: tuple[str, ...] = Field(
        (),
        title="Tomograms",
        json_schema_extra={"empty": "all"},
        description="Only particles of these; empty: of all.",
    )
    particles: str | None = Field(
        None,
        title="Particles",
        json_schema_extra={"empty": "all"},
        description="File of the particles to take: ids one a line (.txt), a table with the "
        "column particle_id (.csv), or a star file of them. Empty: all.",
    )
    min_tilts: int | None = Field(
        None,
        ge=1,
        title="Least tilts",
        json_schema_extra={"empty": "any number"},
        description="Particles with fewer tilt images are left out.",
    )
    max_tilts: int | None = Field(
        None,
        ge=1,
        title="Most tilts",
        json_schema_extra={"empty": "all"},
        description="Of each particle only so many images are taken, those of the lowest dose.",
    )
    max_dose_e_per_angstrom2: float | None = Field(
        None,
        gt=0.0,
        allow_inf_nan=False,
        title="Highest dose (e/Å²)",
        json_schema_extra={"empty": "any"},
        description="Images that were taken at a higher dose are left out.",
    )
    exclude_tilts: tuple[NonNegativeInt, ...] = Field(
        (),
        title="Tilts left out",
        json_schema_extra={"empty": "none"},
        description="Numbers of tilts in their series, from 0, whose images are left out.",
    )

    @field_validator("exclude_tilts", mode="before")
    @classmethod
    def _ranges(cls, value: object) -> object:
        # Of such validators the last is asked first: the words are split by then.
        if not isinstance(value, list | tuple):
            return value
        return [number for part in value for number in unrolled(part)]

    @field_validator("tomograms", "exclude_tilts", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """Words as they are typed into a form, separated by commas; of numbers also ranges."""
        if not isinstance(value, str):
            return value if value is not None else ()
        return [part.strip() for part in value.split(",") if part.strip()]

    @field_validator("box_target_px")
    @classmethod
    def _even(cls, value: int | None) -> int | None:
        if value is not None and value % 2:
            raise ValueError("must be even")
        return value

    def choice_fields(self) -> tuple[str, ...]:
        """Names of the fields that leave out particles or images."""
        return _CHOICES

    @property
    def chooses(self) -> bool:
        """Whether particles or tilt images are left out."""
        fields = type(self).model_fields
        return any(getattr(self, name) != fields[name].default for name in _CHOICES)
