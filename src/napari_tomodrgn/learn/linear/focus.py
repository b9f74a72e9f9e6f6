"""The linear engine on one region: what differs inside a mask, whatever differs outside it.

    F(k) = B_0(k) + Σ_i z_i B_i(k) + Σ_o y_o B_o(k)

with the mean B_0 over the whole support S, components B_i = S M u_i confined to the mask M, and
nuisance components B_o = S (1 − M) u_o confined to the rest, all fitted together. Cutting images or
the mean to the mask would not do: what differs outside projects onto the inside in every image.
Latents are the posterior of z, marginalised over y: the block of z of the joint posterior, which is
wider than that of z alone by what y can imitate.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.optics import Optics
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.data.volume_mask import read_mask
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.linear.engine import LinearEngine
from napari_tomodrgn.learn.linear.expectation_maximization import Blocks, posteriors
from napari_tomodrgn.learn.linear.fourier_ball import FourierBall, resample_support, sphere
from napari_tomodrgn.learn.linear.initial_model import (
    leading_latents,
    mean_model,
    residual_maps,
    with_components,
)
from napari_tomodrgn.learn.linear.linear_model import LinearModel
from napari_tomodrgn.learn.runtime.context import RunContext

# Iterations for the outside alone, before the inside is looked at.
_OUTSIDE_ITERATIONS = 4
# Of the support, at least this share has to lie on either side of the mask.
_MIN_SHARE = 1e-3
# Particles whose residuals are cut to a region at a time.
_CUT_AT_A_TIME = 64


def make_engine(data: TiltData, config: RunConfig, context: RunContext) -> LinearEngine:
    """The engine that a configuration asks for.

    Raises
    ------
    BadInputError
        If the focus mask is none, or leaves nothing inside or outside.
    """
    engine = LinearEngine.of(data, config, context)
    if config.linear.focus_mask is None:
        return engine
    path = Path(config.linear.focus_mask)
    return FocusEngine.on_mask(engine, read_focus_mask(config.linear.focus_mask, data.optics), path)


def read_focus_mask(path: str, optics: Optics) -> NDArray[np.float64]:
    """Read the mask ``(m, m, m)`` of a region of particles with these optics.

    Raises
    ------
    BadInputError
        If it is none, or leaves nothing outside.
    """
    box = optics.box_size_px
    mask = read_mask(path, box, box * optics.pixel_size_angstrom)
    _check_share(sphere(1.0, len(mask)), mask, Path(path))
    return mask


def _check_share(support: NDArray[np.float64], mask: NDArray[np.float64], path: Path) -> None:
    share = float((support * mask).sum() / support.sum())
    if not _MIN_SHARE < share < 1 - _MIN_SHARE:
        where = "outside of" if share < 0.5 else "inside"
        raise BadInputError(
            f"{path}: nearly all of the particle lies {where} the mask ({share:.1%} inside).",
            remedy="Mark a region of the particle.",
            code="bad-mask",
        )


@dataclass(frozen=True, eq=False)
class FocusEngine(LinearEngine):
    """The engine with components on either side of a mask ``(m, m, m)``, origin at ``m // 2``."""

    mask: NDArray[np.float64]

    @classmethod
    def on_mask(cls, engine: LinearEngine, mask: NDArray[np.float64], path: Path) -> FocusEngine:
        """Focus an engine on a mask, which may reach beyond the density of the mean map.

        Parameters
        ----------
        engine
            The engine; its support grows by the mask.
        mask
            ``(m, m, m)`` zyx over the box of the particle, 0 … 1, at any sampling.
        path
            Where it was read, for the sentence.

        Raises
        ------
        BadInputError
            If the mask leaves nearly nothing of the support inside, or outside.
        """
        size = len(engine.support)
        inside = torch.fft.fftshift(resample_support(mask, size)).double().numpy()
        support = np.maximum(engine.support, inside)
        _check_share(support, inside, path)
        known = {field.name: getattr(engine, field.name) for field in fields(LinearEngine)}
        return cls(**(known | {"support": support}), mask=inside)

    def factors(self, ball: FourierBall, inside: int, outside: int) -> Tensor:
        """Support of each column ``(1 + inside + outside, n, n, n)``: mean, inside, outside."""
        size = ball.support.shape[0]
        mask = resample_support(self.mask, size).to(ball.support)
        whole = ball.support[None]
        return torch.cat(
            [
                whole,
                (whole * mask).expand(inside, -1, -1, -1),
                (whole * (1 - mask)).expand(outside, -1, -1, -1),
            ]
        )

    def _fit_components(
        self, ball: FourierBall, blocks: Blocks, shells: Tensor, width: int
    ) -> LinearModel:
        """Mean, leading components outside, then those inside that they do not explain."""
        mean = mean_model(ball, blocks, shells, self.samples.independent_share)
        maps = torch.cat(list(residual_maps(mean, blocks, shells)))
        power = (1 / mean.prior[:, 0])[ball.shells]
        count = min(self.config.linear.outside_components, len(maps) - 1 - width)
        factors = self.factors(ball, width, max(count, 1))
        inside, outside = factors[1], factors[-1]
        nuisance = leading_latents(_cut(ball, maps, outside), power, max(count, 1))
        model = with_components(
            mean, blocks, shells, nuisance, factors[[0, *range(1 + width, len(factors))]], 0
        )
        model = self._run_em(model, blocks, shells, _OUTSIDE_ITERATIONS)
        nuisance = posteriors(model, blocks, shells)[0]
        latents = leading_latents(_cut(ball, maps, inside), power, width, nuisance)
        both = torch.cat([latents, _unit(nuisance)], dim=1)
        return with_components(mean, blocks, shells, both, factors, width)


def _unit(latents: Tensor) -> Tensor:
    """Latents ``(particle, component)`` of mean 0 and unit variance."""
    centred = latents - latents.mean(0)
    return centred / centred.square().mean(0).sqrt().clamp(min=1e-9)


def _cut(ball: FourierBall, maps: Tensor, factor: Tensor) -> Tensor:
    """Residuals ``(particle, voxel, 2)`` as far as they are of a region."""
    parts = [
        ball.apply_support(part.permute(1, 2, 0), factor).permute(2, 0, 1)
        for part in maps.split(_CUT_AT_A_TIME)
    ]
    return torch.cat(parts)
