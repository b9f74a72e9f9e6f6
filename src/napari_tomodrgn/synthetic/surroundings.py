"""Images of what else is in a particle's box: other molecules and membranes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.physics.fourier import (
    images_from_samples,
    sample_transform,
    shift_phases,
    transform_images,
)
from napari_tomodrgn.physics.lattice import HalfPlane, slice_frequencies
from napari_tomodrgn.synthetic.nuisances import MEMBRANE
from napari_tomodrgn.synthetic.scene import ImagePoses, Scene
from napari_tomodrgn.synthetic.settings import SimulationConfig
from napari_tomodrgn.synthetic.structures import Structures, prepare_structures

# Two leaflets, Å from the middle of the membrane, with their width; density as of the sample maps,
# whose densest voxel is 1.
_LEAFLET_ANGSTROM, _LEAFLET_WIDTH_ANGSTROM, _LEAFLET_DENSITY = 18.0, 8.0, 0.4
# A disc of membrane of this share of half the box, with a soft rim.
_PATCH = 0.9


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Makes the noiseless images of all neighbours of a particle."""

    scene: Scene
    structures: Structures
    lattice: HalfPlane

    def samples(self, particle: int, poses: ImagePoses, transfer: Tensor) -> Tensor:
        """Fourier samples ``(tilt, point)`` of all neighbours together, in the particle's box.

        Parameters
        ----------
        particle
            Row of the particle.
        poses
            Its true poses.
        transfer
            ``(tilt, point)`` CTF and what the dose leaves, taken to be the particle's own.
        """
        neighbors = self.scene.nuisances.neighbors
        box = self.lattice.box_size_px
        images = torch.zeros((len(transfer), box, box))
        tilts = self._tilts(particle)
        for row in neighbors.of(particle):
            rotations = torch.from_numpy(tilts @ neighbors.rotations[row])
            kind = int(neighbors.kind[row])
            slices = sample_transform(
                self.structures.transforms[kind],
                slice_frequencies(self.lattice.frequencies, rotations),
            )
            seen = (tilts @ neighbors.offsets_angstrom[row])[:, :2] / self.scene.pixel_size_angstrom
            place = seen - poses.shifts_px
            whole = np.rint(place).astype(int)
            phases = shift_phases(self.lattice, torch.from_numpy(place - whole))
            _paste(images, images_from_samples(slices * phases * transfer, self.lattice), whole)
        return transform_images(images, self.lattice)

    def _tilts(self, particle: int) -> np.ndarray:
        return self.scene.true_tilts(int(self.scene.crowd.series[particle]))


def _paste(target: Tensor, images: Tensor, offsets_px: np.ndarray) -> None:
    """Add images moved by whole pixels xy; what leaves the box is lost, not wrapped around."""
    box = target.shape[-1]
    for image, source, (x, y) in zip(target, images, offsets_px.tolist(), strict=True):
        if abs(x) >= box or abs(y) >= box:
            continue
        to_y, to_x = (slice(max(d, 0), box + min(d, 0)) for d in (y, x))
        from_y, from_x = (slice(max(-d, 0), box + min(-d, 0)) for d in (y, x))
        image[to_y, to_x] += source[from_y, from_x]


def neighbor_structures(sources: dict[str, Volume], config: SimulationConfig) -> Structures:
    """Structures of neighbours, as named, and a patch of membrane, which is the last."""
    any_volume = next(iter(sources.values()))
    assert MEMBRANE == -1  # the last of a tuple
    return prepare_structures({**sources, "membrane": membrane_patch(any_volume)}, config)


def membrane_patch(like: Volume) -> Volume:
    """A round patch of a membrane whose normal is z, in the box of another map."""
    box = like.box_size_px
    axis = (np.arange(box) - box // 2) * like.voxel_size_angstrom
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    leaflets = sum(
        np.exp(-((z - side * _LEAFLET_ANGSTROM) ** 2) / (2 * _LEAFLET_WIDTH_ANGSTROM**2))
        for side in (1, -1)
    )
    reach = box / 2 * like.voxel_size_angstrom
    rim = np.clip((_PATCH - np.hypot(x, y) / reach) / 0.2, 0, 1)
    density = _LEAFLET_DENSITY * leaflets * (1 - np.cos(np.pi * rim)) / 2
    return Volume(density.astype(np.float32), like.voxel_size_angstrom)
