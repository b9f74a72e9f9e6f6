"""Wrong poses, places, defoci, doses, neighbours, membranes: what star files know nothing of.

Drawn after everything else, from a seed of its own: a set without nuisances is, to the byte, what
it was before there were any, and particles stand and face the same way with and without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_tomodrgn.geometry import FloatArray, random_rotations

if TYPE_CHECKING:
    from napari_tomodrgn.synthetic.settings import NuisanceConfig

# Centres of neighbours are so far from a particle's, in its diameters: touching, or one layer out.
_NEIGHBOR_DISTANCE = (0.8, 1.4)
# The middle of a membrane, likewise.
_MEMBRANE_DISTANCE = (0.55, 0.75)
MEMBRANE = -1  # kind of a membrane: the last of the structures of neighbours


@dataclass(frozen=True, eq=False)
class Neighbors:
    """What else is in the boxes, one entry each.

    Attributes
    ----------
    owner
        Row of the particle in whose box it is.
    kind
        Number of its structure among the neighbours' structures, or `MEMBRANE`.
    offsets_angstrom
        ``(neighbor, 3)`` from the particle's centre, specimen axes xyz.
    rotations
        ``(neighbor, 3, 3)`` reference → specimen.
    """

    owner: NDArray[np.int64]
    kind: NDArray[np.int64]
    offsets_angstrom: FloatArray
    rotations: FloatArray

    def of(self, particle: int) -> NDArray[np.int64]:
        """Rows of the neighbours of a particle, ``(row,)``."""
        return np.flatnonzero(self.owner == particle)


@dataclass(frozen=True, eq=False)
class Nuisances:
    """How the specimen and the microscope differ from what the star files say.

    Attributes
    ----------
    turns
        ``(particle, 3, 3)`` recorded pose → true pose, in specimen axes.
    shifts_angstrom
        ``(particle, 3)`` true place minus the recorded one, specimen axes.
    defocus_angstrom
        ``(particle,)`` true defocus minus the recorded one.
    false_picks
        ``(particle,)`` true where there is no particle.
    neighbors
        What else is in the boxes.
    tilt_deg
        ``(series, tilt)`` true stage tilt minus the recorded one.
    dose_factors
        ``(series, tilt)`` true dose of an image over the recorded one.
    thickness_factors
        ``(tilt,)`` amplitude of the signal that is left by thick ice.
    """

    turns: FloatArray
    shifts_angstrom: FloatArray
    defocus_angstrom: FloatArray
    false_picks: NDArray[np.bool_]
    neighbors: Neighbors
    tilt_deg: FloatArray
    dose_factors: FloatArray
    thickness_factors: FloatArray

    @property
    def any_pose_error(self) -> bool:
        """Whether any particle faces another way than the star says."""
        return bool((self.turns != np.eye(3)).any())

    def amplitudes(self, series: int) -> FloatArray:
        """``(tilt,)`` of the signal where the noise is 1: counting noise falls as √dose."""
        return np.asarray(np.sqrt(self.dose_factors[series]) * self.thickness_factors)


def draw_nuisances(
    config: NuisanceConfig,
    size: tuple[int, int, int],
    stage_tilt_deg: FloatArray,
    diameter_angstrom: float,
    seed: int,
) -> Nuisances:
    """Draw all nuisances of a set.

    Parameters
    ----------
    config
        How strong each is.
    size
        Number of particles, of tilt series, and of kinds of neighbours.
    stage_tilt_deg
        Recorded tilts.
    diameter_angstrom
        Of a particle.
    seed
        Of the set.
    """
    particles, series, kinds = size
    tilts = len(stage_tilt_deg)

    def rng(what: int) -> np.random.Generator:
        # One stream each, so that one nuisance more leaves the others as they were.
        return np.random.default_rng([seed, 3, what])

    vectors = np.deg2rad(config.pose_error_deg) * rng(0).normal(size=(particles, 3))
    false_picks = np.zeros(particles, dtype=bool)
    chosen = rng(3).permutation(particles)[: round(config.false_picks * particles)]
    false_picks[chosen] = True
    cosine = np.maximum(np.cos(np.deg2rad(stage_tilt_deg)), 0.05)
    return Nuisances(
        turns=np.asarray(Rotation.from_rotvec(vectors).as_matrix()).reshape(-1, 3, 3),
        shifts_angstrom=config.shift_error_angstrom * rng(1).normal(size=(particles, 3)),
        defocus_angstrom=config.defocus_error_angstrom * rng(2).normal(size=particles),
        false_picks=false_picks,
        neighbors=_draw_neighbors(config, particles, kinds, diameter_angstrom, rng(4)),
        tilt_deg=config.tilt_angle_error_deg * rng(5).normal(size=(series, tilts)),
        dose_factors=np.exp(config.uneven_dose * rng(6).normal(size=(series, tilts))),
        thickness_factors=np.exp(-config.thickness / 2 * (1 / cosine - 1)),
    )


def _draw_neighbors(
    config: NuisanceConfig,
    particles: int,
    kinds: int,
    diameter_angstrom: float,
    rng: np.random.Generator,
) -> Neighbors:
    counts = rng.poisson(config.neighbors, size=particles)
    total = int(counts.sum())
    # Uniform in the volume of a spherical shell.
    low, high = np.array(_NEIGHBOR_DISTANCE) ** 3
    distances = diameter_angstrom * np.cbrt(rng.uniform(low, high, size=total))
    offsets = distances[:, None] * _directions(total, rng)
    turns = random_rotations(total, rng) if total else np.zeros((0, 3, 3))
    kind = rng.integers(kinds, size=total) if kinds else np.zeros(total, np.int64)
    beside = np.flatnonzero(rng.random(particles) < config.membranes)
    normals = _directions(len(beside), rng)
    away = diameter_angstrom * rng.uniform(*_MEMBRANE_DISTANCE, size=len(beside))
    return Neighbors(
        owner=np.concatenate([np.repeat(np.arange(particles), counts), beside]),
        kind=np.concatenate([kind, np.full(len(beside), MEMBRANE)]),
        offsets_angstrom=np.concatenate([offsets, away[:, None] * normals]),
        rotations=np.concatenate([turns, _z_to(normals)]),
    )


def _directions(count: int, rng: np.random.Generator) -> FloatArray:
    vectors = rng.normal(size=(count, 3))
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _z_to(normals: FloatArray) -> FloatArray:
    """Rotations that take the z axis to each unit vector."""
    if not len(normals):
        return np.zeros((0, 3, 3))
    helper = np.where(np.abs(normals[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    x = np.cross(helper, normals)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(np.stack([x, np.cross(normals, x), normals], axis=2))
