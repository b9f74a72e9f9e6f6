"""The map that a run keeps of its typical particle, to be opened with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.gui.plugin.sample_data import packaged_run
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.particle_columns import latent_matrix, row_of, typical_particle


@pytest.fixture
def run_of_its_own(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy that nothing was kept in."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    for file in folder.glob("analysis/first-map-*"):
        file.unlink()
    return folder


def test_the_first_map_is_kept_and_shown_before_it_is_decoded_anew(
    widget: Any, opened: Callable[[Path], Any], run_of_its_own: Path
) -> None:
    session = opened(run_of_its_own)
    file = session.run.analysis.first_map_file(session.epoch)
    decoded = session.decoded
    assert decoded.complete and decoded.particle_id == session.focused
    np.testing.assert_allclose(read_volume(file).data, decoded.volume.data, atol=1e-6)
    shown: list[tuple[bool, Any]] = []
    session.events.decoded.connect(lambda one: one and shown.append((one.complete, one.volume)))
    opened(run_of_its_own)
    assert not shown[0][0], "what was kept comes first"
    assert session.decoded.complete, "and the network has the last word"
    np.testing.assert_allclose(shown[0][1].data, session.decoded.volume.data, atol=1e-5)


def test_a_damaged_first_map_costs_nothing_but_time(
    widget: Any, opened: Callable[[Path], Any], run_of_its_own: Path
) -> None:
    run = Run.open(run_of_its_own)
    file = run.analysis.first_map_file(run.epochs()[-1])
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"no map")
    session = opened(run_of_its_own)
    assert session.decoded.complete and session.decoded.particle_id == session.focused


def test_the_sample_has_one_and_it_is_that_of_its_network() -> None:
    run = Run.open(packaged_run())
    epoch, table = run.epochs()[-1], run.latents()
    z = latent_matrix(table)[row_of(table, typical_particle(table))].astype(np.float32)
    kept, decoded = read_volume(run.analysis.first_map_file(epoch)), run.decoder(epoch).decode(z)
    np.testing.assert_allclose(kept.data, decoded.data, atol=1e-4 * np.abs(decoded.data).max())


def test_latents_of_a_run_are_read_without_torch() -> None:
    code = (
        "import sys\n"
        "from napari_tomodrgn.config import ReadingConfig\n"
        "from napari_tomodrgn.gui.particles.load import open_path\n"
        "from napari_tomodrgn.gui.plugin.sample_data import packaged_run\n"
        "(opened,) = open_path(packaged_run(), ReadingConfig())\n"
        "print(len(opened.latents), 'torch' in sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["240", "False"], told.stderr
