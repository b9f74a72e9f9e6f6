"""States told apart by how sure each particle's latent is: points, those that overlap joined.

Clusters of the latents are as wide as particles are unsure, each its own way, and rare states
beside large ones are lost in them. A mixture of points (`point_mixture`) asks of each particle how
well each point explains its images. Points that share their particles are one state (Hennig, Adv.
Data Anal. Classif. 4 (2010) 3; Baudry et al., J. Comput. Graph. Stat. 19 (2010) 332): a state that
is no point but goes on within itself is described by several.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents.gaps import bridge
from napari_tomodrgn.analysis.latents.known_noise import KnownNoise, point_features
from napari_tomodrgn.analysis.latents.point_mixture import PointFit, PointMixture
from napari_tomodrgn.learn.runtime.steps import run_to_end

FloatArray = NDArray[np.float64]

# Of the members of the smaller of two, what is as well the other's. On sixteen nested states in
# unequal shares points of different states shared 0.150 at most; pieces of one state, where
# nothing that it differs by within was fitted, 0.246 and more (`benchmarks/assembly.py`).
_SHARED = 0.2
# Density between two pieces of one state, of the lower of the two.
_BRIDGED = 0.35
# Of more particles so many are fitted, drawn at random; all are given to a state.
_MOST_FITTED = 10_000
_ROWS = 8192


@dataclass(frozen=True, eq=False)
class PointStates:
    """States.

    Attributes
    ----------
    mixture
        The points that describe them.
    state_of_point
        ``(point,)`` state of each point, from 0.
    overlap
        ``(state, state)``: of the members of the smaller of two, the share that is as well the
        other's.
    """

    mixture: PointMixture
    state_of_point: NDArray[np.int64]
    overlap: FloatArray

    @property
    def count(self) -> int:
        """Number of states."""
        return len(self.overlap)

    def labels(self, noise: KnownNoise) -> NDArray[np.int64]:
        """The likeliest state of each particle, ``(particle,)``, from 0."""
        fit = self.mixture
        if not self.count:
            return np.zeros(len(noise), np.int64)
        features = point_features(fit.points)
        logs = np.log(np.maximum(fit.shares[:-1], 1e-300))
        found = np.zeros(len(noise), np.int64)
        for start in range(0, len(noise), _ROWS):
            rows = slice(start, start + _ROWS)
            blurred, _ = noise.part(rows).widened(fit.within)
            found[rows] = self.joined(blurred.features @ features + logs).argmax(axis=1)
        return found

    def joined(self, logs: FloatArray) -> FloatArray:
        """Log-likelihoods of points ``(particle, point)`` as those of states, (particle, state)."""
        columns = [
            np.logaddexp.reduce(logs[:, self.state_of_point == state], axis=1)
            for state in range(self.count)
        ]
        return np.stack(columns, axis=1)


def state_steps(
    noise: KnownNoise, seed: int = 0, scale: float | None = None, most: int | None = None
) -> Generator[int, None, PointStates]:
    """Find the states that latents tell apart; yield how many points there are so far.

    Parameters
    ----------
    noise
        What is known of each particle.
    seed
        Of what is drawn.
    scale
        Of the variance of the noise; None: fitted, at least 1.
    most
        Number of states at most: those that overlap most, or lie nearest, are joined.
    """
    if len(noise) > _MOST_FITTED:
        drawn = np.random.default_rng([seed, 0x91]).choice(len(noise), _MOST_FITTED, replace=False)
        noise = noise.part(np.sort(drawn))
    noise = noise if scale is None else noise.scaled(scale)
    fit = PointFit(noise, seed)
    mixture = yield from fit.steps()
    members = fit.memberships(mixture)[:, :-1]
    found = _joined(mixture, members, noise, most or len(mixture.points))
    return _without_gaps(found, members, noise)


def find_states(
    noise: KnownNoise, seed: int = 0, scale: float | None = None, most: int | None = None
) -> PointStates:
    """The same, at once."""
    return run_to_end(state_steps(noise, seed, scale, most))


def _joined(
    mixture: PointMixture, members: FloatArray, noise: KnownNoise, most: int
) -> PointStates:
    """Join states until none overlap and there are few enough."""
    state_of, members = np.arange(len(mixture.points)), members.copy()
    nearness = _nearness(mixture, noise)
    while members.shape[1] > 1:
        overlap = _overlap(members)
        # Where nothing is shared, but there are too many: the nearest.
        order = overlap + 1e-9 * nearness
        order[np.diag_indices(len(order))] = -1.0
        one, two = sorted(map(int, np.unravel_index(int(order.argmax()), order.shape)))
        if overlap[one, two] < _SHARED and len(overlap) <= most:
            break
        members[:, one] += members[:, two]
        members = np.delete(members, two, axis=1)
        nearness[one] = np.maximum(nearness[one], nearness[two])
        nearness[:, one] = nearness[one]
        nearness = np.delete(np.delete(nearness, two, axis=0), two, axis=1)
        state_of[state_of == two] = one
        state_of[state_of > two] -= 1
    return PointStates(mixture, state_of, _overlap(members))


def _without_gaps(found: PointStates, members: FloatArray, noise: KnownNoise) -> PointStates:
    """Join states that go on from one to the other; ``members`` are those of points."""
    if found.count < 2:
        return found
    state_of = found.state_of_point.copy()
    noise = noise.scaled(1 + _excess_in_all_directions(found.mixture, noise))
    likeliest = members.argmax(axis=1)
    bridges: dict[tuple[int, int], float] = {}
    while True:
        states = np.unique(state_of)
        label = state_of[likeliest]
        for one, two in combinations(states.tolist(), 2):
            if (one, two) not in bridges:
                rows = np.flatnonzero((label == one) | (label == two))
                bridges[one, two] = bridge(noise.part(rows), label[rows] == two)
        if not bridges or max(bridges.values()) <= _BRIDGED:
            break
        one, two = max(bridges, key=lambda pair: bridges[pair])
        state_of[state_of == two] = one
        bridges = {pair: value for pair, value in bridges.items() if not {one, two} & {*pair}}
    state_of = np.unique(state_of, return_inverse=True)[1].reshape(-1)
    joined = members @ (state_of[:, None] == np.arange(state_of.max() + 1))
    return PointStates(found.mixture, state_of, _overlap(joined))


def _excess_in_all_directions(fit: PointMixture, noise: KnownNoise) -> float:
    """Variance that members differ by beyond their noise, in that, where it is least.

    Widths that are too narrow for all are no state that goes on: that does so some way.
    """
    precision = noise.precision.mean(axis=0)
    return max(float(np.linalg.eigvals(precision @ fit.within).real.min()), 0.0)


def _overlap(members: FloatArray) -> FloatArray:
    sizes = members.sum(axis=0)
    shared = (members.T @ members) / np.maximum(np.minimum.outer(sizes, sizes), 1e-9)
    shared[np.diag_indices(len(shared))] = 0.0
    return np.asarray(shared)


def _nearness(mixture: PointMixture, noise: KnownNoise) -> FloatArray:
    """1 for points in one place, towards 0 for those that the noise of most tells apart."""
    apart = mixture.points[:, None] - mixture.points[None]
    squared = np.einsum("abi,ij,abj->ab", apart, noise.precision.mean(axis=0), apart)
    return np.asarray(1 / (1 + squared))
