"""Maps are as far apart, shell by shell, as held-out images ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.learn.decoding.volume_decoder import FourierModel
from napari_tomodrgn.learn.inference.held_out import errors_of, mean_difference
from napari_tomodrgn.learn.inference.methods import ShrunkInference
from napari_tomodrgn.learn.inference.shell_sums import LEAST, ShellSums, choose_filter
from napari_tomodrgn.learn.inference.shrinkage import (
    scaled_mean_steps,
    shrinkage_steps,
    standard_errors_of,
    sum_steps,
)
from napari_tomodrgn.learn.linear.decoder import LinearDecoder
from napari_tomodrgn.learn.linear.engine import LinearEngine
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.read_images import read_images

SHELLS = 8


def sums(
    rng: np.random.Generator, real: np.ndarray, noise: np.ndarray, particles: int
) -> ShellSums:
    """What held-out images of noise 1 say of maps, 8 samples a particle in each shell.

    A particle's map differs from the mean by what is real and by noise that was learnt, with
    standard deviations ``(shell,)`` or ``(particle, shell)``.
    """
    shape = (particles, len(real.T), 8)
    deviation = rng.normal(0, 1, shape) * real[..., None]
    predicted = deviation + rng.normal(0, 1, shape) * noise[..., None]
    seen = deviation + rng.normal(0, 1, shape)
    one, a, b = (
        torch.from_numpy(values.mean(2)) for values in (seen**2, seen * predicted, predicted**2)
    )
    return ShellSums(one.sum(1), a, b)


def test_differences_are_left_in_each_shell_by_the_share_that_is_real() -> None:
    """The best factor is real² / (real² + noise²); where nothing is real there is an end."""
    real, noise = np.where(np.arange(SHELLS) < 5, 0.25, 0.0), np.linspace(0.05, 0.6, SHELLS)
    right = real**2 / (real**2 + noise**2)
    factors = choose_filter(sums(np.random.default_rng(0), real, noise, 4000)).numpy()
    assert (np.diff(factors) <= 0).all()
    assert factors == pytest.approx(right, abs=0.08)
    assert factors[5] < 0.05 and (factors[6:] == 0).all()


def test_a_filter_explains_images_that_did_not_choose_it() -> None:
    """Against one factor for all shells, as good as that can be, and no filter: on other images."""
    rng = np.random.default_rng(0)
    real, noise = np.linspace(0.3, 0.02, SHELLS), np.full(SHELLS, 0.2)
    gains = []
    for _ in range(10):
        chosen, other = (sums(rng, real, noise, 144) for _ in range(2))
        by_shell = choose_filter(chosen)
        one_factor = chosen.common.sum() / chosen.power.sum()
        changes = [
            float(other.changes(factors).mean())
            for factors in (by_shell, one_factor.expand(SHELLS), torch.ones(SHELLS))
        ]
        gains.append(changes)
    shell, scalar, none = np.mean(gains, axis=0)
    assert shell < 1.1 * scalar < 0
    assert scalar < none


def test_a_rare_state_keeps_its_differences() -> None:
    """5 % of particles differ, the others do not; the noise learnt is the same for all."""
    rng = np.random.default_rng(0)
    real = np.zeros((1000, SHELLS))
    real[:50] = np.linspace(1.5, 0.5, SHELLS)
    factors = choose_filter(sums(rng, real, np.full((1000, SHELLS), 0.1), 1000)).numpy()
    # Of all particles together: mean of real² over it plus noise².
    right = (real**2).mean(0) / ((real**2).mean(0) + 0.01)
    assert (factors > right - 0.15).all() and factors[0] > 0.85


def test_without_anything_real_maps_hardly_differ() -> None:
    rng = np.random.default_rng(0)
    nothing, noise = np.zeros(SHELLS), np.full(SHELLS, 0.25)
    found = [choose_filter(sums(rng, nothing, noise, 100), sure=False) for _ in range(50)]
    # The power that is left, of that of the noise; maps keep their order, so that it is not 0.
    left = [float(factors.square().mean()) for factors in found]
    assert np.quantile(left, 0.9) <= 0.25**2
    assert min(float(factors.max()) for factors in found) == LEAST


def test_sums_by_shell_are_the_errors_of_the_maps(simulated: Path) -> None:
    """Of filtered maps as such, where all shells are alike: the errors of smaller latents."""
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    config = RunConfig.model_validate({"method": "linear", "linear": {"radius_px": 6}})
    data = run_to_end(read_images(particles, config, simulated, 1, RunContext()))
    fit = LinearEngine.of(data, config, RunContext()).fit(6)
    decoder = LinearDecoder.from_model(fit.model, data.lattice.box_size_px)
    latents = fit.training_mu.float()
    latents[:3] = torch.nan
    found, drawn = run_to_end(sum_steps(decoder, latents, data, config))
    for factor in (0.0, 0.4, 1.0):
        expected = errors_of(decoder, latents * factor, data, config)
        factors = torch.full((data.lattice.box_size_px // 2 + 1,), factor)
        assert torch.allclose(found.errors(factors), expected, rtol=1e-5, equal_nan=True)
    assert drawn.power[3:, 9:].max() == 0, "components end at shell 6 and its soft edge"
    assert torch.allclose(drawn.alike[3:].mean(), found.alike[3:].mean(), rtol=0.05)


def test_what_a_damped_mean_lacks_is_no_difference_between_particles(simulated: Path) -> None:
    """Latents that say for each particle how much of the molecule the mean map lacks."""
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    config = RunConfig.model_validate({"method": "linear", "linear": {"radius_px": 6}})
    data = run_to_end(read_images(particles, config, simulated, 1, RunContext()))
    fit = LinearEngine.of(data, config, RunContext()).fit(6)
    box = data.lattice.box_size_px
    mean = LinearDecoder.from_model(fit.model, box).maps[0]
    whole, damped = (
        LinearDecoder(torch.stack([factor * mean, mean]), 6, box) for factor in (1.0, 0.5)
    )
    rng = np.random.default_rng(0)
    latents = torch.from_numpy(rng.normal(1.0, 0.3, (len(particles), 1)).astype(np.float32))

    def surely(decoder: FourierModel) -> float:
        more, less = (errors_of(decoder, latents * by, data, config) for by in (0.1, -0.1))
        return standard_errors_of(less - more)

    scaled = [
        run_to_end(scaled_mean_steps(decoder, latents, data, config)) for decoder in (whole, damped)
    ]
    assert torch.allclose(scaled[1].scale[1:6], 2 * scaled[0].scale[1:6], rtol=1e-4)
    assert scaled[0].scale[1:6].tolist() == pytest.approx([1.0] * 5, abs=0.2)
    assert scaled[0].scale[9:].tolist() == [1.0] * (box // 2 - 8), "the mean ends before"
    assert surely(damped) > 6, "twice what a run calls sure"
    assert abs(surely(scaled[1])) < 2 and abs(surely(scaled[0])) < 2
    found = run_to_end(shrinkage_steps(damped, latents, data, config))
    assert found.standard_errors == pytest.approx(surely(scaled[1]), abs=1e-3)


def test_the_slope_in_the_middle_tells_most_surely_and_never_by_chance() -> None:
    """What a run calls standard errors: standard normal where nothing is real."""
    rng = np.random.default_rng(0)

    def surely(real: float) -> tuple[float, float]:
        seen = sums(rng, np.array([real]), np.array([0.25]), 100)
        smallest, mirrored, whole = (
            seen.errors(torch.tensor([factor])) for factor in (0.1, -0.1, 1.0)
        )
        slope, error = mean_difference(mirrored, smallest)
        gain, its_error = mean_difference(seen.alike, whole)
        return slope / error, gain / its_error

    chance = np.array([surely(0.0)[0] for _ in range(400)])
    assert np.mean(chance > 3) <= 0.01
    assert chance.std() == pytest.approx(1, abs=0.1)
    assert abs(chance.mean()) < 0.15
    slope, whole = np.mean([surely(0.25) for _ in range(50)], axis=0)
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
    nothing = torch.full((5, SHELLS), torch.nan)
    assert choose_filter(ShellSums(nothing[:, 0], nothing, nothing)).tolist() == [1.0] * SHELLS
