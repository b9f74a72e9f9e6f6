"""A tiny simulated set with whole tilt images, and the form filled in for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from napari_tomodrgn.gui.extraction.panel import ExtractionPanel


@pytest.fixture(scope="session")
def tilt_images(made_once: Callable[..., Path]) -> Path:
    from napari_tomodrgn.synthetic import SimulationConfig, simulate

    settings = {"particles": 14, "tilts": 5, "box_size_px": 24, "states": 1, "snr": 2.0}
    config = SimulationConfig(**settings, tilt_series=True)
    return made_once("tilt-images", lambda out: list(simulate(out, config)))


@pytest.fixture(scope="session")
def two_states(made_once: Callable[..., Path]) -> Path:
    """60 particles of two states in one tomogram: enough to decide conventions, and states."""
    from napari_tomodrgn.synthetic import SimulationConfig, simulate

    settings = {"particles": 60, "tilts": 11, "box_size_px": 32, "states": 2, "snr": 1.0}
    config = SimulationConfig(**settings, tomograms=1, tilt_series=True)
    return made_once("two-states", lambda out: list(simulate(out, config)))


@pytest.fixture(scope="session")
def fill() -> Callable[..., None]:
    """Puts the simulated folders into the form; ``said`` are conventions, else left to the data."""

    def fill(panel: ExtractionPanel, root: Path, box_px: int = 24, **said: str) -> None:
        folder = root / "tilt_series"
        panel.folders["alignment"].set_folder(str(folder / "alignments" / "imod"))
        panel.folders["ctf"].set_folder(str(folder / "ctf" / "aretomo"))
        panel.folders["dose"].set_folder(str(folder / "dose" / "mdoc"))
        panel.folders["tomograms"].set_folder(str(root / "tomograms"))
        for name, word in said.items():
            panel.choices[name].setCurrentText(word)
        panel.box.setValue(box_px)
        panel.tilt_series.set_folder(str(folder / "stacks"))

    return fill
