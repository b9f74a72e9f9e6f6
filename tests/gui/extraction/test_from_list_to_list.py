"""From each averaging package's list to two states, and the chosen one in that package's form."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from own_lists import assert_rows_untouched, lists_in_a_window
from sklearn.metrics import adjusted_rand_score

from napari_tomodrgn.extract.lists import read_list

pytestmark = pytest.mark.slow
PATIENCE_MS = 300_000  # of steps that compute, where others have the cores


def rows_of(identities: list[str]) -> np.ndarray:
    """Rows of the list, by the last number of each particle's name: they count from 1."""
    return np.array([int(re.findall(r"\d+", name)[-1]) - 1 for name in identities])


def extracted(window: Any, fill: Callable[..., None], root: Path, out: Path, qtbot: Any) -> None:
    """The folder of tilt series, then the button; conventions are left to data and files."""
    panel, service = window.particles.extraction, window.controller.extraction
    panel.out.set_folder(str(out))
    fill(panel, root, box_px=32)
    with qtbot.waitSignal(service.surveyed):
        panel.tilt_series.line.editingFinished.emit()
    assert panel.start.isEnabled(), panel.missing.text()
    with qtbot.waitSignals([service.extracted, service.ended], timeout=PATIENCE_MS):
        panel.start.click()
    qtbot.waitUntil(lambda: window.session.particles is not None)
    qtbot.waitUntil(lambda: window.controller.idle, timeout=PATIENCE_MS)


def first_look(window: Any, run: Path, qtbot: Any) -> pd.Series:
    """The preset, the button, two clusters of its latents: the cluster of each particle."""
    window.tabs.setCurrentWidget(window.training)
    preset = window.training.preset
    preset.setCurrentText("First look")
    preset.activated.emit(preset.currentIndex())
    window.training.folder.set_folder(str(run))
    window.training.button.click()
    session = window.session
    done = lambda: session.latents is not None and not session.training.busy  # noqa: E731
    qtbot.waitUntil(done, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: window.controller.idle, timeout=PATIENCE_MS)
    (two,) = (one for one in window.latent.tools.clusters.actions() if one.text() == "2 clusters")
    two.trigger()
    qtbot.waitUntil(lambda: session.added_columns is not None)
    return session.added_columns["cluster"]


@pytest.mark.parametrize("name", lists_in_a_window("dynamo.tbl"))
def test_the_chosen_state_goes_back_as_its_list(
    name: str,
    viewer: Any,
    widget: Any,
    two_states: Path,
    fill: Callable[..., None],
    tmp_path: Path,
    qtbot: Any,
) -> None:
    source = two_states / "tilt_series" / "lists" / "imod" / name
    viewer.open(str(source), plugin="napari-tomodrgn")
    extracted(widget, fill, two_states, tmp_path / "out", qtbot)
    clusters = first_look(widget, tmp_path / "run", qtbot)
    truth = pd.read_csv(two_states / "truth.csv")["state"].to_numpy()
    rows = rows_of(list(clusters.index))
    assert len(rows) == 60
    assert adjusted_rand_score(truth[rows], clusters) >= 0.95
    chosen = clusters.index[clusters == clusters.iloc[0]]
    widget.session.selection = frozenset(map(str, chosen))
    kind = Path(name).suffix
    assert widget.selections.export.text() == f"Export star file and {kind} list…"
    words = f"{len(chosen)} selected particles: star file and {kind} list …"
    assert widget.export.star.text() == words
    widget.selections.export_requested.emit(str(tmp_path / "chosen.star"))
    qtbot.waitUntil(lambda: widget.controller.idle)
    back = tmp_path / f"chosen_{read_list(source).format}{source.suffix}"
    assert widget.session.message.text.startswith(f"{back.name} (their list) and ")
    assert_rows_untouched(source, back, sorted(rows_of(list(chosen)).tolist()))
