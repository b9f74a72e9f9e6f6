"""What is cut holds the resolution of the data, and half a pixel beside does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import napari_tomodrgn.extract.series as series_module
from napari_tomodrgn.analysis.reconstruct import reconstruct
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.extract.geometry import TiltGeometry
from napari_tomodrgn.extract.run import extract
from napari_tomodrgn.extract.settings import ExtractConfig
from napari_tomodrgn.synthetic import SimulationConfig, simulate

pytestmark = pytest.mark.slow
# Half a pixel costs 2.5 Å here: 14.3 Å as cut, 16.7 Å beside.
LIMIT_ANGSTROM = 15.5


@pytest.fixture(scope="module")
def fine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 ribosomes at 6 Å/px, 21 tilts."""
    out = tmp_path_factory.mktemp("fine")
    config = SimulationConfig(
        particles=100, tilts=21, states=1, tomograms=1, snr=2.0, tilt_series=True
    )
    for _ in simulate(out, config):
        pass
    return out


def resolution(root: Path, out: Path, **more: object) -> float:
    folder = root / "tilt_series"
    settings = {
        "particles": folder / "lists" / "imod" / "stopgap.star",
        "tilt_series": folder / "stacks",
        "alignment": folder / "alignments" / "imod",
        "ctf": folder / "ctf" / "ctffind",
        "dose": folder / "dose" / "mdoc",
        "tomograms": root / "tomograms",
        "z": "keep",
        "pose": "keep",
        "origin": "1",
        "hand": "1",
    }
    list(extract(ExtractConfig.model_validate({**settings, **more}), out))
    return reconstruct(read_particles(out / "optimisation_set.star")).resolution_angstrom


def test_the_resolution_of_the_data_is_kept(fine: Path, tmp_path: Path) -> None:
    assert resolution(fine, tmp_path / "out") <= LIMIT_ANGSTROM


def test_bin_2_reaches_nyquist(fine: Path, tmp_path: Path) -> None:
    binned = {"box_px": 32, "pixel_size_target_angstrom": 12.0}
    assert resolution(fine, tmp_path / "out", **binned) == pytest.approx(24.0)


def test_half_a_pixel_beside_fails(
    fine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader: Callable[..., TiltGeometry] = series_module.read_alignment

    def beside(*given: Any, **named: Any) -> TiltGeometry:
        found = reader(*given, **named)
        return replace(found, middle_px=found.middle_px + 0.5)

    monkeypatch.setattr(series_module, "read_alignment", beside)
    assert resolution(fine, tmp_path / "out") > LIMIT_ANGSTROM
