"""How much of what one method's latents tell is told by another's as well.

The linear engine's axes were each confirmed by images that had not chosen them. An autoencoder may
explain held-out images better on the whole and yet tell nothing along one of them: a faint
difference weighs little in that mean, and is what one may have been looking for.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Folds of particles: an axis is predicted for those that the prediction was not fitted on.
_FOLDS = 5
# Means of an axis that images hardly tell of vary less than this; those of the prior vary by 1.
_LEAST_VARIANCE = 0.5
# Added to squares of features of unit variance, as a share of the particles.
_RIDGE = 1e-3


def kept_shares(axes: Tensor, latents: Tensor) -> Tensor:
    """Tell which share of the variance ``(axis,)`` of each axis other latents predict.

    ``axes`` ``(particle, axis)`` and ``latents`` ``(particle, latent)`` are of the same particles;
    rows with NaN in either are left out. By ridge regression on the latents, their squares and
    products, in five folds over particles: R², at least 0. NaN with fewer particles than twice the
    features.
    """
    known = torch.isfinite(axes).all(1) & torch.isfinite(latents).all(1)
    wanted, features = axes[known].double(), _features(latents[known].double())
    if len(features) < 2 * features.shape[1]:
        return torch.full((axes.shape[1],), torch.nan)
    fold = torch.arange(len(features)) % _FOLDS
    missed = torch.zeros_like(wanted)
    for number in range(_FOLDS):
        here = fold == number
        missed[here] = wanted[here] - _predict(features[~here], wanted[~here], features[here])
    unexplained = missed.square().mean(0) / wanted.var(0, correction=0).clamp(min=1e-30)
    return (1 - unexplained).clamp(min=0.0)


def known_well(axes: Tensor) -> Tensor:
    """Whether images tell most of where particles are along each axis ``(axis,)``.

    ``axes`` ``(particle, axis)`` are posterior means under a unit prior, NaN where unknown.
    """
    return axes[torch.isfinite(axes).all(1)].var(0) > _LEAST_VARIANCE


def _features(latents: Tensor) -> Tensor:
    """One, the latents in units of their widths, and their products in pairs."""
    scaled = (latents - latents.mean(0)) / latents.std(0).clamp(min=1e-12)
    one, other = torch.triu_indices(scaled.shape[1], scaled.shape[1])
    columns = torch.cat([scaled, scaled[:, one] * scaled[:, other]], 1)
    return torch.cat([torch.ones_like(columns[:, :1]), columns], 1)


def _predict(known: Tensor, wanted: Tensor, asked: Tensor) -> Tensor:
    squares = known.T @ known
    ridge = _RIDGE * len(known) * torch.eye(len(squares), dtype=squares.dtype)
    predicted: Tensor = asked @ torch.linalg.solve(squares + ridge, known.T @ wanted)
    return predicted
