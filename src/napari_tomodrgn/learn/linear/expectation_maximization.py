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
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from napari_tomodrgn.learn.linear.fourier_ball import FourierBall
from napari_tomodrgn.learn.linear.image_samples import SampleBlock

# Steps of conjugate gradients in one M-step.
_GRADIENT_STEPS = 2

Blocks = Callable[[], Iterable[SampleBlock]]


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Basis, noise and prior.

    Attributes
    ----------
    ball
        The voxels.
    free
        ``(voxel, 2, 1 + component)`` u, real and imaginary part, of the mean and the components.
    basis
        The same of B = S u.
    noise
        ``(shell,)`` σ².
    prior
        ``(shell, 1 + component)`` inverse of the expected |u|².
    share
        τ, the share of the samples that is independent.
    factors
        ``(1 + component, n, n, n)`` support of each column of u, where they differ.
    focus
        How many components, the first ones, are of interest; the others are nuisance that is
        marginalised over. None: all are of interest.
    """

    ball: FourierBall
    free: Tensor
    basis: Tensor
    noise: Tensor
    prior: Tensor
    share: float
    factors: Tensor | None = None
    focus: int | None = None

    @property
    def groups(self) -> tuple[slice, ...]:
        """Components that may be mixed with each other: those of interest, then any others."""
        if self.focus is None:
            return (slice(0, self.components),)
        return slice(0, self.focus), slice(self.focus, self.components)

    def apply_support(self, free: Tensor) -> Tensor:
        """B = S u of ``(voxel, 2, 1 + component)`` unknowns."""
        return self.ball.apply_support(free, self.factors)

    def marginal(self, mu: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
        """Posteriors ``(particle, J)``, ``(particle, J, J)`` of the components of interest."""
        kept = self.groups[0]
        return mu[:, kept], covariance[:, kept, kept]

    @property
    def components(self) -> int:
        """Number of components besides the mean."""
        return int(self.basis.shape[2]) - 1

    def precision(self, shells: Tensor) -> Tensor:
        """Compute τ/σ² at samples of these shells, ``(point,)`` both."""
        return self.share / self.noise[shells]

    def first(self, components: int) -> LinearModel:
        """The model with its first components only."""
        return replace(
            self,
            free=self.free[..., : 1 + components].contiguous(),
            basis=self.basis[..., : 1 + components].contiguous(),
            prior=self.prior[:, : 1 + components].contiguous(),
            factors=None if self.factors is None else self.factors[: 1 + components],
            focus=None if self.focus is None else min(self.focus, components),
        )

    def with_free(self, free: Tensor) -> LinearModel:
        """Replace the unknowns u by others, ``(voxel, 2, 1 + component)``."""
        return replace(self, free=free, basis=self.apply_support(free))


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
    gradient
        ``(voxel, 2, 1 + component)`` of the expected log-likelihood, halved.
    curvature
        ``(voxel,)`` Σ π a of the samples around each voxel.
    errors, counts
        ``(point,)`` sums of the expected squared error e − 2 Re … and number of terms.
    """

    particles: Tensor
    mu: Tensor
    covariance: Tensor
    gain: Tensor
    gradient: Tensor
    curvature: Tensor
    errors: Tensor
    counts: Tensor

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
    quadratic, linear = _particle_sums(block, normal, matched)
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
    gradient = torch.zeros_like(model.basis)
    curvature = model.basis.new_zeros(len(model.ball))
    errors = precision.new_zeros(len(shells), dtype=torch.float64)
    counts = torch.zeros_like(errors)
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
        residual, error = _residual(block, normal, matched, moments, precision)
        columns = torch.cat([residual, (block.strength * precision).reshape(-1, 1)], dim=1)
        sums = block.backward @ columns
        gradient += sums[:, :-1].reshape(gradient.shape)
        curvature += sums[:, -1]
        errors += error.sum(0)
        counts += block.counted.double().sum(0)
    particles, mu, covariance, gain = (torch.cat(column) for column in zip(*found, strict=True))
    return Expectation(
        particles,
        mu,
        covariance,
        gain,
        *_fold_plane(model.ball, gradient, curvature),
        errors,
        counts,
    )


def _residual(
    block: SampleBlock,
    normal: _Projection,
    matched: Tensor,
    moments: Tensor,
    precision: Tensor,
) -> tuple[Tensor, Tensor]:
    """π (E[ẑ] b − a E[ẑẑᵀ] B) at each sample, and the expected squared error there."""
    images, points = block.strength.shape
    of_image = moments.to(normal.values.dtype)[block.particle_index]
    pulled = _times(normal.weighted, of_image)
    mean = of_image[:, 0]
    residual = matched[..., None] * mean[:, None, :] - pulled
    square = (pulled * normal.values).sum(-1)
    cross = matched * (normal.values @ mean[..., None])[..., 0]
    term = (square - 2 * cross).reshape(images, points, 2).sum(-1) / precision
    error = block.counted * (block.energy + term)
    return residual.reshape(images * points, -1), error.double()


def _fold_plane(ball: FourierBall, gradient: Tensor, curvature: Tensor) -> tuple[Tensor, Tensor]:
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
    return _fold_plane(model.ball, product, torch.zeros_like(product[:, 0, 0]))[0]


def m_step(
    model: LinearModel,
    blocks: Blocks,
    shells: Tensor,
    expectation: Expectation,
    steps: int = _GRADIENT_STEPS,
) -> LinearModel:
    """Improve the basis by steps of preconditioned conjugate gradients on the normal equations.

    ``shells`` is ``(point,)``; ``expectation`` what `e_step` found for the same blocks.
    """
    ball, moments = model.ball, expectation.moments()
    prior = model.prior[ball.shells][:, None, :]
    mean_square = torch.diagonal(moments, dim1=1, dim2=2).mean(0).to(prior.dtype)
    scale = expectation.curvature[:, None, None] * mean_square + prior
    # Voxels on the plane kx = 0 stand there twice.
    half = torch.where(ball.on_plane, 0.5, 1.0).to(prior.dtype)[:, None, None]
    free = model.free
    residual = model.apply_support(expectation.gradient) - prior * free
    direction = residual / scale
    rise = (residual * direction * half).sum()
    for step in range(steps):
        mapped = model.apply_support(direction)
        product = _curvature_product(model, blocks, shells, moments, mapped)
        product = model.apply_support(product) + prior * direction
        length = rise / (direction * product * half).sum().clamp(min=1e-30)
        free = free + length * direction
        if step + 1 < steps:
            residual = residual - length * product
            preconditioned = residual / scale
            following = (residual * preconditioned * half).sum()
            direction = preconditioned + following / rise.clamp(min=1e-30) * direction
            rise = following
    return model.with_free(free)


def estimate_noise(expectation: Expectation, shells: Tensor, count: int) -> Tensor:
    """Estimate σ² ``(shell,)`` from expected squared errors; empty shells as the nearest."""
    total = torch.zeros(count, dtype=torch.float64, device=shells.device)
    number = torch.zeros_like(total)
    for source, target in ((expectation.errors, total), (expectation.counts, number)):
        target += torch.bincount(shells, weights=source, minlength=count)[:count]
    known = number > 0
    noise = total / number.clamp(min=1)
    shell = torch.arange(count, device=noise.device)
    away = (shell[:, None] - shell).abs() + count * ~known
    noise = noise[away.argmin(dim=1)]
    return noise.clamp(min=float(noise.max()) * 1e-6).float()
