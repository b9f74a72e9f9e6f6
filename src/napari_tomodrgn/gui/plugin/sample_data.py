"""*File > Open Sample*: ribosomes in two states to train on, and a run that is trained already."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.types import FullLayerData

_RUN_NOTE = (
    "A sample without its images: explore it here, and see its particles in place under Explore. "
    "To train, open the other sample."
)
STRUCTURES = ("80S", "60S")
RUN_STRUCTURES = ("80S", "60S", "40S")
# Of `SimulationConfig`, which is not imported here because it brings torch with it.
SETTINGS: dict[str, Any] = {
    "particles": 120,
    "tilts": 15,
    "box_size_px": 32,
    "structures": STRUCTURES,
    "snr": 1.0,
    "tomograms": 2,
    "seed": 1,
}


def simulated() -> list[FullLayerData]:
    """Open the set in the tomoDRGN dock; it is simulated in a thread the first time.

    The layers are the true structures, hidden, to hold against what is decoded.
    """
    from napari_tomodrgn.gui.plugin.reader import current_viewer
    from napari_tomodrgn.gui.window.dock import open_dock

    viewer, folder = current_viewer(), sample_folder()
    if viewer is not None:
        open_dock(viewer).controller.open_prepared(lambda: write_sample(folder))
    return true_structures(STRUCTURES, folder)


def trained() -> list[FullLayerData]:
    """Open the trained run that the package carries: three compositions in two tomograms."""
    from napari_tomodrgn.gui.plugin.reader import current_viewer
    from napari_tomodrgn.gui.window.dock import open_dock

    viewer, folder = current_viewer(), cache_folder() / "sample-run"
    if viewer is None:
        return true_structures(RUN_STRUCTURES, folder)
    controller = open_dock(viewer).controller
    controller.open_prepared(lambda: copied_run(folder), _RUN_NOTE)
    # napari takes half a second for these layers, and the run is what was asked for; it insists on
    # one at once.
    first, *others = true_structures(RUN_STRUCTURES, folder)
    controller.truth_layers.add_later(others)
    return [first]


def copied_run(folder: Path) -> Path:
    """The run of the package as a folder of the user's, where selections can be kept.

    A copy of an earlier version of the package is replaced.
    """
    from napari_tomodrgn.learn.run.directory import Run

    packaged = packaged_run()
    made = Run.open(packaged).info.created
    if not (folder / "run.json").is_file() or Run.open(folder).info.created != made:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(packaged, folder)
    return folder


def packaged_run() -> Path:
    """The run that the package carries."""
    return Path(str(files("napari_tomodrgn") / "sample_run"))


def cache_folder() -> Path:
    """Where samples are kept between sessions."""
    from qtpy.QtCore import QStandardPaths

    caches = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericCacheLocation)
    return Path(caches) / "napari-tomodrgn"


def sample_folder() -> Path:
    """Where the simulated set is kept between sessions."""
    return cache_folder() / f"sample-{SETTINGS['particles']}"


def write_sample(folder: Path) -> Path:
    """The star file of the set, simulated where it is not there yet (seconds)."""
    from napari_tomodrgn.synthetic import Simulated, SimulationConfig, simulate

    star = folder / "warptools" / "particles_optimisation_set.star"
    if not star.is_file():
        for event in simulate(folder, SimulationConfig(**SETTINGS)):
            if isinstance(event, Simulated):
                star = event.warptools
    return star


def true_structures(names: tuple[str, ...], folder: Path) -> list[FullLayerData]:
    """Return image layers of the maps that the states are simulated from, in Å about their centre.

    They go when another data set than the sample in ``folder`` is opened.
    """
    from napari_tomodrgn.gui.window.sample_truth_layers import SAMPLE

    maps = files("napari_tomodrgn") / "sample_maps" / "ribosome_6zu5.npz"
    with maps.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        voxel = float(stored["voxel_size_angstrom"])
        volumes = {name: stored[name].astype(np.float32) for name in names}
    layers: list[FullLayerData] = []
    for name, volume in volumes.items():
        kwargs = {
            "name": f"truth {name}",
            "metadata": {SAMPLE: str(folder)},
            "scale": (voxel,) * 3,
            "translate": tuple(-voxel * (edge // 2) for edge in volume.shape),
            "units": ("angstrom",) * 3,
            "rendering": "iso",
            "iso_threshold": 0.3,
            "visible": False,
        }
        layers.append((volume, kwargs, "image"))
    return layers
