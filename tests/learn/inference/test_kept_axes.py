"""Which axes of the first look other latents still know."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_tomodrgn.learn.inference.kept_axes import kept_shares, known_well


@pytest.fixture
def groups() -> torch.Tensor:
    """Four groups of 200 particles, at the corners of a square: two axes of unit variance."""
    rng = np.random.default_rng(3)
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    return torch.from_numpy(corners[rng.integers(4, size=800)] + 0.1 * rng.normal(size=(800, 2)))


def test_axes_that_are_turned_bent_or_scaled_are_kept(groups: torch.Tensor) -> None:
    turned = groups @ torch.tensor([[0.8, 0.6], [-0.6, 0.8]], dtype=groups.dtype)
    bent = torch.stack([3 * turned[:, 0], turned[:, 1] + 0.3 * turned[:, 0] ** 2], 1)
    assert (kept_shares(groups, bent) > 0.95).all()


def test_an_axis_that_the_latents_do_not_hold_is_missed(groups: torch.Tensor) -> None:
    """Whatever else they hold: latents of noise do not learn it by heart."""
    noise = torch.from_numpy(np.random.default_rng(4).normal(size=(800, 7)))
    shares = kept_shares(groups, torch.cat([groups[:, :1], noise], 1))
    assert shares[0] > 0.95 and shares[1] < 0.05
    rows = torch.arange(800) < 700
    some = torch.where(rows[:, None], groups, torch.nan)
    assert kept_shares(some, torch.cat([groups[:, :1], noise], 1))[1] < 0.05


def test_of_a_handful_of_particles_nothing_is_said(groups: torch.Tensor) -> None:
    assert kept_shares(groups[:9], groups[:9]).isnan().all()


def test_an_axis_that_images_say_little_of_is_not_known_well(groups: torch.Tensor) -> None:
    assert known_well(groups * torch.tensor([1.0, 0.4])).tolist() == [True, False]
