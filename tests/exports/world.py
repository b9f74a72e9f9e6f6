"""A simulated scene, the truth of its images, and helpers to write files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import starfile
from numpy.typing import NDArray

from napari_tomodrgn.geometry import matrix_to_euler
from napari_tomodrgn.synthetic import SimulationConfig, simulate
from napari_tomodrgn.synthetic.scene import (
    Scene,
    make_scene,
)
from napari_tomodrgn.synthetic.structures import load_structures

SERIES_PIXEL = 1.5
CONFIG = SimulationConfig(
    particles=24, tilts=11, box_size_px=32, states=1, snr=1000.0, hidden_tilts=2, seed=3
)
Columns = dict[str, Any]


@dataclass(frozen=True)
class Exported:
    """What a generator wrote.

    ``star`` is the file to open, ``particles`` the one that lists particles or images. Particle
    ``i`` of the scene is called ``names[i]``.
    """

    star: Path
    particles: Path
    names: list[str]
    rows_are_images: bool


@dataclass(frozen=True)
class World:
    """The folder of a simulation and the truth behind it."""

    out: Path
    config: SimulationConfig
    scene: Scene

    def series_of(self, particle: int) -> str:
        return self.scene.series[self.scene.crowd.series[particle]].name

    def stack_of(self, particle: int) -> NDArray[np.float16]:
        """All frames of a particle, pre-multiplied and weighted."""
        number = self.scene.crowd.number[particle]
        pixel = self.scene.pixel_size_angstrom
        series = self.series_of(particle)
        folder = self.out / "warptools" / "particles" / series
        return mrcfile.read(folder / f"{series}_{pixel:.2f}A_{number:06d}.mrcs")

    def images_of(self, series: int) -> NDArray[np.float32]:
        """All visible images of a series as recorded, a particle after the other."""
        name = self.scene.series[series].name
        return mrcfile.read(self.out / "warp" / "particles" / f"{name}.mrcs")


def xyz(stem: str, ends: Any, values: NDArray[np.float64]) -> Columns:
    return {f"{stem}{end}": values[:, i] for i, end in enumerate(ends)}


def write_stack(path: Path, images: NDArray[Any], pixel: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path, overwrite=True) as stack:
        stack.set_data(np.ascontiguousarray(images))
        stack.set_image_stack()
        stack.voxel_size = pixel


def write_blocks(path: Path, blocks: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    starfile.write(blocks, path, float_format="%.6f", overwrite=True)


def flags(visible: NDArray[np.bool_]) -> str:
    return "[" + ",".join(str(int(flag)) for flag in visible) + "]"


def image_truth(world: World, particle: int) -> Columns:
    """Values of the visible images of a particle, by plain names."""
    series = world.scene.series[world.scene.crowd.series[particle]]
    poses, scheme = world.scene.poses(particle), world.scene.scheme
    angles = matrix_to_euler(poses.rotations)
    columns = {
        **{name: angles[:, i] for i, name in enumerate(("rot", "tilt", "psi"))},
        "x": poses.shifts_px[:, 0],
        "y": poses.shifts_px[:, 1],
        "u": poses.defocus_u_angstrom,
        "v": poses.defocus_v_angstrom,
        "angle": series.defocus_angle_deg,
        "dose": scheme.dose_e_per_angstrom2,
        "stage": scheme.stage_tilt_deg,
        "frame": np.arange(world.config.tilts),
    }
    return {name: values[series.visible] for name, values in columns.items()}


def make_world(out: Path, config: SimulationConfig = CONFIG) -> World:
    """Two dozen ribosomes of one kind in two tomograms, two of eleven tilts hidden."""
    for _ in simulate(out, config):
        pass
    structures = load_structures(config)
    scene = make_scene(config, len(structures.names), structures.pixel_size_angstrom)
    return World(out, config, scene)
