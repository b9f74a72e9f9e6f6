"""Permutations of group labels among particles that could have been exchanged.

Within a tomogram and a bin of viewing directions; else A − B is a difference of tomograms, or of
missing wedges. Both memberships of a particle stay together, and so do the labels of its copies in
a symmetry-expanded set, which share their noise: they go as they are to another particle with as
many copies. Groups that are constant in every tomogram are permuted tomogram by tomogram.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.particles import ParticleSet

Labels = NDArray[np.int8]

# Particles that a bin should hold: directions are told apart as finely as that allows.
_IN_BIN = 8
# With fewer tomograms a side no permutation of them can be rare.
LEAST_TOMOGRAMS = 6
DIFFER = 0.001  # p below which two groups are said to differ


@dataclass(frozen=True, eq=False)
class Strata:
    """Which particles may exchange their labels.

    Attributes
    ----------
    tomogram
        ``(particle,)`` number of the tomogram.
    bin
        ``(particle,)`` number of the tomogram and viewing direction; of copies, those of the first,
        and of how many there are.
    originals
        ``(particle,)`` which rows are copies of one particle, see `ParticleSet.originals`.
    """

    tomogram: NDArray[np.int64]
    bin: NDArray[np.int64]
    originals: NDArray[np.int64]


def strata_of(particles: ParticleSet) -> Strata:
    """Tomograms and viewing directions of a set."""
    names = particles.particles["tomogram"].astype(str).to_numpy()
    _, tomogram = np.unique(names, return_inverse=True)
    originals = particles.originals
    _, first, copies = np.unique(originals, return_index=True, return_counts=True)
    directions = beam_directions(particles)[first]
    direction = direction_bins(directions, len(first) / (tomogram.max() + 1))
    kinds = np.stack([tomogram[first], direction, copies])
    _, bins = np.unique(kinds, axis=1, return_inverse=True)
    return Strata(
        tomogram.astype(np.int64), bins.reshape(-1).astype(np.int64)[originals], originals
    )


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


def tomograms_tell(a: int, b: int) -> bool:
    """Whether groups of so many tomograms can be said to differ: 6 and 7 can, 6 and 6 cannot.

    Any division is as far apart as the same with A and B exchanged: of the 924 into 6 and 6 two
    at least are as rare as the rarest.
    """
    return min(a, b) >= LEAST_TOMOGRAMS and (1 + (a == b)) / comb(a + b, a) < DIFFER


def permuted(labels: Labels, strata: Strata, count: int, seed: int = 0) -> Labels:
    """``(count, 2, particle)`` labels, exchanged within strata or tomogram by tomogram.

    Where enough tomograms can be exchanged in no more than ``count`` other ways, these are all.
    """
    rng = np.random.default_rng([seed, 0x9E4])
    if constant_in_tomograms(labels, strata):
        tomograms = int(strata.tomogram.max()) + 1
        first = [int(np.flatnonzero(strata.tomogram == one)[0]) for one in range(tomograms)]
        found = _tomograms_permuted(labels[0, first], count, rng)
        return np.repeat(found[:, None, strata.tomogram], 2, axis=1)
    source = np.tile(np.arange(labels.shape[1]), (count, 1))
    for one in range(int(strata.bin.max()) + 1):
        rows = np.flatnonzero(strata.bin == one)
        rows = rows[np.argsort(strata.originals[rows], kind="stable")]
        members = rows.reshape(len(np.unique(strata.originals[rows])), -1)  # (particle, copy)
        orders = rng.permuted(np.tile(np.arange(len(members)), (count, 1)), axis=1)
        source[:, members] = members[orders]
    return np.asarray(labels[:, source].transpose(1, 0, 2))


def _tomograms_permuted(labels: Labels, count: int, rng: np.random.Generator) -> Labels:
    """``(permutation, tomogram)`` labels of tomograms in another order, in all if they are few."""
    tomograms, in_a, in_b = len(labels), int((labels == 1).sum()), int((labels == -1).sum())
    ways = comb(tomograms, in_a) * comb(tomograms - in_a, in_b) - 1
    if ways > count or not tomograms_tell(in_a, in_b):
        return rng.permuted(np.tile(labels, (count, 1)), axis=1)
    found = []
    for a in combinations(range(tomograms), in_a):
        rest = [one for one in range(tomograms) if one not in a]
        for b in combinations(rest, in_b):
            one = np.zeros(tomograms, np.int8)
            one[list(a)], one[list(b)] = 1, -1
            found.append(one)
    others = [one for one in found if (one != labels).any()]
    return rng.permutation(np.array(others))


def chance(p: float, permutations: int) -> str:
    """p in words: at most 1 / (permutations + 1), where it is that, the smallest that is found."""
    least = p <= 1.001 / (permutations + 1)
    return f"p {'≤' if least else '='} {p:.2g}"
