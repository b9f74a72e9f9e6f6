"""Binning of real images: coarser pixels of the middle, by the Fourier series of the whole."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def bin_weights(box_size_px: int, new_box_size_px: int, ratio: float) -> Tensor:
    """What each old pixel counts in each new one along one axis, ``(new box, box)``.

    An image is a sum of waves that go 0, 1, 2, … times through its box. Those below the new
    Nyquist frequency are kept, and looked up where the new pixels are: exact at any ratio. Where
    the old box is a whole number of new pixels, that is the crop of its Fourier transform.

    Parameters
    ----------
    box_size_px
        Edge of the images, their origin at pixel ``box // 2``.
    new_box_size_px
        Edge of what is kept, its origin at pixel ``new // 2``; no wider than the images.
    ratio
        New pixel size over old, at least 1.

    Returns
    -------
    float32. A frequency on the new Nyquist line is left out: of it one of two mirror images is
    lost. Values stay what they were: a pixel is the mean of those that it was made from, not their
    sum. At a ratio of 1 the middle is kept as it is.
    """
    old = torch.arange(box_size_px) - box_size_px // 2
    new = torch.arange(new_box_size_px) - new_box_size_px // 2
    if math.isclose(ratio, 1.0, rel_tol=1e-9):
        return (new[:, None] == old).float()
    waves = torch.arange(1, math.ceil(box_size_px / (2 * ratio) - 1e-6))
    step = 2 * torch.pi / box_size_px * waves.double()
    there, here = (new.double() * ratio)[:, None] * step, old[:, None] * step
    sums = torch.cos(there) @ torch.cos(here).T + torch.sin(there) @ torch.sin(here).T
    return ((1 + 2 * sums) / box_size_px).float()


def bin_images(images: Tensor, weights: Tensor) -> Tensor:
    """Bin real images ``(image, box, box)`` along both axes by `bin_weights` ``(new box, box)``."""
    return weights @ images @ weights.T
