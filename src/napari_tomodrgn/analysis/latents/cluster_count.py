"""How many clusters latents ask for: by the likelihood of particles that were left out.

Gaussian mixtures of 1 to 8 classes are fitted in folds; the smallest number is proposed whose
held-out log-likelihood is within one standard error of the best (Smyth, Stat. Comput. 10 (2000)
63), and one class unless the best is better by two. Where classes so many overlap, the smallest
number that explains nearly as much is taken, if its classes are apart: groups that are no Gaussians
are cut into more and more of them, to little use; failing that, one whose classes are wholly apart.
Points spread evenly along a curve ask for more and more classes, each of which overlaps its
neighbours and is wider than its particles are unsure: then there is no number, and it is called
continuous. Asked are the components that carry something: others that a training let vanish are
rounding, whose long tails, scaled up, look like classes.

Where there are classes, and it is known how sure each particle's latent is, states are looked for
that no cluster of latents holds, rare ones beside large ones (`point_states`). If there are more of
these, they are proposed.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents.clusters import Method
from napari_tomodrgn.analysis.latents.components import latent_matrix, principal_axes
from napari_tomodrgn.analysis.latents.known_noise import KnownNoise, spreads_of
from napari_tomodrgn.analysis.latents.point_states import PointStates, state_steps
from napari_tomodrgn.learn.runtime.steps import run_to_end

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

_MOST = 8  # classes that are tried
_FOLDS = 5  # over particles, for their held-out likelihood
# Classes are apart if so many of each are sure whose they are, and none varies by more than so
# many times the variance of its particles' own posteriors; or if nearly all are sure. On two seeds
# each of two and four states the widest class had 1.4 to 2.9 times that variance, of a motion 10 to
# 14 in two classes, 5.4 and 5.6 in three (`benchmarks/cluster_count.py`).
_APART, _FAR_APART = 0.8, 0.95
_WIDEST = 4.0
_PER_CLASS = 10  # particles that there have to be for each class that is tried
# Of more particles so many are asked, drawn at random; of fewer than twenty none.
_FEWEST_ASKED, _MOST_ASKED = 20, 10_000
# Of what the best number explains: what more classes add to it is the shape of the groups. Of three
# tight groups whose own spread is no Gaussian eight classes explained 0.1 % more than three.
_NEARLY_ALL = 0.95
# Else a number whose classes are wholly apart, and which explains at least so much of what the best
# does: where poses are off each of two states goes on in its own way. Two states, poses off by 3
# degrees: 1.00 and 0.9; halves of one structure 0.90 (poses), 0.95 (shifts), of motions 0.76, 0.91
_WHOLLY_APART, _MOST_OF_IT = 0.99, 0.5
# Standard errors by which any number has to be better than one class.
_BETTER = 2.0
# Share of particles that no state explains: with more, states are not what there is. 0.001 of those
# of sixteen states, 0.005 of four (`benchmarks/assembly.py`, `cluster_count.py`).
_UNEXPLAINED = 0.05


@dataclass(frozen=True, eq=False)
class ClusterCount:
    """A proposal.

    Attributes
    ----------
    count
        Number of classes; 0 where latents are continuous.
    counts
        The numbers that were tried.
    gains
        Held-out log-likelihood a particle over that of one class, and its standard error:
        ``(number, 2)``.
    separation
        Of the proposed classes: the least share of sure members, 0 to 1.
    width
        Of the proposed classes: the largest variance over that of its particles' posteriors; NaN
        where these are not known.
    by_states
        Whether they are states of `point_states`, which k-means does not find.
    """

    count: int
    counts: tuple[int, ...]
    gains: FloatArray
    separation: float
    width: float = float("nan")
    by_states: bool = False

    @property
    def method(self) -> Method:
        """How the proposed classes are found."""
        return "states" if self.by_states else "k-means"

    @property
    def sentence(self) -> str:
        """The proposal in words."""
        if self.count == 0:
            return "continuous, no k: clusters overlap or go on within, however many are taken"
        if self.count == 1:
            return "one cluster: more explain particles that were left out no better"
        if self.by_states:
            return f"{self.count} states, found by how sure each particle's latent is"
        return f"{self.count} clusters, by the likelihood of particles that were left out"


def propose_clusters_of(latents: pd.DataFrame) -> ClusterCount | None:
    """Propose a number of classes for a run's latents; None for fewer than twenty particles."""
    return run_to_end(proposal_steps_of(latents))


def proposal_steps_of(
    latents: pd.DataFrame,
) -> Generator[tuple[int, int], None, ClusterCount | None]:
    """The same, yielding how many numbers were tried, and of how many."""
    if len(latents) < _FEWEST_ASKED:
        return None
    return (yield from _proposal_steps(latent_matrix(latents), spreads_of(latents), seed=0))


def propose_clusters(
    latents: FloatArray, spreads: FloatArray | None = None, seed: int = 0
) -> ClusterCount:
    """Propose a number of classes for latents.

    Parameters
    ----------
    latents
        ``(particle, latent)`` means of posteriors.
    spreads
        Where they are known, their covariances ``(particle, latent, latent)`` or variances
        ``(particle, latent)``.
    seed
        Of folds and first guesses.
    """
    return run_to_end(_proposal_steps(latents, spreads, seed))


def _proposal_steps(
    latents: FloatArray, spreads: FloatArray | None, seed: int
) -> Generator[tuple[int, int], None, ClusterCount]:
    found = yield from _class_steps(*_asked(latents, spreads), seed)
    if spreads is None or found.count < 2:
        return found
    states = yield from _no_further(state_steps(KnownNoise.of(latents, spreads), seed), found)
    if states.count <= found.count or states.mixture.shares[-1] > _UNEXPLAINED:
        return found
    return replace(found, count=states.count, by_states=True)


def _no_further(
    steps: Generator[int, None, PointStates], found: ClusterCount
) -> Generator[tuple[int, int], None, PointStates]:
    """Steps of a search that nobody knows the length of, as those of all numbers tried."""
    with closing(steps):
        while True:
            try:
                next(steps)
            except StopIteration as end:
                states: PointStates = end.value
                return states
            yield len(found.counts), len(found.counts)


def _asked(latents: FloatArray, spreads: FloatArray | None) -> tuple[FloatArray, FloatArray | None]:
    """Means and variances, ``(particle, latent)``, of as many particles as are asked."""
    if len(latents) > _MOST_ASKED:
        drawn = np.random.default_rng(0xC0).choice(len(latents), _MOST_ASKED, replace=False)
        latents, spreads = latents[drawn], None if spreads is None else spreads[drawn]
    if spreads is not None and spreads.ndim == 3:
        spreads = np.diagonal(spreads, axis1=1, axis2=2)
    return latents, spreads


def _class_steps(
    latents: FloatArray, variances: FloatArray | None, seed: int
) -> Generator[tuple[int, int], None, ClusterCount]:
    from sklearn.mixture import GaussianMixture

    latents, variances = _wide_components(latents, variances)
    spread = latents.std(axis=0)
    points = (latents - latents.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    most = max(1, min(_MOST, len(points) // _PER_CLASS))
    counts = tuple(range(1, most + 1))
    fold = np.random.default_rng([seed, 0xC1]).permutation(len(points)) % _FOLDS
    found = np.zeros((most, len(points)))
    for row, count in enumerate(counts):
        yield row, most
        for number in range(_FOLDS):
            model = GaussianMixture(count, n_init=3, random_state=seed, reg_covar=1e-3)
            model.fit(points[fold != number])
            found[row, fold == number] = model.score_samples(points[fold == number])
    apart = found - found[0]
    best = int(found.mean(axis=1).argmax())
    worse = found[best] - found
    error = worse.std(axis=1) / len(points) ** 0.5
    count = counts[int(np.flatnonzero(worse.mean(axis=1) <= error)[0])]
    gains = np.stack([apart.mean(axis=1), apart.std(axis=1) / len(points) ** 0.5], axis=1)
    gain, unsure = gains[best]
    if count == 1 or gain < _BETTER * unsure:
        return ClusterCount(1, counts, gains, 1.0)
    noise = None if variances is None else variances.mean(axis=0) / spread**2
    fewer = counts[int(np.flatnonzero(gains[:, 0] >= _NEARLY_ALL * gain)[0])]
    for number in sorted({count, fewer}, reverse=True):
        separation, width = _separation(points, noise, number, seed)
        narrow = not width > _WIDEST  # where nothing is known of it, too
        if separation >= (_APART if narrow else _FAR_APART):
            return ClusterCount(number, counts, gains, separation, width)
    last = separation, width
    for number in range(count - 1, 1, -1):
        separation, width = _separation(points, noise, number, seed)
        if gains[number - 1, 0] >= _MOST_OF_IT * gain and separation >= _WHOLLY_APART:
            return ClusterCount(number, counts, gains, separation, width)
    separation, width = last
    return ClusterCount(0, counts, gains, separation, width)


def _wide_components(
    latents: FloatArray, variances: FloatArray | None
) -> tuple[FloatArray, FloatArray | None]:
    """Latents and variances along the components that carry something; as they are, if all do."""
    wide = principal_axes(latents).wide
    if wide.shape[1] in (0, latents.shape[1]):
        return latents, variances
    return latents @ wide, None if variances is None else variances @ wide**2


def _separation(
    points: FloatArray, noise: FloatArray | None, count: int, seed: int
) -> tuple[float, float]:
    """Share of sure members (9 in 10) in the class that has the fewest; how wide the widest is."""
    from sklearn.mixture import GaussianMixture

    model = GaussianMixture(count, n_init=5, random_state=seed, reg_covar=1e-3).fit(points)
    shares = model.predict_proba(points)
    labels = shares.argmax(axis=1)
    sure = shares.max(axis=1) > 0.9
    least = float(min(sure[labels == one].mean() for one in np.unique(labels)))
    if noise is None or not (noise > 0).all():
        return least, float("nan")
    scaled = model.covariances_ / np.sqrt(np.outer(noise, noise))
    return least, float(np.linalg.eigvalsh(scaled).max())
