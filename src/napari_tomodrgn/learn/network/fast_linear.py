"""Linear layers over many rows, by the fastest product that this CPU has.

On a CPU a linear layer over rows is run as a convolution of 1 × 1 pixels, which PyTorch hands to
oneDNN; ``nn.Linear`` goes to MKL, which leaves half of AVX-512 unused on processors of AMD
(measured: 224 against 495 GFLOP/s on two cores, ``docs/benchmarks.md``). Elsewhere, and under
autocast, rows stay rows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

# Images of one batch of the convolution: with one thread, PyTorch asks oneDNN only from 16 on.
_IMAGES = 16
# Fewer rows than this are not worth it.
_FEWEST = 64


def padding_of(rows: int, device: torch.device) -> int:
    """How many rows to add so that `as_pixels` divides them best."""
    return -rows % _IMAGES if _by_convolution(device) else 0


def as_pixels(rows: Tensor) -> Tensor:
    """``(row, feature)`` as pixels ``(image, feature, row / image, 1)``, if that is faster.

    The result is a view: what is to be overwritten is overwritten before, as autograd copies much
    for a view that is.
    """
    if rows.ndim == 4 or len(rows) < _FEWEST or not _by_convolution(rows.device):
        return rows
    images = 1 if len(rows) % _IMAGES else _IMAGES
    return rows.contiguous().view(images, -1, 1, rows.shape[1]).permute(0, 3, 1, 2)


def as_rows(values: Tensor) -> Tensor:
    """What `as_pixels` took, back to ``(row, feature)``."""
    if values.ndim == 2:
        return values
    return values.permute(0, 2, 3, 1).reshape(-1, values.shape[1])


def dense(values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear layer over rows or pixels."""
    if values.ndim == 2:
        return functional.linear(values, weight, bias)
    return functional.conv2d(values, weight[:, :, None, None], bias)


def residual(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``x + Linear(x)``; of pixels in one product, the identity added to the weights."""
    if values.ndim == 2:
        return values + dense(values, weight, bias)
    identity = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
    return dense(values, weight + identity, bias)


def _by_convolution(device: torch.device) -> bool:
    return (
        device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
    )
