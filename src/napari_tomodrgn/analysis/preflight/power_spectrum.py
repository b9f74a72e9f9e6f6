"""What power spectra tell without any pose: pre-multiplication, pixel size, odd images.

The power of a Fourier sample of noise is exponentially distributed about its mean λ. Images that
were multiplied by their CTF carry it in the noise, others only in what the particle adds to it:

    λ(image, k) = a(image) · g(shell) · ((1 − μ) + μ CTF²(image, k)) · d²(image, k)

``a`` and ``g`` are fitted (so neither normalisation nor the spectrum of camera and ice matter),
``d`` is the dose filter where one was applied. What decides is how power differs *within* a shell,
between images and directions of different defocus. μ near 1 says pre-multiplied. Other pixel
sizes, or another sign of the particles' heights, are other CTFs; the log-likelihood
``−Σ log λ + p / λ`` at the best μ of each, particle by particle, says which fits (a paired z).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import ctf_parameters, image_parameters
from napari_tomodrgn.learn.reconstruction.subsample import Sample
from napari_tomodrgn.physics.ctf import ctf
from napari_tomodrgn.physics.image_formation import exposure_left

FloatArray = NDArray[np.float64]
_IMAGES = 1500  # at most, spread evenly over the sample, that CTFs are fitted to
# The particle and the window rule the shells below.
_LOWEST_SHELL = 3
# μ tried; above the last, the little that the window leaks into zeros of the CTF would rule.
_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
_ROUNDS = 4  # of fitting a and g in turn
_BANDS = 6  # of frequency, in which odd images are looked for


@dataclass(frozen=True, eq=False)
class PowerFit:
    """The best μ under one CTF, and log-likelihoods by particle there, at μ = 0 and at 0.95."""

    share: float
    likelihood: FloatArray
    constant: FloatArray
    multiplied: FloatArray


class PowerModel:
    """Power spectra of up to 1,500 images of a sample, ready to be fitted by CTFs."""

    def __init__(self, sample: Sample) -> None:
        count = len(sample.particle_index)
        rows = np.unique(np.linspace(0, count - 1, min(count, _IMAGES)).astype(np.int64))
        shells = sample.lattice.shells
        keep = (shells >= _LOWEST_SHELL) & (shells < sample.lattice.box_size_px // 2)
        self._rows = torch.from_numpy(rows)
        self._frequencies = sample.lattice.frequencies[keep]
        self._shells = shells[keep] - _LOWEST_SHELL
        self._by_shell = torch.nn.functional.one_hot(self._shells).float()
        power = sample.images.take(self._rows)[:, keep].abs().square()
        self._dose = _dose_power(sample.particles, self._frequencies, rows)
        self._power = power.clamp(min=1e-12) / self._dose
        self._owner = np.unique(sample.particle_index[rows], return_inverse=True)[1]

    def fit(self, particles: ParticleSet) -> PowerFit:
        """Fit the CTFs of ``particles`` (the sample's, or others for the same images)."""
        parameters = ctf_parameters(particles).take(self._rows)
        squared = ctf(self._frequencies, parameters).square()
        found = [self._likelihood((1 - share) + share * squared) for share in _SHARES]
        best = int(np.argmax([one.sum() for one in found]))
        return PowerFit(_SHARES[best], found[best], found[0], found[_SHARES.index(0.95)])

    def _likelihood(self, shape: Tensor) -> FloatArray:
        """Log-likelihood by particle where λ is ``a · g · shape``."""
        ratio = self._power / shape
        in_shells = ratio @ self._by_shell
        size = self._by_shell.sum(dim=0)
        g = torch.ones_like(size)
        a = torch.ones(len(ratio))
        for _ in range(_ROUNDS):
            a = (in_shells / g).sum(dim=1) / size.sum()
            g = (in_shells / a[:, None]).mean(dim=0) / size
        scaled = ratio / (a[:, None] * g[self._shells])
        mean = a[:, None] * g[self._shells] * shape
        value = -(mean.log() + scaled).sum(dim=1).double().numpy()
        return np.asarray(np.bincount(self._owner, weights=value))


def _dose_power(particles: ParticleSet, frequencies: Tensor, rows: NDArray[np.int64]) -> Tensor:
    """What the dose filter left of the noise's power, ``(image, point)`` or 1."""
    if not particles.optics.dose_weighted:
        return torch.ones(1)
    parameters = image_parameters(particles).take(torch.from_numpy(rows))
    return exposure_left(frequencies, parameters).square().clamp(min=1e-6)


def odd_images(sample: Sample) -> tuple[NDArray[np.int64], FloatArray]:
    """Find images whose power spectrum is unlike that of the others of the same tilt.

    The logarithm of the mean power in six bands of frequency, less the median over the images of
    the same dose; its distance from 0 over 1.4826 times the median absolute deviation in that
    band. An image's score is its largest distance; a score over `ODD` marks it, a blank image's is
    infinite.

    Returns
    -------
    ``(odd,)`` rows of the odd images in the sample, worst first, and ``(image,)`` all scores.
    """
    shells = sample.lattice.shells.numpy()
    edges = np.linspace(1, shells.max() + 1, _BANDS + 1)
    band = np.clip(np.searchsorted(edges, shells, side="right") - 1, 0, _BANDS - 1)
    member = torch.from_numpy(np.eye(_BANDS, dtype=np.float32)[band])
    power = (
        torch.cat(
            [
                sample.images.take(rows).abs().square() @ member
                for rows in torch.arange(len(sample.particle_index)).split(512)
            ]
        )
        .double()
        .numpy()
    )
    blank = power.sum(axis=1) <= 0
    levels = np.log(np.maximum(power, 1e-30))
    dose = sample.particles.images["dose_e_per_angstrom2"].round(2).to_numpy()
    tilts, which = np.unique(dose, return_inverse=True)
    for tilt in range(len(tilts)):
        levels[which == tilt] -= np.median(levels[which == tilt], axis=0)
    spread = 1.4826 * np.median(np.abs(levels), axis=0)
    score = (np.abs(levels) / np.maximum(spread, 1e-6)).max(axis=1)
    score[blank] = np.inf
    odd = np.flatnonzero(score > ODD)
    return odd[np.argsort(-score[odd])], score


# Normal spectra stay below 6; a lost frame, a blank or a contaminated image lies far beyond.
ODD = 8.0
