"""What the linear engine needs of the images: matched samples, and where they lie in Fourier space.

An image sample and the noise in it are (`napari_tomodrgn.physics.image_formation`)

    x = T F(k) + h n,    n ~ CN(0, σ²(|k|) / w)          T = h c d

All that a Gaussian likelihood of F needs is

    matched  b = w T x / h²       strength  a = w T² / h²       energy  e = w |x|² / h²

b and a have no division in them, as h divides T: nothing is blown up where the CTF is small.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.fourier_images import soft_window
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.linear.fourier_ball import FourierBall
from napari_tomodrgn.physics.lattice import conjugate_where, into_half_space, slice_frequencies

# Fourier samples in a block: what a pass makes of them should stay in a CPU's cache.
_SAMPLES_IN_BLOCK = {"cpu": 1 << 16, "cuda": 1 << 22}
# Where h² is less, noise from elsewhere (the window blurs) is most of what there is.
_MIN_FILTER = 0.1
# So many images tell in which shells that is.
_IMAGES_FOR_RADIUS = 512


@dataclass(frozen=True, eq=False)
class SampleBlock:
    """Images of some particles, as one piece of the likelihood.

    Attributes
    ----------
    particles
        ``(particle,)`` rows of the particle set.
    particle_index
        ``(image,)`` which of ``particles`` each image shows.
    matched
        ``(image, point, 2)`` b, conjugated where the sample was mirrored into the half-space.
    strength, energy
        ``(image, point)`` a and e; e is NaN-free and 0 where h is small.
    counted
        ``(image, point)`` 1 where e counts, else 0.
    forward
        Trilinear interpolation ``(image · point, voxel)``, sparse rows.
    gather
        ``(particle, image)`` sparse ones: sums over the images of a particle.
    """

    particles: Tensor
    particle_index: Tensor
    matched: Tensor
    strength: Tensor
    energy: Tensor
    counted: Tensor
    forward: Tensor
    gather: Tensor

    @cached_property
    def backward(self) -> Tensor:
        """The transpose of ``forward`` in sparse rows; made when it is first asked for."""
        return _transpose(self.forward)


class LinearSamples:
    """All images of a set as matched samples within the largest radius that is to be explained.

    Parameters
    ----------
    data
        Images, lattice and which of them are held out.
    window
        The window that the images were multiplied with.
    radius_px
        Largest radius that blocks can be asked for.
    device
        Where the blocks are made.
    """

    def __init__(
        self,
        data: TiltData,
        window: DataConfig,
        *,
        radius_px: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.data = data
        self.device = torch.device(device)
        box = data.lattice.box_size_px
        arrays = data.particles.arrays()
        distance = data.lattice.frequencies.cpu().norm(dim=-1) * box
        self._distance = distance
        self.radius_px = radius_px
        self.particle_index = torch.from_numpy(arrays.particle.copy())
        self._rotations = torch.from_numpy(arrays.rotations.astype(np.float32))
        # A window that keeps a share τ of the pixels leaves a share τ of independent samples, but
        # a particle in the middle keeps all of its signal: its noise is 1/τ of what is measured.
        disc = soft_window(box, window.window_inner, window.window_outer)
        self.independent_share = float(disc.square().mean())

    def points(self, radius_px: int) -> Tensor:
        """Find the samples ``(point,)`` of an image within a radius in Fourier pixels."""
        return torch.nonzero(self._distance <= radius_px)[:, 0]

    def shells(self, radius_px: int) -> Tensor:
        """Give the shell ``(point,)`` of each of `points`, in Fourier pixels."""
        return torch.round(self._distance[self.points(radius_px)]).to(torch.int64)

    def noise_radius(self) -> int:
        """Smallest radius within which noise can be measured: it counts in half of a shell.

        In pre-multiplied images the CTF leaves nothing of the first shells of a wide box.

        Raises
        ------
        BadInputError
            If it counts nowhere.
        """
        count = self.data.image_count
        rows = torch.linspace(0, count - 1, min(count, _IMAGES_FOR_RADIUS)).long()
        counted = self._statistics(rows, self.points(self.radius_px))[3].mean(0).cpu()
        shells = self.shells(self.radius_px)
        share = torch.bincount(shells, weights=counted) / torch.bincount(shells).clamp(min=1)
        seen = torch.nonzero(share >= 0.5)[:, 0]
        if not len(seen):
            raise BadInputError(
                f"{self.data.particles.source.path}: CTF, dose and weights leave no shell in which "
                "the noise of the images could be measured.",
                remedy="Look at defocus, pixel size and dose, and at whether images are "
                "pre-multiplied.",
                code="no-signal",
            )
        return int(seen[0])

    def blocks(self, ball: FourierBall, particles: Tensor, images: Tensor) -> Iterator[SampleBlock]:
        """Make blocks of particles ``(row,)``, ascending, of images where ``(image,)`` is true."""
        points = self.points(ball.radius_px)
        rows = self.data.images_of(particles)
        rows = rows[images[rows]]
        # Which of the particles each image shows.
        particle_index = torch.searchsorted(particles, self.particle_index[rows])
        counts = torch.bincount(particle_index, minlength=len(particles))
        most = _SAMPLES_IN_BLOCK.get(self.device.type, 1 << 20)
        group = torch.div(counts.cumsum(0) * len(points), most, rounding_mode="floor")
        _, sizes = torch.unique_consecutive(group, return_counts=True)
        first, row = 0, 0
        for size in sizes.tolist():
            held = int(counts[first : first + size].sum())
            here = slice(row, row + held)
            yield self._block(
                ball, particles[first : first + size], rows[here], particle_index[here] - first
            )
            first, row = first + size, row + held

    def _block(
        self, ball: FourierBall, particles: Tensor, rows: Tensor, particle_index: Tensor
    ) -> SampleBlock:
        points = self.points(ball.radius_px)
        particle_index = particle_index.to(self.device)
        matched, strength, energy, counted = self._statistics(rows, points)
        plane = self.data.lattice.frequencies.to(self.device)[points.to(self.device)]
        where = slice_frequencies(plane, self._rotations[rows].to(self.device))
        scale = self.data.lattice.box_size_px * ball.oversampling
        inside, mirrored = into_half_space(where * scale)
        matched = torch.view_as_real(conjugate_where(matched, mirrored).resolve_conj())
        forward = _interpolation(inside.reshape(-1, 3), ball)
        gather = _summation_matrix(particle_index, len(particles))
        return SampleBlock(
            particles, particle_index, matched, strength, energy, counted, forward, gather
        )

    def _statistics(self, rows: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """b, a, e and where e counts, of some images."""
        device, data = self.device, self.data
        model = data.formation(rows, points.to(device), device)
        weight = data.weights_at(rows, points.to(device), device)
        ratio = model.signal_over_applied
        samples = data.images.take(rows)[:, points].to(device)
        h2 = model.applied.square().expand(samples.shape)
        least = _MIN_FILTER * model.scale.square()
        counted = ((h2 >= least) & (h2 > 0)).to(weight.dtype) * (weight > 0)
        energy = weight * samples.abs().square() / h2.clamp(min=torch.finfo(h2.dtype).tiny)
        energy = torch.where(counted > 0, energy, torch.zeros_like(energy))
        strength = weight * (ratio * model.applied).square()
        return samples * (weight * ratio), strength, energy, counted


def _interpolation(points: Tensor, ball: FourierBall) -> Tensor:
    """Sparse ``(point, voxel)`` matrix of trilinear weights; points are in Fourier pixels."""
    low = torch.floor(points)
    part = points - low
    x, y, z = torch.stack([1 - part, part], dim=-1).unbind(1)
    weights = (x[:, :, None, None] * y[:, None, :, None]) * z[:, None, None, :]
    rows = torch.arange(0, 8 * len(points) + 1, 8, device=points.device, dtype=torch.int32)
    numbers = ball.corner_numbers(low.to(torch.int64)).flatten().to(torch.int32)
    values = weights.flatten()
    shape = (len(points), len(ball))
    return _csr(
        lambda: torch.sparse_csr_tensor(rows, numbers, values, shape, check_invariants=False)
    )


def _summation_matrix(particle_index: Tensor, particles: int) -> Tensor:
    """Sparse ``(particle, image)`` ones; owners ascend."""
    counts = torch.bincount(particle_index, minlength=particles)
    rows = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).to(torch.int32)
    images = torch.arange(len(particle_index), device=particle_index.device, dtype=torch.int32)
    values = torch.ones(len(particle_index), device=particle_index.device)
    shape = (particles, len(particle_index))
    return _csr(
        lambda: torch.sparse_csr_tensor(rows, images, values, shape, check_invariants=False)
    )


def _transpose(matrix: Tensor) -> Tensor:
    """The transpose of a matrix in sparse rows, in sparse rows.

    On a CPU by scipy, which counts where torch sorts: 5 ms for a block of 65,536 samples instead of
    43, the same numbers in the same order.
    """
    if matrix.device.type != "cpu":
        return _csr(matrix.t().to_sparse_csr)
    parts = (matrix.values(), matrix.col_indices(), matrix.crow_indices())
    columns = csr_matrix(tuple(part.numpy() for part in parts), shape=tuple(matrix.shape)).tocsc()
    rows, numbers, values = (
        torch.from_numpy(part) for part in (columns.indptr, columns.indices, columns.data)
    )
    shape = (matrix.shape[1], matrix.shape[0])
    return _csr(
        lambda: torch.sparse_csr_tensor(rows, numbers, values, shape, check_invariants=False)
    )


def _csr(make: Callable[[], Tensor]) -> Tensor:
    """A matrix in sparse rows, without the notice that torch still calls them new."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        warnings.filterwarnings("ignore", message="Sparse invariant checks")
        return make()
