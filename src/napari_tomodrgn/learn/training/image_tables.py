"""What a training step needs of each image and each Fourier sample, made once on the device.

Every factor of the forward model (`physics.image_formation`) is a smooth function of few numbers of
the image and few of the sample, so each is one product of two small tables:

    CTF     sin(−π s² λ (d + a cos 2φ + b sin 2φ) + (π/2) s⁴ Cs λ³ − offset)     (`physics.ctf`)
            d = (U + V)/2, a + i b = (U − V)/2 · exp(2 i φ_defocus)
    dose    exp(−dose / (2 Nc(s)) − B · dose · s² / 4)                      (`physics.exposure`)

No host synchronisation and no shape that depends on values: a step made of these can be captured.
The last row of the tables by image belongs to no image: what is padded points there and weighs 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_tomodrgn.config import WeightConfig
from napari_tomodrgn.data.particles import Optics
from napari_tomodrgn.data.tilt_data import NOISE_FLOOR, TiltData
from napari_tomodrgn.physics.ctf import CtfParameters, electron_wavelength_angstrom
from napari_tomodrgn.physics.exposure import OPTIMAL_DOSE_RATIO, critical_dose, tilt_weights
from napari_tomodrgn.physics.image_formation import ImageFormation, ctf_done, formation_from


@dataclass(frozen=True, eq=False)
class ImageTables:
    """Tables of all images of a set.

    Attributes
    ----------
    ctf_of_image, ctf_of_sample
        ``(image + 1, 5)`` and ``(5, point)``: their product is the CTF's phase.
    of_image
        ``(image + 1, 12)``: first two rows of the rotation, minus the dose as it counts in the
        critical-exposure curve and in the B-factor, log of weight over mean power, dose, scale,
        least noise power.
    of_sample
        ``(point, 5)``: kx, ky in cycles per pixel, 1 / (2 Nc), s² / 4, largest dose that helps.
    mean_power
        Mean square of whitened samples, which scales the precision.
    optics, weight
        What was done to the images, and what dose and tilt do in the model.
    """

    ctf_of_image: Tensor
    ctf_of_sample: Tensor
    of_image: Tensor
    of_sample: Tensor
    mean_power: float
    optics: Optics
    weight: WeightConfig

    @classmethod
    def of(cls, data: TiltData, weight: WeightConfig, device: torch.device) -> ImageTables:
        """The tables of a set, computed in double precision."""
        optics, parameters = data.optics, data.parameters
        frequencies = data.lattice.frequencies.cpu().double()
        radius = frequencies.norm(dim=-1) / optics.pixel_size_angstrom
        critical = critical_dose(radius, 300.0)[:, None]
        of_sample = [
            frequencies,
            0.5 / critical,
            radius[:, None].square() / 4,
            OPTIMAL_DOSE_RATIO * critical,
        ]
        of_ctf_image, of_ctf_sample = _ctf_tables(frequencies, parameters.ctf)
        of_image = _of_image(data, weight)
        no_image = torch.zeros((1, of_image.shape[1]), dtype=torch.float64)
        no_image[0, 8], no_image[0, 10:] = -math.inf, 1.0

        def on_device(table: Tensor) -> Tensor:
            return table.float().to(device)

        return cls(
            on_device(torch.cat([of_ctf_image, torch.zeros((1, 5), dtype=torch.float64)])),
            on_device(of_ctf_sample),
            on_device(torch.cat([of_image, no_image])),
            on_device(torch.cat(of_sample, dim=1)),
            data.mean_power,
            optics,
            weight,
        )

    def transfer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what the density is multiplied with in images ``(image,)``, and how to undo it.

        Returns
        -------
        Transfer ``(image, point)``, and the factor that turns a sample into the encoder's input:
        the sign of the CTF undone and the noise made white.
        """
        model = self._formation(images)
        root = self.mean_power**-0.5
        applied = model.applied
        transfer = applied * model.signal
        if not self.is_filtered:
            return transfer, model.phase * root
        # As `ImageFormation.precision`, in fewer operations.
        white = torch.rsqrt(torch.addcmul(self.of_image[images, 11:12], applied, applied))
        white = white * (root * (1 + NOISE_FLOOR) ** 0.5)
        return transfer, white if model.multiplied else model.phase * white

    def _formation(self, images: Tensor) -> ImageFormation:
        """The forward model of some images at all samples."""
        optics, weight = self.optics, self.weight
        of_image = self.of_image[images]
        contrast = torch.sin(self.ctf_of_image[images] @ self.ctf_of_sample)
        scale = of_image[:, 10:11]
        one = torch.ones_like(scale)
        fades = weight.dose and weight.in_model
        left = one
        if fades or optics.dose_weighted:
            left = torch.exp(of_image[:, 6:8] @ self.of_sample[:, 2:4].T)
        return formation_from(
            contrast,
            decay=(left if fades else one) * (scale if weight.tilt and weight.in_model else one),
            weighted=left if optics.dose_weighted else one,
            scale=scale,
            done=ctf_done(optics.ctf_premultiplied, optics.ctf_phase_flipped, optics.ctf_corrected),
        )

    @property
    def is_filtered(self) -> bool:
        """Whether noise was multiplied along with the signal, so that its power varies."""
        return self.optics.ctf_premultiplied or self.optics.dose_weighted

    def at_points(self, images: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Compute frequencies ``(point, 3)`` in cycles per pixel, and weights ``(point,)``.

        Of sample ``samples[i]`` of image ``images[i]``; the frequency is ``R.T @ (kx, ky, 0)``.
        Where noise is the same everywhere, weights are times its inverse power; else the square
        of the encoder's factor is that.
        """
        image, sample = self.of_image[images], self.of_sample[samples]
        rotations = image[:, :6].unflatten(1, (2, 3))
        frequencies = (sample[:, :2, None] * rotations).sum(1)
        exponent = image[:, 8]
        if self.weight.dose and not self.weight.in_model:
            exponent = exponent + (image[:, 6:8] * sample[:, 2:4]).sum(1)
        weights = torch.exp(exponent)
        if self.weight.dose_mask:
            weights = weights * (image[:, 9] <= sample[:, 4])
        return frequencies, weights


def _of_image(data: TiltData, weight: WeightConfig) -> Tensor:
    """``(image, 12)`` numbers of each image, double precision."""
    arrays, parameters = data.particles.arrays(), data.parameters
    count = data.image_count
    rotations = torch.tensor(arrays.rotations[:, :2], dtype=torch.float64).reshape(-1, 6)
    dose = torch.tensor(arrays.dose_e_per_angstrom2, dtype=torch.float64)
    voltage = torch.as_tensor(parameters.ctf.voltage_kv).double().expand(count)
    # Beside 300 kV the critical dose is 0.8 of the curve: the dose counts as so much more.
    counted = dose / torch.where(voltage == 300, 1.0, 0.8)
    by_factor = torch.zeros(count, dtype=torch.float64)
    if parameters.b_factor_per_dose_angstrom2 is not None:
        by_factor = parameters.b_factor_per_dose_angstrom2.double() * dose
    share = torch.ones_like(dose)
    if weight.tilt and not weight.in_model:
        tilt = torch.tensor(arrays.stage_tilt_deg, dtype=torch.float64)
        share = tilt_weights(tilt).clamp(min=0)
    filtered = data.optics.ctf_premultiplied or data.optics.dose_weighted
    power = 1.0 if filtered else data.mean_power
    log_weight = torch.log(share / (data.mean_weight * power))
    by_curve = torch.where(by_factor > 0, 0.0, counted)
    scale = torch.tensor(arrays.ctf_scale, dtype=torch.float64)
    least = NOISE_FLOOR * scale.square().clamp(min=1e-30)
    if not data.optics.ctf_premultiplied:
        least = torch.full_like(least, NOISE_FLOOR)
    numbers = torch.stack([-by_curve, -by_factor, log_weight, counted, scale, least], dim=1)
    return torch.cat([rotations, numbers], dim=1)


def _ctf_tables(frequencies: Tensor, parameters: CtfParameters) -> tuple[Tensor, Tensor]:
    """Tables of the CTF's phase ``(image, 5)``, ``(5, point)``, double precision."""
    u, v = parameters.defocus_u_angstrom.double(), parameters.defocus_v_angstrom.double()

    def column(values: Tensor | float) -> Tensor:
        return torch.as_tensor(values).double().expand(len(u))

    wavelength = column(electron_wavelength_angstrom(column(parameters.voltage_kv)))
    s2 = frequencies.square().sum(-1) / parameters.pixel_size_angstrom**2
    twice = 2 * torch.atan2(frequencies[:, 1], frequencies[:, 0])
    angle = 2 * torch.deg2rad(parameters.defocus_angle_deg.double())
    half = (u - v) / 2
    offset = torch.deg2rad(parameters.phase_shift_deg.double()) + torch.asin(
        column(parameters.amplitude_contrast)
    )
    spherical = column(parameters.spherical_aberration_mm) * 1e7 * wavelength**3
    defocus = torch.stack([(u + v) / 2, half * angle.cos(), half * angle.sin()], dim=1)
    of_image = torch.cat(
        [wavelength[:, None] * defocus, torch.stack([-offset, spherical], dim=1)], dim=1
    )
    slope = -math.pi * s2
    of_sample = torch.stack(
        [
            slope,
            slope * twice.cos(),
            slope * twice.sin(),
            torch.ones_like(s2),
            math.pi / 2 * s2.square(),
        ]
    )
    return of_image, of_sample
