"""How far apart latents may be: as far as images ask for that nobody learnt from.

A decoder of many parameters learns some noise of the images of each particle, and their latents
then agree on it, however many tilts say so; only held-out images do not. With latents drawn to the
prior's mean by a factor s, a particle's map is about F(k, 0) + s ΔF(k), and the squared error of
held-out images falls by 2 s a − s² b, where a is what they have in common with ΔF and b its power:
it is best at s = a / b, below 1 where part of ΔF is noise (shrinkage; Copas, J. R. Statist. Soc. B
45 (1983) 311). Of the factors that are as good within the error of that comparison the smallest is
taken, so that single maps show no difference without support (the rule of one standard error;
Breiman et al., Classification and Regression Trees (1984), section 3.4.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tomodrgn.learn.held_out import difference

if TYPE_CHECKING:
    from torch import Tensor

# Factors that are tried. Not 0, so that latents keep their order.
FACTORS = (1.0, 0.85, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1)


def supported(errors: Tensor) -> int:
    """Which of the `FACTORS` to take.

    Parameters
    ----------
    errors
        ``(factor, particle)`` squared errors of held-out images; NaN where there are none.

    Returns
    -------
    The first where fewer than two particles have held-out images.
    """
    best = int(errors.nanmean(1).argmin())
    for smaller in reversed(range(best, len(errors))):
        worse, error = difference(errors[smaller], errors[best])
        if worse <= error:
            return smaller
    return best
