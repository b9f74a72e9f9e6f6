"""Another run of the same particles, laid over the one on show."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_tomodrgn.gui.evidence.run_pair_panel import RunPairPanel

if TYPE_CHECKING:
    import pytest


def _mirrored(run: Path, out: Path) -> str:
    """A copy whose latents are mirrored, which is no difference; one particle is far off in it."""
    shutil.copytree(run, out)
    for file in (out / "latents").glob("*.parquet"):
        table = pd.read_parquet(file)
        means = [name for name in table if str(name).startswith("mu_")]
        spread = table[means].std().max()
        table[means] = -table[means]
        table.loc[table.index[7], means] += 3 * spread
        table.to_parquet(file)
    return str(table["particle_id"].iloc[7])


def test_a_mirrored_run_agrees_but_for_the_particle_that_moved(
    widget: Any, clustered: Any, run: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = run.with_name("other seed")
    moved = _mirrored(run, other)
    widget.tabs.setCurrentIndex(3)
    panel = widget.findChild(RunPairPanel)
    panel.set_open(True)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(other))
    QTest.mouseClick(panel.choose, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.sentence.text().startswith("other seed: "), timeout=30_000)
    assert clustered.color == "moved in other seed"
    column = clustered.table.column("moved in other seed")
    names = list(map(str, clustered.table.rows.index))
    assert names[int(column.values.argmax())] == moved
    assert sorted(column.values)[-2] < 0.5 * column.values.max()
    # The same folder again says nothing.
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(run))
    QTest.mouseClick(panel.choose, Qt.MouseButton.LeftButton)
    assert clustered.message.text == "run is the run on show: choose another."
