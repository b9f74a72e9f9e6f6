"""Shell filters for classes of particles, where held-out images say that one for all is worse.

Factors for the whole set are chosen by all particles. Where most are of one state their differences
from the middle are mostly noise, and what a rare state differs by, though true, is damped with
them. So particles are put into classes by their latents, each with a filter of its own; they are
kept if, chosen on half of the particles, they explain the held-out images of the other half surely
better than the set's.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch import Tensor

from napari_tomodrgn.learn.decoding.class_filter import ClassFilter
from napari_tomodrgn.learn.inference.held_out import mean_difference
from napari_tomodrgn.learn.inference.shell_sums import ShellSums, choose_filter

# Particles that a filter of their own is chosen by.
LEAST_IN_CLASS = 100
# Numbers of classes that are tried, and standard errors by which one of them must be better.
_COUNTS = (2, 3, 4, 6, 8)
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
    best, labels = _LEAST_SIGMA, None
    known = torch.isfinite(sums.alike) & torch.isfinite(latents).all(1)
    points = latents[known].double().cpu().numpy()
    for count in _COUNTS:
        if len(points) < 2 * LEAST_IN_CLASS:
            break
        found = torch.full((len(latents),), -1)
        found[known] = torch.from_numpy(_k_means(points, count)).to(found)
        sigma = _gain(sums, found)
        if sigma > best:
            best, labels = sigma, found
    if labels is None:
        return [], whole.expand(len(latents), -1)
    return _filters(sums, latents, labels), class_factors(sums, labels, labels)


def class_factors(
    sums: ShellSums, learnt: Tensor, labels: Tensor, least: int = LEAST_IN_CLASS
) -> Tensor:
    """Factors ``(particle, shell)`` of classes ``labels`` ``(particle,)``.

    They are chosen by the particles whose class in ``learnt`` ``(particle,)`` is theirs; -1: of
    none. Classes of fewer than ``least`` take the factors of all that are learnt from.
    """
    table = choose_filter(sums.of(learnt >= 0)).expand(len(labels), -1).clone()
    for label in labels.unique().tolist():
        own = learnt == label
        if label >= 0 and int(own.sum()) >= least:
            table[labels == label] = choose_filter(sums.of(own))
    return table


def _gain(sums: ShellSums, labels: Tensor) -> float:
    """Standard errors by which filters of classes are better on particles that did not choose."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    first = torch.zeros(len(labels), dtype=torch.bool)
    first[order[::2]] = True
    own, whole = torch.zeros_like(sums.alike), torch.zeros_like(sums.alike)
    for half in (first, ~first):
        learnt = torch.where(half, labels, -1)
        factors = class_factors(sums, learnt, labels, LEAST_IN_CLASS // 2)
        for_all = choose_filter(sums.of(learnt >= 0)).expand(len(labels), -1)
        own[~half] = sums.changes(factors)[~half]
        whole[~half] = sums.changes(for_all)[~half]
    gain, error = mean_difference(whole, own)
    return gain / error if error > 0 else 0.0


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
