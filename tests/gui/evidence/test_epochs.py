"""What is asked of groups while a training goes on: its next epoch is still the same run."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_tomodrgn.learn.run.directory import Run

LONG = 120_000


def test_a_comparison_outlives_an_epoch(
    widget: Any, clustered: Any, computed_once: None, qtbot: Any
) -> None:
    panel, ids = widget.comparison, tuple(clustered.latents.index)
    QTest.mouseClick(panel.compare, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: clustered.comparison_status.busy, timeout=LONG)
    # As when an epoch is done: the run is read from its folder, its latents are another table.
    read_anew = Run.open(clustered.run.path)
    clustered.show_latents(read_anew, clustered.latents.copy(), clustered.epoch, None)
    assert clustered.comparison_status.busy, "not given up"
    qtbot.waitUntil(lambda: clustered.comparison is not None, timeout=LONG)
    assert clustered.run is read_anew and clustered.comparison.ids == ids
    assert clustered.comparison.record["differ"] and "differ" in panel.sentence.text()
