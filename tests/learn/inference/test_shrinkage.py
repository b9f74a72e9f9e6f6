"""Latents are as far apart as held-out images ask for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_tomodrgn.learn.inference.held_out import mean_difference
from napari_tomodrgn.learn.inference.methods import ShrunkInference
from napari_tomodrgn.learn.inference.shrinkage import FACTORS, choose_shrinkage
from napari_tomodrgn.learn.posterior import Posterior


def errors(rng: np.random.Generator, real: float, noise: float, particles: int) -> torch.Tensor:
    """``(factor, particle)`` mean squared errors of held-out samples that maps predict.

    After the factors come 0 and the mirrored smallest. A particle's map differs from the mean by
    what is real and by noise that was learnt.
    """
    samples = 64
    deviation = rng.normal(0, real, (particles, samples))
    predicted = deviation + rng.normal(0, noise, (particles, samples))
    seen = deviation + rng.normal(0, 1, (particles, samples))
    found = [((seen - factor * predicted) ** 2).mean(1) for factor in (*FACTORS, 0.0, -FACTORS[-1])]
    return torch.from_numpy(np.stack(found))


@pytest.mark.parametrize(("noise", "right"), [(0.0, 1.0), (0.25, 0.5), (0.75, 0.1)])
def test_latents_are_drawn_in_by_the_share_that_is_noise(noise: float, right: float) -> None:
    """The best factor is real² / (real² + noise²); it is found, or one that is as good."""
    factor = FACTORS[choose_shrinkage(errors(np.random.default_rng(0), 0.25, noise, 4000)[:-2])]
    assert right * 0.7 <= factor <= right


def test_without_anything_real_latents_hardly_differ() -> None:
    rng = np.random.default_rng(0)
    found = [FACTORS[choose_shrinkage(errors(rng, 0.0, 0.25, 100)[:-2])] for _ in range(50)]
    assert np.quantile(found, 0.9) <= 0.25


def test_the_slope_in_the_middle_tells_most_surely_and_never_by_chance() -> None:
    """What a run calls standard errors: standard normal where nothing is real."""
    rng = np.random.default_rng(0)

    def surely(real: float) -> tuple[float, float]:
        *_, smallest, nothing, mirrored = tried = errors(rng, real, 0.25, 100)
        slope, error = mean_difference(mirrored, smallest)
        gain, its_error = mean_difference(nothing, tried[0])
        return slope / error, gain / its_error

    chance = np.array([surely(0.0)[0] for _ in range(400)])
    assert np.mean(chance > 3) <= 0.01
    assert chance.std() == pytest.approx(1, abs=0.1)
    assert abs(chance.mean()) < 0.15
    slope, whole = np.mean([surely(0.1) for _ in range(50)], axis=0)
    assert slope > 3 > 2 > whole


def test_what_latents_no_longer_say_is_unknown_again() -> None:
    """Means and posteriors of one shrunk Gaussian: their total stays the prior."""
    rng = np.random.default_rng(0)
    width = torch.diag(torch.tensor([0.2, 0.7])).expand(5000, 2, 2)
    mu = torch.from_numpy(rng.normal(0, np.sqrt([0.8, 0.3]), (5000, 2)))

    def given(rows: torch.Tensor, images: torch.Tensor) -> Posterior:
        return Posterior.of(mu, width)

    shrunk = ShrunkInference(given, 0.5)(torch.arange(5000), torch.ones(1))
    assert shrunk.covariance is not None
    total = shrunk.mu.var(0) + torch.diagonal(shrunk.covariance, dim1=1, dim2=2).mean(0)
    assert total.tolist() == pytest.approx([1, 1], abs=0.03)
    assert torch.allclose(shrunk.logvar.exp(), torch.tensor([0.8, 0.925]), atol=1e-6)

    def bare(rows: torch.Tensor, images: torch.Tensor) -> Posterior:
        return Posterior(mu, torch.tensor([0.2, 0.7]).log().expand(5000, 2))

    alike = ShrunkInference(bare, 0.5)(torch.arange(5000), torch.ones(1))
    assert torch.allclose(alike.logvar, shrunk.logvar, atol=1e-6)


def test_images_that_were_not_held_out_ask_for_nothing() -> None:
    assert FACTORS[choose_shrinkage(torch.full((len(FACTORS), 5), torch.nan))] == 1
