"""UMAP in the background: there after opening, gone with the next epoch, back after training."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from napari_tomodrgn.analysis.latents import analyze
from napari_tomodrgn.gui.latent_space.umap_service import UmapService
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.session import Session
from napari_tomodrgn.work_status import TrainingStatus


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    return Run.open(shutil.copytree(tiny_run, tmp_path / "run"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Epochs that were mapped; the map itself is the first two latents."""
    epochs: list[int] = []

    def columns(run: Run, epoch: int) -> Iterator[pd.DataFrame | None]:
        epochs.append(epoch)
        yield None
        table = run.latents(epoch)
        yield analyze.cluster_and_umap(table, None, table[["mu_0", "mu_1"]].to_numpy())

    monkeypatch.setattr(analyze, "umap_columns", columns)
    return epochs


def _open(session: Session, run: Run, epoch: int) -> None:
    session.run, session.epoch = run, epoch
    session.latents = run.latents(epoch)


def test_umap_becomes_an_axis_by_itself(run: Run, asked: list[int], qtbot: Any) -> None:
    session = Session()
    mapping = UmapService(session)
    _open(session, run, 3)
    qtbot.waitUntil(lambda: session.added_columns is not None)
    assert {"UMAP 1", "UMAP 2"} <= set(session.table.axis_names)
    pd.testing.assert_series_equal(
        session.added_columns["UMAP 1"], run.latents(3)["mu_0"], check_names=False
    )
    session.latents = run.latents(3)  # the same ones again
    qtbot.waitUntil(lambda: not mapping.queue.is_busy)
    assert asked == [3]


def test_a_map_of_an_earlier_epoch_goes_and_comes_back_at_the_end(
    run: Run, asked: list[int], qtbot: Any
) -> None:
    session = Session()
    mapping = UmapService(session)
    _open(session, run, 1)
    qtbot.waitUntil(lambda: session.added_columns is not None)
    session.add_columns(pd.DataFrame({"depth": 1.0}, index=session.latents.index))
    session.training = TrainingStatus("training", epochs=3)
    assert "UMAP 1" in session.added_columns  # still those of the latents on show
    _open(session, run, 2)
    assert list(session.added_columns.columns) == ["depth"]
    _open(session, run, 3)
    session.training = replace(session.training, fraction=0.9)
    qtbot.wait(50)
    assert asked == [1]
    session.training = TrainingStatus()
    qtbot.waitUntil(lambda: "UMAP 1" in session.added_columns)
    assert asked == [1, 3]
    assert "depth" in session.added_columns
    mapping.queue.cancel()


def test_a_run_that_has_its_map_is_not_mapped_again(run: Run, asked: list[int], qtbot: Any) -> None:
    places = run.latents(3)[["mu_0", "mu_1"]].to_numpy()
    run.save_extras(analyze.cluster_and_umap(run.latents(3), None, places))
    run.analysis.save_umap(analyze.AnalysisInfo(epoch=3, particles=len(places)))
    for epoch in (3, 2):
        session = Session()
        mapping = UmapService(session)
        session.added_columns = run.extras()
        _open(session, run, epoch)
        qtbot.waitUntil(lambda one=mapping: not one.queue.is_busy)
    assert asked == [2]


def test_a_failure_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch, qtbot: Any) -> None:
    def columns(run: Run, epoch: int) -> Iterator[None]:
        raise analyze.BadInputError("UMAP could not be computed (no memory).")
        yield

    monkeypatch.setattr(analyze, "umap_columns", columns)
    session = Session()
    mapping = UmapService(session)
    _open(session, run, 3)
    qtbot.waitUntil(lambda: session.message is not None)
    assert session.message.severity == "warning"
    assert "no memory" in session.message.text
    qtbot.waitUntil(lambda: not mapping.queue.is_busy)
