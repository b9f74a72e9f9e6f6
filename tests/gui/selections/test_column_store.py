"""A file dropped on the latent space: its columns colour, are kept, and are in the script."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QMimeData, QPoint, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.session.exploration import Exploration


def _drop(view: Any, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    at, left = QPoint(50, 50).toPointF(), Qt.MouseButton.LeftButton
    held = Qt.KeyboardModifier.NoModifier
    view.dropEvent(QDropEvent(at, Qt.DropAction.CopyAction, data, left, held))


def test_columns_of_a_dropped_file(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path, tmp_path: Path, qtbot: Any
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    session = opened(run)
    ids = list(session.latents.index)
    table = pd.DataFrame({"particle_id": ids[::-1], "score": np.arange(24.0)})
    table.to_csv(tmp_path / "mine.csv", index=False)
    _drop(widget.latent.view, tmp_path / "mine.csv")
    qtbot.waitUntil(lambda: session.color == "score", timeout=20_000)
    values = session.table.column("score").values
    assert values[0] == 23 and values[-1] == 0, "matched by identity, not by order"
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=20_000)
    assert Run.open(run).extras()["score"][ids[0]] == 23
    (action,) = [one for one in session.actions if one.verb == "add_columns"]
    work = Exploration(tiny_run)
    work.add_columns(*action.arguments)
    work.in_range("score", 20.0, None)
    assert work.selection == frozenset(ids[:4])


def test_a_file_of_others_is_one_sentence(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path, tmp_path: Path, qtbot: Any
) -> None:
    session = opened(tiny_run)
    (tmp_path / "map.csv").write_text("a,b\n1,2\n")
    _drop(widget.latent.view, tmp_path / "map.csv")
    qtbot.waitUntil(lambda: session.message and session.message.severity == "error", timeout=20_000)
    assert "map.csv" in session.message.text and session.color != "a"
