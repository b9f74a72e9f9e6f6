"""Where two groups differ: places whose difference no random split reaches anywhere.

The map Σ c φ is compared, voxel by voxel, with its spread over permutations; the largest |z|
anywhere in each permutation gives the height that one split in twenty reaches by chance
(family-wise 5 %; Nichols & Holmes, Hum. Brain Mapp. 15 (2002) 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_tomodrgn.analysis.evidence.difference import Features, RealArray, weights_of
from napari_tomodrgn.analysis.evidence.particle_sums import ParticleSums
from napari_tomodrgn.data.volume import Volume

Labels = NDArray[np.int8]

_FAMILY_WISE = 0.05  # share of random splits that reach the height of a blob anywhere
_MOST_PERMUTATIONS = 999  # of the random splits, so many give that height
_PLACES_AT_A_TIME = 4096  # of the mask: all permutations at once would be gigabytes
# The mask's soft edge shows little of the particle, and what it shows is divided by next to no
# spread.
_IN_MASK = 0.3
# Of the lesser sign over the other: the amount of all blobs, that of those that a person would
# count, and the largest |z|. Where a part comes or goes the amount was 0.00 to 0.27 (counted 0.00
# to 0.04), but 0.5 to 1.0 in a small molecule, whose fringes are as large yet half as high (0.5 to
# 0.6); where the small subunit turned 0.8 to 1.0, and as high (0.9 to 1.0). Differences of 7 to 10
# σ, with blobs of |z| 5 to 6, lie anywhere.
_MOVES, _MOVES_HEIGHT = 0.75, 0.8
_COMES, _COMES_PLACES = 0.3, 0.1
_SURE_Z = 7.0

# A map has a part at a place where its density is this share of the molecule's, and the other lacks
# it where it has at most half of that: where a part came or went 0.5 to 1.0 of the molecule's
# density against 0.05 to 0.42 of that.
_HAS, _LACKS = 0.5, 0.5
_MOLECULE_SIGMA = 3.0  # voxels of the mean map beyond this are the molecule's

Change = Literal["", "moves", "more in a", "more in b"]


@dataclass(frozen=True)
class Blob:
    """A connected place where two groups differ.

    Attributes
    ----------
    center_xyz_angstrom
        From the middle of the box, weighted by |z|.
    diameter_angstrom
        Of a sphere of its volume.
    z
        The largest |z| in it, with the sign of A − B.
    """

    center_xyz_angstrom: tuple[float, float, float]
    diameter_angstrom: float
    z: float


def find_blobs(
    features: Features, sums: ParticleSums, labels: Labels, permutations: Labels
) -> list[Blob]:
    """Places of a difference beyond chance, the surest first.

    Parameters
    ----------
    features, sums
        Of the set.
    labels
        ``(2, particle)``.
    permutations
        ``(permutation, 2, particle)``; the first 999 are used.
    """
    kept = np.flatnonzero(features.weights >= _IN_MASK)
    z, limit = _z_and_limit(features.inside, kept, labels, permutations[:_MOST_PERMUTATIONS])
    grid = np.zeros(features.size**3, np.float32)
    grid[features.places[kept]] = z
    grid = grid.reshape((features.size,) * 3)
    voxel = sums.box_size_px * sums.pixel_size_angstrom / features.size
    found = [
        _blob(grid, number == labelled, voxel)
        for sign in (1, -1)
        for labelled, count in [ndimage.label(sign * grid > limit)]
        for number in range(1, count + 1)
    ]
    return sorted(found, key=lambda blob: -abs(blob.z))


def _z_and_limit(
    inside: RealArray, kept: NDArray[np.int64], labels: Labels, permutations: Labels
) -> tuple[RealArray, float]:
    """z ``(place,)`` of the places kept, and the |z| that is reached anywhere by chance."""
    weights, splits = weights_of(labels[None]), weights_of(permutations)
    z, highest = np.empty(len(kept), np.float32), np.zeros(len(splits), np.float32)
    for start in range(0, len(kept), _PLACES_AT_A_TIME):
        here = slice(start, start + _PLACES_AT_A_TIME)
        part = inside[:, kept[here]]
        random = splits @ part
        mean, spread = random.mean(axis=0), random.std(axis=0) + 1e-30
        z[here] = ((weights @ part)[0] - mean) / spread
        random -= mean
        random /= spread
        np.maximum(highest, np.abs(random).max(axis=1), out=highest)
    return z, float(np.quantile(highest, 1 - _FAMILY_WISE))


def places_of(blobs: list[Blob], finest_angstrom: float) -> list[Blob]:
    """The blobs that a person would count as places, the surest first.

    Left out is what is smaller than ``finest_angstrom``, the resolution of the difference, and what
    has the other sign beside a surer one (nearer than both radii): a filtered map has such fringes.
    """
    kept: list[Blob] = []
    for blob in blobs:
        if kept and blob.diameter_angstrom < finest_angstrom:
            continue
        if not any(_is_fringe(blob, surer) for surer in kept):
            kept.append(blob)
    return kept


def change_of(blobs: list[Blob], finest_angstrom: float) -> Change:
    """Whether a part moves, or A or B has one that the other lacks; empty where it is not clear.

    Where it moves, as much is more in A as is more in B, in other places; where it comes or goes
    one sign is left but for fringes. Amounts are volumes times |z|.
    """
    if not blobs or abs(blobs[0].z) < _SURE_Z:
        return ""
    more_in_a, more_in_b = _amounts(blobs)
    lesser, greater = sorted((more_in_a, more_in_b))
    lower, higher = sorted(max((sign * one.z for one in blobs), default=0.0) for sign in (1, -1))
    if lesser >= _MOVES * greater and lower >= _MOVES_HEIGHT * higher:
        return "moves"
    less, more = sorted(_amounts(places_of(blobs, finest_angstrom)))
    if lesser <= _COMES * greater and less <= _COMES_PLACES * more:
        return "more in a" if more_in_a > more_in_b else "more in b"
    return ""


def lacking_parts(places: list[Blob], a: Volume, b: Volume) -> tuple[Change, int]:
    """Which of two maps has parts that the other lacks, and how many; empty where it is not clear.

    At the surest place one has to have density and the other next to none, and wherever else that
    is so it is the same one.

    Parameters
    ----------
    places
        See `places_of`.
    a, b
        Filtered maps of one box and voxel size.
    """
    mean = (a.data + b.data) / 2
    molecule = mean[mean > _MOLECULE_SIGMA * mean.std()]
    if not len(molecule):
        return "", 0
    level = float(molecule.mean())
    sides = [_side(_density(a, place) / level, _density(b, place) / level) for place in places]
    if not sides or not sides[0] or -sides[0] in sides:
        return "", 0
    return ("more in a" if sides[0] > 0 else "more in b"), sides.count(sides[0])


def _side(in_a: float, in_b: float) -> int:
    """1 where A has what B lacks, −1 where B has what A lacks, else 0."""
    less, more = sorted((in_a, in_b))
    return 0 if more < _HAS or less > _LACKS * more else (1 if in_a > in_b else -1)


def _density(volume: Volume, place: Blob) -> float:
    """Mean density of a map within a blob's sphere."""
    voxel, box = volume.voxel_size_angstrom, volume.box_size_px
    middle = np.array(place.center_xyz_angstrom[::-1]) / voxel + box // 2
    radius = max(place.diameter_angstrom / 2 / voxel, 1.0)
    first = np.clip(np.floor(middle - radius), 0, box - 1).astype(int)
    last = np.clip(np.ceil(middle + radius), 0, box - 1).astype(int)
    part = volume.data[tuple(slice(low, high + 1) for low, high in zip(first, last, strict=True))]
    away = np.moveaxis(np.indices(part.shape), 0, -1) + first - middle
    inside = np.square(away).sum(axis=-1) <= radius**2
    return float(part[inside].mean()) if inside.any() else 0.0


def _amounts(blobs: list[Blob]) -> tuple[float, float]:
    """Of blobs that are more in A, and of those that are more in B."""
    amounts = [(blob.diameter_angstrom**3 * abs(blob.z), blob.z > 0) for blob in blobs]
    return sum(one for one, in_a in amounts if in_a), sum(one for one, in_a in amounts if not in_a)


def _is_fringe(blob: Blob, surer: Blob) -> bool:
    distance = np.linalg.norm(np.subtract(blob.center_xyz_angstrom, surer.center_xyz_angstrom))
    radii = (blob.diameter_angstrom + surer.diameter_angstrom) / 2
    return bool(blob.z * surer.z < 0 and distance < radii)


def _blob(grid: RealArray, inside: NDArray[np.bool_], voxel_angstrom: float) -> Blob:
    places = np.argwhere(inside)
    heights = grid[inside]
    weights = np.abs(heights) / np.abs(heights).sum()
    z, y, x = ((places - grid.shape[0] // 2) * weights[:, None]).sum(axis=0) * voxel_angstrom
    volume = len(places) * voxel_angstrom**3
    return Blob(
        (float(x), float(y), float(z)),
        float((6 * volume / np.pi) ** (1 / 3)),
        float(heights[np.abs(heights).argmax()]),
    )
