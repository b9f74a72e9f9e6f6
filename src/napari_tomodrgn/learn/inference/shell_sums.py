"""What held-out images say of how far maps may differ, shell by shell, and the filter that follows.

See `shrinkage` for what the sums mean and where the rules are from.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

from napari_tomodrgn.learn.inference.held_out import mean_difference

# Of a set that supports no difference so much is left, so that maps keep their order.
LEAST = 0.1
# Of slopes, that are taken off where particles do not surely differ.
_STANDARD_ERRORS = [0.1 * step for step in range(41)]


@dataclass(frozen=True, eq=False)
class ShellSums:
    """What held-out images have in common with each particle's difference from the mean map.

    Means over the samples drawn, weighted by the noise as training weighs them; NaN where a
    particle was not compared.

    Attributes
    ----------
    alike
        ``(particle,)`` squared error with the map of latent 0 for all.
    common, power
        ``(particle, shell)`` shares a and b of that error; shells count Fourier pixels of the box.
    """

    alike: Tensor
    common: Tensor
    power: Tensor

    def of(self, chosen: Tensor) -> ShellSums:
        """Those of some particles, ``chosen`` ``(particle,)``."""
        return ShellSums(self.alike[chosen], self.common[chosen], self.power[chosen])

    def errors(self, factors: Tensor) -> Tensor:
        """Squared errors ``(particle,)`` with differences multiplied by factors.

        ``factors`` is ``(shell,)``, or ``(particle, shell)`` where each has its own.
        """
        return self.alike + self.changes(factors)

    def changes(self, factors: Tensor) -> Tensor:
        """`errors` less `alike`, ``(particle,)``, of ``factors`` as there."""
        return (factors.square() * self.power - 2 * factors * self.common).sum(1)

    def slopes(self) -> tuple[Tensor, Tensor]:
        """a / b of all particles and its standard error, ``(shell,)``; 0 and 0 without b."""
        known = torch.isfinite(self.alike)
        common, power = self.common[known], self.power[known]
        total = power.sum(0).clamp(min=1e-300)
        slopes = common.sum(0) / total
        return slopes, (common - slopes * power).square().sum(0).sqrt() / total


def choose_filter(sums: ShellSums, *, sure: bool = True) -> Tensor:
    """Choose the factors ``(shell,)`` of differences: 0 to 1, falling.

    ``sure`` says whether particles surely differ. All 1 where fewer than two particles have
    held-out images; `LEAST` throughout where no shell supports more.
    """
    shells = torch.arange(sums.power.shape[1])
    known = torch.isfinite(sums.alike)
    if int(known.sum()) < 2:
        return torch.ones(len(shells), dtype=torch.float64)
    weights = sums.power[known].mean(0)
    slopes, errors = sums.slopes()
    chosen = best = falling(slopes, weights)
    fewer = [torch.where(shells < last, best, 0.0) for last in reversed(range(len(shells)))]
    if not sure:
        fewer = [falling(slopes - times * errors, weights) for times in _STANDARD_ERRORS]
    for factors in fewer:
        worse, error = mean_difference(sums.changes(factors), sums.changes(best))
        if worse > error:
            break
        chosen = factors
    return chosen if float(chosen.max()) >= LEAST else torch.full_like(chosen, LEAST)


def falling(slopes: Tensor, weights: Tensor) -> Tensor:
    """Find the falling factors ``(shell,)`` within 0 … 1 nearest to slopes, weighted squares.

    A shell without weight takes the factor of the one before, those before the first that of it.
    """
    there = weights > 0
    if not bool(there.any()):
        return torch.ones_like(weights)
    fitted = isotonic_regression(
        slopes[there].numpy(), weights=weights[there].numpy(), increasing=False
    ).x
    place = (there.cumsum(0) - 1).clamp(min=0)
    return torch.from_numpy(fitted.copy()).clamp(0, 1)[place]
