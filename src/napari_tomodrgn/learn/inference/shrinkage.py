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

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.decoding.volume_decoder import FourierModel
from napari_tomodrgn.learn.inference.held_out import error_steps, mean_difference

# Factors that are tried. Not 0, so that latents keep their order.
FACTORS = (1.0, 0.85, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1)
# Standard errors beyond which particles are said to differ: once in 700 sets where they do not.
_MIN_STANDARD_ERRORS = 3.0


@dataclass(frozen=True, eq=False)
class ShrinkageResult:
    """What held-out images say of the differences between particles.

    Attributes
    ----------
    factor
        Of the `FACTORS`, what latents are to be multiplied with.
    held_out, alike
        ``(particle,)`` errors of held-out images with latents so drawn in, and with all particles
        at the prior's mean; NaN where they were not compared.
    slope
        ``(particle,)`` gain as latents leave the prior's mean, in any unit.
    """

    factor: float
    held_out: Tensor
    alike: Tensor
    slope: Tensor

    @property
    def gain(self) -> tuple[float, float]:
        """How much better each particle's own map explains than one for all; standard error."""
        return mean_difference(self.alike, self.held_out)

    @property
    def standard_errors(self) -> float:
        """How surely particles differ: the slope of the gain where all are alike, over its error.

        The score test: little differences tell most surely whether held-out images move along
        with them, as what noise adds to maps that differ counts squared. Where particles are alike
        it is a standard normal number.
        """
        slope, error = mean_difference(self.slope, torch.zeros_like(self.slope))
        return slope / error if error else float("nan")

    def to_dict(self) -> dict[str, object]:
        """All of it in plain numbers, and the verdict."""
        return {
            "shrinkage": self.factor,
            "better_than_one_map": dict(zip(("mean", "standard_error"), self.gain, strict=True)),
            "told_apart_standard_errors": self.standard_errors,
            "verdict": self.verdict,
        }

    @property
    def verdict(self) -> str:
        """Whether particles differ at all, as far as these images say."""
        surely = self.standard_errors
        threshold = f"threshold {_MIN_STANDARD_ERRORS:g} σ"
        if surely > _MIN_STANDARD_ERRORS:
            return f"Heterogeneity is supported: {surely:.1f} σ on held-out images ({threshold})."
        if surely == surely:
            return (
                f"No significant heterogeneity ({surely:.1f} σ on held-out images, {threshold}). "
                "Check any cluster by reconstructing it."
            )
        return "Heterogeneity is untested: no images were held out."


def shrinkage_steps(
    decoder: FourierModel, latents: Tensor, data: TiltData, config: RunConfig
) -> Generator[int, None, ShrinkageResult]:
    """Compare held-out images with maps that differ more and less; yields how far it is.

    Parameters
    ----------
    decoder
        ``F(k, z)``.
    latents
        ``(particle, latent)`` from the images that are not held out; NaN: not compared.
    data, config
        Images and settings.

    Yields
    ------
    Particles done, of `COMPARISONS` times those of the set.
    """
    found = []
    # The last is mirrored: the slope between both sides of the middle, free of curvature.
    for number, factor in enumerate((*FACTORS, 0.0, -FACTORS[-1])):
        steps = error_steps(decoder, latents * factor, data, config)
        while True:
            try:
                yield number * data.particle_count + next(steps)
            except StopIteration as finished:
                found.append(finished.value)
                break
    *tried, alike, mirrored = found
    chosen = choose_shrinkage(torch.stack(tried))
    return ShrinkageResult(FACTORS[chosen], tried[chosen], alike, mirrored - tried[-1])


# How many times the set is compared.
COMPARISONS = len(FACTORS) + 2


def choose_shrinkage(errors: Tensor) -> int:
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
        worse, error = mean_difference(errors[smaller], errors[best])
        if worse <= error:
            return smaller
    return best
