"""A small simulated data set for *File > Open Sample*: a ribosome in two states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_tomodrgn.synthetic import Simulated, SimulationConfig, simulate

CONFIG = SimulationConfig(
    particles=120, tilts=15, box_size_px=32, states=2, snr=1.0, tomograms=2, seed=1
)


def sample_folder() -> Path:
    """Where the set is kept between sessions."""
    from qtpy.QtCore import QStandardPaths

    caches = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericCacheLocation)
    return Path(caches) / "napari-tomodrgn" / f"sample-{CONFIG.particles}"


def write_sample(folder: Path) -> Path:
    """The star file of the set, simulated where it is not there yet (seconds)."""
    star = folder / "warptools" / "particles_optimisation_set.star"
    if not star.is_file():
        for event in simulate(folder, CONFIG):
            if isinstance(event, Simulated):
                star = event.warptools
    return star


def simulated() -> list[tuple[Any, ...]]:
    """Open the set in the tomoDRGN dock; it is simulated in a thread the first time."""
    from napari_tomodrgn.gui.reader import current_viewer, open_dock, positions

    viewer = current_viewer()
    if viewer is None:
        return positions(write_sample(sample_folder()))
    open_dock(viewer).controller.open_prepared(lambda: write_sample(sample_folder()))
    return [(None,)]
