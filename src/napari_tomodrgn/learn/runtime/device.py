"""Where to compute, and with which numbers."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor

from napari_tomodrgn.errors import BadInputError


def pick_device(name: str) -> torch.device:
    """The device of that name; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises
    ------
    BadInputError
        If the device is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((kind for kind, there in available.items() if there), "cpu")
    if not available.get(name, True):
        raise BadInputError(
            f"No {name} device was found.", remedy="Use --device auto.", code="no-device"
        )
    return torch.device(name)


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Half precision inside the networks, where it pays: bfloat16 on GPUs that have it.

    On a CPU half precision was measured slower than float32 (``docs/benchmarks.md``), so ``auto``
    leaves it off there.
    """
    if precision == "auto":
        bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
        precision = "bfloat16" if bfloat16 else "float32"
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Values of any shape on a device; nobody waits until they are there."""
    if device.type == "cuda" and not values.is_cuda:
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def is_recording(device: torch.device) -> bool:
    """Whether what is asked of a device now is recorded as a CUDA graph instead of done."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()
