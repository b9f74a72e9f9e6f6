"""Contrast transfer function.

    λ = 12.2639 / sqrt(V + 0.97845e-6 V²)                       (V in volts, λ in Å)
    γ = -π Δf λ s² + (π/2) Cs λ³ s⁴ - phase shift - asin(A)
    CTF = sin γ

so that the CTF is **negative** (−A) at the origin for underfocus and no phase plate; a positive
density makes dark particles. Δf = (U + V)/2 + (U − V)/2 cos 2(φ − φ_defocus), φ from x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class CtfParameters:
    """What decides the CTF of each image. Tensors have shape ``(image,)``."""

    defocus_u_angstrom: Tensor
    defocus_v_angstrom: Tensor
    defocus_angle_deg: Tensor
    phase_shift_deg: Tensor
    voltage_kv: float
    spherical_aberration_mm: float
    amplitude_contrast: float
    pixel_size_angstrom: float

    def take(self, rows: Tensor) -> CtfParameters:
        """The parameters of some images."""
        return CtfParameters(
            self.defocus_u_angstrom[rows],
            self.defocus_v_angstrom[rows],
            self.defocus_angle_deg[rows],
            self.phase_shift_deg[rows],
            self.voltage_kv,
            self.spherical_aberration_mm,
            self.amplitude_contrast,
            self.pixel_size_angstrom,
        )

    def to(self, device: torch.device | str) -> CtfParameters:
        """The parameters on another device."""
        return CtfParameters(
            self.defocus_u_angstrom.to(device),
            self.defocus_v_angstrom.to(device),
            self.defocus_angle_deg.to(device),
            self.phase_shift_deg.to(device),
            self.voltage_kv,
            self.spherical_aberration_mm,
            self.amplitude_contrast,
            self.pixel_size_angstrom,
        )


def electron_wavelength_angstrom(voltage_kv: float) -> float:
    """Relativistic wavelength of electrons, with the constants of RELION."""
    volts = voltage_kv * 1e3
    return 12.2639 / math.sqrt(volts + 0.97845e-6 * volts**2)


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
    wavelength = electron_wavelength_angstrom(parameters.voltage_kv)
    s2 = points.square().sum(-1) / parameters.pixel_size_angstrom**2
    angle = torch.atan2(points[..., 1], points[..., 0])
    u = parameters.defocus_u_angstrom[:, None].to(s2.dtype)
    v = parameters.defocus_v_angstrom[:, None].to(s2.dtype)
    astigmatism = torch.cos(
        2 * (angle - torch.deg2rad(parameters.defocus_angle_deg[:, None].to(s2.dtype)))
    )
    defocus = (u + v) / 2 + (u - v) / 2 * astigmatism
    spherical = math.pi / 2 * parameters.spherical_aberration_mm * 1e7 * wavelength**3
    offset = torch.deg2rad(parameters.phase_shift_deg[:, None].to(s2.dtype)) + math.asin(
        parameters.amplitude_contrast
    )
    return torch.sin(-math.pi * wavelength * defocus * s2 + spherical * s2.square() - offset)
