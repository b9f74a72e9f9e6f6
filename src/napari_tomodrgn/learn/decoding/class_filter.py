"""Shell filters of classes of their own, and which of them holds at a latent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:  # a run is opened without torch
    from torch import Tensor


class ClassFilter(BaseModel):
    """How far the maps of a class may differ from that of latent 0, shell by shell.

    Attributes
    ----------
    center
        Mean latent of the class, ``(latent,)``.
    spread
        Root mean square distance of its particles from there, an axis.
    particles
        How many of it were compared.
    factors
        ``(shell,)``, 0 to 1 and falling.
    """

    model_config = ConfigDict(frozen=True)

    center: tuple[float, ...]
    spread: float
    particles: int
    factors: tuple[float, ...]


def factors_at(filters: Sequence[ClassFilter], z: Tensor) -> Tensor:
    """Factors ``(shell,)`` at a latent ``(latent,)``: of its class, and of both between two.

    Each class counts as a Gaussian of its place, so that maps along a path change without a step.
    """
    import torch

    centers = torch.tensor([one.center for one in filters], device=z.device)
    spread = torch.tensor([one.spread for one in filters], device=z.device).clamp(min=1e-6)
    size = torch.tensor([float(one.particles) for one in filters], device=z.device)
    near = -0.5 * ((z.float() - centers) / spread[:, None]).square().sum(1)
    shares = torch.softmax(near - len(z) * spread.log() + size.log(), dim=0)
    table = torch.tensor([one.factors for one in filters], device=z.device)
    return shares @ table
