"""Components brought to full resolution, and kept where both halves of the particles show them.

The linear engine stops at the radius beyond which latents gain nothing, and what it finds there
is spread over the whole particle. Once latents are known, mean and components to the finest
radius are a least-squares fit, and what is real in them shows in both halves of the set at the
same place: local agreement c of half maps gives the weight 2c / (1 + c), as the Fourier shell
correlation does for shells (Rosenthal & Henderson, J. Mol. Biol. 333 (2003) 721), but in real
space, as states differ in places. The mean of a decoder so finished goes on where the solved one
is damped, as back-projection has it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_tomodrgn.learn.linear.decoder import LinearDecoder
from napari_tomodrgn.learn.linear.engine import Fit, LinearEngine
from napari_tomodrgn.learn.linear.expectation_maximization import e_step, m_step
from napari_tomodrgn.learn.linear.fourier_ball import FourierBall
from napari_tomodrgn.learn.linear.initial_model import mean_model, with_components
from napari_tomodrgn.learn.linear.linear_model import LinearModel
from napari_tomodrgn.learn.linear.principal_axes import rotate_to_principal_axes, with_raw_latents
from napari_tomodrgn.learn.reconstruction.mean_map import with_solved_shells

# Reach of local averages, in voxels of a grid of two voxels a finest wavelength.
_REACH = 1.5
# Agreement of this share of the places is that of noise: latents are shared by both
# halves, and with them a little of the noise.
_NOISE_SHARE = 0.5
_MAX_NOISE = 0.3  # agreement that is taken for that of noise, at most


@dataclass(frozen=True, eq=False)
class FullResolutionFit:
    """Mean and components to the finest radius.

    Attributes
    ----------
    weighted
        Basis, noise and prior, for latents of unit variance.
    along
        The same maps along the latents of the fit that they were made from, which stay as they are.
    """

    weighted: LinearModel
    along: LinearModel

    def embed_steps(self, engine: LinearEngine, fit: Fit) -> Generator[int, None, Fit]:
        """Turn to principal axes and embed all particles; yields how much of `EMBED_STEPS`.

        Axes point as those of ``fit`` do, so that no point changes sides.
        """
        ball = self.weighted.ball
        shells = engine.samples.shells(ball.radius_px).to(engine.samples.device)
        blocks = engine.blocks(ball, engine.training_rows(ball.radius_px))
        found = e_step(self.weighted, blocks, shells)
        model, _, _ = rotate_to_principal_axes(self.weighted, found)
        del blocks
        return (yield from engine.embed_steps(model, shells, fit.gains)).pointing_as(fit)


def fit_full_resolution(engine: LinearEngine, fit: Fit) -> FullResolutionFit:
    """Mean and components of a fit to the finest radius that memory allows, weighed by place."""
    radius = max(engine.largest_affordable_radius(), fit.model.ball.radius_px)
    ball = engine.ball(radius)
    training_rows = engine.training_rows(radius)
    whole = _fit_rows(engine, ball, training_rows, fit.training_mu)
    order = torch.randperm(len(training_rows), generator=torch.Generator().manual_seed(0))
    halves = [
        _fit_rows(engine, ball, training_rows[half.sort().values], fit.training_mu).basis
        for half in order.chunk(2)
    ]
    one, two = (_maps(ball, basis[..., 1:]) for basis in halves)
    weights = np.stack([local_weights(a, b) for a, b in zip(one, two, strict=True)])
    weighted = _weight_components(whole, weights)
    along = with_raw_latents(weighted, *_middle_and_spread(fit.training_mu[training_rows]))
    return FullResolutionFit(weighted, along)


def decoder_at_full_resolution(
    model: LinearModel, back_projected: Tensor, box_size_px: int
) -> LinearDecoder:
    """A decoder whose mean goes on to Nyquist, where the fitted one is damped.

    Parameters
    ----------
    model
        Mean and components.
    back_projected
        ``(box, box, box)`` mean map of the same images (`mean_map`).
    box_size_px
        Of the training images.
    """
    fitted = LinearDecoder.from_model(model, box_size_px)
    maps = fitted.basis_volumes(box_size_px, with_level=True)
    maps[0] = with_solved_shells(back_projected.to(maps), maps[0])
    return LinearDecoder(maps, box_size_px // 2, box_size_px)


def _fit_rows(
    engine: LinearEngine, ball: FourierBall, rows: Tensor, latents: Tensor
) -> LinearModel:
    """Mean and components of some particles, from their latents."""
    blocks = engine.blocks(ball, rows)
    shells = engine.samples.shells(ball.radius_px).to(engine.samples.device)
    mean = mean_model(ball, blocks, shells, engine.samples.independent_share)
    middle, spread = _middle_and_spread(latents[rows])
    known = (latents[rows] - middle) / spread
    model = with_components(mean, blocks, shells, known)
    # For certain still: posteriors of the finer model would be along other axes, wider or narrower.
    return m_step(model, blocks, shells, e_step(model, blocks, shells, given=known))


def _middle_and_spread(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``(J,)`` of latents ``(particle, J)``."""
    return latents.mean(0), latents.std(0, correction=0).clamp(min=1e-9)


def _maps(ball: FourierBall, columns: Tensor) -> NDArray[np.float32]:
    """Real maps ``(column, n, n, n)`` of basis columns, as they stand in the ball's grid."""
    grid = ball.on_grid(columns)
    maps = torch.fft.irfftn(grid, s=ball.support.shape, dim=(1, 2, 3))
    return np.asarray(maps.cpu().numpy(), dtype=np.float32)


def local_weights(one: NDArray[np.float32], two: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weigh places of a map 0 to 1 by what two maps ``(n, n, n)`` of independent noise share."""
    both = ndimage.gaussian_filter(one * two, _REACH, mode="wrap")
    each = ndimage.gaussian_filter((one * one + two * two) / 2, _REACH, mode="wrap")
    agreement = both / np.maximum(each, 1e-30)
    inside = each > 1e-3 * each.max()
    if not inside.any():  # a component that is nowhere
        return np.zeros(one.shape, np.float32)
    noise = float(np.clip(np.quantile(agreement[inside], _NOISE_SHARE), 0, _MAX_NOISE))
    agreement = np.clip((agreement - noise) / (1 - noise), 0, 1)
    return np.asarray(2 * agreement / (1 + agreement), dtype=np.float32)


def _weight_components(model: LinearModel, weights: NDArray[np.float32]) -> LinearModel:
    """The model with the maps of its components multiplied by weights ``(component, n, n, n)``."""
    ball = model.ball
    maps = torch.from_numpy(_maps(ball, model.basis[..., 1:]) * weights).to(ball.support)
    spectrum = torch.fft.rfftn(maps, dim=(1, 2, 3)).flatten(1)[:, ball.flat_places()]
    columns = torch.view_as_real(spectrum.T.contiguous()).movedim(-1, 1)
    return replace(model, basis=torch.cat([model.basis[..., :1], columns], dim=2))
