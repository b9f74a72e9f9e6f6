"""What electron dose and tilt leave of the signal (Grant & Grigorieff, eLife 2015, eq. 3)."""

from __future__ import annotations

import torch
from torch import Tensor

# Beyond this multiple of the critical dose a frequency adds more noise than signal (ibid.).
OPTIMAL_DOSE_RATIO = 2.51284


def critical_dose(frequencies_per_angstrom: Tensor, voltage_kv: float) -> Tensor:
    """Dose in e/Å² after which the signal at a frequency has fallen to 1/e of its intensity.

    ``0.24499 s^-1.6649 + 2.8141`` at 300 kV, 0.8 of it otherwise; infinite at the origin.
    """
    scale = 1.0 if voltage_kv == 300 else 0.8
    return scale * (0.24499 * frequencies_per_angstrom.pow(-1.6649) + 2.8141)


def dose_weights(
    frequencies_per_angstrom: Tensor, dose_e_per_angstrom2: Tensor, voltage_kv: float
) -> Tensor:
    """Remaining amplitude ``exp(-dose / (2 Nc))``: ``(point,), (image,)`` → ``(image, point)``."""
    critical = critical_dose(frequencies_per_angstrom, voltage_kv)
    return torch.exp(-dose_e_per_angstrom2[:, None] / (2 * critical))


def dose_mask(
    frequencies_per_angstrom: Tensor, dose_e_per_angstrom2: Tensor, voltage_kv: float
) -> Tensor:
    """Where an image still helps: dose ≤ 2.51284 Nc. ``(image, point)`` booleans."""
    critical = critical_dose(frequencies_per_angstrom, voltage_kv)
    return dose_e_per_angstrom2[:, None] <= OPTIMAL_DOSE_RATIO * critical


def tilt_weights(stage_tilt_deg: Tensor) -> Tensor:
    """Cosine of the stage tilt: the share of the electrons that the longer path leaves in focus."""
    return torch.cos(torch.deg2rad(stage_tilt_deg))
