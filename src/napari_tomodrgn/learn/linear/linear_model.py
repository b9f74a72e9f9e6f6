"""The linear model: mean and components on the voxels of half a Fourier grid, noise, prior."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from napari_tomodrgn.learn.linear.fourier_ball import FourierBall


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

    def only(self, components: Tensor) -> LinearModel:
        """The model with some of its components ``(J,)``, by number; all are of interest."""
        kept = torch.cat([components.new_zeros(1), components + 1])
        return replace(
            self,
            free=self.free[..., kept].contiguous(),
            basis=self.basis[..., kept].contiguous(),
            prior=self.prior[:, kept].contiguous(),
            factors=None if self.factors is None else self.factors[kept],
        )

    def with_free(self, free: Tensor) -> LinearModel:
        """Replace the unknowns u by others, ``(voxel, 2, 1 + component)``."""
        return replace(self, free=free, basis=self.apply_support(free))
