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

    def beginning_with(self, first: Posterior) -> Posterior:
        """The same with the first latents of another, and with their covariance if it is known."""
        known = first.mu.shape[1]
        mu = torch.cat([first.mu.to(self.mu), self.mu[:, known:]], 1)
        logvar = torch.cat([first.logvar.to(self.logvar), self.logvar[:, known:]], 1)
        if first.covariance is None:
            return Posterior(mu, logvar)
        covariance = torch.diag_embed(logvar.exp())
        covariance[:, :known, :known] = first.covariance
        return Posterior(mu, logvar, covariance)

    def kl(self) -> Tensor:
        """Divergence from the unit Gaussian in nats, ``(particle,)``."""
        terms = 1 + self.logvar - self.mu.square() - self.logvar.exp()
        return -terms.sum(dim=-1) / 2


@dataclass(frozen=True, eq=False)
class LatentDraw:
    """A draw z = μ + σ ε of each particle, with gradients in closed form.

    With a loss L(z) and weights w of the divergences, dL/dμ = dL/dz + w μ and
    dL/d log σ² = dL/dz σ ε / 2 + w (σ² − 1) / 2: a few operations, where autograd needs some forty.

    Attributes
    ----------
    posterior
        Means and log-variances, of which gradients are asked.
    spread
        ``(particle, latent)`` σ ε.
    variance
        ``(particle, latent)`` σ².
    """

    posterior: Posterior
    spread: Tensor
    variance: Tensor

    @classmethod
    def of(cls, posterior: Posterior, noise: Tensor) -> LatentDraw:
        """Draw by unit Gaussian noise ``(particle, latent)``."""
        sigma = torch.exp(posterior.logvar.detach() / 2)
        return cls(posterior, sigma * noise.to(sigma), sigma.square())

    def z(self) -> Tensor:
        """The draw ``(particle, latent)``, without a way back to the posterior."""
        return self.posterior.mu.detach() + self.spread

    def divergence(self, weights: Tensor) -> Tensor:
        """Sum the divergences from the unit Gaussian in nats, weighted by ``(particle,)``."""
        mu, logvar = self.posterior.mu.detach(), self.posterior.logvar.detach()
        terms = torch.addcmul(self.variance - logvar, mu, mu) - 1
        return (terms.sum(1) * weights).sum() / 2

    def backward(self, pulled: Tensor, weights: Tensor) -> None:
        """Hand dL/dz ``(particle, latent)`` and weights ``(particle,)`` on to the posterior."""
        weight = weights[:, None]
        of_mean = torch.addcmul(pulled, self.posterior.mu.detach(), weight)
        of_spread = torch.addcmul((self.variance - 1) * weight, pulled, self.spread) / 2
        torch.autograd.backward([self.posterior.mu, self.posterior.logvar], [of_mean, of_spread])
