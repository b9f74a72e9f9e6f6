"""Centred transforms, shifts, central slices of a voxel volume and their transpose.

Images and volumes have their origin at voxel ``n // 2``. Transforms are not normalised, so that
the central slice of a volume's transform is the transform of its projection (the sum of voxels).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as functional
from torch import Tensor

from napari_tomodrgn.physics.lattice import HalfPlane, conjugate_where, into_half_space

# Points interpolated at a time: on a CPU what lies between stays in its cache, on a GPU launching
# takes as long as a million points.
_POINTS_AT_A_TIME = {"cpu": 1 << 14, "cuda": 1 << 22, "mps": 1 << 20}


def transform_images(images: Tensor, lattice: HalfPlane) -> Tensor:
    """Fourier samples of real images: ``(image, box, box)`` → complex ``(image, point)``."""
    spectrum: Tensor = torch.fft.rfft2(torch.fft.ifftshift(images, dim=(-2, -1)))
    samples: Tensor = spectrum[..., lattice.rows, lattice.columns]
    return samples


def images_from_samples(samples: Tensor, lattice: HalfPlane) -> Tensor:
    """Turn Fourier samples into real images: complex ``(…, point)`` → ``(…, box, box)``.

    Undoes `transform_images`; frequencies that are not in the lattice are 0.
    """
    box = lattice.box_size_px
    spectrum = samples.new_zeros((*samples.shape[:-1], box, box // 2 + 1))
    spectrum[..., lattice.rows, lattice.columns] = samples
    # irfft2 reads both halves of the column kx = 0.
    axis = lattice.columns == 0
    mirrored_rows = (-lattice.rows[axis]) % box
    spectrum[..., mirrored_rows, lattice.columns[axis]] = samples[..., axis].conj()
    spectrum[..., lattice.rows[axis], lattice.columns[axis]] = samples[..., axis]
    images = torch.fft.irfft2(spectrum, s=(box, box))
    centred: Tensor = torch.fft.fftshift(images, dim=(-2, -1))
    return centred


def shift_phases(lattice: HalfPlane, shifts_px: Tensor) -> Tensor:
    """Factors that move content by ``+shifts_px`` (xy): ``(image, 2)`` → ``(image, point)``."""
    angle = -2 * math.pi * shifts_px.to(lattice.frequencies.dtype) @ lattice.frequencies.T
    return torch.polar(torch.ones_like(angle), angle)


def transform_volume(volume: Tensor) -> Tensor:
    """Transform of a real volume zyx: ``(n, n, n)`` → complex ``(n, n, n // 2 + 1)``."""
    transform: Tensor = torch.fft.rfftn(torch.fft.ifftshift(volume))
    return transform


def volume_from_transform(transform: Tensor) -> Tensor:
    """Undo `transform_volume`: complex ``(n, n, n // 2 + 1)`` → real ``(n, n, n)`` zyx, n even."""
    box = transform.shape[0]
    volume: Tensor = torch.fft.fftshift(torch.fft.irfftn(transform, s=(box, box, box)))
    return volume


def padded(volume: Tensor, factor: int) -> Tensor:
    """Put a volume into the middle of a larger box of zeros: ``(n, n, n)`` → ``(f n, f n, f n)``.

    f is ``factor``; the origin, voxel ``n // 2``, goes to voxel ``f n // 2``.
    """
    before = (volume.shape[0] * factor) // 2 - volume.shape[0] // 2
    after = volume.shape[0] * (factor - 1) - before
    return functional.pad(volume, (before, after) * 3)


def cropped(volume: Tensor, box_size_px: int) -> Tensor:
    """Cut out the middle of a volume, origin to origin: ``(n, n, n)`` → ``(box, box, box)``."""
    start = volume.shape[0] // 2 - box_size_px // 2
    middle = slice(start, start + box_size_px)
    return volume[middle, middle, middle]


def gridding(box_size_px: int, oversampling: int, device: torch.device | str = "cpu") -> Tensor:
    """Compute what trilinear interpolation on an oversampled grid does to a volume: sinc² per axis.

    Divide a volume by it before `sample_transform`, or the result of a `FourierAccumulator`
    after, and most of the interpolation error is gone. ``(box, box, box)``, 1 at the origin.
    """
    axis = torch.arange(box_size_px, device=device) - box_size_px // 2
    sinc2 = torch.sinc(axis / (oversampling * box_size_px)).square()
    return sinc2[:, None, None] * sinc2[None, :, None] * sinc2[None, None, :]


@dataclass(frozen=True, eq=False)
class GridCorners:
    """The eight voxels around each point of a half-space grid, whatever its size.

    Attributes
    ----------
    voxels
        ``(point, 2, 3)`` int64 voxels below and above along x, y, z, in Fourier pixels; x ≥ 0.
    weights
        ``(point, 8)`` of trilinear interpolation, x changing slowest, z fastest.
    """

    voxels: Tensor
    weights: Tensor


def grid_corners(points: Tensor) -> GridCorners:
    """Find the corners around ``(point, 3)`` kx, ky, kz in Fourier pixels, kx ≥ 0."""
    low = torch.floor(points)
    upper = points - low
    voxels = torch.stack([low, low + 1], dim=1).to(torch.int64)
    x, y, z = torch.stack([1 - upper, upper], dim=1).unbind(-1)
    weights = x[:, :, None, None] * (y[:, :, None] * z[:, None, :])[:, None]
    return GridCorners(voxels, weights.flatten(1))


@lru_cache(maxsize=16)
def _strides(box: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Voxels along x, y, z of a half grid, and how far apart they lie when it is flattened."""
    half = box // 2 + 1
    return (
        torch.tensor([half, box, box], device=device),
        torch.tensor([1, half, half * box], device=device),
    )


def read_corners(table: Tensor, box: int, corners: GridCorners) -> Tensor:
    """Interpolate several transforms, complex ``(point, transform)``; see `sample_transforms`.

    Points outside the grid read a voxel that is not theirs: whoever asks for them discards it.
    """
    sizes, strides = _strides(box, table.device)
    x, y, z = (corners.voxels % sizes * strides).unbind(-1)
    index = x[:, :, None, None] + (y[:, :, None] + z[:, None, :])[:, None]
    values = functional.embedding_bag(
        index.flatten(1), table, per_sample_weights=corners.weights.to(table.dtype), mode="sum"
    )
    return torch.view_as_complex(values.unflatten(1, (-1, 2)))


def _corners(points: Tensor, box: int) -> tuple[Tensor, Tensor]:
    """The eight voxels around each point of a half-space grid, and their trilinear weights.

    ``points`` are ``(point, 3)`` kx, ky, kz in Fourier pixels with kx ≥ 0 and ``|k| < box / 2``.
    Returns ``(8, point)`` flat indices into an array ``(box, box, box // 2 + 1)``, and weights.
    """
    low = torch.floor(points)
    upper = points - low
    x, y, z = torch.stack([low, low + 1]).to(torch.int64).unbind(-1)
    weight_x, weight_y, weight_z = torch.stack([1 - upper, upper]).unbind(-1)
    plane = (z % box)[None] * box + (y % box)[:, None]
    index = plane[None] * (box // 2 + 1) + x[:, None, None]
    weight = weight_x[:, None, None] * (weight_y[:, None] * weight_z[None])[None]
    return index.flatten(0, 2), weight.flatten(0, 2)


def transform_table(volumes: Tensor, oversampling: int) -> Tensor:
    """What `sample_transforms` reads: ``(transform, n, n, n)`` maps, padded and corrected."""
    dimming = gridding(volumes.shape[-1], oversampling, volumes.device)
    wide = [transform_volume(padded(volume / dimming, oversampling)) for volume in volumes]
    return torch.view_as_real(torch.stack(wide, dim=-1)).flatten(0, 2).flatten(1)


def voxel_table(volumes: Tensor) -> Tensor:
    """What `read_corners` reads at voxels: transforms of ``(transform, n, n, n)`` maps as they are.

    At the voxels of a `transform_table` maps are too strong by what they were corrected for, which
    interpolation takes back only on average: a twentieth halfway to the edge of the box.
    """
    return (
        torch.view_as_real(torch.stack([*map(transform_volume, volumes)], -1))
        .flatten(0, 2)
        .flatten(1)
    )


def sample_transforms(table: Tensor, box: int, frequencies: Tensor) -> Tensor:
    """Values of several transforms at the same frequencies, by trilinear interpolation.

    Parameters
    ----------
    table
        ``(voxel, 2 · transform)``: real and imaginary parts in turn, of the voxels of a flattened
        ``(box, box, box // 2 + 1)``, so that what a point needs of all transforms lies together.
        Of `transform_table`.
    box
        Edge of the (padded) transforms.
    frequencies
        ``(point, 3)`` as for `sample_transform`.

    Returns
    -------
    Complex ``(point, transform)``.
    """
    found = []
    for part in frequencies.split(_POINTS_AT_A_TIME[frequencies.device.type]):
        inside, mirrored = into_half_space(part)
        values = read_corners(table, box, grid_corners(inside * box))
        found.append(conjugate_where(values, mirrored[:, None]))
    return found[0] if len(found) == 1 else torch.cat(found)


def sample_transform(transform: Tensor, frequencies: Tensor) -> Tensor:
    """Values of a volume's transform at any frequencies, by trilinear interpolation.

    Parameters
    ----------
    transform
        ``(n, n, n // 2 + 1)`` complex; of a padded volume, as interpolation errors fall with the
        square of the padding.
    frequencies
        ``(…, 3)`` kx, ky, kz in cycles per voxel, ``|k| < 0.5``.
    """
    table = torch.view_as_real(transform).reshape(-1, 2)
    values = sample_transforms(table, transform.shape[0], frequencies.reshape(-1, 3))
    return values.reshape(frequencies.shape[:-1])


class FourierAccumulator:
    """Sums of weighted samples on a half-space grid: the transpose of `sample_transform`.

    Samples that fall into the same voxel add up. ``numerator`` holds Σ weight · value, in both of
    the mirrored halves of the plane kx = 0, ``denominator`` Σ weight of the second kind.
    """

    def __init__(self, box_size_px: int, device: torch.device | str = "cpu") -> None:
        shape = (box_size_px, box_size_px, box_size_px // 2 + 1)
        self.box_size_px = box_size_px
        self.numerator = torch.zeros((math.prod(shape), 2), device=device)
        self.denominator = torch.zeros(math.prod(shape), device=device)
        self._shape = shape

    def add(self, frequencies: Tensor, values: Tensor, weights: Tensor) -> None:
        """Add ``values`` (already weighted) to the numerator and ``weights`` to the denominator.

        Parameters
        ----------
        frequencies
            ``(…, 3)`` in cycles per voxel of this grid's *unpadded* volume, that is, scaled to
            ``(-0.5, 0.5)``.
        values
            ``(…)`` complex.
        weights
            ``(…)`` real.
        """
        size = _POINTS_AT_A_TIME[frequencies.device.type]
        points = frequencies.reshape(-1, 3).split(size)
        for part, value, weight in zip(
            points, values.reshape(-1).split(size), weights.reshape(-1).split(size), strict=True
        ):
            self._add(part, value, weight)

    def _add(self, frequencies: Tensor, values: Tensor, weights: Tensor) -> None:
        inside, mirrored = into_half_space(frequencies)
        parts = torch.view_as_real(conjugate_where(values, mirrored))
        index, shares = _corners(inside * self.box_size_px, self.box_size_px)
        index = index.flatten()
        # One number at a time: rows of two take twice as long, as did all points at once, whose
        # corners are in no cache.
        sums = (*self.numerator.unbind(-1), self.denominator)
        for total, added in zip(sums, (*parts.unbind(-1), weights), strict=True):
            total.index_add_(0, index, (shares * added).flatten())

    def sums(self) -> tuple[Tensor, Tensor]:
        """Numerator and denominator with the plane kx = 0 made symmetric.

        Complex and real ``(n, n, n // 2 + 1)``.
        """
        numerator = torch.view_as_complex(self.numerator).reshape(self._shape).clone()
        denominator = self.denominator.reshape(self._shape).clone()
        # A sample near kx = 0 was laid down on one side of the plane only; its mirror image
        # belongs to the other side as well.
        numerator[..., 0] += _mirrored_plane(numerator[..., 0].conj().resolve_conj())
        denominator[..., 0] += _mirrored_plane(denominator[..., 0])
        return numerator, denominator


def _mirrored_plane(plane: Tensor) -> Tensor:
    """The plane with both axes negated: value at (-z, -y)."""
    return torch.roll(torch.flip(plane, dims=(0, 1)), shifts=(1, 1), dims=(0, 1))
