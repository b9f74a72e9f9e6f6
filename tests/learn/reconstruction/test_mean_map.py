"""The mean that a decoder starts from."""

from __future__ import annotations

import torch

from napari_tomodrgn.learn.reconstruction.mean_map import with_solved_shells
from napari_tomodrgn.physics.fourier import transform_volume, volume_from_transform
from napari_tomodrgn.physics.shells import shell_indices


def test_coarse_shells_are_the_solved_ones_as_far_as_these_are_sharp() -> None:
    one = torch.randn((16, 16, 16), generator=torch.Generator().manual_seed(0))
    two = one.roll((1, 2, 3), (0, 1, 2))  # as strong, elsewhere
    shells = shell_indices(16)
    solved = volume_from_transform(
        transform_volume(two) * torch.where(shells >= 5, 0.5, 1.0)  # drawn to 0 beyond
    )
    found = transform_volume(with_solved_shells(one, solved))
    inside = shells < 5
    assert torch.allclose(found[inside], transform_volume(two)[inside], atol=1e-4)
    assert torch.allclose(found[~inside], transform_volume(one)[~inside], atol=1e-4)


def test_a_mean_that_is_sharp_everywhere_is_taken_whole() -> None:
    one, two = torch.randn((2, 16, 16, 16), generator=torch.Generator().manual_seed(1))
    assert torch.allclose(with_solved_shells(one, 2 * two), 2 * two, atol=1e-4)
