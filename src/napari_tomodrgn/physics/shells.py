"""Shells of Fourier space: where voxels lie, and how two maps agree in each."""

from __future__ import annotations

import torch
from torch import Tensor

# Where two half maps stop agreeing (Rosenthal & Henderson, J. Mol. Biol. 2003).
FSC_THRESHOLD = 0.143


def shell_indices(box_size_px: int, device: torch.device | str = "cpu") -> Tensor:
    """Number the shell of each voxel of a half-space grid, int64 ``(n, n, n // 2 + 1)``.

    The distance from the origin in Fourier pixels, rounded; the grid is that of ``rfftn``.
    """
    axis = torch.fft.fftfreq(box_size_px, 1 / box_size_px, device=device)
    half = torch.arange(box_size_px // 2 + 1, device=device, dtype=axis.dtype)
    radius2 = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + half[None, None, :] ** 2
    return torch.round(torch.sqrt(radius2)).to(torch.int64)


def shell_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Fourier shell correlation of two real volumes ``(n, n, n)``, shells 0 … n/2: ``(shell,)``.

    0 where a shell of either is empty (Harauz & van Heel, Optik 1986).
    """
    box = first.shape[0]
    a, b = torch.fft.rfftn(first), torch.fft.rfftn(second)
    # Columns between the first and the last stand for two halves of the full transform.
    twice = torch.full((box // 2 + 1,), 2.0, dtype=first.dtype, device=first.device)
    twice[0] = twice[-1] = 1.0
    shells = shell_indices(box, first.device).flatten()

    def by_shell(values: Tensor) -> Tensor:
        return torch.bincount(shells, weights=(values * twice).flatten())[: box // 2 + 1]

    cross = by_shell((a * b.conj()).real)
    power = (by_shell(a.abs().square()) * by_shell(b.abs().square())).sqrt()
    return torch.where(power > 0, cross / power.clamp(min=1e-300), 0.0)


def filter_by_shell(volume: Tensor, factors: Tensor) -> Tensor:
    """A real volume ``(n, n, n)`` with each shell multiplied; shells beyond ``factors`` are 0."""
    shells = shell_indices(volume.shape[0], volume.device)
    table = torch.zeros(max(int(shells.max()) + 1, len(factors)), dtype=volume.dtype)
    table[: len(factors)] = factors
    filtered: Tensor = torch.fft.irfftn(
        torch.fft.rfftn(volume) * table.to(volume.device)[shells], s=volume.shape
    )
    return filtered


def soft_sphere(box_size_px: int, radius: float = 0.9, edge: float = 0.1) -> Tensor:
    """Draw a sphere of ones with a cosine edge, float64 ``(n, n, n)``, origin at ``n // 2``.

    ``radius``, where the edge begins, and ``edge``, its width, are fractions of half the box.
    """
    axis = (torch.arange(box_size_px, dtype=torch.float64) - box_size_px // 2) / (box_size_px / 2)
    distance = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    part = ((distance - radius) / edge).clamp(0, 1)
    return (1 + torch.cos(torch.pi * part)) / 2


def figure_of_merit(correlation: Tensor, threshold: float = FSC_THRESHOLD) -> Tensor:
    """√(2 FSC / (1 + FSC)) ``(shell,)``, 0 from where the FSC first falls below ``threshold``.

    The correlation expected between the map of all data and the truth (Rosenthal & Henderson,
    J. Mol. Biol. 2003). ``correlation`` is that of two half maps, ``(shell,)``.
    """
    return signal_share(correlation, threshold).sqrt()


def signal_share(correlation: Tensor, threshold: float = FSC_THRESHOLD) -> Tensor:
    """2 FSC / (1 + FSC) ``(shell,)``, 0 from where the FSC first falls below ``threshold``.

    The share of signal in the power of the map of all data: its Wiener filter. ``correlation`` is
    that of two half maps, ``(shell,)``; shell 0 is 1.
    """
    clipped = correlation.clamp(0, 1)
    factors = 2 * clipped / (1 + clipped)
    # From the first fall on: shells beyond it that come out above again do so by chance.
    below = torch.nonzero(correlation[1:] < threshold)
    if len(below):
        factors[int(below[0]) + 1 :] = 0
    # Shell 0 is one voxel, whose correlation is 1 or −1 whatever it holds.
    factors[0] = 1.0
    return factors
