"""What each particle's images add to a map, beyond what the map of all particles explains.

For particle p and half t of its tilts, on the voxels v of half a Fourier grid,

    residual   N_pt(v) = Σ_s c_sv π (b_s − a_s F̄(k_s))       curvature  D_pt(v) = Σ_s c_sv π a_s

with the matched samples b and strengths a of `learn.linear.image_samples`, π = τ/σ², trilinear
weights c and the mean map F̄ of all particles. Σ N / Σ D over a group is how its map differs from
the mean. The mean is taken off image by image: with it go the differences between groups that are
only of where their images sampled the same map (missing wedges), to the accuracy of F̄.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.learn.linear.engine import LinearEngine
from napari_tomodrgn.learn.linear.fourier_ball import FourierBall
from napari_tomodrgn.learn.linear.image_samples import SampleBlock
from napari_tomodrgn.learn.linear.initial_model import mean_model, spread_to_voxels
from napari_tomodrgn.learn.linear.linear_model import LinearModel

ComplexArray = NDArray[np.complex64]
RealArray = NDArray[np.float32]

# Sums of all particles take at most so much; beyond, coarser detail is compared.
MOST_BYTES = 1_000_000_000
_BYTES_PER_VOXEL = 12  # a complex residual and a real curvature
_FEWEST_RADIUS = 6  # in Fourier pixels; compared even where it takes more than `MOST_BYTES`


@dataclass(frozen=True, eq=False)
class ParticleSums:
    """Sums of a set, particle by particle and tilt half by tilt half.

    Attributes
    ----------
    ball
        The voxels; ``ball.shells`` is their radius in Fourier pixels.
    mean
        ``(voxel,)`` map of all particles.
    residual, curvature
        ``(2, particle, voxel)`` N and D, the tilt half first.
    noise
        ``(shell,)`` mean of |N|² over that of D: 1 where the noise model is right.
    support
        ``(n, n, n)`` soft mask around the particle, origin at ``n // 2``.
    box_size_px, pixel_size_angstrom
        Of the images.
    originals
        ``(particle,)`` which rows are copies of one particle, see `ParticleSet.originals`.
    """

    ball: FourierBall
    mean: ComplexArray
    residual: ComplexArray
    curvature: RealArray
    noise: NDArray[np.float64]
    support: NDArray[np.float64]
    box_size_px: int
    pixel_size_angstrom: float
    originals: NDArray[np.int64]

    @property
    def particles(self) -> int:
        """Number of particles."""
        return int(self.residual.shape[1])

    @property
    def radius_px(self) -> int:
        """The finest shell that is compared; of the one beyond, samples reach only a part."""
        return self.ball.radius_px - 1

    @property
    def shells(self) -> NDArray[np.int64]:
        """``(voxel,)`` shell of each voxel."""
        return np.asarray(self.ball.shells.cpu().numpy(), dtype=np.int64)

    @property
    def counts(self) -> RealArray:
        """``(voxel,)`` 1, and ½ on the plane kx = 0, whose voxels stand there twice."""
        return np.where(self.ball.on_plane.cpu().numpy(), 0.5, 1.0).astype(np.float32)

    def shell_mean(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """``(shell,)`` mean over voxels of ``(voxel,)`` values."""
        shells, counts = self.shells, self.counts
        total = np.bincount(shells, weights=values * counts)
        return np.asarray(total / np.maximum(np.bincount(shells, weights=counts), 1e-9))


def radius_within(particles: int, box_size_px: int, most_bytes: int = MOST_BYTES) -> int:
    """The largest radius in Fourier pixels at which sums of so many particles fit into memory."""
    finest = box_size_px // 2 - 1
    for radius in range(finest, _FEWEST_RADIUS, -1):
        voxels = 2 / 3 * np.pi * (radius + 1.7) ** 3
        if 2 * particles * voxels * _BYTES_PER_VOXEL <= most_bytes:
            return radius
    return min(_FEWEST_RADIUS, finest)


def sum_particles(
    engine: LinearEngine,
    halves: tuple[Tensor, Tensor],
    radius_px: int | None = None,
    rows: NDArray[np.int64] | None = None,
) -> Generator[int, None, ParticleSums]:
    """Sums of the particles of a set; yields how many particles are done.

    Parameters
    ----------
    engine
        Of the images, with the settings that they were trained with.
    halves
        Masks ``(image,)`` of the tilt halves.
    radius_px
        Finest detail; as fine as box and memory allow if None.
    rows
        ``(particle,)`` ascending, of those that are summed and whose mean is taken off; all if
        None.
    """
    data = engine.data
    chosen = torch.arange(data.particle_count) if rows is None else torch.from_numpy(rows)
    finest = radius_within(len(chosen), data.lattice.box_size_px)
    radius = min(radius_px or finest, finest, engine.samples.radius_px)
    ball = engine.ball(radius)
    shells = engine.samples.shells(radius).to(engine.samples.device)
    learning = engine.training_rows(radius) if rows is None else chosen
    learners = engine.blocks(ball, learning)
    model = mean_model(ball, learners, shells, engine.samples.independent_share)
    used, images = halves[0] | halves[1], data.images_of(chosen)
    if not (torch.equal(learning, chosen) and torch.equal(used[images], data.training[images])):
        learners = engine.stream(model, chosen, used)  # the other particles, and other images
    shape = (2, len(chosen), len(ball))
    residual, curvature = np.empty(shape, np.complex64), np.empty(shape, np.float32)
    precision, second = model.precision(shells), halves[1][images[used[images]]].to(shells.device)
    particle = image = 0
    for block in learners():
        here = slice(particle, particle + len(block.particles))
        half = second[image : image + len(block.particle_index)]
        residual[:, here], curvature[:, here] = _block_sums(model, block, half, precision)
        particle, image = here.stop, image + len(half)
        yield particle
    return ParticleSums(
        ball,
        torch.view_as_complex(model.basis[..., 0].contiguous()).cpu().numpy(),
        residual,
        curvature,
        _noise(residual, curvature, ball.shells.cpu().numpy()),
        engine.support,
        data.lattice.box_size_px,
        data.optics.pixel_size_angstrom,
        data.originals[chosen.numpy()],
    )


def _block_sums(
    model: LinearModel, block: SampleBlock, second: Tensor, precision: Tensor
) -> tuple[ComplexArray, RealArray]:
    """N and D ``(2, particle, voxel)`` of a block, both places of the plane kx = 0 added up.

    ``second`` ``(image,)`` says which images are of the second tilt half.
    """
    points, ball = len(precision), model.ball
    mean = (block.forward @ model.basis[..., 0]).reshape(-1, points, 2)
    strength = block.strength * precision
    pulled = precision[:, None] * block.matched - strength[..., None] * mean
    count, voxels = len(block.particles), len(ball)
    samples = torch.cat([pulled, strength[..., None]], dim=2)
    rows = block.particle_index + count * second
    total = spread_to_voxels(block, ball, samples, rows, 2 * count)
    total = total.reshape(2, count, voxels, 3)
    residual = torch.view_as_complex(total[..., :2].contiguous()).cpu().numpy()
    return residual, total[..., 2].cpu().numpy()


def _noise(
    residual: ComplexArray, curvature: RealArray, shells: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What the residuals of particles scatter by, over what the noise model says, by shell."""
    found = (np.abs(residual) ** 2).sum(axis=(0, 1), dtype=np.float64)
    expected = curvature.sum(axis=(0, 1), dtype=np.float64)
    total = np.bincount(shells, weights=found)
    return np.asarray(total / np.maximum(np.bincount(shells, weights=expected), 1e-30))
