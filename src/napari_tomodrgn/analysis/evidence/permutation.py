"""Permutations of group labels among particles that could have been exchanged.

Within a tomogram and a bin of viewing directions; else A − B is a difference of tomograms, or of
missing wedges. Both memberships of a particle stay together. Groups that are constant in every
tomogram are permuted tomogram by tomogram.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.particles import ParticleSet

Labels = NDArray[np.int8]

# Particles that a bin should hold: directions are told apart as finely as that allows.
_IN_BIN = 8
# With fewer tomograms a side no permutation of them can be rare.
LEAST_TOMOGRAMS = 6


@dataclass(frozen=True, eq=False)
class Strata:
    """Which particles may exchange their labels.

    Attributes
    ----------
    tomogram
        ``(particle,)`` number of the tomogram.
    bin
        ``(particle,)`` number of the tomogram and viewing direction.
    """

    tomogram: NDArray[np.int64]
    bin: NDArray[np.int64]


def strata_of(particles: ParticleSet) -> Strata:
    """Tomograms and viewing directions of a set."""
    names = particles.particles["tomogram"].astype(str).to_numpy()
    _, tomogram = np.unique(names, return_inverse=True)
    direction = direction_bins(beam_directions(particles), len(names) / (tomogram.max() + 1))
    _, bins = np.unique(tomogram * 64 + direction, return_inverse=True)
    return Strata(tomogram.astype(np.int64), bins.astype(np.int64))


def beam_directions(particles: ParticleSet) -> NDArray[np.float64]:
    """``(particle, 3)`` unit vectors: the beam in the particle's frame, at its smallest tilt."""
    arrays = particles.arrays()
    order = np.lexsort((np.abs(arrays.stage_tilt_deg), arrays.particle))
    first = order[np.searchsorted(arrays.particle[order], np.arange(len(particles)))]
    return np.asarray(arrays.rotations[first, 2, :])


def direction_bins(directions: NDArray[np.float64], in_tomogram: float) -> NDArray[np.int64]:
    """Bin directions, the same from both ends: into 12, 3 or 1 bins, as particles allow.

    Parameters
    ----------
    directions
        ``(particle, 3)`` unit vectors.
    in_tomogram
        Particles of a tomogram, on average.

    Returns
    -------
    ``(particle,)`` bin, from 0.
    """
    nearest = np.abs(directions).argmax(axis=1)
    if in_tomogram < 3 * _IN_BIN:
        return np.zeros(len(directions), dtype=np.int64)
    if in_tomogram < 12 * _IN_BIN:
        return np.asarray(nearest, dtype=np.int64)
    rows = np.arange(len(directions))
    upward = directions * np.sign(directions[rows, nearest])[:, None]
    one, two = (upward[rows, (nearest + step) % 3] >= 0 for step in (1, 2))
    return np.asarray(nearest * 4 + one * 2 + two, dtype=np.int64)


def constant_in_tomograms(labels: Labels, strata: Strata) -> bool:
    """Whether all particles of a tomogram bear the same label, ``(2, particle)``."""
    return all(
        len(np.unique(labels[:, strata.tomogram == one])) == 1
        for one in range(int(strata.tomogram.max()) + 1)
    )


def tomograms_a_side(labels: Labels, strata: Strata) -> tuple[int, int]:
    """Number of tomograms of each group, where groups are constant in a tomogram."""
    drawn = labels[0]
    sides = [len(np.unique(strata.tomogram[drawn == side])) for side in (1, -1)]
    return sides[0], sides[1]


def permuted(labels: Labels, strata: Strata, count: int, seed: int = 0) -> Labels:
    """``(count, 2, particle)`` labels, exchanged within strata or tomogram by tomogram."""
    rng = np.random.default_rng([seed, 0x9E4])
    if constant_in_tomograms(labels, strata):
        tomograms = int(strata.tomogram.max()) + 1
        first = [int(np.flatnonzero(strata.tomogram == one)[0]) for one in range(tomograms)]
        orders = rng.permuted(np.tile(np.arange(tomograms), (count, 1)), axis=1)
        return np.asarray(labels[:, first][:, orders].transpose(1, 0, 2)[..., strata.tomogram])
    source = np.tile(np.arange(labels.shape[1]), (count, 1))
    for one in range(int(strata.bin.max()) + 1):
        members = np.flatnonzero(strata.bin == one)
        source[:, members] = rng.permuted(source[:, members], axis=1)
    return np.asarray(labels[:, source].transpose(1, 0, 2))
