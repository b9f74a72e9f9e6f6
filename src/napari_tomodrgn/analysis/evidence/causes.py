"""Is a difference of the molecule, or of what was done to its images?

Poses that are off, contrast, defocus and junk change maps in ways that the mean map foretells: its
turns and shifts, its own multiple, its shells rescaled. What is left inside the particle's mask
when these are projected out is *of the molecule*, and is tested like the whole difference. What
lies outside the mask is of the *surroundings*.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement, product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_tomodrgn.analysis.evidence.cause_names import (
    ALIGNMENT,
    CONTRAST,
    DEFOCUS,
    JUNK,
    MOLECULE,
    SURROUNDINGS,
)
from napari_tomodrgn.analysis.evidence.difference import (
    Features,
    PermutationTest,
    filter_of,
    real_maps,
    statistics,
    weights_of,
)
from napari_tomodrgn.analysis.evidence.maps import group_sums
from napari_tomodrgn.analysis.evidence.membership import CrossedLabels
from napari_tomodrgn.analysis.evidence.particle_sums import ParticleSums
from napari_tomodrgn.analysis.evidence.permutation import DIFFER

FloatArray = NDArray[np.float64]
RealArray = NDArray[np.float32]
Labels = NDArray[np.int8]

# Turns of the mean map: both signs, so that their sum is what random errors blur away.
_TURN_DEG = 6.0
# Slopes are taken times the square of the radius to these powers.
_POWERS = (0, 1, 2)
# Directions with a smaller share of the nuisances' power than this are rounding.
_LEAST_POWER = 1e-6
# A difference is of the molecule if at least this share of it is left. Large errors of poses are
# not all in the span of small ones: up to 0.3 of theirs is left. A multiple of the mean map, and of
# its shells, is: of sets whose contrast or defocus differ 0.09 at most (`evidence_nuisances.py`),
# while of two states of which one lacks most of the mass 0.29 is left.
_LEAST_SHARE, _LEAST_OF_EXACT = 0.4, 0.15
# A smaller family is named if it explains this share of what the best one does.
_NEARLY = 0.8
# Waves longer than the particle say how much stands around it, not how its images are modulated:
# with them at least this share of what shells explain, it is of the surroundings. One structure,
# 144 particles: with 50 neighbours 0.91 to 0.97 of it, with the defocus off by 10,000 Å 0.06.
_LONG_WAVES = 0.5
# What is wrong with images, as families of nuisances, smallest first.
_OF_IMAGES = (CONTRAST, DEFOCUS, ALIGNMENT)
# A group whose images hold less than this share of the mean map is no particle's.
_HOLDS = 0.5
# Halves of a particle's group have at least this share of the mean map's power in common.
_POWER = 0.25


@dataclass(frozen=True, eq=False)
class NuisanceMaps:
    """What nuisances can make of the mean map, as φ of groups that differ by them.

    Attributes
    ----------
    families
        ``(place, column)`` orthonormal, by name: contrast, defocus, alignment; each by itself, so
        that they share columns.
    whole
        The same of all of them together.
    long_waves
        Of the shells of defocus whose waves are longer than the particle.
    """

    families: dict[str, RealArray]
    whole: RealArray
    long_waves: RealArray


@dataclass(frozen=True, eq=False)
class Causes:
    """Tests of a difference, part by part.

    Attributes
    ----------
    tests
        By name: of the molecule, surroundings, contrast, defocus, alignment.
    whole
        Of everything inside the mask.
    amplitudes
        How much of the mean map A and B hold, 1 as much as all particles on average.
    name
        The cause that is named, empty where nothing differs.
    """

    tests: dict[str, PermutationTest]
    whole: PermutationTest
    amplitudes: tuple[float, float]
    name: str


def nuisance_maps(features: Features, sums: ParticleSums) -> NuisanceMaps:
    """Orthonormal φ of all nuisances of a set."""
    inside = sums.shells <= sums.radius_px
    mean = np.where(inside, sums.mean, 0)
    shells = [mean * (sums.shells == shell) for shell in range(1, sums.radius_px + 1)]
    # The mean map is blurred by the very errors that make a difference: slopes of what is behind
    # it have more of the fine shells, by an unknown smooth factor.
    fine = (sums.shells / sums.radius_px) ** 2
    slopes = [*_turned(mean, sums), *_shifted(mean, sums)]
    modulated = [one * fine**power for power in _POWERS for one in slopes]
    spectra = {CONTRAST: [mean], DEFOCUS: shells, ALIGNMENT: modulated}
    factor = filter_of(sums) * sums.curvature.sum(axis=(0, 1), dtype=np.float64)
    maps = {
        name: real_maps(np.stack(columns) * factor, sums)[:, features.places] * features.weights
        for name, columns in spectra.items()
    }
    families = {name: _orthonormal(one) for name, one in maps.items()}
    longer = maps[DEFOCUS][: _longest_waves(sums)]
    return NuisanceMaps(
        families, _orthonormal(np.concatenate(list(maps.values()))), _orthonormal(longer)
    )


def _longest_waves(sums: ParticleSums) -> int:
    """How many shells have waves longer than the mask is wide, of a ball as large; at least one."""
    volume = float(sums.support.mean())  # in boxes
    return max(int((6 * volume / np.pi) ** (-1 / 3)), 1)


def _orthonormal(maps: RealArray) -> RealArray:
    """``(place, column)`` that span the rows of ``(map, place)``, but for what is next to none."""
    unit = maps / np.maximum(np.linalg.norm(maps, axis=1, keepdims=True), 1e-30)
    power, vectors = np.linalg.eigh((unit @ unit.T).astype(np.float64))
    kept = power > _LEAST_POWER * power.max()
    basis = unit.T @ (vectors[:, kept] / np.sqrt(power[kept]))
    return np.asarray(basis, np.float32)


def _turned(mean: NDArray[np.complexfloating], sums: ParticleSums) -> list[NDArray[np.complex128]]:
    """The mean map turned both ways about six axes, less itself."""
    size = sums.ball.support.shape[0]
    density = real_maps(mean[None], sums)[0].reshape((size,) * 3)
    half = size // 2
    found = []
    axes = [np.eye(3)[row] for row in range(3)]
    axes += [(axes[i] + axes[j]) / 2**0.5 for i, j in ((0, 1), (1, 2), (2, 0))]
    for axis, sign in product(axes, (1, -1)):
        matrix = _rotation(axis, np.deg2rad(sign * _TURN_DEG))
        offset = half - matrix @ np.full(3, half)
        turned = ndimage.affine_transform(density, matrix, offset, order=3) - density
        spectrum = np.fft.rfftn(np.fft.ifftshift(turned)).ravel()
        found.append(spectrum[sums.ball.flat_places().cpu().numpy()])
    return found


def _rotation(axis: FloatArray, angle: float) -> FloatArray:
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def _shifted(mean: NDArray[np.complexfloating], sums: ParticleSums) -> list[NDArray[np.complex128]]:
    """Slope and curvature of the mean map with shifts along and across the axes."""
    places = sums.ball.places.cpu().numpy().astype(np.float64).T / sums.radius_px
    first = [1j * axis * mean for axis in places]
    second = [one * two * mean for one, two in combinations_with_replacement(places, 2)]
    return [*first, *second]


def find_causes(
    features: Features,
    sums: ParticleSums,
    nuisances: NuisanceMaps,
    crossed: CrossedLabels,
    permutations: Labels,
) -> Causes:
    """What a difference is of.

    Parameters
    ----------
    features, sums, nuisances
        Of the set.
    crossed
        The groups.
    permutations
        ``(permutation, 2, particle)`` labels.
    """
    labels = crossed.labels
    weights, splits = weights_of(labels[None]), weights_of(permutations)

    def test(gram: RealArray) -> PermutationTest:
        observed, random = (
            statistics(gram, rows, crossed=crossed.crossed) for rows in (weights, splits)
        )
        return PermutationTest.of(float(observed[0]), random)

    def of_span(basis: RealArray) -> RealArray:
        scores = features.inside @ basis
        return np.asarray(scores @ scores.T)

    tests = {MOLECULE: test(features.gram - of_span(nuisances.whole))}
    tests |= {name: test(of_span(basis)) for name, basis in nuisances.families.items()}
    tests[SURROUNDINGS] = test(features.around)
    long_waves = test(of_span(nuisances.long_waves))
    held = amplitude(sums, labels == 1), amplitude(sums, labels == -1)
    whole = test(features.gram)
    junk = any(is_junk(sums, labels == side, one) for side, one in zip((1, -1), held, strict=True))
    return Causes(tests, whole, held, name_cause(tests, whole, long_waves, junk))


def name_cause(
    tests: dict[str, PermutationTest],
    whole: PermutationTest,
    long_waves: PermutationTest,
    junk: bool,
) -> str:
    """The cause that a difference is said to have; empty where nothing differs."""
    around, left = tests[SURROUNDINGS], tests[MOLECULE]
    if min(whole.p, left.p, around.p) >= DIFFER:
        return ""
    if junk:
        return JUNK
    name = _nuisance(tests, whole, long_waves)
    exact = name in (CONTRAST, DEFOCUS) and tests[name].statistic > 0
    least = _LEAST_OF_EXACT if exact else _LEAST_SHARE
    if left.p < DIFFER and left.statistic >= least * whole.statistic:
        return MOLECULE
    return name


def _nuisance(
    tests: dict[str, PermutationTest], whole: PermutationTest, long_waves: PermutationTest
) -> str:
    """The cause of a difference that is not of the molecule."""
    around = tests[SURROUNDINGS]
    if around.p < DIFFER and (whole.p >= DIFFER or around.statistic > whole.statistic):
        return SURROUNDINGS
    best = max(tests[name].statistic for name in _OF_IMAGES)
    if best <= 0 and around.p < DIFFER:
        return SURROUNDINGS
    # Statistics are 0 on average without a difference, so that all three may be below.
    least = min(best, _NEARLY * best)
    name = next(name for name in _OF_IMAGES if tests[name].statistic >= least)
    shells = tests[DEFOCUS].statistic
    if name == DEFOCUS and long_waves.statistic >= _LONG_WAVES * shells > 0:
        return SURROUNDINGS
    return name


def amplitude(sums: ParticleSums, members: NDArray[np.bool_]) -> float:
    """How much of the mean map the images of a group hold; 1 as much as all on average.

    ``members`` ``(particle,)`` is true for the group.
    """
    residual, curvature = group_sums(sums, members)
    weights = sums.counts * (sums.shells <= sums.radius_px)
    explained = (weights * (np.conj(sums.mean) * residual).real).sum()
    return 1.0 + float(explained / max((weights * np.abs(sums.mean) ** 2 * curvature).sum(), 1e-30))


def is_junk(sums: ParticleSums, members: NDArray[np.bool_], held: float) -> bool:
    """Whether a group's images show no such particle: little of the mean, and not much else.

    Parameters
    ----------
    sums
        Of all particles.
    members
        ``(particle,)``, true for the group.
    held
        Its `amplitude`.
    """
    if held >= _HOLDS:
        return False
    first = np.arange(sums.particles) % 2 == 0
    maps = []
    for rows in (first, ~first):
        residual, curvature = group_sums(sums, members & rows)
        floor = 0.1 * sums.shell_mean(curvature)[sums.shells] + 1e-20
        maps.append(sums.mean + residual / (curvature + floor))
    weights = sums.counts * (filter_of(sums) ** 2)
    common = (weights * (maps[0] * np.conj(maps[1])).real).sum()
    of_mean = (weights * np.abs(sums.mean) ** 2).sum()
    if common < _POWER * of_mean:
        return True
    along = (weights * (np.conj(sums.mean) * (maps[0] + maps[1]) / 2).real).sum()
    return bool(along / np.sqrt(common * of_mean) < _HOLDS)
