"""A map from images at any point of latent space: kernel regression, with half maps.

Particles near the point count by a Gaussian of their distance, which is measured in latents of one
half of their tilts; what they count for is the other half of their images, both ways added up
(`membership`). The bandwidth is the one whose map foretells best the images of near particles that
it was not made of (Nadaraya, Theory Probab. Appl. 9 (1964) 141; Watson, Sankhya A 26 (1964) 359).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.evidence.maps import (
    box_maps,
    cross_fitted_map,
    particle_halves,
)
from napari_tomodrgn.analysis.evidence.particle_sums import (
    ParticleSums,
    radius_within,
    sum_particles,
)
from napari_tomodrgn.analysis.evidence.session import Evidence, TiltHalves, with_progress
from napari_tomodrgn.analysis.fsc import FscCurve, fsc, fsc_sphere
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.learn.runtime.events import WorkProgress

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex64]

# Bandwidths reach the particle of this rank by distance; the last is next to the mean map.
_NEIGHBORS = (10, 20, 40, 80, 160, 320, 640, 1280)
# Maps of fewer particles in effect are not to be looked at as maps.
MIN_EFFECTIVE = 20
# Particles that bandwidths are judged by: an eighth of the set, so that they are near.
_MIN_JUDGES, _MAX_JUDGES = 5, 40
_RIDGE = 1e-3  # of the regression in `carry_point`, as a share of the mean variance of an axis
# What a map is made of that is there in about two seconds (`benchmarks/kernel_map.py`).
_COARSE_PARTICLES = 100
_COARSE_RADIUS_PX = 8
_AROUND = "Adding up images around"
# A map at full detail is made of so many particles before the images of all are added up particle
# by particle: it takes a tenth of the time a particle.
_NEIGHBORHOOD = 500


@dataclass(frozen=True, eq=False)
class KernelMap:
    """A map from images around a point.

    Attributes
    ----------
    volume, half1, half2
        Density in units of decoded maps; halves of the particles.
    fsc
        Of the halves, in a soft sphere.
    effective_particles
        (Σ w)² / Σ w².
    neighbors
        Rank of the particle that the bandwidth reaches.
    """

    volume: Volume
    half1: Volume
    half2: Volume
    fsc: FscCurve
    effective_particles: float
    neighbors: int

    @property
    def supported(self) -> bool:
        """Whether enough particles stand behind it."""
        return self.effective_particles >= MIN_EFFECTIVE


def carry_point(
    run_latents: FloatArray, latents: tuple[FloatArray, FloatArray], point: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """A point of the run's latent space as a point of that of each tilt half.

    By linear regression over all particles: J + 1 numbers an axis. A particle of the run is better
    taken where it stands in both (`Evidence.latents`).

    Parameters
    ----------
    run_latents
        ``(particle, latent)`` of the run.
    latents
        ``(particle, component)`` of each tilt half.
    point
        ``(latent,)``.
    """
    center = run_latents.mean(axis=0)
    table = run_latents - center
    spread = table.T @ table
    spread += _RIDGE * np.trace(spread) / len(spread) * np.eye(len(spread))
    found = []
    for one in latents:
        middle = one.mean(axis=0)
        slope = np.linalg.solve(spread, table.T @ (one - middle))
        found.append(middle + (point - center) @ slope)
    return found[0], found[1]


def kernel_map(
    evidence: Evidence,
    points: tuple[FloatArray, FloatArray],
    neighbors: int | None = None,
    seed: int = 0,
) -> Generator[WorkProgress, None, KernelMap]:
    """The map at a point; between its steps it can be given up.

    Parameters
    ----------
    evidence
        Of the run.
    points
        The point in the latents of each tilt half.
    neighbors
        Rank of the particle that the bandwidth reaches; by cross-validation if None.
    seed
        Of the halves of the particles.
    """
    scale = evidence.data.images.scale
    distances = _distances(evidence.latents, points)
    return (yield from _map_at(evidence.sums, distances, scale, neighbors, seed))


def coarse_map(
    halves: TiltHalves, points: tuple[FloatArray, FloatArray], seed: int = 0
) -> Generator[WorkProgress, None, KernelMap]:
    """The map at a point before the images of all particles are added up: coarse, of those around.

    The nearest `_COARSE_PARTICLES` are taken for the whole set, up to shell `_COARSE_RADIUS_PX`;
    parameters are those of `neighborhood_map`.
    """
    distances = _distances(halves.latents, points)
    sums, nearest = yield from _coarse_sums(halves, distances, _COARSE_PARTICLES)
    scale = halves.data.images.scale
    return (yield from _map_at(sums, distances[:, nearest], scale, None, seed))


def has_neighborhood(particles: int) -> bool:
    """Whether maps of a set of so many are made of the particles around a point first."""
    return particles > _COARSE_PARTICLES


def are_sums_fine(halves: TiltHalves) -> bool:
    """Whether the images of all particles can be added up to the finest detail in memory."""
    box, particles = halves.data.lattice.box_size_px, halves.data.particle_count
    return radius_within(particles, box) >= radius_within(1, box)


def neighborhood_map(
    halves: TiltHalves, points: tuple[FloatArray, FloatArray], seed: int = 0
) -> Generator[WorkProgress, None, KernelMap]:
    """The map at a point at full detail, of the particles around it alone.

    How far it reaches is found by coarse sums, as by `kernel_map`; then all their images are
    back-projected together, each counting as its particle does where the other half of the tilts
    puts that.

    Parameters
    ----------
    halves
        Of the run.
    points
        The point ``(latent,)`` in the latents of each tilt half.
    seed
        Of the halves of the particles.
    """
    distances = _distances(halves.latents, points)
    sums, nearest = yield from _coarse_sums(halves, distances, _NEIGHBORHOOD)
    first = particle_halves(sums.originals, seed)
    neighbors = yield from choose_neighbors(sums, distances[:, nearest], first)
    shares = np.zeros_like(distances)
    shares[:, nearest] = kernel_weights(distances[:, nearest], neighbors)
    steps = cross_fitted_map(halves.data, shares, halves.halves, seed)
    found = yield from with_progress(steps, len(nearest), _AROUND)
    return KernelMap(
        found.filtered, found.half1, found.half2, found.fsc, _effective(shares), neighbors
    )


def _coarse_sums(
    halves: TiltHalves, distances: FloatArray, particles: int
) -> Generator[WorkProgress, None, tuple[ParticleSums, NDArray[np.int64]]]:
    """Sums of the nearest particles, and which they are."""
    nearest = np.sort(distances.sum(axis=0).argsort(kind="stable")[:particles])
    yield WorkProgress(0, 1, _AROUND)
    steps = sum_particles(halves.engine, halves.halves, _COARSE_RADIUS_PX, nearest)
    sums = yield from with_progress(steps, len(nearest), _AROUND)
    return sums, nearest


def _map_at(
    sums: ParticleSums, distances: FloatArray, scale: float, neighbors: int | None, seed: int
) -> Generator[WorkProgress, None, KernelMap]:
    first = particle_halves(sums.originals, seed)
    if neighbors is None:
        neighbors = yield from choose_neighbors(sums, distances, first)
    weights = kernel_weights(distances, neighbors)
    unit = np.float32(scale)
    whole = box_maps((sums.mean + _estimate(sums, weights))[None], sums)[0] * unit
    # The mean map is that of all particles: halves of it would agree whatever the point.
    own = box_maps(np.stack([_own_map(sums, weights * mask) for mask in (first, ~first)]), sums)
    one, two = (Volume(half * unit, sums.pixel_size_angstrom) for half in own)
    return KernelMap(
        Volume(whole, sums.pixel_size_angstrom),
        one,
        two,
        fsc(one, two, fsc_sphere(sums.box_size_px)),
        _effective(weights),
        neighbors,
    )


def _effective(weights: FloatArray) -> float:
    """(Σ w)² / Σ w² of the particles, ``weights`` ``(2, particle)``."""
    total = weights.mean(axis=0)
    return float(total.sum() ** 2 / max(np.square(total).sum(), 1e-30))


def mean_volume(evidence: Evidence) -> Volume:
    """The map of all particles, as maps at points are compared with it."""
    sums = evidence.sums
    data = box_maps(sums.mean[None], sums)[0] * np.float32(evidence.data.images.scale)
    return Volume(data, sums.pixel_size_angstrom)


def _distances(
    latents: tuple[FloatArray, FloatArray], points: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """``(2, particle)`` squared distances, for judging by the first tilt half and by the second.

    Components are of unit variance, what images say of them with it. Latents of one half of the
    tilts weigh the images of the other.
    """
    pairs = zip(latents, points, strict=True)
    return np.stack([np.square(one - point).sum(axis=1) for one, point in pairs])[::-1]


def kernel_weights(distances: FloatArray, neighbors: int) -> FloatArray:
    """``(2, particle)`` Gaussian weights; the particle of this rank is one bandwidth away."""
    rank = min(neighbors, distances.shape[1]) - 1
    bandwidth = np.partition(distances, rank, axis=1)[:, rank : rank + 1]
    return np.asarray(np.exp(-0.5 * distances / np.maximum(bandwidth, 1e-12)))


def choose_neighbors(
    sums: ParticleSums, distances: FloatArray, first: NDArray[np.bool_]
) -> Generator[WorkProgress, None, int]:
    """Choose the bandwidth whose map explains best the near particles of the other half.

    Parameters
    ----------
    sums
        Of all particles.
    distances
        ``(2, particle)`` squared, to the point, by the latents of each tilt half.
    first
        ``(particle,)`` the first half of the particles, of `particle_halves`.

    Returns
    -------
    Rank of the particle that the bandwidth reaches.
    """
    choices = [count for count in _NEIGHBORS if count < sums.particles] + [sums.particles]
    order = distances.sum(axis=0).argsort().tolist()
    judging = int(np.clip(sums.particles // 8, _MIN_JUDGES, _MAX_JUDGES))
    gains = []
    for number, count in enumerate(choices):
        yield WorkProgress(number, len(choices), "Choosing neighbours")
        weights, gain = kernel_weights(distances, count), 0.0
        for half in (first, ~first):
            spectrum = _estimate(sums, weights * half)
            judges = [row for row in order if not half[row]][:judging]
            gain += _likelihood_gain(sums, spectrum, judges)
        gains.append(gain)
    return choices[int(np.argmax(gains))]


def _likelihood_gain(sums: ParticleSums, spectrum: ComplexArray, rows: list[int]) -> float:
    """Σ 2 Re Δ* N − |Δ|² D of some particles: how much better Δ explains them than the mean."""
    residual = sums.residual[:, rows].sum(axis=(0, 1))
    curvature = sums.curvature[:, rows].sum(axis=(0, 1))
    gain = 2 * (np.conj(spectrum) * residual).real - np.abs(spectrum) ** 2 * curvature
    return float((gain * sums.counts * (sums.shells <= sums.radius_px)).sum())


def _weighted(sums: ParticleSums, weights: FloatArray) -> tuple[ComplexArray, NDArray[np.float32]]:
    flat = weights.reshape(-1).astype(np.float32)
    residual = flat @ sums.residual.reshape(len(flat), -1).view(np.float32)
    return residual.view(np.complex64), flat @ sums.curvature.reshape(len(flat), -1)


def _estimate(sums: ParticleSums, weights: FloatArray) -> ComplexArray:
    """How the map differs from the mean; drawn to it by what noise alone would make, by shell."""
    residual, curvature = _weighted(sums, weights)
    _, squared = _weighted(sums, weights**2)
    noise = sums.shell_mean(np.maximum(sums.noise, 1e-6)[sums.shells] * squared)
    information = np.maximum(sums.shell_mean(curvature), 1e-30)
    excess = np.maximum(sums.shell_mean(np.abs(residual) ** 2) - noise, 0)
    signal = excess / np.maximum(sums.shell_mean(curvature**2), 1e-30)
    prior = np.minimum(noise / information / np.maximum(signal, 1e-30), 1e30)
    return np.asarray(residual / (curvature + prior[sums.shells] + 1e-20), np.complex64)


def _own_map(sums: ParticleSums, weights: FloatArray) -> ComplexArray:
    """The map of weighted particles alone: what the mean explains is added as they saw it."""
    residual, curvature = _weighted(sums, weights)
    floor = 0.1 * sums.shell_mean(curvature)[sums.shells] + 1e-20
    return np.asarray((residual + curvature * sums.mean) / (curvature + floor), np.complex64)
