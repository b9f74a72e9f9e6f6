"""Fourier shell correlation, low-pass and correlation of maps. Shells as RELION counts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.physics import shells
from napari_tomodrgn.physics.fourier import transform_volume, volume_from_transform
from napari_tomodrgn.physics.shells import FSC_THRESHOLD, filter_by_shell, shell_correlation

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FscCurve:
    """Correlation of two maps by shell.

    Attributes
    ----------
    correlation
        ``(shell,)``, shell 0 is the origin, the last is Nyquist.
    frequency_per_angstrom
        ``(shell,)``.
    """

    correlation: FloatArray
    frequency_per_angstrom: FloatArray
    # Also for those who draw the curve and do not import torch.
    threshold: ClassVar[float] = FSC_THRESHOLD

    def resolution_angstrom(self, threshold: float = FSC_THRESHOLD) -> float:
        """Resolution at which the curve first falls below ``threshold``, linearly interpolated.

        Nyquist if it never does; infinite if the first shell is below already.
        """
        below = np.flatnonzero(self.correlation[1:] < threshold) + 1
        if not len(below):
            return float(1 / self.frequency_per_angstrom[-1])
        shell = int(below[0])
        if shell == 1:
            return float("inf")
        before, after = self.correlation[shell - 1], self.correlation[shell]
        part = (before - threshold) / (before - after)
        s0, s1 = self.frequency_per_angstrom[shell - 1 : shell + 1]
        return float(1 / (s0 + part * (s1 - s0)))


def fsc(first: Volume, second: Volume, mask: FloatArray | None = None) -> FscCurve:
    """Fourier shell correlation of two maps of the same box.

    Parameters
    ----------
    first, second
        The maps; voxel size of the first.
    mask
        Multiplied with both, if given.
    """
    if first.data.shape != second.data.shape:
        raise ValueError(f"maps of {first.data.shape} and {second.data.shape} do not compare")
    factor = 1.0 if mask is None else mask
    one, two = (torch.from_numpy(volume.data * factor).double() for volume in (first, second))
    correlation = shell_correlation(one, two).numpy()
    box = first.box_size_px
    frequency = np.arange(box // 2 + 1) / (box * first.voxel_size_angstrom)
    return FscCurve(correlation, frequency)


def filter_shells(volume: Volume, factors: FloatArray) -> Volume:
    """The map with each shell multiplied; shells beyond ``factors`` are removed."""
    density = torch.from_numpy(volume.data).double()
    filtered = filter_by_shell(density, torch.from_numpy(np.asarray(factors, np.float64)))
    return Volume(filtered.numpy().astype(np.float32), volume.voxel_size_angstrom)


def low_pass(volume: Volume, resolution_angstrom: float) -> Volume:
    """The map up to a resolution, with a cosine edge two shells wide."""
    cut = volume.box_size_px * volume.voxel_size_angstrom / resolution_angstrom
    shells = np.arange(volume.box_size_px // 2 + 1)
    edge = np.clip((cut + 1 - shells) / 2, 0, 1)
    return filter_shells(volume, (1 - np.cos(np.pi * edge)) / 2)


def fourier_cropped(volume: Volume, box_size_px: int) -> Volume:
    """The same field of view on fewer, larger voxels; density values stay comparable."""
    before = volume.box_size_px
    if box_size_px == before:
        return volume
    transform = transform_volume(torch.from_numpy(volume.data))
    half = box_size_px // 2
    keep = torch.cat([torch.arange(half), torch.arange(before - half, before)])
    small = transform[keep][:, keep][..., : half + 1].clone()
    # The planes at the new Nyquist frequency hold one sign of the frequency only.
    small[half], small[:, half], small[..., half] = 0, 0, 0
    data = volume_from_transform(small * (box_size_px / before) ** 3)
    voxel = volume.voxel_size_angstrom * before / box_size_px
    return Volume(np.ascontiguousarray(data.numpy(), dtype=np.float32), voxel)


def fsc_sphere(box_size_px: int, radius: float = 0.9, edge: float = 0.1) -> FloatArray:
    """Sphere of ones with a cosine edge; radius and edge are fractions of half the box."""
    return np.asarray(shells.soft_sphere(box_size_px, radius, edge).numpy())


def correlation(first: Volume, second: Volume, mask: FloatArray | None = None) -> float:
    """Pearson correlation of two maps inside a mask (its weights where it is soft)."""
    weights = np.ones(first.data.shape) if mask is None else mask
    total = weights.sum()
    a = first.data - (first.data * weights).sum() / total
    b = second.data - (second.data * weights).sum() / total
    norm = np.sqrt((a * a * weights).sum() * (b * b * weights).sum())
    return float((a * b * weights).sum() / norm) if norm > 0 else 0.0
