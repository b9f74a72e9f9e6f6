"""Binning of real images: a crop in Fourier space, then the middle of what is left."""

from __future__ import annotations

import torch
from torch import Tensor


def bin_images(images: Tensor, scaled_px: int, box_size_px: int) -> Tensor:
    """Crop real images in Fourier space to ``scaled_px``, then keep the middle.

    Parameters
    ----------
    images
        ``(image, box, box)``, origin at pixel ``box // 2``; the box is even.
    scaled_px
        Even edge of the whole image in the new pixels, at most ``box``.
    box_size_px
        Even edge of the middle, at most ``scaled_px``.

    Returns
    -------
    ``(image, box_size_px, box_size_px)``, origin at its pixel ``box_size_px // 2``. Frequencies on
    the new Nyquist line are left out: of them one of two mirror images is lost. Values stay what
    they were: a pixel is the mean of those that it was made from, not their sum.
    """
    box = images.shape[-1]
    if scaled_px < box:
        half = scaled_px // 2
        spectrum = torch.fft.rfft2(torch.fft.ifftshift(images, dim=(-2, -1)))
        small = spectrum.new_zeros((len(images), scaled_px, half + 1))
        # Row ``half``, the new Nyquist line, stays empty. Rows after it are negative frequencies.
        small[:, :half, :half] = spectrum[:, :half, :half]
        small[:, half + 1 :, :half] = spectrum[:, box - half + 1 :, :half]
        # irfft2 divides by the pixels of the new box; the sums were taken over those of the old.
        small *= (scaled_px / box) ** 2
        images = torch.fft.fftshift(torch.fft.irfft2(small, s=(scaled_px,) * 2), dim=(-2, -1))
    start = images.shape[-1] // 2 - box_size_px // 2
    middle = slice(start, start + box_size_px)
    return images[:, middle, middle]
