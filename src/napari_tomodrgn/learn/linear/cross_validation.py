"""How many components, and to which radius: asked of particles that the components never saw.

The set is halved. Components fitted to one half are handed to the other, where only the mean and
the covariance C of z along them are fitted, a handful of numbers: an axis that followed noise
has no variance there. Its eigenvalues, and the rise in log-likelihood that each axis brings, say
what is real, with no label and no threshold on the maps themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from napari_tomodrgn.learn.linear.expectation_maximization import Blocks, sufficient_statistics
from napari_tomodrgn.learn.linear.linear_model import LinearModel

# An axis counts that brings this many nats on unseen particles, and this share of all axes', or so
# many that the share does not matter: what a half's noise leaves of a real axis in the next ones is
# some 10 to 15 nats, however strong the axis and large the set.
_MIN_GAIN_NATS = 4.0
_MIN_SHARE = 0.05
_BEYOND_DOUBT_NATS = 50.0
_EM_STEPS = 60  # of expectation maximisation, for mean and covariance of z


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Components of one half as the other half sees them.

    Attributes
    ----------
    axes
        ``(component, component)`` columns: directions in z, those that explain most first.
    variance
        ``(component,)`` of z along them.
    gains
        ``(component,)`` nats that each axis adds to the log-likelihood of the unseen particles.
    """

    axes: Tensor
    variance: Tensor
    gains: Tensor

    def apply(self, model: LinearModel, components: int) -> LinearModel:
        """Turn the model of the first half onto the first axes, of unit variance on the other.

        Components that are nuisance stay as they are.
        """
        scale = self.variance[:components].clamp(min=1e-6).sqrt()
        turn = (self.axes[:, :components] * scale).to(model.free.dtype)
        judged = 1 + len(self.axes)

        def turned(values: Tensor) -> Tensor:
            mean, axes, nuisance = values[..., :1], values[..., 1:judged], values[..., judged:]
            return torch.cat([mean, axes @ turn, nuisance], dim=-1)

        kept = [*range(1 + components), *range(judged, 1 + model.components)]
        return replace(
            model,
            free=turned(model.free),
            basis=turned(model.basis),
            prior=model.prior[:, kept].contiguous(),
            factors=None if model.factors is None else model.factors[kept],
            focus=None if model.focus is None else components,
        )


def cross_validate(model: LinearModel, blocks: Blocks, shells: Tensor) -> CrossValidation:
    """Fit mean and covariance of z to particles that the components of a model never saw.

    ``shells`` is ``(point,)``, the shell of each sample of an image.
    """
    quadratic, linear = sufficient_statistics(model, blocks, shells)
    strength = 2 * quadratic[:, 1:, 1:]
    right = 2 * (linear[:, 1:] - quadratic[:, 1:, 0])
    if model.focus is not None:
        strength, right = _without_nuisance(strength, right, model.focus)
    width = strength.shape[1]
    eye = torch.eye(width, dtype=strength.dtype, device=strength.device)
    covariance, mean = eye.clone(), torch.zeros_like(right[0])
    for _ in range(_EM_STEPS):
        # The variance of an axis that no particle supports goes to 0.
        inverse = torch.linalg.inv(covariance + 1e-9 * eye)
        spread = torch.linalg.inv(strength + inverse)
        mu = (spread @ (right + inverse @ mean)[..., None])[..., 0]
        mean = mu.mean(0)
        covariance = (mu - mean).T @ (mu - mean) / len(mu) + spread.mean(0)
    variance, axes = torch.linalg.eigh(covariance)
    variance, axes = variance.flip(0), axes.flip(1)
    shifted = right - strength @ mean
    totals = [
        _log_likelihood(strength, shifted, axes[:, :count] * variance[:count].sqrt())
        for count in range(width + 1)
    ]
    return CrossValidation(axes, variance, torch.tensor(totals).diff())


def _without_nuisance(strength: Tensor, right: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    """What is said of the first components alone, the others being N(0, I): Schur complements."""
    cross = strength[:, :kept, kept:]
    eye = torch.eye(cross.shape[2], dtype=cross.dtype, device=cross.device)
    solved = torch.linalg.solve(
        strength[:, kept:, kept:] + eye,
        torch.cat([cross.transpose(1, 2), right[:, kept:, None]], dim=2),
    )
    lost = cross @ solved
    return strength[:, :kept, :kept] - lost[..., :-1], right[:, :kept] - lost[..., -1]


def _log_likelihood(strength: Tensor, right: Tensor, root: Tensor) -> float:
    """Σ ½ gᵀ Rᵀ (I + Rᵀ A R)⁻¹ R g − ½ log|I + Rᵀ A R| with covariance R Rᵀ of z."""
    if root.shape[1] == 0:
        return 0.0
    pulled = right @ root
    eye = torch.eye(root.shape[1], dtype=root.dtype, device=root.device)
    precision = eye + root.T @ strength @ root
    solved = torch.linalg.solve(precision, pulled[..., None])[..., 0]
    return float(((pulled * solved).sum(-1) - torch.logdet(precision)).sum() / 2)


def count_components(gains: Tensor) -> int:
    """Count the real axes, from the nats ``(axis,)`` that each brings on unseen particles."""
    total = gains.clamp(min=0).sum()
    large = (gains >= _MIN_SHARE * total) | (gains >= _BEYOND_DOUBT_NATS)
    real = (gains >= _MIN_GAIN_NATS) & large
    # Axes come in order; those after the first that fails do not count.
    return int(real.long().cumprod(0).sum())
