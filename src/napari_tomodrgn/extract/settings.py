"""What is to be extracted: one frozen, validated object."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ExtractConfig(BaseModel):
    """Where everything is, and how images are cut; None where files decide."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    particles: Path
    tilt_series: Path
    alignment: Path
    ctf: Path | None = None
    dose: Path | None = None
    dose_per_tilt: float | None = Field(None, gt=0, le=100)
    order: Path | None = None
    tomograms: Path | None = None
    match: Path | None = None
    only: tuple[str, ...] = ()
    box_px: int = Field(64, ge=16, le=1024, multiple_of=2)
    pixel_size_target_angstrom: float | None = Field(None, gt=0, le=1000)
    pixel_size_angstrom: float | None = Field(None, gt=0, le=1000)
    list_pixel_size_angstrom: float | None = Field(None, gt=0, le=1000)
    stacks: Literal["raw", "aligned", "auto"] = "auto"
    z: Literal["keep", "mirror", "auto"] = "auto"
    pose: Literal["keep", "inverse", "auto"] = "auto"
    hand: Literal["auto", "1", "-1"] = "auto"
    origin: Literal["auto", "0", "1"] = "auto"
    min_tilts: int | None = Field(None, ge=1)
    ignore_local: bool = False
    voltage_kv: float | None = Field(None, gt=0, le=2000)
    spherical_aberration_mm: float | None = Field(None, ge=0, le=20)
    amplitude_contrast: float | None = Field(None, ge=0, lt=1)
    float16: bool = False
    image_series: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> ExtractConfig:
        if (self.dose_per_tilt is None) != (self.order is None):
            raise ValueError("a dose per tilt and the order of the tilts belong together")
        if self.dose is not None and self.order is not None:
            raise ValueError("doses are given twice, as files and as an order")
        return self
