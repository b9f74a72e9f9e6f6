"""Conditions of tomograms: typed or read, kept in the run, drawn, forgotten with their clusters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_tomodrgn.gui.evidence import condition_panel

LEFT = Qt.MouseButton.LeftButton


def test_shares_of_clusters_by_condition(
    widget: Any,
    clustered: Any,
    opened: Callable[[Path], Any],
    run: Path,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = widget.conditions
    widget.tabs.setCurrentIndex(3)
    panel.set_open(True)
    assert not panel.picture.isVisible() and panel.table.rowCount() == 2
    names = [panel.table.item(row, 0).text() for row in range(2)]
    assert names == sorted(set(clustered.latents["tomogram"].astype(str)))
    QTest.mouseClick(panel.compare, LEFT)
    qtbot.waitUntil(lambda: "No condition is given for tomogram" in widget.banner.text)
    for row, words in enumerate(("treated", "control")):
        panel.table.item(row, 1).setText(words)
    QTest.mouseClick(panel.compare, LEFT)
    qtbot.waitUntil(lambda: panel.picture.isVisible())
    # The run keeps latents of its tilt halves; of two tomograms nothing is tested.
    assert "tilt halves put" in panel.sentence.text()
    assert "one of them has a single tomogram" in panel.sentence.text()
    kept = pd.read_csv(run / "analysis" / "conditions.csv")
    assert dict(zip(kept["tomogram"], kept["condition"], strict=True)) == panel.conditions
    out = tmp_path / "shares.svg"
    monkeypatch.setattr(condition_panel, "ask_for_file", lambda *_: str(out))
    QTest.mouseClick(panel.save, LEFT)
    table = pd.read_csv(out.with_suffix(".csv"))
    assert out.read_text(encoding="utf-8").count("<circle") == len(table) + 2
    shares = table.groupby("condition")["corrected"].sum()
    assert shares.tolist() == pytest.approx([1.0, 1.0])
    QTest.mouseClick(panel.save, LEFT)
    assert "exists and is not written over: choose another name" in widget.banner.text
    widget.controller.clusters.find(3)
    qtbot.waitUntil(lambda: not panel.picture.isVisible(), timeout=60_000)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=60_000)
    opened(run)
    qtbot.waitUntil(lambda: panel.conditions == {names[0]: "treated", names[1]: "control"})
    given = tmp_path / "given.csv"
    stem = Path(names[0]).stem  # TS_001 of TS_001.tomostar
    given.write_text(f"tomogram,condition\n{stem},wild type\n", encoding="utf-8")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(given), ""))
    QTest.mouseClick(panel.open, LEFT)
    assert panel.conditions == {names[0]: "wild type", names[1]: "control"}
