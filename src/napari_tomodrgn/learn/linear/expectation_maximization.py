"""Expectation maximisation of the linear model, one pass over the samples at a time.

    x = T (B_0 + Σ_j z_j B_j)(k) + h n        z ~ N(0, I)        B_j(k) trilinear between voxels

With ẑ = (1, z), the matched samples b and strengths a of `image_samples`, and π = τ/σ²(|k|):

E-step, each particle: Λ = I + 2 Σ π a Re(B†B),  μ = Λ⁻¹ 2 Σ π Re(B†(b − a B_0))
M-step: B maximises −Σ π (a E|ẑᵀB|² − 2 Re E[ẑᵀB]* b) − Σ |u_j|²/power_j,
B = S u (`fourier_ball`), with E[zzᵀ] = μμᵀ + Λ⁻¹.
Its normal equations couple the corners of each sample; a few steps of conjugate gradients from
where B stands never lower the likelihood (a generalised EM step: Dempster, Laird & Rubin 1977).
Factor analysis by EM: Rubin & Thayer, Psychometrika 47 (1982) 69; principal axes: Tipping &
Bishop, J. R. Stat. Soc. B 61 (1999) 611; rescaling z to unit covariance as parameter expansion:
Liu, Rubin & Wu, Biometrika 85 (1998) 755.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_tomodrgn.learn.linear.fourier_ball import FourierBall
from napari_tomodrgn.learn.linear.image_samples import SampleBlock
from napari_tomodrgn.learn.linear.linear_model import LinearModel

# Steps of conjugate gradients in one M-step.
_GRADIENT_STEPS = 2

Blocks = Callable[[], Iterable[SampleBlock]]


@dataclass(frozen=True, eq=False)
class Slope:
    """Where the likelihood rises, and how soon it bends.

    Attributes
    ----------
    gradient
        ``(voxel, 2, 1 + component)`` of the log-likelihood, halved.
    curvature
        ``(voxel,)`` Σ π a of the samples around each voxel.
    """

    gradient: Tensor
    curvature: Tensor


@dataclass(frozen=True, eq=False)
class SquaredErrors:
    """What a model leaves unexplained: ``(point,)`` sums of squared errors, number of terms."""

    total: Tensor
    counts: Tensor

    @classmethod
    def none_of(cls, shells: Tensor) -> SquaredErrors:
        """Nothing yet, of images with samples in these shells ``(point,)``."""
        zeros = torch.zeros(len(shells), dtype=torch.float64, device=shells.device)
        return cls(zeros, zeros.clone())

    def add(self, block: SampleBlock, beyond: Tensor | None) -> None:
        """Add those of a block; ``beyond`` ``(image, point)`` is a |F|² − 2 Re F* b of a map F."""
        energy = block.energy if beyond is None else block.energy + beyond
        self.total.add_((block.counted * energy).double().sum(0))
        self.counts.add_(block.counted.double().sum(0))


@dataclass(frozen=True, eq=False)
class Expectation:
    """What one pass finds: posteriors of particles, and sums over samples.

    Attributes
    ----------
    particles
        ``(particle,)`` rows of the set.
    mu, covariance
        ``(particle, component)``, ``(particle, component, component)``.
    gain
        ``(particle,)`` log-likelihood of the particle's samples beyond that of pure noise.
    slope
        Of the expected log-likelihood.
    errors
        Expected ones, e − 2 Re …
    """

    particles: Tensor
    mu: Tensor
    covariance: Tensor
    gain: Tensor
    slope: Slope
    errors: SquaredErrors

    def moments(self) -> Tensor:
        """E[ẑẑᵀ] of each particle, ``(particle, 1 + component, 1 + component)``."""
        return second_moments(self.mu, self.covariance)


def second_moments(mu: Tensor, covariance: Tensor) -> Tensor:
    """Compute E[ẑẑᵀ] ``(particle, 1 + J, 1 + J)`` with ẑ = (1, z) from means and covariances."""
    ones = mu.new_ones((len(mu), 1))
    extended = torch.cat([ones, mu], dim=1)
    moments = extended[:, :, None] * extended[:, None, :]
    moments[:, 1:, 1:] += covariance
    return moments


@dataclass(frozen=True, eq=False)
class _Projection:
    """Products of one block with the basis, ``images · points`` rows of two parts."""

    values: Tensor  # (image, 2 point, 1 + component)
    weighted: Tensor  # the same times π a


def _project(block: SampleBlock, basis: Tensor, precision: Tensor) -> _Projection:
    images, points = block.strength.shape
    values = (block.forward @ basis.flatten(1)).reshape(images, points, 2, basis.shape[2])
    weighted = values * (block.strength * precision)[..., None, None]
    return _Projection(values.flatten(1, 2), weighted.flatten(1, 2))


def _matched(block: SampleBlock, precision: Tensor) -> Tensor:
    """``(image, 2 point)`` π b."""
    return (block.matched * precision[:, None]).flatten(1)


def _times(rows: Tensor, matrices: Tensor) -> Tensor:
    """``(image, row, j)`` times ``(image, j, k)``; of one column without a matrix product."""
    return rows * matrices if rows.shape[2] == 1 else torch.bmm(rows, matrices)


def _particle_sums(
    block: SampleBlock, normal: _Projection, matched: Tensor
) -> tuple[Tensor, Tensor]:
    """Σ π a Re(B†B) and Σ π Re(B†b) of each particle of a block, in double precision."""
    width = normal.values.shape[2]
    quadratic = torch.bmm(normal.weighted.transpose(1, 2), normal.values).flatten(1)
    linear = torch.bmm(normal.values.transpose(1, 2), matched[..., None])[..., 0]
    sums = (block.gather @ torch.cat([quadratic, linear], dim=1)).double()
    return sums[:, : width * width].reshape(-1, width, width), sums[:, width * width :]


def sufficient_statistics(
    model: LinearModel, blocks: Blocks, shells: Tensor
) -> tuple[Tensor, Tensor]:
    """All that the samples of each particle say of (1, z): ``(particle, 1 + J, 1 + J)`` and
    ``(particle, 1 + J)``, see `_particle_sums`.
    """
    precision = model.precision(shells)
    parts = [
        _particle_sums(block, _project(block, model.basis, precision), _matched(block, precision))
        for block in blocks()
    ]
    quadratic, linear = (torch.cat(column) for column in zip(*parts, strict=True))
    return quadratic, linear


def _posterior(
    block: SampleBlock, normal: _Projection, matched: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """μ, Λ⁻¹ and log-likelihood beyond noise of each particle of a block."""
    return posteriors_from(*_particle_sums(block, normal, matched))


def posteriors_from(quadratic: Tensor, linear: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Infer μ ``(particle, J)``, Λ⁻¹ ``(particle, J, J)`` and gain ``(particle,)`` in nats.

    From `sufficient_statistics`, which add up over the images of a particle.
    """
    eye = torch.eye(linear.shape[1] - 1, dtype=linear.dtype, device=linear.device)
    precision = eye + 2 * quadratic[:, 1:, 1:]
    right = 2 * (linear[:, 1:] - quadratic[:, 1:, 0])
    factor = torch.linalg.cholesky(precision)
    covariance = torch.cholesky_inverse(factor)
    mu = (covariance @ right[..., None])[..., 0]
    logdet = 2 * torch.diagonal(factor, dim1=1, dim2=2).log().sum(-1)
    gain = 2 * linear[:, 0] - quadratic[:, 0, 0] + ((mu * right).sum(-1) - logdet) / 2
    return mu, covariance, gain


def posteriors(model: LinearModel, blocks: Blocks, shells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Infer μ ``(particle, J)``, Λ⁻¹ ``(particle, J, J)`` and gain ``(particle,)`` in nats."""
    precision = model.precision(shells)
    parts = [
        _posterior(block, _project(block, model.basis, precision), _matched(block, precision))
        for block in blocks()
    ]
    mu, covariance, gain = (torch.cat(column) for column in zip(*parts, strict=True))
    return mu, covariance, gain


def e_step(
    model: LinearModel, blocks: Blocks, shells: Tensor, given: Tensor | None = None
) -> Expectation:
    """One pass: posteriors, gradient of the expected likelihood, errors.

    Parameters
    ----------
    model, blocks
        Model and samples.
    shells
        ``(point,)`` shell of each sample of an image.
    given
        Latents ``(particle, component)`` to take for certain, in the order of the blocks, instead
        of their posteriors.
    """
    precision = model.precision(shells)
    gradient, errors = torch.zeros_like(model.basis), SquaredErrors.none_of(shells)
    curvature = model.basis.new_zeros(len(model.ball))
    found, done = [], 0
    for block in blocks():
        normal, matched = _project(block, model.basis, precision), _matched(block, precision)
        mu, covariance, gain = _posterior(block, normal, matched)
        if given is not None:
            mu = given[done : done + len(mu)].to(mu)
            covariance = torch.zeros_like(covariance)
        done += len(mu)
        found.append((block.particles, mu, covariance, gain))
        moments = second_moments(mu, covariance)
        residual, beyond = _residual(block, normal, matched, moments, precision)
        columns = torch.cat([residual, (block.strength * precision).reshape(-1, 1)], dim=1)
        sums = block.backward @ columns
        gradient += sums[:, :-1].reshape(gradient.shape)
        curvature += sums[:, -1]
        errors.add(block, beyond)
    particles, mu, covariance, gain = (torch.cat(column) for column in zip(*found, strict=True))
    slope = Slope(*fold_plane(model.ball, gradient, curvature))
    return Expectation(particles, mu, covariance, gain, slope, errors)


def _residual(
    block: SampleBlock,
    normal: _Projection,
    matched: Tensor,
    moments: Tensor,
    precision: Tensor,
) -> tuple[Tensor, Tensor]:
    """π (E[ẑ] b − a E[ẑẑᵀ] B) at each sample, and the expected squared error there less e."""
    images, points = block.strength.shape
    of_image = moments.to(normal.values.dtype)[block.particle_index]
    pulled = _times(normal.weighted, of_image)
    mean = of_image[:, 0]
    residual = matched[..., None] * mean[:, None, :] - pulled
    square = (pulled * normal.values).sum(-1)
    cross = matched * (normal.values @ mean[..., None])[..., 0]
    term = (square - 2 * cross).reshape(images, points, 2).sum(-1) / precision
    return residual.reshape(images * points, -1), term


def fold_plane(ball: FourierBall, gradient: Tensor, curvature: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of the two places at which a voxel with kx = 0 stands."""
    plane = ball.on_plane
    mirrored = gradient[ball.mirror]
    mirrored[:, 1] *= -1
    gradient = torch.where(plane[:, None, None], gradient + mirrored, gradient)
    return gradient, torch.where(plane, curvature + curvature[ball.mirror], curvature)


def _curvature_product(
    model: LinearModel, blocks: Blocks, shells: Tensor, moments: Tensor, direction: Tensor
) -> Tensor:
    """The matrix of the normal equations, without the prior, times a direction."""
    precision = model.precision(shells)
    product, done = torch.zeros_like(direction), 0
    for block in blocks():
        count = len(block.particles)
        normal = _project(block, direction, precision)
        of_image = moments[done : done + count].to(direction.dtype)[block.particle_index]
        pulled = _times(normal.weighted, of_image)
        product += (block.backward @ pulled.reshape(block.strength.numel(), -1)).reshape(
            product.shape
        )
        done += count
    return fold_plane(model.ball, product, torch.zeros_like(product[:, 0, 0]))[0]


def m_step(
    model: LinearModel,
    blocks: Blocks,
    shells: Tensor,
    expectation: Expectation,
    steps: int = _GRADIENT_STEPS,
) -> LinearModel:
    """Improve the basis by steps of conjugate gradients on the normal equations (`climb`).

    ``shells`` is ``(point,)``; ``expectation`` what `e_step` found for the same blocks.
    """
    moments = expectation.moments()
    mean_square = torch.diagonal(moments, dim1=1, dim2=2).mean(0)

    def product(direction: Tensor) -> Tensor:
        """Of ``(voxel, 2, 1 + component)``."""
        return _curvature_product(model, blocks, shells, moments, direction)

    return climb(model, expectation.slope, mean_square, product, steps)


def climb(
    model: LinearModel,
    slope: Slope,
    mean_square: Tensor,
    product: Callable[[Tensor], Tensor],
    steps: int,
) -> LinearModel:
    """Steps of preconditioned conjugate gradients from where a model stands.

    Parameters
    ----------
    model, slope
        The model, and the slope of the likelihood there.
    mean_square
        ``(1 + component,)`` mean of ẑ² over the particles.
    product
        Multiplies ``(voxel, 2, 1 + component)`` with the matrix of the normal equations, the
        prior's part of it left out.
    steps
        How many.
    """
    ball = model.ball
    prior = model.prior[ball.shells][:, None, :]
    scale = slope.curvature[:, None, None] * mean_square.to(prior.dtype) + prior
    # Voxels on the plane kx = 0 stand there twice.
    half = torch.where(ball.on_plane, 0.5, 1.0).to(prior.dtype)[:, None, None]
    free = model.free
    residual = model.apply_support(slope.gradient) - prior * free
    direction = residual / scale
    rise = (residual * direction * half).sum()
    for step in range(steps):
        mapped = product(model.apply_support(direction))
        mapped = model.apply_support(mapped) + prior * direction
        length = rise / (direction * mapped * half).sum().clamp(min=1e-30)
        free = free + length * direction
        if step + 1 < steps:
            residual = residual - length * mapped
            preconditioned = residual / scale
            following = (residual * preconditioned * half).sum()
            direction = preconditioned + following / rise.clamp(min=1e-30) * direction
            rise = following
    return model.with_free(free)


def estimate_noise(errors: SquaredErrors, shells: Tensor, count: int) -> Tensor:
    """Estimate σ² ``(shell,)`` from squared errors; empty shells as the nearest."""
    total = torch.zeros(count, dtype=torch.float64, device=shells.device)
    number = torch.zeros_like(total)
    for source, target in ((errors.total, total), (errors.counts, number)):
        target += torch.bincount(shells, weights=source, minlength=count)[:count]
    known = number > 0
    noise = total / number.clamp(min=1)
    shell = torch.arange(count, device=noise.device)
    away = (shell[:, None] - shell).abs() + count * ~known
    noise = noise[away.argmin(dim=1)]
    return noise.clamp(min=float(noise.max()) * 1e-6).float()
