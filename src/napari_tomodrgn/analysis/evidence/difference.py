"""Do two groups differ: a statistic that is 0 on average where they do not.

With c_pt = 1/n_A for members of A, −1/n_B for members of B (t the tilt half that judges), U = Σ c N
is the slope of the likelihood as A and B leave their common map, and on average |U|² is that of
noise plus that of a difference. Noise meets itself only within a particle, so

    T = Σ_{p≠q} c_p c_q ⟨φ_p, φ_q⟩        φ = M F⁻¹[g N]

has mean 0 without a difference: it is the mean of Re D₁ D₂* / σ² over all ways to halve the
particles. g² = (P/σ²) / (1 + 2 P I/σ²) weighs a voxel as the likelihood ratio of a difference with
the expected power P does, I being the information on it; M is a soft mask around the particle.
P is the power of the mean map times `EXPECTED_SHARE`, which was fixed before any set was judged.
Of cross-fitted groups only pairs of the same tilt half count (`statistics`).
Errors and chances come from permutations, which leave g and M as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_tomodrgn.analysis.evidence.particle_sums import ParticleSums

FloatArray = NDArray[np.float64]
RealArray = NDArray[np.float32]
Labels = NDArray[np.int8]

# Power of a difference that g is made for, as a share of the mean map's.
EXPECTED_SHARE = 0.05
# Share of one group times that of the other, for which g is made: of a fifth against the rest.
_SPLIT = 0.16
# A spread of permutations below this share of them is rounding of one value.
_ROUNDING = 1e-6
_PERMUTATIONS_AT_A_TIME = 500  # rows of weights in one matrix product
_MAPS_AT_A_TIME, _VOXELS_AT_A_TIME = 32, 4096  # of φ, so that what lies between takes little
_LEAST_WEIGHT = 1e-3  # of the mask, where φ is kept


@dataclass(frozen=True, eq=False)
class Features:
    """φ of each particle and tilt half, inside the mask and around it.

    Attributes
    ----------
    inside
        ``(2 particle, place)``, the first tilt half first, at `places` of the grid, times M.
    places
        Flat places of an ``(n, n, n)`` grid whose origin is at ``n // 2``, where M > 0.
    gram, around
        ``(2 particle, 2 particle)`` inner products of ``inside``, and of what is left of φ when M
        is taken off.
    weights
        ``(place,)`` M.
    size
        n.
    """

    inside: RealArray
    places: NDArray[np.int64]
    gram: RealArray
    around: RealArray
    weights: RealArray
    size: int


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """A statistic against its permutations.

    Attributes
    ----------
    statistic
        T.
    z
        T in standard deviations of the permutations, from their mean; 0 where they are all
        one, as of two tomograms, whose groups have only two names to change.
    p
        Share of permutations with as large a T, itself among them.
    """

    statistic: float
    z: float
    p: float

    @classmethod
    def of(cls, statistic: float, permutations: FloatArray) -> PermutationTest:
        """The result for a statistic and those of permutations."""
        spread = float(permutations.std())
        if spread <= _ROUNDING * float(np.abs(permutations).max(initial=0.0)):
            spread = float("inf")
        p = (1 + int((permutations >= statistic).sum())) / (1 + len(permutations))
        return cls(statistic, (statistic - float(permutations.mean())) / spread, p)


def filter_of(sums: ParticleSums) -> FloatArray:
    """g ``(voxel,)``, see the top of the module."""
    total = sums.curvature.sum(axis=(0, 1), dtype=np.float64)
    noise = np.maximum(sums.noise, 1e-3)[sums.shells]
    power = EXPECTED_SHARE * sums.shell_mean(np.abs(sums.mean) ** 2)[sums.shells]
    ratio = power * sums.shell_mean(total)[sums.shells] * _SPLIT / noise
    filtered = np.sqrt(power / (1 + 2 * ratio)) / noise
    # Beyond the radius asked for, voxels only help interpolation.
    return np.asarray(np.where(sums.shells <= sums.radius_px, filtered, 0.0))


def make_features(sums: ParticleSums) -> Features:
    """φ of all particles of a set.

    Of what is outside the mask only inner products are needed, and these come of φ in Fourier
    space and of its places inside: maps of all particles in full would take more than their sums.
    """
    g, size = filter_of(sums), sums.ball.support.shape[0]
    mask = np.fft.fftshift(sums.ball.support.cpu().numpy()).ravel()
    places = np.flatnonzero(mask > _LEAST_WEIGHT)
    weights = mask[places].astype(np.float32)
    count = 2 * sums.particles
    inside = np.empty((count, len(places)), np.float32)
    flat = sums.residual.reshape(count, -1)
    for start in range(0, count, _MAPS_AT_A_TIME):
        part = real_maps(flat[start : start + _MAPS_AT_A_TIME] * g, sums)
        inside[start : start + _MAPS_AT_A_TIME] = part[:, places] * weights
    gram, unmasked = inside @ inside.T, np.zeros((count, count), np.float32)
    for start in range(0, len(places), _VOXELS_AT_A_TIME):
        part = inside[:, start : start + _VOXELS_AT_A_TIME]
        unmasked += (part / weights[start : start + _VOXELS_AT_A_TIME]) @ part.T
    around = _gram(flat, g, sums) - unmasked - unmasked.T + gram
    return Features(inside, places, gram, around, weights, size)


def _gram(flat: NDArray[np.complex64], g: FloatArray, sums: ParticleSums) -> RealArray:
    """Inner products of φ over the whole box, from its ``(2 particle, voxel)`` Fourier values."""
    volume = float(sums.ball.support.shape[0]) ** 3
    factor = np.asarray(g * np.sqrt(2 * sums.counts / volume), np.float32)
    found = np.zeros((len(flat), len(flat)), np.float32)
    for start in range(0, flat.shape[1], _VOXELS_AT_A_TIME):
        here = slice(start, start + _VOXELS_AT_A_TIME)
        values = (flat[:, here] * factor[here]).view(np.float32)
        found += values @ values.T
    return found


def real_maps(values: NDArray[np.complexfloating], sums: ParticleSums) -> RealArray:
    """``(map, n³)`` real maps, origin at ``n // 2``, of ``(map, voxel)`` Fourier values."""
    size = sums.ball.support.shape[0]
    grid = np.zeros((len(values), size * size * (size // 2 + 1)), np.complex64)
    grid[:, sums.ball.flat_places().cpu().numpy()] = values
    maps = fft.irfftn(
        grid.reshape(-1, size, size, size // 2 + 1), s=(size,) * 3, axes=(1, 2, 3), overwrite_x=True
    )
    return np.asarray(np.fft.fftshift(maps, axes=(1, 2, 3)).reshape(len(values), -1), np.float32)


def weights_of(labels: Labels) -> RealArray:
    """c ``(…, 2 particle)`` of labels ``(…, 2, particle)``; 0 where a group is empty."""
    in_a, in_b = labels == 1, labels == -1
    count_a = in_a.sum(axis=(-2, -1), keepdims=True)
    count_b = in_b.sum(axis=(-2, -1), keepdims=True)
    weights = in_a / np.maximum(count_a, 1) - in_b / np.maximum(count_b, 1)
    weights = np.where((count_a > 0) & (count_b > 0), weights, 0.0)
    return np.asarray(weights.reshape(*labels.shape[:-2], -1), np.float32)


def statistics(gram: RealArray, weights: RealArray, *, crossed: bool) -> FloatArray:
    """T of each row of ``(row, 2 particle)`` weights, from inner products of φ.

    Where groups are ``crossed``, only images of the same tilt half are paired: which side of a
    division by one half is called A, so that it agrees with that by the other, was decided on all
    images, and pairs across halves would see it.
    """
    count = gram.shape[0] // 2
    if crossed:
        gram = gram.copy()
        gram[:count, count:] = gram[count:, :count] = 0
    found = [
        np.einsum("ij,ij->i", part @ gram, part, dtype=np.float64)
        for part in np.array_split(weights, -(-len(weights) // _PERMUTATIONS_AT_A_TIME))
    ]
    first, second = weights[:, :count], weights[:, count:]
    diagonal = np.diagonal(gram)
    own = first**2 @ diagonal[:count] + second**2 @ diagonal[count:]
    own = own + 2 * (first * second) @ np.diagonal(gram, count)  # 0 where crossed
    return np.asarray(np.concatenate(found) - own)
