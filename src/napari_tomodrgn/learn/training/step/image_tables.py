"""What a training step needs of each image and each Fourier sample, made once on the device.

CTF, dose and weights of an image are smooth functions of few numbers of the image and few of the
sample, so each is one product of two small tables:

    CTF     sin(−π s² λ (d + a cos 2φ + b sin 2φ) + (π/2) s⁴ Cs λ³ − offset)     (`physics.ctf`)
            d = (U + V)/2, a + i b = (U − V)/2 · exp(2 i φ_defocus)
    dose    exp(−dose / (2 Nc(s))), or exp(−B dose s² / 4)                      (`physics.exposure`)

What is made of them is the model that everything here shares (`physics.image_formation`). No host
synchronisation and no shape that depends on values: a step made of these can be captured. The last
row of the tables by image belongs to no image: what is padded points there and weighs 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_tomodrgn.config import WeightConfig
from napari_tomodrgn.data.tilt_data import NOISE_FLOOR, TiltData
from napari_tomodrgn.physics.ctf import CtfParameters, electron_wavelength_angstrom
from napari_tomodrgn.physics.exposure import OPTIMAL_DOSE_RATIO, critical_dose, tilt_weights
from napari_tomodrgn.physics.image_formation import ImageFormation, ImageParameters, assemble

# Voltage at which the curve of critical doses holds as it stands.
_CURVE_KV = 300.0


@dataclass(frozen=True, eq=False)
class ImageTables:
    """Tables of all images of a set.

    Attributes
    ----------
    ctf_of_image, ctf_of_sample
        ``(image + 1, 5)`` and ``(5, point)``: their product is the phase of the CTF.
    dose_of_image, dose_of_sample
        ``(image + 1, 2)`` and ``(2, point)``: exp of their product is what the dose leaves.
    dose
        ``(image + 1,)`` dose in e/Å², as much as it counts at 300 kV.
    rotations
        ``(image + 1, 6)`` first two rows of the rotation.
    log_weight
        ``(image + 1,)`` log of an image's weight over mean weight, and over the mean power where
        noise is the same everywhere.
    frequencies
        ``(point, 2)`` kx, ky in cycles per pixel.
    parameters
        Scale of each image, one more, and what was done to all of them.
    mean_power
        Mean square of whitened samples, which scales the precision.
    weight
        Which weights apply, and what fades the signal.
    """

    ctf_of_image: Tensor
    ctf_of_sample: Tensor
    dose_of_image: Tensor
    dose_of_sample: Tensor
    dose: Tensor
    rotations: Tensor
    log_weight: Tensor
    frequencies: Tensor
    parameters: ImageParameters
    mean_power: float
    weight: WeightConfig

    @classmethod
    def of(cls, data: TiltData, weight: WeightConfig, device: torch.device) -> ImageTables:
        """The tables of a set, computed in double precision."""
        rows = torch.arange(data.image_count + 1).clamp(max=data.image_count - 1)
        parameters = data.parameters.take(rows)
        frequencies = data.lattice.frequencies.cpu().double()
        rotations = torch.tensor(data.particles.arrays().rotations[:, :2]).reshape(-1, 6)[rows]
        rotations[-1] = 0
        share = torch.ones(len(rows), dtype=torch.float64)
        if weight.tilt and not weight.in_model:
            share = tilt_weights(parameters.stage_tilt_deg.double()).clamp(min=0)
        share[-1] = 0
        filtered = parameters.ctf_premultiplied or parameters.dose_weighted
        power = 1.0 if filtered else data.mean_power
        ctf_of_image, ctf_of_sample = _ctf_tables(frequencies, parameters.ctf, len(rows))
        dose_of_image, dose_of_sample, dose = _dose_tables(frequencies, parameters)
        log_weight = torch.log(share / (data.mean_weight * power))

        def on_device(table: Tensor) -> Tensor:
            return table.float().to(device)

        return cls(
            on_device(ctf_of_image),
            on_device(ctf_of_sample),
            on_device(dose_of_image),
            on_device(dose_of_sample),
            on_device(dose),
            on_device(rotations),
            on_device(log_weight),
            on_device(frequencies),
            parameters.to(device),
            data.mean_power,
            weight,
        )

    @property
    def is_filtered(self) -> bool:
        """Whether noise was multiplied along with the signal, so that its power varies."""
        return self.parameters.ctf_premultiplied or self.parameters.dose_weighted

    def formation(self, images: Tensor) -> ImageFormation:
        """Assemble the model of images ``(image,)`` at all samples."""
        contrast = torch.sin(self.ctf_of_image[images] @ self.ctf_of_sample)
        dose_decay = self.weight.dose and self.weight.in_model
        left = None
        if dose_decay or self.parameters.dose_weighted:
            left = torch.exp(self.dose_of_image[images] @ self.dose_of_sample)
        return assemble(
            contrast,
            left,
            self.parameters.take(images),
            dose_decay=dose_decay,
            tilt_decay=self.weight.tilt and self.weight.in_model,
        )

    def transfer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what the density is multiplied with in images ``(image,)``, and how to undo it.

        Returns
        -------
        Transfer ``(image, point)``, and the factor that turns a sample into the encoder's input:
        the sign of the CTF undone and the noise made white.
        """
        model = self.formation(images)
        if not self.is_filtered:
            return model.transfer, model.phase * self.mean_power**-0.5
        white = (model.precision(NOISE_FLOOR) / self.mean_power).sqrt()
        return model.transfer, model.phase * white

    def at_points(self, images: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Compute frequencies ``(point, 3)`` in cycles per pixel, and weights ``(point,)``.

        Of sample ``samples[i]`` of image ``images[i]``; the frequency is ``R.T @ (kx, ky, 0)``.
        Where noise is the same everywhere, weights are times its inverse power; else the square
        of the encoder's factor is that.
        """
        plane = self.frequencies[samples]
        rotations = self.rotations[images].unflatten(1, (2, 3))
        frequencies = (plane[:, :, None] * rotations).sum(1)
        weights = torch.exp(self.log_weight[images])
        weigh_dose = self.weight.dose and not self.weight.in_model
        if weigh_dose or self.weight.dose_mask:
            of_sample = self.dose_of_sample[:, samples]
            if weigh_dose:
                weights = weights * torch.exp((self.dose_of_image[images] * of_sample.T).sum(1))
            if self.weight.dose_mask:  # dose <= ratio Nc; a sample has 1 / (2 Nc)
                weights = weights * (self.dose[images] * of_sample[0] * 2 <= OPTIMAL_DOSE_RATIO)
        return frequencies, weights


def _ctf_tables(
    frequencies: Tensor, parameters: CtfParameters, count: int
) -> tuple[Tensor, Tensor]:
    """Tables of the CTF's phase, ``(image, 5)`` and ``(5, point)``, in double precision."""

    def column(values: Tensor | float) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float64).expand(count)

    wavelength = column(electron_wavelength_angstrom(parameters.voltage_kv))
    u, v = column(parameters.defocus_u_angstrom), column(parameters.defocus_v_angstrom)
    angle = 2 * torch.deg2rad(column(parameters.defocus_angle_deg))
    offset = torch.deg2rad(column(parameters.phase_shift_deg)) + torch.asin(
        column(parameters.amplitude_contrast)
    )
    spherical = column(parameters.spherical_aberration_mm) * 1e7 * wavelength**3
    half = wavelength * (u - v) / 2
    of_image = [wavelength * (u + v) / 2, half * angle.cos(), half * angle.sin()]
    s2 = frequencies.square().sum(-1) / parameters.pixel_size_angstrom**2
    twice = 2 * torch.atan2(frequencies[:, 1], frequencies[:, 0])
    slope = -math.pi * s2
    of_sample = [slope, slope * twice.cos(), slope * twice.sin()]
    return (
        torch.stack([*of_image, spherical, -offset], dim=1),
        torch.stack([*of_sample, math.pi / 2 * s2.square(), torch.ones_like(s2)]),
    )


def _dose_tables(frequencies: Tensor, parameters: ImageParameters) -> tuple[Tensor, Tensor, Tensor]:
    """Tables of the exponent of what the dose leaves ``(image, 2)``, ``(2, point)``; the dose.

    An image has either the curve of critical doses or a B-factor per dose.
    """
    s = frequencies.norm(dim=-1) / parameters.ctf.pixel_size_angstrom
    dose = parameters.dose_e_per_angstrom2.double()
    voltage = torch.as_tensor(parameters.ctf.voltage_kv, dtype=torch.float64).expand(len(dose))
    # The curve is multiplied by a number of the voltage, taken from it where it is finite.
    share = critical_dose(torch.full((1,), 0.1, dtype=torch.float64), voltage)[:, 0]
    share = share / critical_dose(torch.full((1,), 0.1, dtype=torch.float64), _CURVE_KV)
    counted = dose / share
    by_curve, by_factor = -counted, torch.zeros_like(dose)
    if parameters.b_factor_per_dose_angstrom2 is not None:
        factor = parameters.b_factor_per_dose_angstrom2.double()
        by_factor = -factor * dose
        by_curve = torch.where(factor > 0, 0.0, by_curve)
    of_sample = torch.stack([0.5 / critical_dose(s, _CURVE_KV), s.square() / 4])
    return torch.stack([by_curve, by_factor], dim=1), of_sample, counted
