"""Do particles stand where the tomogram has density? As they are, mirrored, swapped or scaled.

Programs count z from either face, write z and y the other way round, and give positions in voxels
of a binned tomogram. Each such reading is tried: the density around all positions, against that
after the same positions are moved together along x and y, which keeps what a slab of ice does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_tomodrgn.analysis.tomogram.placement import POSITION_COLUMNS
from napari_tomodrgn.data.checks import Check
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tomograms import Voxels, find_files, open_tomogram
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.geometry import FloatArray

# Joint moves that say what chance gives; standard errors that are asked for, and how far ahead of
# the next reading the best one has to be.
_MOVES = 200
_ENOUGH_Z = 5.0
_AHEAD = 1.5
# Positions that have to be inside the tomogram for a reading to be tried.
_INSIDE = 0.7
# A particle is taken to be this share of its box wide: images have a margin around it.
_RADIUS_OF_BOX = 0.25
_WHY = "Positions that are read wrongly put every particle's defocus and surroundings elsewhere."

Reading = Callable[[FloatArray, FloatArray], FloatArray]


def _as_given(places: FloatArray, extent: FloatArray) -> FloatArray:
    return places


def _z_mirrored(places: FloatArray, extent: FloatArray) -> FloatArray:
    return np.column_stack([extent[0] - places[:, 0], places[:, 1:]])


def _y_z_swapped(places: FloatArray, extent: FloatArray) -> FloatArray:
    return places[:, [1, 0, 2]]


def _scaled(factor: float) -> Reading:
    return lambda places, extent: places * factor


# What positions may be instead of what they are taken to be; places and extent are zyx in Å.
READINGS: dict[str, Reading] = {
    "as given": _as_given,
    "z mirrored": _z_mirrored,
    "y and z swapped": _y_z_swapped,
    **{f"{n} times as large (voxels binned by {n})": _scaled(n) for n in (2, 4, 8)},
    **{f"{n} times smaller": _scaled(1 / n) for n in (2, 4, 8)},
}


@dataclass(frozen=True)
class PositionFit:
    """How well positions fit a tomogram in one reading.

    Attributes
    ----------
    reading
        A name in `READINGS`.
    z_score
        Mean density around the positions, in standard deviations of what joint moves give;
        negative where particles are dark. 0 for a reading that puts them outside.
    particles
        How many positions were looked at.
    """

    reading: str
    z_score: float
    particles: int


def fit_positions(
    density: Voxels,
    voxel_size_angstrom: float,
    places_zyx_angstrom: FloatArray,
    radius_angstrom: float,
) -> list[PositionFit]:
    """Try every reading of positions on a tomogram.

    Parameters
    ----------
    density
        Tomogram zyx, either contrast; voxel ``(k, j, i)`` lies at ``(k, j, i)`` voxel sizes.
    voxel_size_angstrom
        Edge of its voxels.
    places_zyx_angstrom
        ``(particle, 3)`` from its corner.
    radius_angstrom
        Of a particle, about.

    Returns
    -------
    One fit a reading, in the order of `READINGS`.
    """
    factor = max(1, int(radius_angstrom / voxel_size_angstrom / 3))
    volume = _binned(density, factor)
    voxel = voxel_size_angstrom * factor
    sigma = radius_angstrom / voxel / 2
    # Local density against what is around it: neither ice nor a gradient counts.
    local = gaussian_filter(volume, sigma) - gaussian_filter(volume, 3 * sigma)
    extent = np.array(density.shape) * voxel_size_angstrom
    # The middle of the first binned voxel is not its corner.
    offset = (factor - 1) / 2
    readings = []
    for name, read in READINGS.items():
        voxels = read(places_zyx_angstrom, extent) / voxel_size_angstrom
        readings.append(_fit(name, local, (voxels - offset) / factor))
    return readings


def _fit(name: str, local: FloatArray, places: FloatArray) -> PositionFit:
    """One reading; ``places`` are voxels of ``local``."""
    shape = np.array(local.shape)
    inside = np.all((places >= 0) & (places <= shape - 1), axis=1)
    if inside.mean() < _INSIDE:
        return PositionFit(name, 0.0, int(inside.sum()))
    kept = places[inside]
    rng = np.random.default_rng(0)
    moves = np.zeros((_MOVES + 1, 3))
    moves[1:, 1:] = rng.uniform(0.1, 0.9, (_MOVES, 2)) * shape[1:]
    means = np.empty(len(moves))
    for row, move in enumerate(moves):
        moved = kept + move
        moved[:, 1:] %= shape[1:] - 1
        means[row] = map_coordinates(local, moved.T, order=1, mode="nearest").mean()
    spread = float(means[1:].std())
    z_score = float((means[0] - means[1:].mean()) / spread) if spread > 0 else 0.0
    return PositionFit(name, z_score, len(kept))


def _binned(density: Voxels, factor: int) -> FloatArray:
    """Means of blocks, section by section: the tomogram is mapped, not read whole."""
    edges = [edge // factor * factor for edge in density.shape]
    sections = []
    for start in range(0, edges[0], factor):
        slab = np.asarray(density[start : start + factor, : edges[1], : edges[2]], np.float32)
        blocks = slab.reshape(factor, edges[1] // factor, factor, edges[2] // factor, factor)
        sections.append(blocks.mean(axis=(0, 2, 4)))
    return np.array(sections, np.float64)


def position_check(particles: ParticleSet, folder: Path) -> Check:
    """Whether particles stand where their tomograms have density, and else which reading fits.

    Parameters
    ----------
    particles
        With positions.
    folder
        Tomograms, called after those of the particles (`find_files`).

    Raises
    ------
    BadInputError
        If no tomogram of the particles is in the folder.
    """
    table = particles.particles
    names = [str(name) for name in table["tomogram"].unique()]
    files = find_files(names, folder)
    if not files:
        raise BadInputError(
            f"{folder}: has no tomogram of these particles ({', '.join(names[:3])} …).",
            remedy="Name the folder with files such as TS_01*.mrc.",
            code="no-tomogram-files",
        )
    radius = _RADIUS_OF_BOX * particles.optics.box_size_px * particles.optics.pixel_size_angstrom
    extents = {one.name: one.extent_xyz_angstrom for one in particles.source.tomograms}
    fits: list[list[PositionFit]] = []
    for name, path in files.items():
        places = table.loc[table["tomogram"].astype(str) == name, POSITION_COLUMNS].dropna()
        if len(places):
            *_, found = open_tomogram(path, extents.get(name))
            assert found is not None  # it comes last
            zyx = places.to_numpy(np.float64)[:, ::-1]
            fits.append(fit_positions(found.levels[0], found.voxel_size_angstrom, zyx, radius))
    return _verdict(fits)


def _verdict(fits: list[list[PositionFit]]) -> Check:
    """One answer of all tomograms: their scores are independent, so they add up."""
    scores = {
        name: sum(one[row].z_score for one in fits) / max(len(fits), 1) ** 0.5
        for row, name in enumerate(READINGS)
    }
    ranked = sorted(scores, key=lambda name: -abs(scores[name]))
    best, second = ranked[0], ranked[1]
    z_best, z_second = abs(scores[best]), abs(scores[second])
    words = (
        f"{best} they stand where the tomogram has density ({z_best:.1f} standard deviations "
        f"above chance), {second} {z_second:.1f}"
    )
    if z_best < _ENOUGH_Z or z_best < _AHEAD * z_second:
        return Check(
            "positions-density",
            "info",
            f"The tomograms do not say how positions are to be read: {words}.",
            z_best,
            _WHY,
        )
    if best == "as given":
        message = f"Particles stand where the tomograms have density: {words}."
        return Check("positions-density", "ok", message, z_best, _WHY)
    return Check(
        "positions-elsewhere",
        "error",
        f"Positions are not what they are taken to be: {words}; as given {scores['as given']:.1f}.",
        z_best,
        _WHY,
        "Write the positions that way, or extract with the right --z, --origin or pixel size.",
    )
