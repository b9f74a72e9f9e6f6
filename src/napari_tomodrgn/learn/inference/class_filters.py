"""Shell filters for classes of particles, where held-out images say that one for all is worse.

Factors for the whole set are chosen by all particles. Where most are of one state their differences
from the middle are mostly noise, and what a rare state differs by, though true, is damped with
them. So particles are put into classes by their latents, each with a filter of its own; they are
kept if, chosen on half of the particles, they explain the held-out images of the other half surely
better than the set's.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch import Tensor

from napari_tomodrgn.learn.decoding.class_filter import ClassFilter
from napari_tomodrgn.learn.inference.held_out import mean_difference
from napari_tomodrgn.learn.inference.shell_sums import ShellSums, choose_filter

# Compared particles that a filter of their own is chosen by; of a set of more than is compared at
# the end of a training there are as many more.
LEAST_IN_CLASS = 50
# Numbers of classes that are tried, and standard errors by which one of them must be better.
_COUNTS = (2, 3, 4, 5, 6)
_LEAST_SIGMA = 3.0


def choose_class_filters(sums: ShellSums, latents: Tensor) -> tuple[list[ClassFilter], Tensor]:
    """Choose filters for classes, where they are surely better than one for all.

    Parameters
    ----------
    sums
        What held-out images say, of particles that surely differ.
    latents
        ``(particle, latent)`` from the other images.

    Returns
    -------
    The filters, none where one for all is as good; and the factors ``(particle, shell)`` of each
    particle.
    """
    whole = choose_filter(sums)
    tried = []
    for labels in _classifications(sums, latents):
        own, for_all = _changes(sums, labels)
        gain, error = mean_difference(for_all, own)
        if gain > _LEAST_SIGMA * error:
            tried.append((gain, own, labels))
    if not tried:
        return [], whole.expand(len(latents), -1)
    best = max(tried, key=lambda one: one[0])
    # From few classes to many.
    labels = next(labels for _, own, labels in tried if not _is_worse(own, best[1]))
    return _filters(sums, latents, labels), class_factors(sums, labels, labels)


def _classifications(sums: ShellSums, latents: Tensor) -> Iterator[Tensor]:
    """Classes ``(particle,)`` of compared particles that are all large enough, -1 for others."""
    known = torch.isfinite(sums.alike) & torch.isfinite(latents).all(1)
    points = latents[known].double().cpu().numpy()
    for count in _COUNTS:
        if len(points) < count * LEAST_IN_CLASS:
            return
        found = torch.full((len(latents),), -1)
        found[known] = torch.from_numpy(_k_means(points, count)).to(found)
        if int(torch.bincount(found[known], minlength=count).min()) >= LEAST_IN_CLASS:
            yield found


def class_factors(sums: ShellSums, learnt: Tensor, labels: Tensor) -> Tensor:
    """Factors ``(particle, shell)`` of classes ``labels`` ``(particle,)``.

    They are chosen by the particles whose class in ``learnt`` ``(particle,)`` is theirs; -1: of
    none, whose factors are those of all that are learnt from.
    """
    table = choose_filter(sums.of(learnt >= 0)).expand(len(labels), -1).clone()
    for label in labels.unique().tolist():
        own = learnt == label
        if label >= 0 and bool(own.any()):
            table[labels == label] = choose_filter(sums.of(own))
    return table


def _changes(sums: ShellSums, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Errors ``(particle,)`` with filters of classes, and with one for all, of other particles."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    first = torch.zeros(len(labels), dtype=torch.bool)
    first[order[::2]] = True
    own, whole = torch.zeros_like(sums.alike), torch.zeros_like(sums.alike)
    for half in (first, ~first):
        learnt = torch.where(half, labels, -1)
        for_all = choose_filter(sums.of(learnt >= 0)).expand(len(labels), -1)
        own[~half] = sums.changes(class_factors(sums, learnt, labels))[~half]
        whole[~half] = sums.changes(for_all)[~half]
    return own, whole


def _is_worse(own: Tensor, best: Tensor) -> bool:
    """Whether errors ``(particle,)`` are larger by more than one standard error."""
    worse, error = mean_difference(own, best)
    return worse > error


def _k_means(points: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    _, labels = kmeans2(points, count, minit="++", iter=50, seed=np.random.default_rng(0))
    return np.asarray(labels, dtype=np.int64)


def _filters(sums: ShellSums, latents: Tensor, labels: Tensor) -> list[ClassFilter]:
    table, found = class_factors(sums, labels, labels), []
    for label in labels[labels >= 0].unique().tolist():
        own = labels == label
        center = latents[own].double().mean(0)
        spread = (latents[own].double() - center).square().mean().sqrt()
        factors = table[own][0]
        found.append(
            ClassFilter(
                center=tuple(round(float(value), 6) for value in center),
                spread=round(float(spread), 6),
                particles=int(own.sum()),
                factors=tuple(round(float(factor), 4) for factor in factors),
            )
        )
    return found
