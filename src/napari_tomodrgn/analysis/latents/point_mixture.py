"""A mixture of points, each particle blurred by its own known noise, grown point by point.

It is the nonparametric maximum likelihood of a distribution (Kiefer & Wolfowitz, Ann. Math. Stat.
27 (1956) 887) seen through the known noise of each particle ("extreme deconvolution", Bovy, Hogg &
Roweis, Ann. Appl. Stat. 5 (2011) 1657, with points in place of Gaussians). One point is added at a
time, where it adds most to the likelihood (Verbeek, Vlassis & Kröse, Neural Comput. 15 (2003) 469):
nothing hangs on a lucky start. A particle that no point explains is one from anywhere. How far
particles of one point differ beyond their noise, one covariance for all points, is fitted with the
rest: states that go on within, and widths that are too narrow, would be cut in pieces.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents.known_noise import KnownNoise, point_features

FloatArray = NDArray[np.float64]

# Points: thirty states of 6,000 simulated particles, the rarest of 12, were all found in 17 s.
_MOST = 40
# Fewer particles are no state but a coincidence.
_FEWEST_MEMBERS = 5.0
# Share of particles from anywhere: with most of them so, whatever is added explains them better.
_MOST_ANYWHERE = 0.1
# So many numbers of points in a row that BIC does not ask for, and it is given up.
_PATIENCE = 4
# Rounds of expectation maximisation after each point, and at the end.
_ROUNDS, _LAST_ROUNDS = 16, 60
# What particles differ by within is fitted every so many rounds: it costs as much as they do.
_EVERY = 2
# Particles that a new point may begin at: half of them the worst explained, half drawn; the best of
# them are moved a little before one is taken.
_BEGINNINGS, _TRIED, _MOVES = 240, 12, 8
_TINY = 1e-9
# Variance within a point, in that of the noise: with more, points are looked for as if there were
# as much as noise, too. Without it two of eight states, 600 and 500 of 1,242 particles, stayed one
# with 31 times the noise between them (`tests/analysis/latents/test_point_states.py`).
_WIDE = 4.0
# Particles at a time: their likelihoods at 40 points take 3 MB.
_ROWS = 8192


@dataclass(frozen=True, eq=False)
class PointMixture:
    """What was fitted.

    Attributes
    ----------
    points
        ``(point, latent)``.
    shares
        ``(point + 1,)``: of each point, at last of particles from anywhere.
    within
        ``(latent, latent)`` covariance of particles of one point, beyond their noise.
    log_likelihood
        Of all particles; no number until they were asked.
    """

    points: FloatArray
    shares: FloatArray
    within: FloatArray
    log_likelihood: float = -np.inf

    def bic(self, particles: int) -> float:
        """Schwarz's criterion: −2 log L, and log N for each number that more points bring."""
        count, latents = self.points.shape
        return float(-2 * self.log_likelihood + count * (latents + 1) * np.log(particles))

    def without(self, point: int) -> PointMixture:
        """One point less; its particles are the others'."""
        shares = np.delete(self.shares, point)
        points = np.delete(self.points, point, axis=0)
        return PointMixture(points, shares / shares.sum(), self.within)

    def with_point(self, point: FloatArray, share: float) -> PointMixture:
        """One point ``(latent,)`` more; the others give what they have in equal parts."""
        old = self.shares * (1 - share)
        shares = np.concatenate([old[:-1], [share], old[-1:]])
        return PointMixture(np.vstack([self.points, point]), shares, self.within)


class PointFit:
    """Fits mixtures of points; the same for one seed."""

    def __init__(self, noise: KnownNoise, seed: int = 0) -> None:
        self.noise = noise
        self._random = np.random.default_rng([seed, 0x90])
        self._anywhere = noise.anywhere()

    def steps(self, most: int = _MOST) -> Generator[int, None, PointMixture]:
        """Fit as many points as BIC asks for; yield how many there are, before each fit."""
        means = self.noise.means
        all_in_one = np.cov(means.T).reshape(means.shape[1], means.shape[1])
        one = PointMixture(means.mean(axis=0)[None], np.array([0.99, 0.01]), all_in_one)
        best = yield from self._growing(self._improved(one, _ROUNDS), most)
        while (narrow := self._narrowed(best)) is not None:
            fit = yield from self._growing(self._improved(self._grown(narrow), _ROUNDS), most)
            if self._bic(fit) >= self._bic(best):
                break
            best = fit
        return (yield from self._thinned(self._improved(best, _LAST_ROUNDS)))

    def _growing(self, fit: PointMixture, most: int) -> Generator[int, None, PointMixture]:
        """Add points as long as BIC falls, or falls again soon."""
        best = fit
        while len(fit.points) < most and len(fit.points) < len(best.points) + _PATIENCE:
            yield len(fit.points)
            before, fit = len(fit.points), self._improved(self._grown(fit), _ROUNDS)
            if self._bic(fit) < self._bic(best):
                best = fit
            if len(fit.points) <= before:
                break  # the new point did not live
        return best

    def _narrowed(self, fit: PointMixture) -> PointMixture | None:
        """The same, no wider within than noise is; None if it is not much wider.

        Two states in one point are as well one that is wide; from there no new point lives.
        """
        root = np.linalg.cholesky(
            self.noise.precision.mean(axis=0) + _TINY * np.eye(len(fit.within))
        )
        widths, axes = np.linalg.eigh(root.T @ fit.within @ root)
        if widths.max() < _WIDE:
            return None
        back = np.linalg.solve(root.T, axes)
        return replace(fit, within=(back * np.minimum(widths, 1.0)) @ back.T)

    def memberships(self, fit: PointMixture) -> FloatArray:
        """How likely each particle is of each point, and from anywhere: (particle, point + 1)."""
        found = np.empty((len(self.noise), len(fit.shares)))
        for rows, logs in self._blocks(fit, *self.noise.widened(fit.within)):
            found[rows] = _shared_out(logs)
        return found

    def _bic(self, fit: PointMixture) -> float:
        return fit.bic(len(self.noise))

    def _blocks(
        self, fit: PointMixture, noise: KnownNoise, height: FloatArray
    ) -> Iterator[tuple[slice, FloatArray]]:
        """Log-likelihoods, with the shares, ``(particle, point + 1)``; some particles at a time."""
        features = point_features(fit.points)
        logs = np.log(np.maximum(fit.shares, 1e-300))
        for start in range(0, len(noise), _ROWS):
            rows = slice(start, start + _ROWS)
            at_points = noise.features[rows] @ features + height[rows, None]
            yield rows, np.column_stack([at_points, self._anywhere[rows]]) + logs

    def _totals(self, fit: PointMixture, noise: KnownNoise, height: FloatArray) -> FloatArray:
        """Log-likelihood of each particle, ``(particle,)``, whatever it is of."""
        found = np.empty(len(noise))
        for rows, logs in self._blocks(fit, noise, height):
            top = logs.max(axis=1)
            found[rows] = top + np.log(np.exp(logs - top[:, None]).sum(axis=1))
        return found

    def _improved(self, fit: PointMixture, rounds: int) -> PointMixture:
        """Expectation maximisation; points of too few particles go."""
        widened = self.noise.widened(fit.within)
        for number in range(1, rounds + 1):
            members, points, spread = self._maximized(fit, *widened, spread=number % _EVERY == 0)
            lives = np.append(members[:-1] >= _FEWEST_MEMBERS, [True])
            fit = PointMixture(points[lives[:-1]], _shares(members[lives]), spread)
            if number % _EVERY == 0:
                widened = self.noise.widened(fit.within)
        return replace(fit, log_likelihood=float(self._totals(fit, *widened).sum()))

    def _maximized(
        self, fit: PointMixture, noise: KnownNoise, height: FloatArray, *, spread: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One round: members (point + 1,), points, and what they differ by within."""
        members = np.zeros(len(fit.shares))
        weighed = np.zeros((len(fit.points), noise.features.shape[1]))
        excess = np.zeros_like(fit.within)
        for rows, logs in self._blocks(fit, noise, height):
            shared = _shared_out(logs)
            members += shared.sum(axis=0)
            weighed += shared[:, :-1].T @ noise.features[rows]
            if spread:
                excess += _excess(fit.points, shared[:, :-1], noise.part(rows))
        within = fit.within
        if spread:  # the round of extreme deconvolution, written without the inverse of P
            known = max(float(members[:-1].sum()), 1.0)
            within = within + within @ (excess / known) @ within
        return members, _places(weighed), (within + within.T) / 2

    def _grown(self, fit: PointMixture) -> PointMixture:
        """One point more, where it adds most."""
        noise, height = self.noise.widened(fit.within)
        over = height - self._totals(fit, noise, height)
        places = noise.means[self._beginnings(noise, over)]
        gains, shares = _gains(places, noise, over)
        tried = np.argsort(-gains, kind="stable")[:_TRIED]
        places = _moved(places[tried], shares[tried], noise, over)
        gains, shares = _gains(places, noise, over)
        best = int(gains.argmax())
        return fit.with_point(places[best], float(shares[best]))

    def _beginnings(self, noise: KnownNoise, over: FloatArray) -> NDArray[np.int64]:
        """Particles: the worst explained, and some drawn."""
        half = min(len(noise), _BEGINNINGS // 2)
        own = np.einsum("ni,ni->n", noise.pull, noise.means)
        own -= np.einsum("ni,nij,nj->n", noise.means, noise.precision, noise.means) / 2
        worst = np.argsort(-(own + over), kind="stable")[:half]
        return np.concatenate([worst, self._random.choice(len(noise), half, replace=False)])

    def _thinned(self, fit: PointMixture) -> Generator[int, None, PointMixture]:
        """Without the points that BIC does without."""
        while len(fit.points) > 1:
            yield len(fit.points)
            members = self.memberships(fit)[:, :-1]
            losses = -np.log1p(-np.minimum(members, 1 - 1e-12)).sum(axis=0)
            # Of the points that others would stand in for best; to try all is no better.
            for point in np.argsort(losses, kind="stable")[:3]:
                less = self._improved(fit.without(int(point)), 2 * _ROUNDS)
                if self._bic(less) < self._bic(fit):
                    fit = less
                    break
            else:
                return fit
        return fit


def _shares(members: FloatArray) -> FloatArray:
    """Shares of members ``(point + 1,)``, of the last not more than may be."""
    shares = members / members.sum()
    if shares[-1] > _MOST_ANYWHERE and len(shares) > 1:
        shares *= (1 - _MOST_ANYWHERE) / max(float(shares[:-1].sum()), _TINY)
        shares[-1] = _MOST_ANYWHERE
    return np.asarray(shares)


def _shared_out(logs: FloatArray) -> FloatArray:
    """Probabilities of logarithms, by row; in place."""
    logs -= logs.max(axis=1, keepdims=True)
    np.exp(logs, out=logs)
    logs /= logs.sum(axis=1, keepdims=True)
    return logs


def _places(weighed: FloatArray) -> FloatArray:
    """The likeliest place of each point ``(point, latent)``, of summed features of its members."""
    latents = int((np.sqrt(9 + 8 * weighed.shape[1]) - 3) / 2 + 0.5)
    rows, columns = np.triu_indices(latents)
    precision = np.zeros((len(weighed), latents, latents))
    precision[:, rows, columns] = precision[:, columns, rows] = weighed[:, latents:]
    # The prior, as one particle more: a point has a place where its members see nothing, too.
    precision += np.eye(latents)
    return np.asarray(np.linalg.solve(precision, weighed[:, :latents, None])[:, :, 0])


def _excess(points: FloatArray, shared: FloatArray, noise: KnownNoise) -> FloatArray:
    """Squared slopes of log-likelihoods at points over what noise makes of them, summed."""
    found = -np.tensordot(shared.sum(axis=1), noise.precision, 1)
    for point, weights in zip(points, shared.T, strict=True):
        slope = noise.pull - noise.precision @ point
        found += (weights[:, None] * slope).T @ slope
    return found


def _ratios(places: FloatArray, noise: KnownNoise, over: FloatArray) -> FloatArray:
    """Likelihood at each place over that of all points so far, ``(particle, place)``."""
    logs = noise.features @ point_features(places) + over[:, None]
    return np.asarray(np.exp(np.minimum(logs, 50.0)))  # beyond that it is as good as sure


def _gains(
    places: FloatArray, noise: KnownNoise, over: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """What a point at each place adds to log L at the best of six shares; and that share."""
    shares = np.geomspace(_FEWEST_MEMBERS / max(len(noise), 20), 0.3, 6)
    more = _ratios(places, noise, over) - 1
    found = np.array([np.log1p(share * more).sum(axis=0) for share in shares])
    return found.max(axis=0), shares[found.argmax(axis=0)]


def _moved(
    places: FloatArray, shares: FloatArray, noise: KnownNoise, over: FloatArray
) -> FloatArray:
    """Each place for itself moved to where it adds more, all else held."""
    for _ in range(_MOVES):
        weights = shares * _ratios(places, noise, over)
        weights /= 1 - shares + weights
        places = _places(weights.T @ noise.features)
        shares = np.clip(weights.mean(axis=0), 1e-12, 0.5)
    return places
