"""Filters of classes of their own: where held-out images ask for them, and there alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_tomodrgn.learn.decoding.class_filter import ClassFilter, factors_at
from napari_tomodrgn.learn.inference.class_filters import LEAST_IN_CLASS, choose_class_filters
from napari_tomodrgn.learn.inference.shell_sums import ShellSums, choose_filter

SHELLS = 6


def made(counts: list[int], real: list[float], seed: int = 0) -> tuple[ShellSums, torch.Tensor]:
    """Sums and latents of classes, of whose differences such shares of the power are real."""
    rng = np.random.default_rng(seed)
    shares = np.repeat(real, counts)
    power = rng.gamma(20.0, 1 / 20.0, (len(shares), SHELLS))
    common = shares[:, None] * power + rng.normal(scale=0.5, size=power.shape)
    places = np.repeat(np.arange(len(counts)) * 10.0, counts)
    latents = np.stack([places, np.zeros_like(places)], axis=1)
    latents = latents + rng.normal(scale=0.5, size=latents.shape)
    alike = torch.full((len(shares),), 5.0, dtype=torch.float64)
    return ShellSums(alike, torch.from_numpy(common), torch.from_numpy(power)), torch.from_numpy(
        latents
    ).float()


def test_a_minority_is_not_damped_with_the_noise_of_the_others() -> None:
    sums, latents = made([1900, 150], [0.15, 1.0])
    found, factors = choose_class_filters(sums, latents)
    assert factors.shape == sums.power.shape
    whole = choose_filter(sums)
    assert float(whole[2]) < 0.5
    by_place = sorted(found, key=lambda one: one.center[0])
    rare = by_place[-1]
    assert rare.particles == 150 and abs(rare.center[0] - 10) < 0.3
    assert min(rare.factors) > 0.85 and max(by_place[0].factors) < 0.25
    assert float(factors[-1].min()) > 0.85 and float(factors[0].max()) < 0.25


@pytest.mark.parametrize("real", [[0.9, 0.9], [0.3, 0.3]])
def test_classes_that_are_alike_have_one_filter(real: list[float]) -> None:
    for seed in range(5):
        sums, latents = made([400, 400], real, seed)
        found, factors = choose_class_filters(sums, latents)
        assert found == []
        assert torch.equal(factors[0], choose_filter(sums))


def test_a_class_of_few_is_none_of_its_own() -> None:
    sums, latents = made([1000, LEAST_IN_CLASS // 2, 1000], [0.1, 1.0, 0.9])
    found, _ = choose_class_filters(sums, latents)
    assert len(found) == 2 and min(one.particles for one in found) >= LEAST_IN_CLASS
    few, of_few = made([LEAST_IN_CLASS // 2] * 2, [0.1, 1.0])
    assert choose_class_filters(few, of_few)[0] == []


def test_there_are_no_more_classes_than_images_ask_for() -> None:
    """Cut into more, two classes explain no better."""
    for seed in range(4):
        sums, latents = made([1900, 150], [0.15, 1.0], seed)
        assert len(choose_class_filters(sums, latents)[0]) == 2


def test_particles_that_were_not_compared_count_for_nothing() -> None:
    sums, latents = made([1900, 150], [0.15, 1.0])
    expected = choose_class_filters(sums, latents)[0]
    hidden = torch.zeros((7, 2)).fill_(torch.nan)
    nothing = torch.full((7,), torch.nan, dtype=torch.float64)
    more = ShellSums(
        torch.cat([sums.alike, nothing]),
        torch.cat([sums.common, nothing[:, None].expand(-1, SHELLS)]),
        torch.cat([sums.power, nothing[:, None].expand(-1, SHELLS)]),
    )
    found, factors = choose_class_filters(more, torch.cat([latents, hidden]))
    assert [one.particles for one in found] == [one.particles for one in expected]
    assert len(factors) == len(more.alike) and bool(torch.isfinite(factors).all())


def test_between_classes_factors_go_over_without_a_step() -> None:
    filters = [
        ClassFilter(center=(0.0, 0.0), spread=0.5, particles=900, factors=(1.0, 0.2)),
        ClassFilter(center=(4.0, 0.0), spread=0.5, particles=100, factors=(1.0, 1.0)),
    ]
    path = [factors_at(filters, torch.tensor([x, 0.0])) for x in np.linspace(0.0, 4.0, 81)]
    second = torch.stack(path)[:, 1]
    assert abs(float(second[0]) - 0.2) < 1e-3 and abs(float(second[-1]) - 1.0) < 1e-3
    steps = second.diff()
    assert bool((steps > -1e-6).all()) and float(steps.max()) < 0.2
