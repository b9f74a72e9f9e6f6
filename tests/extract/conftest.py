"""A small simulated set with whole tilt images, shared by all tests of the room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from napari_tomodrgn.extract.settings import ExtractConfig
from napari_tomodrgn.synthetic import SimulationConfig, simulate


@pytest.fixture(scope="session")
def tilt_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 ribosomes in two tomograms, 11 tilts, box 32 (12 Å/px)."""
    out = tmp_path_factory.mktemp("tilt_images")
    settings = {"particles": 30, "tilts": 11, "box_size_px": 32, "states": 1, "snr": 1.0}
    for _ in simulate(out, SimulationConfig(**settings, tilt_series=True)):
        pass
    return out


@pytest.fixture(scope="session")
def made(tilt_images: Path) -> Callable[..., ExtractConfig]:
    """Settings to extract the simulated set by one alignment and one list."""

    def make(form: str = "imod", name: str = "stopgap.star", **more: object) -> ExtractConfig:
        folder = tilt_images / "tilt_series"
        family = "imod" if form == "imod" else "aretomo"
        settings = {
            "particles": folder / "lists" / family / name,
            "tilt_series": folder / "stacks",
            "alignment": folder / "alignments" / form,
            "ctf": folder / "ctf" / "ctffind",
            "dose": folder / "dose" / "mdoc",
            "tomograms": tilt_images / "tomograms",
            "box_px": 32,
            "z": "keep",
            "pose": "keep",
            "origin": "1" if name in ("stopgap.star", "motl.em", "dynamo.tbl") else "0",
            "hand": "1",
        }
        return ExtractConfig.model_validate({**settings, **more})

    return make
