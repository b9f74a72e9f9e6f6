"""Images of two pixel sizes: are they on one scale?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mrcfile
import pytest
from exports.mixed import imaged_at, write_mixed

from napari_tomodrgn.analysis.preflight import CheckDone, preflight
from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.checks import Check
from napari_tomodrgn.data.dialects import read_particles


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Path]:
    """A tomogram of 64 px of 6 Å and one of 48 px of 8 Å; the second's images times a factor."""
    folder = tmp_path_factory.mktemp("noisy")
    worlds = [imaged_at(folder, box, particles=60, tilts=15, snr=0.3) for box in (64, 48)]

    def write(factor: float) -> Path:
        star = write_mixed(worlds, "relion5", folder / f"times_{factor}")
        for stack in (star.parent / "1_48").rglob("*.mrcs"):
            with mrcfile.open(stack, "r+") as images:
                images.set_data((images.data.astype("float32") * factor).astype("float32"))
        return star

    return write


def checks_of(star: Path) -> dict[str, Check]:
    steps = preflight(read_particles(star), DataConfig(pixel_size_target_angstrom=12.0))
    return {event.check.code: event.check for event in steps if isinstance(event, CheckDone)}


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "ok"), (1.5, "warning"), (0.6, "warning")])
def test_a_difference_in_scale_is_measured_and_told(
    noisy: Callable[[float], Path], factor: float, verdict: str
) -> None:
    found = checks_of(noisy(factor))
    assert found["group-scale"].verdict == verdict, found["group-scale"]
    assert found["group-scale"].number == pytest.approx(factor, rel=0.03)
    # Nothing else is wrong with such a set.
    others = {code for code, check in found.items() if check.verdict in ("warning", "error")}
    assert others <= {"group-scale"}
