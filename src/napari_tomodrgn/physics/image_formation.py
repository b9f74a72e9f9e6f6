"""How an image comes about: the one model that everything here uses.

Training, the linear engine, refinement, reconstruction, preflight and the simulator all take a
Fourier sample of an image to be

    x = T F(k) + h n        T = h c d s        n white noise of variance σ²(|k|)

with the CTF ``c``; the amplitude ``d`` that the dose leaves (`physics.exposure`); the amplitude
``s`` that the longer way through a tilted specimen leaves, RELION's and Warp's
``rlnCtfScalefactor``, about the cosine of the tilt; and the filter ``h`` that the export multiplied
signal and noise with. Programs that pre-multiply images do so with the whole CTF of their own
model, scale factor included, so that ``T`` is then the ``(c d s)²`` of their formulas:

    images                      h            c counts as
    as recorded                 1            c
    pre-multiplied              c s          c
    and dose-weighted           c s d        c
    phase-flipped               1            |c|
    CTF-corrected               1            1

Frequencies beyond the dose mask are not looked at. Which of these factors belong into the model was
decided by how well half maps foresee images (``benchmarks/image_formation.py``, `docs/model.md`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from napari_tomodrgn.physics.ctf import CtfParameters, ctf
from napari_tomodrgn.physics.exposure import dose_mask, dose_weights


@dataclass(frozen=True, eq=False)
class ImageParameters:
    """What decides how images come about.

    Attributes
    ----------
    ctf
        Of each image, with the pixel size of all.
    dose_e_per_angstrom2, stage_tilt_deg
        ``(image,)`` exposure before the image, and tilt of the stage.
    ctf_scale
        ``(image,)`` s: what the tilt leaves of the signal, and what programs multiply with.
    b_factor_per_dose_angstrom2
        ``(image,)`` see `dose_weights`; None where no image has one.
    ctf_premultiplied, dose_weighted, ctf_phase_flipped, ctf_corrected
        What was done to all images when they were extracted.
    """

    ctf: CtfParameters
    dose_e_per_angstrom2: Tensor
    stage_tilt_deg: Tensor
    ctf_scale: Tensor
    b_factor_per_dose_angstrom2: Tensor | None = None
    ctf_premultiplied: bool = False
    dose_weighted: bool = False
    ctf_phase_flipped: bool = False
    ctf_corrected: bool = False

    def take(self, rows: Tensor) -> ImageParameters:
        """Take the parameters of some images; ``rows`` is an index ``(row,)``."""
        b_factor = self.b_factor_per_dose_angstrom2
        return replace(
            self,
            ctf=self.ctf.take(rows),
            dose_e_per_angstrom2=self.dose_e_per_angstrom2[rows],
            stage_tilt_deg=self.stage_tilt_deg[rows],
            ctf_scale=self.ctf_scale[rows],
            b_factor_per_dose_angstrom2=None if b_factor is None else b_factor[rows],
        )

    def to(self, device: torch.device | str) -> ImageParameters:
        """The parameters on another device."""
        b_factor = self.b_factor_per_dose_angstrom2
        return replace(
            self,
            ctf=self.ctf.to(device),
            dose_e_per_angstrom2=self.dose_e_per_angstrom2.to(device),
            stage_tilt_deg=self.stage_tilt_deg.to(device),
            ctf_scale=self.ctf_scale.to(device),
            b_factor_per_dose_angstrom2=None if b_factor is None else b_factor.to(device),
        )


@dataclass(frozen=True, eq=False)
class ImageFormation:
    """The model at Fourier samples; tensors are ``(image, point)``, or ``(image, 1)``.

    Attributes
    ----------
    contrast
        The CTF, whatever was done to the images.
    seen
        What the CTF counts as: itself, its size where phases were flipped, 1 where it was taken
        out.
    decay
        d s: amplitude that dose and tilt have left of the specimen.
    rest
        h without the CTF: scale and dose weight that the export multiplied with.
    scale
        ``(image, 1)`` the part of h that is the same for a whole image.
    multiplied
        Whether h holds the CTF.
    """

    contrast: Tensor
    seen: Tensor
    decay: Tensor
    rest: Tensor
    scale: Tensor
    multiplied: bool

    @property
    def signal(self) -> Tensor:
        """c d s, ``(image, point)``: multiplies the density where nothing was done to an image."""
        return self.seen * self.decay

    @property
    def applied(self) -> Tensor:
        """h: what the export multiplied signal and noise with.

        ``(image, point)``, or ``(image, 1)`` where it is the same at all points.
        """
        return self.contrast * self.rest if self.multiplied else self.rest

    @property
    def transfer(self) -> Tensor:
        """T = h c d s, ``(image, point)``: multiplies the density to give the image."""
        return self.applied * self.signal

    @property
    def signal_over_applied(self) -> Tensor:
        """c d s / h without a division by the CTF; 0 where nothing is left of an image.

        ``(image, point)``, or ``(image, 1)`` where it is the same at all points.
        """
        least = torch.finfo(self.rest.dtype).tiny
        ratio = torch.where(self.rest > 0, self.decay / self.rest.clamp(min=least), 0.0)
        return ratio if self.multiplied else ratio * self.seen

    @property
    def phase(self) -> Tensor:
        """Sign that undoes the CTF's phase flips, ``(image, point)``.

        1 where the images have none.
        """
        if self.multiplied or self.seen is not self.contrast:
            return torch.ones_like(self.contrast)
        return self.contrast.sign()

    def precision(self, floor: float) -> Tensor:
        """Compute the inverse noise power, 1 where nothing was applied; of the shape of `applied`.

        ``floor`` is the least noise as a share of that of an unfiltered image: where the filter is
        smaller, what stands in the file is interpolation and rounding.
        """
        least = floor * self.scale.square().clamp(min=torch.finfo(self.scale.dtype).tiny)
        return (1 + floor) / (self.applied.square() + least)


def exposure_left(frequencies: Tensor, parameters: ImageParameters) -> Tensor:
    """Amplitude ``d`` that the dose has left, ``(image, point)``, at ``(point, 2)`` frequencies."""
    s = frequencies.norm(dim=-1) / parameters.ctf.pixel_size_angstrom
    return dose_weights(
        s,
        parameters.dose_e_per_angstrom2,
        parameters.ctf.voltage_kv,
        parameters.b_factor_per_dose_angstrom2,
    )


def image_formation(
    frequencies: Tensor,
    parameters: ImageParameters,
    *,
    dose_decay: bool = True,
    tilt_decay: bool = True,
) -> ImageFormation:
    """The model of the head of this module.

    Parameters
    ----------
    frequencies
        ``(point, 2)`` kx and ky in cycles per pixel.
    parameters
        Of ``image`` images.
    dose_decay, tilt_decay
        Whether dose and tilt take from the signal; if not, d or s is 1 there, but not in what the
        export multiplied with.
    """
    contrast = ctf(frequencies, parameters.ctf)
    needed = dose_decay or parameters.dose_weighted
    left = exposure_left(frequencies, parameters) if needed else None
    return assemble(contrast, left, parameters, dose_decay=dose_decay, tilt_decay=tilt_decay)


def assemble(
    contrast: Tensor,
    left: Tensor | None,
    parameters: ImageParameters,
    *,
    dose_decay: bool,
    tilt_decay: bool,
) -> ImageFormation:
    """Assemble the model of the head of this module from its factors.

    Parameters
    ----------
    contrast
        CTF ``(image, point)``.
    left
        Amplitude that the dose leaves, likewise; None where nothing asks for it.
    parameters
        Of ``image`` images: the scale of each, and what was done to them.
    dose_decay, tilt_decay
        As of `image_formation`.
    """
    # ``(image, 1)``: what is the same at all frequencies is not spread over them.
    one = torch.ones_like(contrast[:, :1])
    scale = parameters.ctf_scale[:, None].to(contrast.dtype)
    kept = one if left is None else left
    decay = (kept if dose_decay else one) * (scale if tilt_decay else one)
    weighted = kept if parameters.dose_weighted else one
    # Programs multiply with the CTF of their own model, their scale factor in it.
    if parameters.ctf_premultiplied:
        return ImageFormation(contrast, contrast, decay, scale * weighted, scale, multiplied=True)
    seen = contrast
    if parameters.ctf_corrected:
        seen = torch.ones_like(contrast)
    elif parameters.ctf_phase_flipped:
        seen = contrast.abs()
    return ImageFormation(contrast, seen, decay, weighted, one, multiplied=False)


def looked_at(frequencies: Tensor, parameters: ImageParameters) -> Tensor:
    """Whether samples count, ``(image, point)`` 1 or 0: not beyond the dose mask."""
    s = frequencies.norm(dim=-1) / parameters.ctf.pixel_size_angstrom
    dose = parameters.dose_e_per_angstrom2
    return dose_mask(s, dose, parameters.ctf.voltage_kv).to(frequencies.dtype)
