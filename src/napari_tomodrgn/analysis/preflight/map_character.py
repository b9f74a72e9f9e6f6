"""What a quick map looks like, in words with the figures behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from napari_tomodrgn.analysis.preflight.cross_validation import Halves
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.learn.reconstruction.contrast import denoise_half_map, density_contrast

FloatArray = NDArray[np.float64]
Word = Literal["particle", "featureless ball", "hollow", "noise"]
# A map whose variation with direction is less than this share of all its density is a ball.
_BALL = 0.05
_HOLLOW = 0.3  # density at the centre over that of the densest shell
_CORRELATED = 0.3  # mean FSC of shells 2 to 4, below which the halves show different things


@dataclass(frozen=True)
class MapCharacter:
    """The word for a map and its figures.

    Attributes
    ----------
    word
        What it looks like.
    structure
        Share of the density's variance that varies with direction at a radius, of that and what
        varies with the radius alone, taken between the half maps so that noise adds nothing.
    centre
        Mean density near the centre over that of the densest radius, both above the surroundings.
    agreement
        Mean FSC of shells 2 to 4.
    """

    word: Word
    structure: float
    centre: float
    agreement: float


def kind_of(halves: Halves, sign: int) -> MapCharacter:
    """Name what half maps show; ``sign`` makes density positive."""
    first, second = (_denoised(half, halves) * sign for half in (halves.first, halves.second))
    radius = radii(first.shape[0])
    shells = np.minimum(np.rint(radius).astype(int), first.shape[0]).ravel()
    count = np.bincount(shells)
    edge = int(0.8 * first.shape[0] / 2)

    def by_radius(values: FloatArray) -> FloatArray:
        return np.asarray((np.bincount(shells, weights=values.ravel()) / count)[: edge + 1])

    one, two = by_radius(first), by_radius(second)
    around = (one[-2:].mean() + two[-2:].mean()) / 2
    profile = (one + two) / 2 - around
    size = count[: edge + 1]
    varying = float((size * (by_radius(first * second) - one * two)).sum())
    radial = float((size * profile**2).sum())
    structure = max(varying, 0.0) / max(max(varying, 0.0) + radial, 1e-30)
    inner = max(2, edge // 6)
    middle = float((size * profile)[:inner].sum() / size[:inner].sum())
    centre = middle / max(float(profile.max()), 1e-30)
    agreement = float(halves.fsc.correlation[2:5].mean())
    return MapCharacter(_word(structure, centre, agreement), structure, centre, agreement)


def _word(structure: float, centre: float, agreement: float) -> Word:
    if agreement < _CORRELATED:
        return "noise"
    if structure < _BALL:
        return "featureless ball"
    return "hollow" if centre < _HOLLOW else "particle"


def _denoised(half: Volume, halves: Halves) -> FloatArray:
    correlation = torch.from_numpy(halves.fsc.correlation)
    return np.asarray(denoise_half_map(torch.from_numpy(half.data).double(), correlation).numpy())


def radii(box_size_px: int) -> FloatArray:
    """Distance of each voxel from the centre of a cube, in voxels."""
    axis = np.arange(box_size_px) - box_size_px // 2
    squared = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2
    return np.asarray(np.sqrt(squared))


def contrasts(halves: Halves) -> tuple[float, float]:
    """Contrast of each half map, as training measures it; positive where density is."""
    maps = (torch.from_numpy(half.data).double() for half in (halves.first, halves.second))
    correlation = torch.from_numpy(halves.fsc.correlation)
    one, two = (density_contrast(denoise_half_map(half, correlation)) for half in maps)
    return one, two
