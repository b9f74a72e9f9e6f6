"""What electron dose and tilt leave of the signal (Grant & Grigorieff, eLife 2015, eq. 3)."""

from __future__ import annotations

import torch
from torch import Tensor

# Beyond this multiple of the critical dose a frequency adds more noise than signal (ibid.).
OPTIMAL_DOSE_RATIO = 2.51284


def critical_dose(frequencies_per_angstrom: Tensor, voltage_kv: Tensor | float) -> Tensor:
    """Dose in e/Å² after which the signal at a frequency has fallen to 1/e of its intensity.

    ``0.24499 s^-1.6649 + 2.8141`` at 300 kV, 0.8 of it otherwise; infinite at the origin.
    ``(point,)``, or ``(image, point)`` for the voltages ``(image,)`` of images.
    """
    curve = 0.24499 * frequencies_per_angstrom.pow(-1.6649) + 2.8141
    if isinstance(voltage_kv, Tensor):
        scale = torch.where(voltage_kv == 300, 1.0, 0.8).to(curve.dtype)
        return scale[:, None] * curve
    return curve if voltage_kv == 300 else 0.8 * curve


def dose_weights(
    frequencies_per_angstrom: Tensor,
    dose_e_per_angstrom2: Tensor,
    voltage_kv: Tensor | float,
    b_factor_per_dose_angstrom2: Tensor | None = None,
) -> Tensor:
    """Remaining amplitude: ``(point,), (image,)`` → ``(image, point)``.

    ``exp(-dose / (2 Nc))``, or ``exp(-B dose s² / 4)`` for images whose B-factor per dose
    (``rlnCtfBfactorPerElectronDose``) is above 0.
    """
    critical = critical_dose(frequencies_per_angstrom, voltage_kv)
    dose = dose_e_per_angstrom2[:, None]
    left = torch.exp(-dose / (2 * critical))
    if b_factor_per_dose_angstrom2 is None:
        return left
    factor = b_factor_per_dose_angstrom2[:, None]
    by_factor = torch.exp(-factor * dose * frequencies_per_angstrom.square() / 4)
    return torch.where(factor > 0, by_factor, left)


def dose_mask(
    frequencies_per_angstrom: Tensor, dose_e_per_angstrom2: Tensor, voltage_kv: Tensor | float
) -> Tensor:
    """Where an image still helps: dose ≤ 2.51284 Nc. ``(image, point)`` booleans."""
    critical = critical_dose(frequencies_per_angstrom, voltage_kv)
    return dose_e_per_angstrom2[:, None] <= OPTIMAL_DOSE_RATIO * critical


def tilt_weights(stage_tilt_deg: Tensor) -> Tensor:
    """Compute the cosine of stage tilts: ``(image,)`` degrees → ``(image,)``.

    The share of the electrons that the longer path leaves in focus.
    """
    return torch.cos(torch.deg2rad(stage_tilt_deg))
