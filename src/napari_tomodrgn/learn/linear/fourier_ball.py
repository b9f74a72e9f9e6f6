"""The unknowns of the linear engine: half a Fourier grid within a radius, and their support.

A map that vanishes outside the particle has a smooth transform: neighbouring voxels are not free.
Writing the basis as B = S u, with S "back to real space, times a soft mask, to Fourier space
again" and u free, leaves a fraction of the freedom and of the noise that comes with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

# Density of this share of the mean map's high values belongs to the particle, and so does what is
# within this share of the box around it.
_DENSE = 0.15
_GROWN = 0.05
# Neighbours at all places blur into a haze: the level that this share of the window is below. With
# 50 neighbours of a particle's own size it is 0.15 of the high values, and without it the mask was
# the whole window. A particle may fill the rest; no more than `_DENSE` is taken for haze.
_HAZE = 0.2


@dataclass(frozen=True, eq=False)
class FourierBall:
    """Voxels of half a Fourier grid within a radius.

    Attributes
    ----------
    radius_px
        Samples up to this distance from the origin, in Fourier pixels, are explained.
    oversampling
        Voxels per Fourier pixel.
    places
        ``(voxel, 3)`` int64 kx, ky, kz in voxels, kx ≥ 0.
    shells
        ``(voxel,)`` distance from the origin in Fourier pixels, rounded.
    mirror
        ``(voxel,)`` the voxel at minus the place for those with kx = 0, which hold conjugate
        values; every other voxel its own mirror.
    table
        Number of a voxel by its place, ``(kz + m, ky + m, kx)`` flattened, −1 where there is none.
    support
        ``(n, n, n)`` real-space factor that S multiplies with, origin at the first entry.
    """

    radius_px: int
    oversampling: int
    places: Tensor
    shells: Tensor
    mirror: Tensor
    table: Tensor
    support: Tensor

    def __len__(self) -> int:
        """Return the number of voxels."""
        return int(self.places.shape[0])

    @property
    def on_plane(self) -> Tensor:
        """``(voxel,)`` whether kx = 0: these voxels stand there twice, once as their mirror."""
        return self.places[:, 0] == 0

    def numbers(self, places: Tensor) -> Tensor:
        """Number of the voxel at each place: ``(…, 3)`` int64 → ``(…,)``.

        −1 where there is none.
        """
        return self.table[self._table_index(places)]

    def corner_numbers(self, low: Tensor) -> Tensor:
        """`numbers` ``(point, 8)`` of the corners of cells: z changes first, then y, then x.

        ``low`` ``(point, 3)`` int64 are the corners nearest to −∞.
        """
        corners = torch.tensor(list(product((0, 1), repeat=3)), device=low.device)
        steps = self._table_index(corners) - self._table_index(torch.zeros_like(corners[0]))
        return self.table[self._table_index(low)[:, None] + steps]

    def _table_index(self, places: Tensor) -> Tensor:
        margin = _margin(self.radius_px, self.oversampling)
        width = 2 * margin + 1
        x, y, z = places.unbind(-1)
        return ((z + margin) * width + y + margin) * (margin + 1) + x

    def apply_support(self, free: Tensor, factors: Tensor | None = None) -> Tensor:
        """S u of ``(voxel, 2, column)`` values; S is its own transpose.

        ``factors`` ``(column, n, n, n)`` are taken instead of the one support where columns are
        confined to parts of it.
        """
        grid = self.on_grid(free)
        maps = torch.fft.irfftn(grid, s=self.support.shape, dim=(1, 2, 3))
        maps = maps * (self.support if factors is None else factors)
        spectrum = torch.fft.rfftn(maps, dim=(1, 2, 3)).flatten(1)
        return torch.view_as_real(spectrum[:, self.flat_places()].T.contiguous()).movedim(-1, 1)

    def on_grid(self, values: Tensor) -> Tensor:
        """``(column, n, n, n // 2 + 1)`` complex arrays of ``(voxel, 2, column)`` values."""
        size = self.support.shape[0]
        grid = torch.zeros(
            (values.shape[2], size * size * (size // 2 + 1)),
            dtype=torch.complex64,
            device=values.device,
        )
        grid[:, self.flat_places()] = torch.complex(values[:, 0], values[:, 1]).T
        return grid.reshape(-1, size, size, size // 2 + 1)

    def flat_places(self) -> Tensor:
        """Give the places ``(voxel,)`` of the voxels in a flattened half grid like `support`."""
        size = self.support.shape[0]
        x, y, z = self.places.unbind(-1)
        return ((z % size) * size + y % size) * (size // 2 + 1) + x


def _margin(radius_px: int, oversampling: int) -> int:
    return radius_px * oversampling + 2


def make_ball(
    radius_px: int,
    oversampling: int = 1,
    *,
    support: NDArray[np.float64],
    device: torch.device | str = "cpu",
) -> FourierBall:
    """All voxels that trilinear interpolation within ``radius_px`` reads from.

    Parameters
    ----------
    radius_px
        In Fourier pixels of the images.
    oversampling
        Voxels per Fourier pixel.
    support
        ``(m, m, m)`` factor over the box, at any sampling, origin at ``m // 2``; 0 where maps
        vanish.
    device
        Where to.
    """
    margin = _margin(radius_px, oversampling)
    axis = torch.arange(-margin, margin + 1)
    z, y, x = torch.meshgrid(axis, axis, torch.arange(margin + 1), indexing="ij")
    radius = torch.sqrt((x.square() + y.square() + z.square()).double()).flatten()
    keep = radius < radius_px * oversampling + 3**0.5
    places = torch.stack([x, y, z], dim=-1).reshape(-1, 3)[keep]
    table = torch.full((keep.numel(),), -1, dtype=torch.int64)
    table[keep] = torch.arange(len(places))
    shells = torch.round(radius[keep] / oversampling).to(torch.int64)
    mirror = torch.arange(len(places))
    factor = resample_support(support, 2 * (margin + 1), oversampling)
    ball = FourierBall(radius_px, oversampling, places, shells, mirror, table, factor)
    plane = torch.nonzero(ball.on_plane)[:, 0]
    ball.mirror[plane] = ball.numbers(-places[plane])
    parts = (ball.places, ball.shells, ball.mirror, ball.table, ball.support)
    return FourierBall(radius_px, oversampling, *(part.to(device) for part in parts))


def resample_support(support: NDArray[np.float64], size: int, oversampling: int = 1) -> Tensor:
    """A factor ``(m, m, m)`` on a grid of ``size`` over ``oversampling`` boxes, origin first."""
    axis = np.fft.fftfreq(size) * oversampling * support.shape[0] + support.shape[0] // 2
    where = np.meshgrid(axis, axis, axis, indexing="ij")
    values = ndimage.map_coordinates(support, where, order=1, mode="constant")
    return torch.from_numpy(values.astype(np.float32))


def sphere(radius: float, size: int = 48) -> NDArray[np.float64]:
    """Make a soft ball ``(size, size, size)``: ones within ``radius`` of half the box."""
    axis = (np.arange(size) - size // 2) / (size / 2)
    distance = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2)
    return _soft((distance - radius) / 0.2)


def around_density(density: NDArray[np.float64], limit: NDArray[np.float64]) -> NDArray[np.float64]:
    """A soft mask around a mean map, as wide as parts that few particles have may need.

    Parameters
    ----------
    density
        ``(m, m, m)`` mean map at low resolution, origin at ``m // 2``.
    limit
        The largest mask that is allowed.
    """
    haze, high = np.quantile(density[limit > 0.5], [_HAZE, 0.99])
    dense = density * limit > _DENSE * high + np.clip(haze, 0, _DENSE * high)
    distance = ndimage.distance_transform_edt(~dense) / len(density)
    return _soft((distance - _GROWN) / 0.1) * limit


def _soft(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((1 + np.cos(np.pi * np.clip(steps, 0, 1))) / 2)
