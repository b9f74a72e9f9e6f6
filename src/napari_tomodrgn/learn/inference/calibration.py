"""Are posteriors as wide as they say? Each particle is embedded twice, from disjoint tilts.

With the prior N(0, I) and posteriors N(μ₁, C₁), N(μ₂, C₂) from the two halves of a particle's
images, the means differ by

    E (μ₁ − μ₂)(μ₁ − μ₂)ᵀ = C₁ + C₂ − C₁ C₂ − C₂ C₁

if the widths are right: where images say nothing both are 0 on the left and C₁ = C₂ = I on the
right; where they say all, the errors of both halves add. (z − μ₁ and z − μ₂ share what the prior
says of z, with covariance C₁ C₂.) The ratio of what is found to what is expected is 1 for
honest posteriors, above 1 where they are too narrow.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.inference.methods import Inference, infer_in_chunks
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.runtime.steps import offset_steps

# So many particles, spread over the set, are embedded twice.
MAX_EMBEDDED_TWICE = 1000


@dataclass(frozen=True)
class Calibration:
    """Found against expected differences of latents from halves of the tilts.

    Attributes
    ----------
    particles
        Number of particles.
    ratio
        Of all dimensions together, or of the first ones if only these were asked for: mean square
        difference over that expected; 1 is right.
    standard_error
        Of ``ratio``.
    ratio_by_dimension
        The same for each latent dimension.
    known_by_dimension
        1 minus the mean posterior variance: how much half of the images say, 0 to 1.
    """

    particles: int
    ratio: float
    standard_error: float
    ratio_by_dimension: list[float]
    known_by_dimension: list[float]

    @property
    def miscalibrated(self) -> bool:
        """Whether the ratio is not 1 beyond chance."""
        return abs(self.ratio - 1) > 2 * self.standard_error


def image_halves(data: TiltData) -> tuple[Tensor, Tensor]:
    """Split the images: masks ``(image,)`` of halves that alternate by tilt angle.

    By rank of the angle within the particle the halves go 0 1 1 0 0 1 1 0 …: where a source keeps
    only the cosine of a tilt, both sides of the range follow one another, and plain alternation
    would put one side into each half. Every other particle begins with the other half, so that
    both hold as many images and doses. Particles of two images or more are in both halves.
    """
    arrays = data.particles.arrays()
    owner, tilt = arrays.particle, arrays.stage_tilt_deg
    order = np.lexsort((tilt, owner))
    rank = np.empty(len(owner), dtype=np.int64)
    rank[order] = np.arange(len(owner)) - np.searchsorted(owner, owner[order])
    first = torch.from_numpy(((rank + 1) // 2 + owner) % 2 == 0)
    return first, ~first


def calibration_particles(data: TiltData) -> Tensor:
    """Choose the particles to embed twice: ``(particle,)`` rows, spread over the set."""
    particle_index = torch.from_numpy(data.particles.arrays().particle.copy())
    able = torch.nonzero(torch.bincount(particle_index, minlength=data.particle_count) >= 2)[:, 0]
    chosen = torch.linspace(0, len(able) - 1, min(len(able), MAX_EMBEDDED_TWICE)).long().unique()
    return able[chosen] if len(able) else able


def calibrate(
    inference: Inference, data: TiltData, first: int | None = None
) -> Generator[int, None, Calibration | None]:
    """Embed particles twice, from halves of their tilts, and compare; None if too few have two.

    ``first``: as of `compare_halves`. Yields how many are done, of twice `calibration_particles`.
    """
    rows = calibration_particles(data)
    if len(rows) < 2:
        return None
    one, two = image_halves(data)
    half = yield from infer_in_chunks(inference, rows, one)
    other = yield from offset_steps(infer_in_chunks(inference, rows, two), len(rows))
    return compare_halves(half, other, first)


def compare_halves(one: Posterior, two: Posterior, first: int | None = None) -> Calibration:
    """Compare posteriors ``(particle, latent)`` of the same particles from disjoint images.

    ``first``: how many of the first latents ``ratio`` is of; None: all.
    """
    covariances = _covariance(one), _covariance(two)
    both, shared = covariances[0] + covariances[1], covariances[0] @ covariances[1]
    expected = torch.diagonal(both - shared - shared.mT, dim1=1, dim2=2).mean(0)
    expected = expected.clamp(min=1e-12)
    found = (one.mu - two.mu).double().square().mean(0)
    asked = expected[:first]
    ratio = float(found[:first].sum() / asked.sum())
    count = len(one.mu) * float(asked.sum() ** 2 / asked.square().sum())
    variance = torch.diagonal(both, dim1=1, dim2=2).mean(0) / 2
    return Calibration(
        len(one.mu),
        ratio,
        ratio * (2 / count) ** 0.5,
        (found / expected).tolist(),
        (1 - variance).tolist(),
    )


def _covariance(posterior: Posterior) -> Tensor:
    if posterior.covariance is not None:
        return posterior.covariance.double()
    return torch.diag_embed(posterior.logvar.double().exp())
