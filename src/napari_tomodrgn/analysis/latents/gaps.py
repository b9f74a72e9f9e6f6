"""Is there a gap between two states, or do particles go on from one to the other?

Where the members of a state differ by a good deal, as they do where poses are off, points that
describe it share few particles: each takes those around it. What tells such pieces from states is
that nothing is missing between them. Along the direction that tells the two best apart, the
particles of both are described by two Gaussians beyond each particle's own known noise ("extreme
deconvolution", Bovy, Hogg & Roweis, Ann. Appl. Stat. 5 (2011) 1657). There is no gap if one
Gaussian does as well, or if two do not leave a valley.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents.known_noise import KnownNoise

FloatArray = NDArray[np.float64]

# So many particles' worth of scatter is taken from the noise: of few members it is overfitted.
_PRIOR_MEMBERS = 20.0
_ROUNDS = 80
# Of the noise: what Gaussians are blurred by at least when one looks for a valley between them.
_BLUR = 0.25
# Middles that are further from each other than so many of their widths, noise and all, have a gap.
_CLEAR = 6.0
# Both together at least so wide, in standard deviations of the noise, are pieces of what goes on:
# of simulated states whose poses are off by 2 to 5 degrees 1.0 and more, two points 0.3.
_WIDE = 0.75
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class _Gaussians:
    """Shares, middles and variances beyond the noise ``(number,)``, and their log-likelihood."""

    shares: FloatArray
    middles: FloatArray
    variances: FloatArray
    log_likelihood: float


def bridge(noise: KnownNoise, second: NDArray[np.bool_]) -> float:
    """How full the place between two groups is, 0 to 1 of the lower of their peaks.

    Parameters
    ----------
    noise
        What is known of the particles of both.
    second
        ``(particle,)``, true for the members of the second.
    """
    if min(int(second.sum()), int((~second).sum())) < 2:
        return 0.0
    places, variances = _along(noise, second)
    if _far_apart(places[~second], places[second]):
        return 0.0
    one = _fitted(places, variances, np.ones((len(places), 1)))
    two = _fitted(places, variances, np.stack([~second, second], axis=1).astype(np.float64))
    # By Schwarz's criterion; the direction was chosen for two, so that a place more is counted.
    numbers = noise.means.shape[1]
    one_will_do = two.log_likelihood - one.log_likelihood < numbers / 2 * np.log(len(places))
    middle = float(np.median(variances))
    wide = np.sqrt(two.variances).sum() > _WIDE * middle**0.5
    return 1.0 if one_will_do and wide else _valley(two, middle)


def _along(noise: KnownNoise, second: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Places of particles along the direction that tells the groups apart, and their noise."""
    latents = noise.means.shape[1]
    covariance = np.linalg.inv(noise.precision + np.eye(latents))
    of_means = covariance @ noise.precision @ covariance
    groups = noise.means[~second], noise.means[second]
    scatter = _PRIOR_MEMBERS * (of_means.mean(axis=0) + _TINY * np.eye(latents))
    for group in groups:
        apart = group - group.mean(axis=0)
        scatter = scatter + apart.T @ apart
    axis = np.linalg.solve(scatter, groups[1].mean(axis=0) - groups[0].mean(axis=0))
    axis /= max(float(np.linalg.norm(axis)), _TINY)
    variances = np.einsum("i,nij,j->n", axis, of_means, axis)
    return noise.means @ axis, np.maximum(variances, _TINY)


def _far_apart(one: FloatArray, two: FloatArray) -> bool:
    """Whether nobody can be between: most pairs of thirty states, and all else takes longer."""
    return bool(abs(one.mean() - two.mean()) > _CLEAR * (one.std() + two.std()))


def _fitted(places: FloatArray, noise: FloatArray, members: FloatArray) -> _Gaussians:
    """Gaussians, by expectation maximisation from ``(particle, number)`` members."""
    middles = members.T @ places / members.sum(axis=0)
    spread = (members * (places[:, None] - middles) ** 2).sum(axis=0) / members.sum(axis=0)
    variances = np.maximum(spread - noise.mean(), 0.1 * noise.mean())
    shares = members.mean(axis=0)
    for _ in range(_ROUNDS):
        logs = _logs(places, noise, shares, middles, variances)
        top = logs.max(axis=1, keepdims=True)
        members = np.exp(logs - top)
        members /= members.sum(axis=1, keepdims=True)
        total = np.maximum(members.sum(axis=0), _TINY)
        gain = variances / (variances + noise[:, None])
        true = middles + gain * (places[:, None] - middles)
        middles = (members * true).sum(axis=0) / total
        within = (true - middles) ** 2 + variances - gain * variances
        variances = np.maximum((members * within).sum(axis=0) / total, _TINY)
        shares = total / total.sum()
    logs = _logs(places, noise, shares, middles, variances)
    top = logs.max(axis=1)
    likelihood = float((top + np.log(np.exp(logs - top[:, None]).sum(axis=1))).sum())
    return _Gaussians(shares, middles, variances, likelihood)


def _logs(
    places: FloatArray,
    noise: FloatArray,
    shares: FloatArray,
    middles: FloatArray,
    variances: FloatArray,
) -> FloatArray:
    """Log-likelihood of each particle and Gaussian, but for a constant, ``(particle, number)``."""
    wide = variances + noise[:, None]
    squared = (places[:, None] - middles) ** 2 / wide
    return np.asarray(np.log(np.maximum(shares, 1e-300)) - (squared + np.log(wide)) / 2)


def _valley(two: _Gaussians, noise: float) -> float:
    """The least density between the middles of two, over that of the lower one."""
    wide = two.variances + _BLUR * noise
    grid = np.linspace(two.middles[0], two.middles[1], 101)
    density = (
        two.shares / np.sqrt(wide) * np.exp(-((grid[:, None] - two.middles) ** 2) / (2 * wide))
    ).sum(axis=1)
    return float(density.min() / max(min(density[0], density[-1]), 1e-300))
