"""The half-plane of Fourier samples of a real image, and where they lie in the volume.

A real image has ``F(-k) = conj F(k)``, so half of its Fourier plane holds everything. We keep the
samples of ``rfft2`` inside the Nyquist circle, each frequency once. Frequencies are in cycles per
pixel, in ``(-0.5, 0.5)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class HalfPlane:
    """Fourier samples of a square image, each frequency once.

    Attributes
    ----------
    box_size_px
        Edge of the image in pixels (even).
    frequencies
        ``(point, 2)`` float32, kx and ky in cycles per pixel; kx ≥ 0.
    rows, columns
        ``(point,)`` int64, where the samples stand in the array that ``rfft2`` gives.
    shells
        ``(point,)`` int64, distance from the origin in Fourier pixels, rounded.
    """

    box_size_px: int
    frequencies: Tensor
    rows: Tensor
    columns: Tensor
    shells: Tensor

    def __len__(self) -> int:
        """Return the number of samples."""
        return int(self.frequencies.shape[0])

    def to(self, device: torch.device | str) -> HalfPlane:
        """The same lattice on another device."""
        parts = (self.frequencies, self.rows, self.columns, self.shells)
        return HalfPlane(self.box_size_px, *(part.to(device) for part in parts))


def half_plane(
    box_size_px: int, *, include_dc: bool = False, radius_px: float | None = None
) -> HalfPlane:
    """Samples of an image of ``box_size_px`` inside a circle.

    Parameters
    ----------
    box_size_px
        Edge of the image in pixels, even.
    include_dc
        Whether the sample at the origin is among them. The mean of a background-normalised image
        says nothing, so learning leaves it out.
    radius_px
        Largest distance from the origin in Fourier pixels; all samples inside the Nyquist circle
        (its rim excluded, where a sample is its own mirror image) if None.
    """
    if box_size_px % 2:
        raise ValueError(f"box size must be even, got {box_size_px}")
    half = box_size_px // 2
    ky = torch.fft.fftfreq(box_size_px, 1 / box_size_px, dtype=torch.float64)
    kx = torch.arange(half + 1, dtype=torch.float64)
    radius2 = ky[:, None] ** 2 + kx[None, :] ** 2
    keep = radius2 < half**2
    if radius_px is not None:
        keep &= radius2 <= radius_px**2
    keep &= (kx[None, :] > 0) | (ky[:, None] >= 0)  # the column kx = 0 holds both halves
    if not include_dc:
        keep &= radius2 > 0
    rows, columns = torch.nonzero(keep, as_tuple=True)
    frequencies = torch.stack([kx[columns], ky[rows]], dim=-1) / box_size_px
    shells = torch.round(torch.sqrt(radius2[rows, columns])).to(torch.int64)
    return HalfPlane(box_size_px, frequencies.to(torch.float32), rows, columns, shells)


def slice_frequencies(frequencies: Tensor, rotations: Tensor) -> Tensor:
    """Where image samples lie in the volume's Fourier space: ``R.T @ (kx, ky, 0)``.

    Parameters
    ----------
    frequencies
        ``(point, 2)``, kx and ky.
    rotations
        ``(image, 3, 3)`` reference → image, acting on xyz columns.

    Returns
    -------
    ``(image, point, 3)`` frequencies kx, ky, kz of the reference.
    """
    return torch.einsum("pa,iab->ipb", frequencies, rotations[:, :2, :].to(frequencies.dtype))


def into_half_space(frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror 3-D frequencies into the half-space kx ≥ 0, where a real volume holds everything.

    Parameters
    ----------
    frequencies
        ``(…, 3)`` kx, ky, kz in any unit.

    Returns
    -------
    The mirrored frequencies ``(…, 3)``, and ``(…,)`` booleans, true where a frequency was mirrored
    and the value there has to be conjugated.
    """
    # The first of kx, ky, kz that is not 0 decides: its sign outweighs those after it.
    mirrored = (torch.sign(frequencies) * _outweighing(frequencies.device)).sum(-1) < 0
    return torch.where(mirrored[..., None], -frequencies, frequencies), mirrored


@lru_cache(maxsize=8)
def _outweighing(device: torch.device) -> Tensor:
    return torch.tensor([4.0, 2.0, 1.0], device=device)


def conjugate_where(values: Tensor, mirrored: Tensor) -> Tensor:
    """Conjugate complex ``values`` where ``mirrored`` is true.

    ``mirrored`` is of the same shape, or of one that broadcasts to it: ``(point, 1)`` for
    ``(point, transform)``.
    """
    return torch.where(mirrored, values.conj(), values)
