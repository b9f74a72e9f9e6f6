"""The structures that are simulated, as maps and as transforms that slices are read from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.analysis.fsc import fourier_cropped
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.physics.fourier import padded, transform_volume
from napari_tomodrgn.synthetic.molecules import (
    ASSEMBLY,
    MOLECULES,
    frame_names,
    known_names,
    load_maps,
)
from napari_tomodrgn.synthetic.scene import TOMOGRAM_VOXEL_ANGSTROM
from napari_tomodrgn.synthetic.settings import SimulationConfig

# Slices are read from a transform of the volume padded so many times.
OVERSAMPLING = 2


@dataclass(frozen=True, eq=False)
class Structures:
    """States, or frames of a motion, at the box of the images and at the tomogram's voxel size.

    Attributes
    ----------
    names
        One a structure, fit for a file name.
    volumes
        Maps with the box and pixel size of the images; density is positive.
    coarse
        The same maps at the voxel size of the tomogram.
    transforms
        Of ``volumes``, padded `OVERSAMPLING` times, corrected for trilinear reading.
    """

    names: tuple[str, ...]
    volumes: tuple[Volume, ...]
    coarse: tuple[Volume, ...]
    transforms: tuple[Tensor, ...]

    @property
    def pixel_size_angstrom(self) -> float:
        """Pixel size of the images in Å."""
        return self.volumes[0].voxel_size_angstrom

    def transform_at(self, place: float) -> Tensor:
        """Transform of structure number ``place``, or between two where it is not whole.

        Complex ``(n, n, n // 2 + 1)``, as ``transforms`` are.
        """
        return _between(self.transforms, place)

    def coarse_at(self, place: float) -> NDArray[np.float32]:
        """Coarse map of structure number ``place``, or between two where it is not whole.

        ``(n, n, n)`` zyx, density positive.
        """
        tensors = tuple(torch.from_numpy(volume.data) for volume in self.coarse)
        return np.asarray(_between(tensors, place).numpy(), dtype=np.float32)


def _between(members: tuple[Tensor, ...], place: float) -> Tensor:
    low = min(int(place), len(members) - 1)
    share = place - low
    return members[low] if share <= 0 else torch.lerp(members[low], members[low + 1], share)


def load_structures(config: SimulationConfig) -> Structures:
    """The sample maps that a configuration asks for, at its box."""
    return prepare_structures(load_maps(config.molecule, _chosen_names(config)), config)


def _chosen_names(config: SimulationConfig) -> tuple[str, ...]:
    if config.continuous:
        return frame_names(config.molecule)
    if config.assembly:
        return ASSEMBLY
    known = known_names(config.molecule)
    compositions = MOLECULES[config.molecule].compositions
    if config.structures is None and config.states > len(compositions):
        raise BadInputError(
            f"The {config.molecule} has {len(compositions)} states: {', '.join(compositions)}; "
            f"got {config.states}.",
            code="unknown-structure",
        )
    names = config.structures or compositions[: config.states]
    unknown = [name for name in names if name not in known]
    if unknown or len(set(names)) < len(names):
        raise BadInputError(
            f"Structures to simulate must be different ones of {', '.join(known)}; "
            f"got {', '.join(names)}.",
            code="unknown-structure",
        )
    return names


def prepare_structures(sources: dict[str, Volume], config: SimulationConfig) -> Structures:
    """Bring named maps to the box of the images and to the tomogram's voxel size."""
    volumes = tuple(resized(volume, config.box_size_px) for volume in sources.values())
    return Structures(
        names=tuple(sources),
        volumes=volumes,
        coarse=tuple(_for_tomogram(volume) for volume in sources.values()),
        transforms=tuple(_slice_transform(volume) for volume in volumes),
    )


def resized(volume: Volume, box_size_px: int) -> Volume:
    """The map in another box: a smaller one by coarser voxels, a larger one by more margin."""
    margin = box_size_px // 2 - volume.box_size_px // 2
    if margin < 0:
        return fourier_cropped(volume, box_size_px)
    return Volume(np.pad(volume.data, margin), volume.voxel_size_angstrom)


def _for_tomogram(volume: Volume) -> Volume:
    edge = volume.box_size_px * volume.voxel_size_angstrom
    return fourier_cropped(volume, 2 * round(edge / TOMOGRAM_VOXEL_ANGSTROM / 2))


def _slice_transform(volume: Volume) -> Tensor:
    """Transform of the padded map, for slices by trilinear interpolation.

    Reading between the points of a transform dims the map towards the edges of its box, by the
    squared sinc of the place along each axis; dividing by it first takes that back.
    """
    box = volume.box_size_px
    axis = torch.sinc((torch.arange(box) - box // 2) / (box * OVERSAMPLING)).square()
    dimming = axis[:, None, None] * axis[None, :, None] * axis[None, None, :]
    return transform_volume(padded(torch.from_numpy(volume.data) / dimming, OVERSAMPLING))
