"""Maps of two groups: cross-fitted with half maps, and their difference with its standard error.

*Cross-fitted*: particles that one tilt half puts into a group are back-projected from the other
half, both ways, and added up; no image votes on a map that it helped to choose. Half maps divide
the particles, both memberships of a particle together.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from torch import Tensor

from napari_tomodrgn.analysis.evidence.particle_sums import ParticleSums
from napari_tomodrgn.analysis.fsc import FscCurve, fsc, fsc_sphere
from napari_tomodrgn.data.halves import random_half
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.learn.reconstruction.backprojection import BackProjection, back_project
from napari_tomodrgn.learn.runtime.steps import offset_steps
from napari_tomodrgn.physics.fourier import gridding

FloatArray = NDArray[np.float64]
RealArray = NDArray[np.float32]
Labels = NDArray[np.int8]

# Random splits that standard errors by voxel are taken from.
_SPLITS = 200
_MAPS_AT_A_TIME = 8  # of a whole box each: of 200 voxels 32 MB
# Ways to halve the particles over which the FSC of the difference is averaged.
_HALVINGS = 8
# Added to D, as a share of its shell's mean: voxels that hardly any sample reached stay small.
_REGULARISATION = 0.1


@dataclass(frozen=True, eq=False)
class GroupMap:
    """A group's map from images that did not choose its particles.

    Attributes
    ----------
    filtered, half1, half2
        The map, filtered by what its halves agree on, and the halves.
    fsc
        Of the halves, in a soft sphere.
    """

    filtered: Volume
    half1: Volume
    half2: Volume
    fsc: FscCurve


@dataclass(frozen=True, eq=False)
class DifferenceMap:
    """A − B beyond the map of all particles, with its errors.

    Attributes
    ----------
    difference, standard_error
        Density in the units of decoded maps; the error of each voxel from random splits.
    fsc
        Of the differences of two halves of the particles, in the mask around the particle, mean
        over several ways to halve them.
    shells
        ``(shell, 3)`` root mean square of the difference, its standard error by the noise model,
        and by random splits.
    """

    difference: Volume
    standard_error: Volume
    fsc: FscCurve
    shells: FloatArray


@dataclass(frozen=True, eq=False)
class ComparedMaps:
    """What is kept of a comparison beside its figures: who was compared, and the maps.

    Attributes
    ----------
    drawn
        ``(particle,)`` the groups as asked for: +1 in A, −1 in B, 0 in neither.
    labels
        ``(2, particle)`` the groups as compared, by the tilt half that judges.
    difference
        The difference map and its errors.
    maps
        Cross-fitted maps of A and B; None where they were not asked for.
    """

    drawn: Labels
    labels: Labels
    difference: DifferenceMap
    maps: tuple[GroupMap, GroupMap] | None

    @property
    def resolution_angstrom(self) -> float:
        """Where halves of the particles agree on the difference (`FSC_THRESHOLD`)."""
        return self.difference.fsc.resolution_angstrom()


def particle_halves(originals: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """A random half of the particles, see `random_half`."""
    return random_half(originals, np.random.default_rng([seed, 0x4A1F]))


def cross_fitted_map(
    data: TiltData,
    members: NDArray[np.bool_] | FloatArray,
    halves: tuple[Tensor, Tensor],
    seed: int = 0,
) -> Generator[int, None, GroupMap]:
    """The map of a group; yields how many of its particles are done.

    Parameters
    ----------
    data
        Images.
    members
        ``(2, particle)`` who belongs to the group where each tilt half judges; or how much of it
        each is, 0 to 1.
    halves
        Masks ``(image,)`` of the tilt halves.
    seed
        Of the split into half maps.
    """
    first = particle_halves(data.originals, seed)
    device = data.lattice.frequencies.device
    whose, of_group = data.particles.arrays().particle, members.any(axis=0)
    shares = sum(
        torch.from_numpy(here.astype(np.float32)[whose]) * images.cpu()
        for here, images in zip(members, halves, strict=True)
    )
    assert isinstance(shares, Tensor)
    done, sums = 0, []
    for of_half in (first, ~first):
        rows = torch.from_numpy(np.flatnonzero(of_group & of_half))
        steps = back_project(data, rows, device, shares=shares)
        sums.append((yield from offset_steps(steps, done)))
        done += len(rows)
    return _group_map(sums[0], sums[1], data)


def _group_map(one: BackProjection, two: BackProjection, data: TiltData) -> GroupMap:
    pixel, scale = data.optics.pixel_size_angstrom, data.images.scale

    def volume(density: Tensor) -> Volume:
        return Volume((density.cpu().numpy() * scale).astype(np.float32), pixel)

    half1, half2 = volume(one.volume()), volume(two.volume())
    curve = fsc(half1, half2, fsc_sphere(half1.box_size_px))
    filtered = (one + two).filtered(torch.from_numpy(curve.correlation))
    return GroupMap(volume(filtered), half1, half2, curve)


def difference_values(
    sums: ParticleSums, labels: Labels, rows: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.complex64], FloatArray]:
    """A − B at each voxel and its variance by the noise model.

    Parameters
    ----------
    sums
        What each particle's images say.
    labels
        ``(2, particle)`` +1 in A, −1 in B, 0 in neither.
    rows
        ``(particle,)`` mask of those that count; all if None.
    """
    noise = sums.noise[sums.shells]
    total: NDArray[np.complex64] = np.zeros(len(sums.mean), np.complex64)
    variance = np.zeros(len(sums.mean))
    for side in (1, -1):
        member = labels == side if rows is None else (labels == side) & rows
        residual, curvature = group_sums(sums, member)
        regularised = curvature + _REGULARISATION * sums.shell_mean(curvature)[sums.shells] + 1e-20
        total = total + side * (residual / regularised).astype(np.complex64)
        variance += noise * curvature / regularised**2
    return total, variance


def group_sums(
    sums: ParticleSums, members: NDArray[np.bool_]
) -> tuple[NDArray[np.complex64], RealArray]:
    """Σ N and Σ D of the members ``(2, particle)`` of a group."""
    weights = members.reshape(-1).astype(np.float32)
    count = len(weights)
    residual = weights @ sums.residual.reshape(count, -1).view(np.float32)
    curvature = weights @ sums.curvature.reshape(count, -1)
    return residual.view(np.complex64), np.asarray(curvature, np.float32)


def difference_map(
    sums: ParticleSums, labels: Labels, permutations: Labels, scale: float, seed: int = 0
) -> DifferenceMap:
    """A − B, its errors and its FSC.

    Parameters
    ----------
    sums, labels
        See `difference_values`.
    permutations
        ``(permutation, 2, particle)`` labels as random splits have them.
    scale
        Of the Fourier samples (`FourierImages.scale`), so that units are those of decoded maps.
    seed
        Of the ways to halve the particles.
    """
    values, variance = difference_values(sums, labels)
    splits = np.stack([difference_values(sums, one)[0] for one in permutations[:_SPLITS]])
    spread = _spread(splits, sums)
    by_split = sums.shell_mean(np.square(np.abs(splits)).mean(axis=0))
    shells = np.sqrt(
        np.stack(
            [sums.shell_mean(np.square(np.abs(values))), sums.shell_mean(variance), by_split],
            axis=1,
        )
    )[: sums.radius_px + 1]
    pixel = sums.pixel_size_angstrom
    return DifferenceMap(
        Volume(box_maps(values[None], sums)[0] * np.float32(scale), pixel),
        Volume((spread * scale).astype(np.float32), pixel),
        difference_fsc(sums, labels, seed),
        shells * scale,
    )


def _spread(splits: NDArray[np.complex64], sums: ParticleSums) -> RealArray:
    """Root mean square ``(box, box, box)`` of the maps of random splits, a few at a time."""
    total = np.zeros((sums.box_size_px,) * 3, np.float64)
    for start in range(0, len(splits), _MAPS_AT_A_TIME):
        found = box_maps(splits[start : start + _MAPS_AT_A_TIME], sums)
        total += np.square(found, out=found).sum(axis=0)
    return np.asarray(np.sqrt(total / len(splits)), np.float32)


def difference_fsc(sums: ParticleSums, labels: Labels, seed: int = 0) -> FscCurve:
    """FSC of A − B from one half of the particles with that from the other."""
    mask = support_at_box(sums)
    curves = []
    for number in range(_HALVINGS):
        first = particle_halves(sums.originals, seed + number)
        values = np.stack([difference_values(sums, labels, rows)[0] for rows in (first, ~first)])
        one, two = (Volume(half, 1.0) for half in box_maps(values, sums) * mask)
        curves.append(fsc(one, two).correlation)
    box = sums.box_size_px
    frequency = np.arange(box // 2 + 1) / (box * sums.pixel_size_angstrom)
    correlation = np.mean(curves, axis=0)
    correlation[sums.radius_px + 1 :] = 0.0
    return FscCurve(correlation, frequency)


def box_maps(values: NDArray[np.complexfloating], sums: ParticleSums) -> RealArray:
    """``(map, box, box, box)`` densities zyx of ``(map, voxel)`` Fourier values."""
    box = sums.box_size_px
    x, y, z = sums.ball.places.cpu().numpy().T
    inside = sums.shells <= min(sums.radius_px, box // 2 - 1)
    x, y, z = (axis[inside] for axis in (x, y, z))
    grid = np.zeros((len(values), box, box, box // 2 + 1), np.complex64)
    grid[:, z % box, y % box, x] = values[:, inside]
    maps = np.fft.fftshift(fft.irfftn(grid, s=(box,) * 3, axes=(1, 2, 3)), axes=(1, 2, 3))
    return np.asarray(maps * gridding(box, 1).numpy(), np.float32)


def support_at_box(sums: ParticleSums) -> RealArray:
    """The soft mask around the particle, ``(box, box, box)``."""
    from scipy import ndimage

    box, size = sums.box_size_px, sums.support.shape[0]
    axis = (np.arange(box) - box // 2) * (size / box) + size // 2
    where = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.asarray(
        ndimage.map_coordinates(sums.support, where, order=1, mode="constant"), np.float32
    )
