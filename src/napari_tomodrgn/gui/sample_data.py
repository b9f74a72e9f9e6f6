"""A small simulated data set for *File > Open Sample*: a ribosome in two states."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

STRUCTURES = ("80S", "60S")
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


def simulated() -> list[tuple[Any, ...]]:
    """Open the set in the tomoDRGN dock; it is simulated in a thread the first time.

    The layers are the true structures, hidden, to hold against what is decoded.
    """
    from napari_tomodrgn.gui.reader import current_viewer, open_dock

    viewer = current_viewer()
    if viewer is not None:
        open_dock(viewer).controller.open_prepared(lambda: write_sample(sample_folder()))
    return true_structures()


def sample_folder() -> Path:
    """Where the set is kept between sessions."""
    from qtpy.QtCore import QStandardPaths

    caches = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericCacheLocation)
    return Path(caches) / "napari-tomodrgn" / f"sample-{SETTINGS['particles']}"


def write_sample(folder: Path) -> Path:
    """The star file of the set, simulated where it is not there yet (seconds)."""
    from napari_tomodrgn.synthetic import Simulated, SimulationConfig, simulate

    star = folder / "warptools" / "particles_optimisation_set.star"
    if not star.is_file():
        for event in simulate(folder, SimulationConfig(**SETTINGS)):
            if isinstance(event, Simulated):
                star = event.warptools
    return star


def true_structures() -> list[tuple[Any, ...]]:
    """Image layers of the maps that the states are simulated from, in Å about their centre."""
    maps = files("napari_tomodrgn") / "sample_maps" / "ribosome_6zu5.npz"
    with maps.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        voxel = float(stored["voxel_size_angstrom"])
        volumes = {name: stored[name].astype(np.float32) for name in STRUCTURES}
    layers: list[tuple[Any, ...]] = []
    for name, volume in volumes.items():
        kwargs = {
            "name": f"truth {name}",
            "scale": (voxel,) * 3,
            "translate": tuple(-voxel * (edge // 2) for edge in volume.shape),
            "units": ("angstrom",) * 3,
            "rendering": "iso",
            "iso_threshold": 0.3,
            "visible": False,
        }
        layers.append((volume, kwargs, "image"))
    return layers
