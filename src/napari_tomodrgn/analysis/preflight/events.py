"""What a preflight yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_tomodrgn.data.checks import Check

Contrast = Literal["keep", "invert"]


@dataclass(frozen=True)
class PreflightProgress:
    """``stage`` is under way: ``done`` of ``total`` steps of the whole preflight are over."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class CheckDone:
    """One check is answered."""

    check: Check


@dataclass(frozen=True)
class PreflightDone:
    """All checks are answered.

    Attributes
    ----------
    checks
        In the order asked, those that passed as well.
    contrast
        What makes the particles' density positive; None where that could not be decided.
    odd_images
        ``"<particle>, tilt <index>"`` of the images of the sample with odd power spectra.
    """

    checks: tuple[Check, ...]
    contrast: Contrast | None
    odd_images: tuple[str, ...] = ()


PreflightEvent = PreflightProgress | CheckDone | PreflightDone
