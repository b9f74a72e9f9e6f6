"""Latents and components of a linear model onto principal axes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from napari_tomodrgn.learn.linear.expectation_maximization import Expectation
from napari_tomodrgn.learn.linear.linear_model import LinearModel


def rotate_to_principal_axes(
    model: LinearModel, expectation: Expectation, *, rescale: bool = True
) -> tuple[LinearModel, Tensor, Tensor]:
    """Turn z onto axes of unit variance and mean 0 with orthogonal signals of the components.

    Returns
    -------
    The model in these axes, the matrix W ``(J, J)`` and the vector m ``(J,)`` with
    ``z_new = W (z − m)``.
    """
    mu, covariance = expectation.mu, expectation.covariance
    centre = mu.mean(0) if rescale else torch.zeros_like(mu[0])
    spread = (mu - centre).T @ (mu - centre) / len(mu) + covariance.mean(0)
    if not rescale:
        spread = torch.eye(len(spread), dtype=spread.dtype, device=spread.device)
    weight = expectation.slope.curvature.double().repeat_interleave(2)[:, None]
    width = model.components
    turn = torch.zeros((width + 1, width + 1), dtype=spread.dtype, device=spread.device)
    turn[0, 0], turn[1:, 0] = 1, centre
    matrix = torch.zeros_like(spread)
    for group in model.groups:
        if group.start == group.stop:
            continue
        root = torch.linalg.cholesky(spread[group, group])
        components = (model.basis[..., 1:][..., group].double() @ root).flatten(0, 1)
        axes = _principal_axes(components, weight)
        turn[1:, 1:][group, group] = root @ axes
        matrix[group, group] = axes.T @ torch.linalg.inv(root)
    return _turned(model, turn), matrix, centre


def with_signs(model: LinearModel, signs: Tensor) -> LinearModel:
    """The model whose components ``(J,)`` are taken the other way round where ``signs`` is −1."""
    turn = torch.diag(torch.cat([signs.new_ones(1), signs]).double())
    return _turned(model, turn)


def with_raw_latents(model: LinearModel, middle: Tensor, spread: Tensor) -> LinearModel:
    """The model of ``(z − middle) / spread``, both ``(J,)``, as one of the latents z themselves."""
    turn = torch.eye(model.components + 1, dtype=torch.float64, device=middle.device)
    turn[1:, 1:] /= spread.double()
    turn[1:, 0] = -middle.double() / spread.double()
    return _turned(model, turn)


def like_signs(latents: Tensor, others: Tensor) -> Tensor:
    """Signs ``(J,)`` with which axes of latents ``(particle, J)`` point as those of others do.

    Each axis as the one that it correlates with most; the sign of an axis is free.
    """
    centred, theirs = latents - latents.mean(0), others - others.mean(0)
    width = theirs.norm(dim=0).clamp(min=1e-12)
    along = centred.T @ (theirs / width)
    most = along.gather(1, along.abs().argmax(1, keepdim=True))[:, 0]
    return torch.where(most < 0, -1.0, 1.0).to(latents)


def _principal_axes(components: Tensor, weight: Tensor) -> Tensor:
    """Orthogonal axes ``(J, J)`` of ``(value, J)`` components, the strongest first."""
    _, axes = torch.linalg.eigh(components.T @ (weight * components))
    axes = axes.flip(1)
    # The sign of an axis is free: the largest entry is positive.
    largest = axes.abs().argmax(0)
    turned: Tensor = axes * torch.sign(axes[largest, torch.arange(axes.shape[1])])
    return turned


def _turned(model: LinearModel, turn: Tensor) -> LinearModel:
    """The model with its columns mixed by ``(1 + J, 1 + J)``."""
    basis = (model.basis.double() @ turn).float()
    if model.factors is None:
        return replace(model, free=(model.free.double() @ turn).float(), basis=basis)
    own = turn.clone()
    own[1:, 0] = 0
    # The mean takes up components as they stand in the mean's own, larger support.
    whole = model.factors[0]
    share = torch.where(whole > 0, model.factors[1:] / whole.clamp(min=1e-6), 0.0)
    taken: Tensor = model.ball.apply_support(model.free[..., 1:], share)
    free = (model.free.double() @ own).float()
    free[..., 0] += taken @ turn[1:, 0].float()
    return replace(model, free=free, basis=basis)
