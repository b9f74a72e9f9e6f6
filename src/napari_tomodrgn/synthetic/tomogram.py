"""A tomogram with the particles in place: coarse, light on dark, noisy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.geometry import FloatArray, euler_to_matrix
from napari_tomodrgn.synthetic.scene import TOMOGRAM_VOXEL_ANGSTROM, Scene
from napari_tomodrgn.synthetic.structures import Structures

# Standard deviation of a voxel's noise, where the sample maps' densest voxel is 1.
_NOISE = 0.15


def paint_tomogram(scene: Scene, structures: Structures, series: int, seed: int) -> Volume:
    """Add up the densities of a tomogram's particles as they are, and noise.

    Voxel ``(k, j, i)`` lies at ``z, y, x = voxel · (k, j, i)`` from the corner from which the
    particles' positions are counted.
    """
    edges = scene.series[series].extent_xyz_angstrom / TOMOGRAM_VOXEL_ANGSTROM
    shape = tuple(round(edge) for edge in edges[::-1])
    rng = np.random.default_rng([seed, 2, series])
    data = rng.standard_normal(shape, dtype=np.float32) * np.float32(_NOISE)
    crowd = scene.crowd
    centres = scene.true_positions_angstrom() / TOMOGRAM_VOXEL_ANGSTROM
    rotations = euler_to_matrix(scene.true_angles_deg())
    for row in scene.members(series):
        if scene.nuisances.false_picks[row]:
            continue
        density = structures.coarse_at(float(crowd.place[row]))
        _add_particle(data, density, centres[row], rotations[row])
    return Volume(data, TOMOGRAM_VOXEL_ANGSTROM)


def _add_particle(
    data: NDArray[np.float32],
    density: NDArray[np.float32],
    centre_xyz_px: FloatArray,
    rotation: FloatArray,
) -> None:
    """Add a map, turned by ``rotation`` (reference → specimen), to the tomogram at a place."""
    reach = density.shape[0] // 2
    first = np.ceil(centre_xyz_px - reach).astype(int)
    limit = np.array(data.shape[::-1])
    low, high = np.clip(first, 0, limit), np.clip(first + 2 * reach, 0, limit)
    x, y, z = (np.arange(start, stop) for start, stop in zip(low, high, strict=True))
    there = np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1], axis=-1) - centre_xyz_px
    # Row vectors times R are columns times its transpose: back into the reference.
    inside = (there @ rotation)[..., ::-1] + density.shape[0] // 2
    turned = map_coordinates(density, np.moveaxis(inside, -1, 0), order=1, mode="constant")
    data[low[2] : high[2], low[1] : high[1], low[0] : high[0]] += turned
