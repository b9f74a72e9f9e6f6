"""Gaussian posteriors over the latents of particles."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Posterior:
    """Gaussian over latents.

    Attributes
    ----------
    mu, logvar
        ``(particle, latent)`` means and log-variances.
    covariance
        ``(particle, latent, latent)`` where it is known; ``logvar`` is the log of its diagonal.
    """

    mu: Tensor
    logvar: Tensor
    covariance: Tensor | None = None

    @classmethod
    def of(cls, mu: Tensor, covariance: Tensor) -> Posterior:
        """Make a posterior from means ``(particle, latent)`` and full covariances."""
        return cls(mu, torch.diagonal(covariance, dim1=1, dim2=2).log(), covariance)

    def sample(self, noise: Tensor) -> Tensor:
        """One draw per particle, by unit Gaussian noise ``(particle, latent)``."""
        return self.mu + torch.exp(self.logvar / 2) * noise.to(self.mu)

    def kl(self) -> Tensor:
        """Divergence from the unit Gaussian in nats, ``(particle,)``."""
        terms = 1 + self.logvar - self.mu.square() - self.logvar.exp()
        return -terms.sum(dim=-1) / 2
