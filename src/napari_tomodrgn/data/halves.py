"""Halves of a particle set: those that a refinement kept apart, or random ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.star import as_loop

SUBSET_COLUMN = "rlnRandomSubset"


def first_half(particles: ParticleSet, seed: int = 0) -> NDArray[np.bool_]:
    """Which particles are in the first of two halves, ``(particle,)``.

    The halves of ``rlnRandomSubset`` (1 and 2) where the star file has them, so that half maps
    stay independent of each other: the poses of each were refined without the other. Else random
    halves of the same size, by ``seed``.
    """
    stated = stated_subsets(particles)
    if stated is not None:
        return np.asarray(stated == 1)
    return random_half(particles.originals, np.random.default_rng(seed))


def has_copies(originals: NDArray[np.int64]) -> bool:
    """Whether a particle stands in several rows; ``originals`` are `ParticleSet.originals`."""
    return bool(originals.max(initial=-1) + 1 < len(originals))


def random_half(originals: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """A random half of the particles, ``(particle,)``; copies of one are in the same half.

    ``originals`` are `ParticleSet.originals`.
    """
    count = int(originals.max()) + 1
    chosen = np.zeros(count, dtype=bool)
    chosen[rng.permutation(count)[: count // 2]] = True
    return np.asarray(chosen[originals])


def stated_subsets(particles: ParticleSet) -> NDArray[np.int64] | None:
    """``rlnRandomSubset`` of each particle, ``(particle,)`` 1 or 2.

    None unless all have one and both occur.
    """
    source = particles.source
    rows = as_loop(source.blocks[source.particle_block])
    column = source.overrides.columns.get(SUBSET_COLUMN, SUBSET_COLUMN)
    if column not in rows:
        return None
    codes = particles.images["particle_id"].cat.codes.to_numpy()
    first = np.unique(codes, return_index=True)[1]
    chosen = rows[column].iloc[particles.images["source_row"].to_numpy()[first]].to_numpy(str)
    if len(chosen) != len(particles) or set(chosen.tolist()) != {"1", "2"}:
        return None
    return np.asarray(chosen.astype(np.int64))
