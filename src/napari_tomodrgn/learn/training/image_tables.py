"""What a training step needs of each image and each Fourier sample, made once on the device.

CTF and weights of an image are smooth functions of few numbers of the image and few of the sample,
so each is one product of two small tables:

    CTF     sin(−π λ s² (d + a cos 2φ + b sin 2φ) + (π/2) Cs λ³ s⁴ − offset)     (`physics.ctf`)
            d = (U + V)/2, a + i b = (U − V)/2 · exp(2 i φ_defocus)
    weight  exp(−dose / (2 Nc(s)) + log(cos tilt / mean weight))             (`physics.exposure`)

No host synchronisation and no shape that depends on values: a step made of these can be captured.
The last row of the tables by image belongs to no image: what is padded points there and weighs 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_tomodrgn.config import WeightConfig
from napari_tomodrgn.data.tilt_data import NOISE_FLOOR, TiltData, ctf_parameters
from napari_tomodrgn.physics.ctf import CtfParameters, electron_wavelength_angstrom
from napari_tomodrgn.physics.exposure import OPTIMAL_DOSE_RATIO, critical_dose, tilt_weights


@dataclass(frozen=True, eq=False)
class ImageTables:
    """Tables of all images of a set.

    Attributes
    ----------
    ctf_of_image, ctf_of_sample
        ``(image + 1, 4)`` and ``(4, point)``: their product plus ``ctf_offset`` is the CTF's phase.
    ctf_offset
        ``(point,)`` the part of the phase that is the same in all images.
    of_image
        ``(image + 1, 9)``: first two rows of the rotation, minus the dose, log of weight over
        mean power, dose.
    of_sample
        ``(point, 4)``: kx, ky in cycles per pixel, 1 / (2 Nc), largest dose that still helps.
    mean_power
        Mean square of whitened samples, which scales the precision.
    premultiplied, dose_weighted, weigh_dose, mask_dose
        What was done to the images, and which weights apply.
    """

    ctf_of_image: Tensor
    ctf_of_sample: Tensor
    ctf_offset: Tensor
    of_image: Tensor
    of_sample: Tensor
    mean_power: float
    premultiplied: bool
    dose_weighted: bool
    weigh_dose: bool
    mask_dose: bool

    @classmethod
    def of(cls, data: TiltData, weight: WeightConfig, device: torch.device) -> ImageTables:
        """The tables of a set, computed in double precision."""
        arrays, optics = data.particles.arrays(), data.optics
        frequencies = data.lattice.frequencies.cpu().double()
        parameters = ctf_parameters(data.particles)
        dose = torch.tensor(arrays.dose_e_per_angstrom2, dtype=torch.float64)
        share = torch.ones_like(dose)
        if weight.tilt:
            share = tilt_weights(torch.tensor(arrays.stage_tilt_deg, dtype=torch.float64)).clamp(
                min=0
            )
        rotations = torch.tensor(arrays.rotations[:, :2], dtype=torch.float64).reshape(-1, 6)
        filtered = optics.ctf_premultiplied or optics.dose_weighted
        power = 1.0 if filtered else data.mean_power
        log_weight = torch.log(share / (data.mean_weight * power))
        of_image = torch.cat([rotations, torch.stack([-dose, log_weight, dose], dim=1)], dim=1)
        no_image = torch.zeros((1, of_image.shape[1]), dtype=torch.float64)
        no_image[0, 7] = -math.inf
        critical = critical_dose(
            frequencies.norm(dim=-1) / optics.pixel_size_angstrom, optics.voltage_kv
        )
        critical = critical[:, None]
        of_sample = [frequencies, 0.5 / critical, OPTIMAL_DOSE_RATIO * critical]
        of_ctf_image, of_ctf_sample, offset = _ctf_tables(frequencies, parameters)

        def on_device(table: Tensor) -> Tensor:
            return table.float().to(device)

        return cls(
            on_device(torch.cat([of_ctf_image, torch.zeros((1, 4), dtype=torch.float64)])),
            on_device(of_ctf_sample),
            on_device(offset),
            on_device(torch.cat([of_image, no_image])),
            on_device(torch.cat(of_sample, dim=1)),
            data.mean_power,
            optics.ctf_premultiplied,
            optics.dose_weighted,
            weight.dose,
            weight.dose_mask,
        )

    def transfer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what the density is multiplied with in images ``(image,)``, and how to undo it.

        Returns
        -------
        Transfer ``(image, point)``, and the factor that turns a sample into the encoder's input:
        the sign of the CTF undone and the noise made white.
        """
        phase = torch.addmm(self.ctf_offset, self.ctf_of_image[images], self.ctf_of_sample)
        contrast = torch.sin(phase)
        root = self.mean_power**-0.5
        if not self.is_filtered:
            return contrast, contrast.sign() * root
        transfer = contrast.square() if self.premultiplied else contrast
        power = transfer if self.premultiplied else None
        if self.dose_weighted:
            dose = torch.exp(self.of_image[images, 6:7] * self.of_sample[:, 2])
            transfer = transfer * dose
            power = dose.square() if power is None else power * dose.square()
        assert power is not None
        white = torch.rsqrt(power + NOISE_FLOOR) * (root * (1 + NOISE_FLOOR) ** 0.5)
        return transfer, white if self.premultiplied else contrast.sign() * white

    @property
    def is_filtered(self) -> bool:
        """Whether noise was multiplied along with the signal, so that its power varies."""
        return self.premultiplied or self.dose_weighted

    def at_points(self, images: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Compute frequencies ``(point, 3)`` in cycles per pixel, and weights ``(point,)``.

        Of sample ``samples[i]`` of image ``images[i]``; the frequency is ``R.T @ (kx, ky, 0)``.
        Where noise is the same everywhere, weights are times its inverse power; else the square
        of the encoder's factor is that.
        """
        image, sample = self.of_image[images], self.of_sample[samples]
        rotations = image[:, :6].unflatten(1, (2, 3))
        frequencies = (sample[:, :2, None] * rotations).sum(1)
        exponent = image[:, 7]
        if self.weigh_dose:
            exponent = torch.addcmul(exponent, image[:, 6], sample[:, 2])
        weights = torch.exp(exponent)
        if self.mask_dose:
            weights = weights * (image[:, 8] <= sample[:, 3])
        return frequencies, weights


def _ctf_tables(frequencies: Tensor, parameters: CtfParameters) -> tuple[Tensor, Tensor, Tensor]:
    """Tables of the CTF's phase ``(image, 4)``, ``(4, point)``, ``(point,)``, double precision."""
    wavelength = electron_wavelength_angstrom(parameters.voltage_kv)
    s2 = frequencies.square().sum(-1) / parameters.pixel_size_angstrom**2
    twice = 2 * torch.atan2(frequencies[:, 1], frequencies[:, 0])
    u, v = parameters.defocus_u_angstrom.double(), parameters.defocus_v_angstrom.double()
    angle = 2 * torch.deg2rad(parameters.defocus_angle_deg.double())
    half = (u - v) / 2
    offset = torch.deg2rad(parameters.phase_shift_deg.double()) + math.asin(
        parameters.amplitude_contrast
    )
    of_image = torch.stack([(u + v) / 2, half * angle.cos(), half * angle.sin(), -offset], dim=1)
    slope = -math.pi * wavelength * s2
    of_sample = torch.stack([slope, slope * twice.cos(), slope * twice.sin(), torch.ones_like(s2)])
    spherical = math.pi / 2 * parameters.spherical_aberration_mm * 1e7 * wavelength**3
    return of_image, of_sample, spherical * s2.square()
