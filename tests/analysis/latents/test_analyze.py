"""The analysis of a run: what it writes, and that the window's columns are among it."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.analysis.latents.analyze import FRAMES, Analysis, analyze_steps, umap_columns
from napari_tomodrgn.analysis.latents.umap_child import umap_steps
from napari_tomodrgn.analysis.selections import ids_of_clusters
from napari_tomodrgn.cli import main
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import all_or_none
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.events import WorkProgress


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    return Run.open(shutil.copytree(tiny_run, tmp_path / "run"))


def _analysed(run: Run, **options: int) -> tuple[Analysis, list[WorkProgress]]:
    events, steps = [], analyze_steps(run, **options)
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return end.value, events


def test_what_an_earlier_analysis_had_beyond_its_clusters_goes(run: Run) -> None:
    files = run.analysis
    _analysed(run, clusters=3)
    mine = files.cluster_map(9)  # no analysis had so many
    for path in (mine, files.class_images(2), files.class_images(3)):
        path.touch()
    with all_or_none(overwrite=True):
        _analysed(run, clusters=2)
        assert files.cluster_map(3).exists(), "nothing is lost before all is there"
    left = {path.name for path in mine.parent.iterdir()}
    assert left == {"cluster-01.mrc", "cluster-02.mrc", mine.name}
    assert files.class_images(2).exists() and not files.class_images(3).exists()


def test_all_of_it_is_written(run: Run) -> None:
    found, events = _analysed(run, clusters=3)
    files, table = run.analysis, run.latents()
    assert files.info() == found.info
    assert found.info.epoch == 2
    clusters = pd.read_csv(files.clusters).set_index("particle_id")["cluster"]
    assert set(clusters.index) == set(table.index)
    extras = run.extras().loc[clusters.index]
    assert (extras["cluster"].astype(int) == clusters).all()
    for number in (1, 2, 3):
        members = ids_of_clusters(run.path, [number])
        center = pd.read_csv(files.centers).set_index("cluster").loc[number]
        assert center["particles"] == len(members)
        assert center["particle_id"] in members
        latent = table.loc[center["particle_id"]].filter(like="mu_").to_numpy(np.float32)
        expected = run.decoder().decode(latent)
        written = read_volume(files.cluster_map(number))
        np.testing.assert_allclose(written.data, expected.data, atol=1e-5)
        assert written.voxel_size_angstrom == pytest.approx(expected.voxel_size_angstrom)
    counts = pd.read_csv(files.cluster_tomograms).set_index("tomogram")
    assert counts.to_numpy().sum() == len(table)
    assert (
        counts.loc[table["tomogram"].iloc[0]].sum()
        == (table["tomogram"] == table["tomogram"].iloc[0]).sum()
    )
    for component in (1, 2):
        assert len(pd.read_csv(files.traversal(component))) == FRAMES
        assert all(files.traversal_map(component, frame).exists() for frame in range(1, FRAMES + 1))
    assert pd.read_csv(files.components)["explained_variance"].sum() == pytest.approx(1.0)
    assert {file.stem for file in files.figure("x").parent.iterdir()} == {
        "audit",
        "components",
        "variance",
    }
    assert events[-1] == WorkProgress(3 + 2 * FRAMES, 3 + 2 * FRAMES, "Decoding maps")
    assert "UMAP was left out" in found.notes[0]


def test_columns_of_others_are_kept(run: Run) -> None:
    ids = run.latents().index
    run.save_extras(pd.DataFrame({"density": np.arange(len(ids)), "cluster": "x"}, index=ids))
    _analysed(run, clusters=2)
    extras = run.extras().loc[ids]
    assert extras["density"].tolist() == list(range(len(ids)))
    assert set(extras["cluster"]) == {"1", "2"}


def test_the_command(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(run.path), "--clusters", "2", "--epoch", "1"]) == 0
    said = capsys.readouterr().out
    assert "24 particles, epoch 1" in said
    assert "none seen" in said
    assert main(["analyze", str(run.path), "--epoch", "9"]) == 2
    assert "no epoch 9" in capsys.readouterr().err


def _two_blobs() -> np.ndarray:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 0.2, (60, 4)).astype(np.float32)
    points[30:] += 5
    return points


@pytest.mark.slow
def test_umap_tells_blobs_apart_and_the_window_gets_its_columns(run: Run) -> None:
    points = _two_blobs()
    ids = [f"T/{row}" for row in range(len(points))]
    table = pd.DataFrame(points, columns=[f"mu_{axis}" for axis in range(4)])
    table.insert(0, "particle_id", ids)
    table.to_parquet(run.latents_file(2), index=False)
    *waiting, columns = umap_columns(run, 2)
    assert set(waiting) == {None}
    places = columns[["UMAP 1", "UMAP 2"]].to_numpy()
    assert list(columns.index) == ids
    centres = places[:30].mean(axis=0), places[30:].mean(axis=0)
    spread = max(places[:30].std(axis=0).max(), places[30:].std(axis=0).max())
    assert np.linalg.norm(centres[0] - centres[1]) > 3 * spread


def test_a_stopped_umap_leaves_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    begun: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            begun.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    mine = psutil.Process()
    others = set(mine.children())  # of tests that ran before
    steps = umap_steps(_two_blobs())
    next(steps)
    assert len(set(mine.children()) - others) == 1
    steps.close()
    assert not set(mine.children()) - others
    (child,) = begun
    assert child.returncode == -signal.SIGKILL, "it was not waited for"


def test_a_failing_child_is_one_sentence() -> None:
    with pytest.raises(BadInputError, match="UMAP could not be computed"):
        for _ in umap_steps(np.full((40, 3), np.nan, np.float32)):
            pass
