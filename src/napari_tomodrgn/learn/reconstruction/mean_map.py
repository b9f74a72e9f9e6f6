"""The mean of all particles: where the decoder starts from.

A network that begins with noise spends most of a run on finding out what all particles have in
common, which back-projection gives in seconds. It is made of training images only, so that
held-out images stay unseen. Where the linear engine has solved for a mean, its coarse shells are
better: it is fitted to the samples, components beside it, not spread over voxels and divided.
"""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor, nn

from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.reconstruction.backprojection import OVERSAMPLING, back_project
from napari_tomodrgn.learn.reconstruction.solvent import solvent_at_zero
from napari_tomodrgn.learn.runtime.resumable import ResumableWork
from napari_tomodrgn.physics.fourier import (
    GridCorners,
    grid_corners,
    read_corners,
    transform_table,
    transform_volume,
    volume_from_transform,
    voxel_table,
)
from napari_tomodrgn.physics.shells import shell_correlation, shell_indices, signal_share

# Amplitudes of a shell of less than this share of those of back-projection are damped.
_MIN_AMPLITUDE_RATIO = 0.8


class MeanMap(nn.Module):
    """Amplitudes of a fixed map at any frequency; saved with the weights.

    Parameters
    ----------
    box_size_px
        Box of the map and of the training images.
    """

    map: Tensor

    def __init__(self, box_size_px: int) -> None:
        super().__init__()
        self.register_buffer("map", torch.zeros((box_size_px,) * 3))
        self._table: Tensor | None = None
        self._voxels: Tensor | None = None

    def fill(self, volume: Tensor) -> None:
        """Take a map, ``(box, box, box)`` zyx in scaled units."""
        self.map.copy_(volume)
        self._table = self._voxels = None

    def forward(self, corners: GridCorners) -> Tensor:
        """Complex ``(point,)`` amplitudes at points of a grid of `OVERSAMPLING` times the box."""
        if self._table is None or self._table.device != corners.weights.device:
            self._table = transform_table(self.map[None], OVERSAMPLING)
        return read_corners(self._table, OVERSAMPLING * len(self.map), corners)[:, 0]

    def at_voxels(self, frequencies: Tensor) -> Tensor:
        """The same at ``(point, 3)`` frequencies with kx ≥ 0 that are voxels of its transform."""
        if self._voxels is None or self._voxels.device != frequencies.device:
            self._voxels = voxel_table(self.map[None])
        box = len(self.map)
        return read_corners(self._voxels, box, grid_corners(frequencies * box))[:, 0]


def mean_map(
    data: TiltData, resumable: tuple[ResumableWork | None, ResumableWork | None] = (None, None)
) -> Generator[int, None, Tensor]:
    """Back-projection of all training images, each shell weighted by what half maps agree on.

    With 2 C / (1 + C) of their agreement C, what explains other images best. Its solvent is at 0:
    reading between voxels of its transform would go wrong else.

    Yields how many particles are done, of ``data.particle_count``; returns ``(box, box, box)``.
    The halves of the set are gone on from where they were kept.
    """
    device = data.lattice.frequencies.device
    rows = torch.arange(data.particle_count)
    one, two = rows[0::2], rows[1::2]
    half = yield from back_project(data, one, device, shares=data.training, resumable=resumable[0])
    other = yield from back_project(data, two, device, shares=data.training, resumable=resumable[1])
    agreement = shell_correlation(half.volume(), other.volume())
    # The mean of fluctuating shells is taken until they say nothing at all.
    factors = signal_share(agreement, threshold=0.0)
    factors[0] = 0.0
    volume = (half + other).volume()
    shells = shell_indices(volume.shape[0], device)
    beyond = torch.zeros(int(shells.max()) + 1, device=device)
    beyond[: len(factors)] = factors
    weighted = volume_from_transform(transform_volume(volume) * beyond[shells])
    return torch.from_numpy(solvent_at_zero(weighted.cpu().numpy())).to(weighted)


def with_solved_shells(back_projected: Tensor, solved: Tensor) -> Tensor:
    """A back-projected mean whose coarse shells are those of a solved one, ``(box, box, box)``.

    A solved mean is drawn to 0 where images say little, which back-projection is not: its shells
    are taken up to the first whose amplitudes are damped, its mean value with them.
    """
    fine, coarse = transform_volume(back_projected), transform_volume(solved)
    shells = shell_indices(len(back_projected), fine.device)
    count = int(shells.max()) + 1
    one, two = (
        torch.bincount(shells.flatten(), weights=value.abs().double().flatten(), minlength=count)
        for value in (fine, coarse)
    )
    damped = two < _MIN_AMPLITUDE_RATIO * one
    damped[0] = False
    first = int(torch.nonzero(damped)[0]) if bool(damped.any()) else count
    return volume_from_transform(torch.where(shells < first, coarse, fine))
