"""`simulate`: a generator of frozen events that leaves a folder of files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import write_text
from napari_tomodrgn.synthetic.imaging import (
    Microscope,
    ParticleImages,
    make_microscope,
    signal_scale,
)
from napari_tomodrgn.synthetic.layout import Layout, warp_stack, warptools_stack
from napari_tomodrgn.synthetic.molecules import MOLECULES, load_maps
from napari_tomodrgn.synthetic.scene import Scene, make_scene
from napari_tomodrgn.synthetic.settings import SimulationConfig
from napari_tomodrgn.synthetic.stacks import StackWriter, write_mrc_map
from napari_tomodrgn.synthetic.stars import write_stars, write_true_tilts, write_truth
from napari_tomodrgn.synthetic.structures import Structures, load_structures
from napari_tomodrgn.synthetic.surroundings import neighbor_structures
from napari_tomodrgn.synthetic.threads import in_order, one_core_threads
from napari_tomodrgn.synthetic.tilt_series.images import write_tilt_series
from napari_tomodrgn.synthetic.tomogram import paint_tomogram

_SECONDS_BETWEEN_EVENTS = 0.1  # at least, while images are written
# Settings that came later are written only where they say something, so that the files of a
# simulation stay those of earlier versions.
_LATER = {"molecule": "ribosome", "shares": None, "assembly": None}


@dataclass(frozen=True)
class SimulationProgress:
    """Images of ``done`` of ``total`` units are written; at most ten times a second."""

    done: int
    total: int
    unit: Literal["particles", "tilt series"] = "particles"


@dataclass(frozen=True)
class Simulated:
    """Everything is written.

    Attributes
    ----------
    warptools
        The optimisation set of the WarpTools export, for `read_particles`, if that was asked for.
    warp
        The image-series star of the same particles, if that was asked for.
    tomograms
        One reconstructed tomogram a tilt series.
    truth
        Table with the state, or the coordinate, of each particle.
    truth_maps
        Maps of the states, or of the frames of the motion.
    """

    warptools: Path
    warp: Path
    tomograms: tuple[Path, ...]
    truth: Path
    truth_maps: tuple[Path, ...]


SimulationEvent = SimulationProgress | Simulated


def simulate(out: str | Path, config: SimulationConfig | None = None) -> Iterator[SimulationEvent]:
    """Write a simulated data set (see `napari_tomodrgn.synthetic`), yielding what happened.

    Parameters
    ----------
    out
        A new or empty folder, or one that holds an earlier simulation, which is overwritten.
    config
        What to simulate; the defaults if None.

    Yields
    ------
    `SimulationProgress`, and last of all `Simulated`. Star files are written after the images, so
    that a simulation that was stopped is not taken for a whole one.

    Raises
    ------
    BadInputError
        If ``out`` is a file or a folder with other things in it.
    """
    config = config or SimulationConfig()
    yield from simulate_structures(out, config, load_structures(config))


def simulate_structures(
    out: str | Path, config: SimulationConfig, structures: Structures
) -> Iterator[SimulationEvent]:
    """The same of structures of one's own (`structures.prepare`), drawn with equal chances."""
    layout = Layout(Path(out))
    _prepare_folder(layout, config)
    wrong = config.nuisances
    kinds = MOLECULES[config.molecule].neighbors
    around = None
    if wrong.neighbors or wrong.membranes:
        around = neighbor_structures(load_maps(config.molecule, kinds), config)
    scene = make_scene(config, len(structures.names), structures.pixel_size_angstrom, len(kinds))
    pairs = zip(structures.names, structures.volumes, strict=True)
    maps = tuple(write_mrc_map(layout.truth_map(name), volume) for name, volume in pairs)
    yield from _write_images(layout, make_microscope(scene, structures, config, around))
    tomograms = tuple(
        write_mrc_map(
            layout.tomogram(series.name), paint_tomogram(scene, structures, row, config.seed)
        )
        for row, series in enumerate(scene.series)
    )
    write_truth(layout, scene, structures.names, config.continuous)
    write_true_tilts(layout, scene)
    write_stars(layout, scene, config)
    if config.tilt_series:
        yield from _write_tilt_series(layout, make_microscope(scene, structures, config, around))
    yield Simulated(layout.warptools, layout.warp, tomograms, layout.truth, maps)


def _write_tilt_series(layout: Layout, microscope: Microscope) -> Iterator[SimulationProgress]:
    with one_core_threads() as pool:
        scale = signal_scale(microscope, pool)
    for done in write_tilt_series(layout.tilt_series, microscope, scale):
        yield SimulationProgress(done, len(microscope.scene.series), "tilt series")


def _prepare_folder(layout: Layout, config: SimulationConfig) -> None:
    """Make the folder; take away what would make a half-written simulation look whole."""
    out = layout.out
    if out.exists() and not out.is_dir():
        raise BadInputError(f"{out} is a file, not a folder.", code="not-a-folder")
    if out.exists() and any(out.iterdir()) and not layout.config.exists():
        raise BadInputError(
            f"{out} holds other files.", remedy="Name a new or an empty folder.", code="not-empty"
        )
    for star in layout.stars:
        star.unlink(missing_ok=True)
    later = {name for name in _LATER if getattr(config, name) == _LATER[name]}
    write_text(layout.config, config.model_dump_json(indent=2, exclude=later) + "\n")


def _write_images(layout: Layout, microscope: Microscope) -> Iterator[SimulationProgress]:
    scene = microscope.scene
    done, told = 0, time.monotonic()
    with one_core_threads() as pool:
        scale = signal_scale(microscope, pool)
        make = partial(microscope.images, scale=scale)
        for row, series in enumerate(scene.series):
            members = scene.members(row).tolist()
            with _warp_writer(layout, microscope, row) as stack:
                made = in_order(pool, make, members)
                for particle, images in zip(members, made, strict=True):
                    if stack is not None:
                        stack.append(images.warp[series.visible])
                    if microscope.config.export != "warp":
                        _write_warptools(layout, scene, particle, images)
                    done += 1
                    if time.monotonic() - told >= _SECONDS_BETWEEN_EVENTS:
                        told = time.monotonic()
                        yield SimulationProgress(done, len(scene))
    yield SimulationProgress(done, len(scene))


def _warp_writer(
    layout: Layout, microscope: Microscope, row: int
) -> AbstractContextManager[StackWriter | None]:
    """One stack a tomogram, of the visible images only; nothing if that was not asked for."""
    if microscope.config.export == "warptools":
        return nullcontext()
    scene, box = microscope.scene, microscope.config.box_size_px
    series = scene.series[row]
    count = len(scene.members(row)) * int(np.count_nonzero(series.visible))
    path = layout.warp.parent / warp_stack(series.name)
    return StackWriter(path, (count, box, box), scene.pixel_size_angstrom).as_image_stack()


def _write_warptools(layout: Layout, scene: Scene, particle: int, images: ParticleImages) -> None:
    """One stack a particle; as in real exports it holds the hidden images too."""
    series = scene.series[scene.crowd.series[particle]]
    pixel = scene.pixel_size_angstrom
    name = warptools_stack(series.name, int(scene.crowd.number[particle]), pixel)
    stack = images.warptools
    path = layout.warptools.parent / name
    shape = (stack.shape[0], stack.shape[1], stack.shape[2])
    with StackWriter(path, shape, pixel, "float16").as_image_stack() as writer:
        writer.append(stack)
