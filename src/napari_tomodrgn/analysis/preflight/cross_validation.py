"""What a quick reconstruction tells: half maps, and how well each foresees the other's images.

Two descriptions of the same images (poses, CTFs) are compared by cross-validation. A map ``V`` of
one half of the particles, each shell shrunk by the FSC of the half maps, foresees the image ``x``
of a particle of the other half as ``T V`` at its pose. With white noise of variance σ² the gain in
log-likelihood over "there is nothing" is, in units of σ²/2,

    G = Σ_shell 2 α N − α² D,   N = Re Σ w p T x* V,   D = Σ w p T² |V|²,   α = ΣN / ΣD

where ``p`` makes the noise of filtered images white again (`TiltBatch.precision`). One factor α
for each shell takes up what is the same for all images there (the filter of the map, the envelope
of the microscope), so that only what differs from image to image decides. Every particle gives one
G under each description, and the mean of the differences over its standard error, a paired ``z``,
says which description the particles prefer and how sure that is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.analysis.fsc import FscCurve, fsc, fsc_sphere
from napari_tomodrgn.data.tilt_data import TiltData, ctf_parameters
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.learn.reconstruction.backprojection import OVERSAMPLING
from napari_tomodrgn.learn.reconstruction.contrast import half_volumes
from napari_tomodrgn.learn.reconstruction.subsample import Sample, chosen_rows
from napari_tomodrgn.physics.ctf import ctf
from napari_tomodrgn.physics.fourier import gridding, padded, sample_transform, transform_volume
from napari_tomodrgn.physics.lattice import slice_frequencies

FloatArray = NDArray[np.float64]
_PARTICLES_AT_A_TIME = 16  # whose images are compared with a map in one go
# The window and the size of the box rule the shells below.
_LOWEST_SHELL = 2
_SPLIT = 0.05  # least share of samples on whose sign two CTFs agree, and on which they differ


@dataclass(frozen=True, eq=False)
class Halves:
    """Half maps of a sample, of all Fourier samples, and their FSC inside a soft sphere."""

    first: Volume
    second: Volume
    fsc: FscCurve

    @property
    def mean(self) -> FloatArray:
        """Mean of the half maps, zyx."""
        return (self.first.data.astype(np.float64) + self.second.data) / 2


def half_maps(data: TiltData, first_half: NDArray[np.bool_]) -> Halves:
    """Reconstruct half maps by weighted back-projection; ``first_half`` is ``(particle,)``."""
    pixel = data.optics.pixel_size_angstrom
    one, two = (Volume(half.numpy(), pixel) for half in half_volumes(data, first_half))
    return Halves(one, two, fsc(one, two, fsc_sphere(one.box_size_px)))


@dataclass(frozen=True, eq=False)
class Agreement:
    """How well each half of a sample foresees the other; see the head of this module.

    Attributes
    ----------
    halves
        The half maps.
    numerator, denominator
        N and D, ``(image, shell)``.
    particle_index
        ``(image,)`` particle of each image.
    """

    halves: Halves
    numerator: FloatArray
    denominator: FloatArray
    particle_index: NDArray[np.int64]

    def gain(self, shells: NDArray[np.bool_] | None = None) -> FloatArray:
        """G of each particle ``(particle,)`` over the shells where ``shells`` ``(shell,)`` is true.

        All from `_LOWEST_SHELL` if None.
        """
        chosen = np.arange(self.numerator.shape[1]) >= _LOWEST_SHELL
        if shells is not None:
            chosen &= shells
        n, d = self.numerator[:, chosen], self.denominator[:, chosen]
        total = d.sum(axis=0)
        alpha = np.divide(n.sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
        alpha = alpha.clip(min=0.0)  # a shell foreseen with the wrong sign is not foreseen
        gain = (2 * alpha * n - alpha**2 * d).sum(axis=1)
        return np.asarray(np.bincount(self.particle_index, weights=gain))

    def scales(self, groups: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Factor of the map in the images of each group, and its standard error, ``(group,)``.

        ``groups`` ``(image,)`` counts from 0. Of all images together the factor is 1; errors are
        those of independent images.
        """
        chosen = np.arange(self.numerator.shape[1]) >= _LOWEST_SHELL
        n, d = self.numerator[:, chosen], self.denominator[:, chosen]
        total = d.sum(axis=0)
        alpha = np.divide(n.sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
        alpha = alpha.clip(min=0.0)
        seen, expected = n @ alpha, d @ alpha**2
        sums = np.maximum(np.bincount(groups, weights=expected), np.finfo(np.float64).tiny)
        factors = np.bincount(groups, weights=seen) / sums
        off = np.square(seen - factors[groups] * expected)
        return factors, np.sqrt(np.bincount(groups, weights=off)) / sums

    @property
    def z(self) -> float:
        """How surely the halves foresee each other at all: of N, whose mean is 0 if they do not."""
        total = np.bincount(self.particle_index, weights=self.numerator.sum(axis=1))
        return paired_z(np.asarray(total, dtype=np.float64))


@dataclass(frozen=True)
class ModelComparison:
    """How much better particles are foreseen by another description than by the given one.

    ``z`` is that of the paired differences, ``relative`` the other's mean G over that of the given
    one, less 1, and ``error`` the standard error of that.
    """

    z: float
    relative: float
    error: float


NO_PREFERENCE = ModelComparison(0.0, 0.0, float("inf"))


def preference(
    given: Agreement, other: Agreement, shells: NDArray[np.bool_] | None = None
) -> ModelComparison:
    """Compare two descriptions of the same images, over the shells ``(shell,)`` that are true."""
    before, after = given.gain(shells), other.gain(shells)
    scale = max(float(before.mean()), 0.02 * float(after.mean()), 1e-12)
    difference = after - before
    error = float(difference.std(ddof=1)) / np.sqrt(len(difference)) if len(before) > 2 else np.inf
    return ModelComparison(paired_z(difference), float(difference.mean()) / scale, error / scale)


def split_shells(given: Sample, other: Sample) -> NDArray[np.bool_]:
    """Shells in which two CTFs agree on the sign of some images and disagree on that of others.

    Elsewhere either sign of the whole shell fits as well, and images say nothing about the CTF.

    Returns
    -------
    ``(shell,)``, true for these shells.
    """
    rows = torch.arange(0, len(given.particle_index), 5)
    frequencies = given.lattice.frequencies
    one, two = (
        ctf(frequencies, ctf_parameters(sample.particles).take(rows)) for sample in (given, other)
    )
    apart = ((one * two) < 0).double().mean(dim=0)
    shells = given.lattice.shells
    share = torch.bincount(shells, weights=apart) / torch.bincount(shells)
    found = (share > _SPLIT) & (share < 1 - _SPLIT)
    return np.asarray(found.numpy())


def half_set_agreement(sample: Sample, *, weighted: bool = True) -> Agreement:
    """Half maps of a sample and how they foresee the images of the other half."""
    data = sample.data(weighted=weighted)
    halves = half_maps(data, sample.first_half)
    particle_index = sample.particle_index
    shape = (len(particle_index), int(sample.lattice.shells.max()) + 1)
    numerator, denominator = np.zeros(shape), np.zeros(shape)
    for half, map_ in ((sample.first_half, halves.second), (~sample.first_half, halves.first)):
        n, d = _products(data, _foresight(map_), chosen_rows(half))
        images = np.flatnonzero(half[particle_index])
        numerator[images], denominator[images] = n, d
    return Agreement(halves, numerator, denominator, particle_index)


def _foresight(volume: Volume) -> Tensor:
    """Padded transform of a half map inside a soft sphere."""
    box = volume.box_size_px
    density = torch.from_numpy(volume.data * fsc_sphere(box).astype(np.float32))
    return transform_volume(padded(density / gridding(box, OVERSAMPLING), OVERSAMPLING))


def _products(data: TiltData, transform: Tensor, rows: Tensor) -> tuple[FloatArray, FloatArray]:
    """N and D of the images of some particles by shell, in the order of the image table."""
    shells = torch.nn.functional.one_hot(data.lattice.shells).float()
    numerator, denominator = [], []
    for start in range(0, len(rows), _PARTICLES_AT_A_TIME):
        batch = data.batch(rows[start : start + _PARTICLES_AT_A_TIME])
        frequencies = slice_frequencies(data.lattice.frequencies, batch.rotations)
        slices = sample_transform(transform, frequencies)
        weights = batch.weights * batch.precision * batch.transfer
        numerator.append((weights * (batch.samples.conj() * slices).real) @ shells)
        denominator.append((weights * batch.transfer * slices.abs().square()) @ shells)
    return torch.cat(numerator).double().numpy(), torch.cat(denominator).double().numpy()


def paired_z(differences: FloatArray) -> float:
    """Mean over its standard error; 0 for fewer than three values or no spread."""
    if len(differences) < 3:
        return 0.0
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return float(differences.mean() / error) if error > 0 else 0.0
