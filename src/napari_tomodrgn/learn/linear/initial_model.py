"""Where expectation maximisation starts: the mean map, then the leading covariance directions.

The slope of the likelihood with the covariance C of the particles' signals, at C = 0, is
Σ_p (r_p r_p† − D_p) with r_p the back-projected residual of a particle against the mean and D_p
its curvature: its leading directions are those in which the likelihood rises first. They are
found from the particles' Gram matrix of r_p, weighed by the expected signal power, whose diagonal
(where a particle's noise meets itself) is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from napari_tomodrgn.learn.linear.expectation_maximization import (
    Blocks,
    Slope,
    SquaredErrors,
    climb,
    e_step,
    estimate_noise,
    fold_plane,
    m_step,
)
from napari_tomodrgn.learn.linear.fourier_ball import FourierBall
from napari_tomodrgn.learn.linear.image_samples import SampleBlock
from napari_tomodrgn.learn.linear.linear_model import LinearModel

_MEAN_STEPS = 6  # of conjugate gradients, each of the two times that the mean is solved
# Particles whose residuals are compared: a matrix of this many squared.
_MAX_COMPARED = 2000


def mean_model(ball: FourierBall, blocks: Blocks, shells: Tensor, share: float) -> LinearModel:
    """Fit mean map and noise of a set, no components yet; ``shells`` is ``(point,)``."""
    count = int(max(ball.shells.max(), shells.max())) + 1
    device = ball.shells.device
    model = LinearModel(
        ball,
        torch.zeros((len(ball), 2, 1), device=device),
        torch.zeros((len(ball), 2, 1), device=device),
        torch.ones(count, device=device),
        torch.full((count, 1), 1e-6, device=device),
        share,
    )
    noise = estimate_noise(_mean_errors(model, blocks, shells), shells, count)
    model = replace(model, noise=noise)
    for step in range(2):
        slope = _mean_slope(model, blocks, shells)
        if step == 0:
            flat = torch.full_like(model.prior, float(slope.curvature.mean()) * 1e-2)
            model = replace(model, prior=flat)
        product = partial(_mean_product, model, blocks, model.precision(shells))
        model = climb(model, slope, torch.ones(1, device=device), product, _MEAN_STEPS)
        noise = estimate_noise(_mean_errors(model, blocks, shells), shells, count)
        model = replace(model, noise=noise, prior=signal_prior(model, slope.curvature))
    return model


def _read(block: SampleBlock, basis: Tensor) -> Tensor:
    """``(image, point, 2)`` a map ``(voxel, 2, 1)`` at the samples of a block."""
    return (block.forward @ basis[..., 0]).view(block.matched.shape)


def _mean_slope(model: LinearModel, blocks: Blocks, shells: Tensor) -> Slope:
    """Slope of the likelihood of a model without components; ``shells`` is ``(point,)``."""
    precision = model.precision(shells)
    total = precision.new_zeros((len(model.ball), 3))
    for block in blocks():
        strength, pulled = block.strength * precision, block.matched * precision[:, None]
        if model.basis.any():
            pulled -= _read(block, model.basis) * strength[..., None]
        total += block.backward @ torch.cat([pulled, strength[..., None]], dim=2).view(-1, 3)
    return Slope(*fold_plane(model.ball, total[:, :2, None], total[:, 2]))


def _mean_product(
    model: LinearModel, blocks: Blocks, precision: Tensor, direction: Tensor
) -> Tensor:
    """The matrix of the mean's normal equations, without the prior, times ``(voxel, 2, 1)``."""
    total = torch.zeros_like(direction[..., 0])
    for block in blocks():
        pulled = _read(block, direction) * (block.strength * precision)[..., None]
        total += block.backward @ pulled.view(-1, 2)
    return fold_plane(model.ball, total[..., None], torch.zeros_like(total[:, 0]))[0]


def _mean_errors(model: LinearModel, blocks: Blocks, shells: Tensor) -> SquaredErrors:
    """What a model without components leaves; ``shells`` is ``(point,)``."""
    errors, empty = SquaredErrors.none_of(shells), not model.basis.any()
    for block in blocks():
        if empty:
            errors.add(block, None)
            continue
        mean = _read(block, model.basis)
        square = block.strength[..., None] * mean - 2 * block.matched
        errors.add(block, (square * mean).sum(-1))
    return errors


def signal_prior(model: LinearModel, curvature: Tensor) -> Tensor:
    """Estimate the prior ``(shell, 1)``: inverse power of the mean map beyond that of its noise."""
    shells = model.ball.shells
    count = len(model.prior)
    number = torch.bincount(shells, minlength=count).clamp(min=1)[:, None]
    square = model.free.square().sum(1)
    noise = 1 / curvature.clamp(min=float(curvature.mean()) * 1e-3)[:, None]
    square = torch.zeros_like(model.prior).index_add_(0, shells, square) / number
    noise = torch.zeros_like(model.prior[:, :1]).index_add_(0, shells, noise) / number
    power = torch.maximum(square - noise, square * 0.1)
    return 1 / power.clamp(min=1e-20)


def residual_maps(
    model: LinearModel, blocks: Blocks, shells: Tensor, latents: Tensor | None = None
) -> Iterator[Tensor]:
    """Back-project what a model leaves of each particle, ``(particle, voxel, 2)`` a block.

    ``latents`` ``(particle, component)`` in the order of the blocks; of the mean alone if None.
    """
    precision, done = model.precision(shells), 0
    for block in blocks():
        z = None if latents is None else latents[done : done + len(block.particles)]
        yield _residual_maps_of_block(model, block, precision, z)
        done += len(block.particles)


def _predicted(model: LinearModel, block: SampleBlock, latents: Tensor | None) -> Tensor:
    """``(image, point, 2)`` what a model says of the samples of a block."""
    if latents is None:
        return _read(block, model.basis)
    values = (block.forward @ model.basis.flatten(1)).reshape(*block.matched.shape, -1)
    extended = torch.cat([latents.new_ones((len(latents), 1)), latents], dim=1).to(values.dtype)
    return (values * extended[block.particle_index][:, None, None, :]).sum(-1)


def _residual_maps_of_block(
    model: LinearModel, block: SampleBlock, precision: Tensor, latents: Tensor | None
) -> Tensor:
    """``(particle, voxel, 2)`` residuals of a block, both places of the plane kx = 0 added up."""
    found = _predicted(model, block, latents)
    pulled = precision[:, None] * (block.matched - block.strength[..., None] * found)
    return spread_to_voxels(block, model.ball, pulled, block.particle_index, len(block.particles))


def spread_to_voxels(
    block: SampleBlock, ball: FourierBall, samples: Tensor, rows: Tensor, count: int
) -> Tensor:
    """Sum samples over the voxels around them, both places of the plane kx = 0 added up.

    Parameters
    ----------
    block, ball
        Where the samples lie, and the voxels.
    samples
        ``(image, point, column)``: real part, imaginary part, and what else is real.
    rows
        ``(image,)`` which of ``count`` sums each image adds to.
    count
        How many sums there are.

    Returns
    -------
    ``(count, voxel, column)``.
    """
    points, columns = samples.shape[1:]
    voxels, weights = len(ball), block.forward.values()
    corners = block.forward.col_indices().to(torch.int64)
    place = rows.repeat_interleave(8 * points) * voxels + corners
    spread = samples.reshape(-1, 1, columns) * weights.reshape(-1, 8, 1)
    total = samples.new_zeros((count * voxels, columns))
    total.index_add_(0, place, spread.reshape(-1, columns))
    total = total.reshape(count, voxels, columns)
    signs = total.new_ones(columns)
    signs[1] = -1.0  # a mirrored place has the complex conjugate
    return torch.where(ball.on_plane[:, None], total + total[:, ball.mirror] * signs, total)


def leading_latents(
    maps: Tensor, power: Tensor, components: int, without: Tensor | None = None
) -> Tensor:
    """Latents ``(particle, component)`` of unit variance along the leading directions.

    Parameters
    ----------
    maps
        ``(particle, voxel, 2)`` residuals.
    power
        ``(voxel,)`` expected signal power, any scale.
    components
        How many directions.
    without
        ``(particle, other)`` latents to which these are to be orthogonal.
    """
    weighted = (maps * power.sqrt()[:, None]).flatten(1).double()
    gram = weighted @ weighted.T
    gram.fill_diagonal_(0)
    if without is not None:
        basis, _ = torch.linalg.qr((without - without.mean(0)).double())
        across = torch.eye(len(gram), dtype=gram.dtype, device=gram.device) - basis @ basis.T
        gram = across @ gram @ across
    _, vectors = torch.linalg.eigh(gram)
    leading = vectors[:, -components:].flip(1)
    largest = leading.abs().argmax(0)
    leading = leading * torch.sign(leading[largest, torch.arange(components)])
    centred = leading - leading.mean(0)
    scaled: Tensor = centred / centred.square().mean(0).sqrt()
    return scaled


def with_components(
    model: LinearModel,
    blocks: Blocks,
    shells: Tensor,
    latents: Tensor,
    factors: Tensor | None = None,
    focus: int | None = None,
) -> LinearModel:
    """Fit components to given latents ``(particle, component)``, which are taken for certain.

    ``factors`` and ``focus`` are those of the new model (`LinearModel`).
    """
    width = latents.shape[1]
    room = model.basis.new_zeros((*model.basis.shape[:2], width))
    # u fills the whole box in the prior but only the support in the fitted mean, so the same
    # number is a prior stronger by the share of the box that the support is: enough, as particles
    # differ by less than what they share.
    prior = model.prior[:, :1].expand(-1, 1 + width)
    started = replace(
        model,
        free=torch.cat([model.free, room], dim=2),
        basis=torch.cat([model.basis, room], dim=2),
        prior=prior.contiguous(),
        factors=factors,
        focus=focus,
    )
    found = e_step(started, blocks, shells, given=latents)
    return m_step(started, blocks, shells, found, 4)
