"""Contrast transfer function.

    λ = 12.2639 / sqrt(V + 0.97845e-6 V²)                       (V in volts, λ in Å)
    γ = -π Δf λ s² + (π/2) Cs λ³ s⁴ - phase shift - asin(A)
    CTF = sin γ

so that the CTF is **negative** (−A) at the origin for underfocus and no phase plate; a positive
density makes dark particles. Δf = (U + V)/2 + (U − V)/2 cos 2(φ − φ_defocus), φ from x.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class CtfParameters:
    """What decides the CTF of each image.

    Tensors have shape ``(image,)``; voltage, spherical aberration and amplitude contrast are
    numbers where all images share them.
    """

    defocus_u_angstrom: Tensor
    defocus_v_angstrom: Tensor
    defocus_angle_deg: Tensor
    phase_shift_deg: Tensor
    voltage_kv: Tensor | float
    spherical_aberration_mm: Tensor | float
    amplitude_contrast: Tensor | float
    pixel_size_angstrom: float

    def take(self, rows: Tensor) -> CtfParameters:
        """Take the parameters of some images; ``rows`` is an index ``(row,)``."""
        return self._each(lambda tensor: tensor[rows])

    def to(self, device: torch.device | str) -> CtfParameters:
        """The parameters on another device."""
        return self._each(lambda tensor: tensor.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> CtfParameters:
        def changed(value: Tensor | float) -> Any:
            return change(value) if isinstance(value, Tensor) else value

        return CtfParameters(**{name: changed(value) for name, value in vars(self).items()})


def electron_wavelength_angstrom(voltage_kv: Tensor | float) -> Tensor | float:
    """Compute the relativistic wavelength of electrons in Å, with the constants of RELION.

    ``12.2639 / √(V + 0.97845e-6 V²)``, V in volts; a scalar, or ``(image,)`` for the voltages
    ``(image,)`` of images.
    """
    volts = voltage_kv * 1e3
    return 12.2639 / (volts + 0.97845e-6 * volts**2) ** 0.5


def ctf(frequencies: Tensor, parameters: CtfParameters) -> Tensor:
    """CTF of images at Fourier samples.

    Parameters
    ----------
    frequencies
        ``(point, 2)`` or, for other samples in each image, ``(image, point, 2)``: kx and ky in
        cycles per pixel.
    parameters
        Of ``image`` images.

    Returns
    -------
    ``(image, point)``.
    """
    points = frequencies if frequencies.ndim == 3 else frequencies[None]
    s2 = points.square().sum(-1) / parameters.pixel_size_angstrom**2
    angle = torch.atan2(points[..., 1], points[..., 0])

    def column(values: Tensor | float) -> Tensor:
        """One number an image beside the points, in their precision."""
        return torch.as_tensor(values, dtype=s2.dtype, device=s2.device).reshape(-1, 1)

    wavelength = column(electron_wavelength_angstrom(parameters.voltage_kv))
    u, v = column(parameters.defocus_u_angstrom), column(parameters.defocus_v_angstrom)
    astigmatism = torch.cos(2 * (angle - torch.deg2rad(column(parameters.defocus_angle_deg))))
    defocus = (u + v) / 2 + (u - v) / 2 * astigmatism
    # 1e7: Cs is given in mm, everything else in Å.
    spherical = math.pi / 2 * column(parameters.spherical_aberration_mm) * 1e7 * wavelength**3
    offset = torch.deg2rad(column(parameters.phase_shift_deg)) + torch.asin(
        column(parameters.amplitude_contrast)
    )
    return torch.sin(-math.pi * wavelength * defocus * s2 + spherical * s2.square() - offset)
