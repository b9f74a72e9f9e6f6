"""A finished tomoDRGN result becomes a run whose latents belong to the right particles."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.analysis.tomodrgn_result import import_result
from napari_tomodrgn.cli import main
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run


class Sampler:
    """Some class of another program."""


def _dump(path: Path, *objects: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as stream:
        for one in objects:
            pickle.dump(one, stream)


@pytest.fixture
def star(simulated: Path) -> Path:
    return simulated / "warptools" / "particles_optimisation_set.star"


@pytest.fixture
def result(tmp_path: Path, star: Path) -> Path:
    """What ``tomodrgn train_vae`` and ``analyze`` leave: 24 particles, 3 latents, 4 clusters."""
    folder = tmp_path / "result"
    rng = np.random.default_rng(0)
    for epoch in (0, 4, 10):
        _dump(folder / f"z.{epoch}.train.pkl", np.full((24, 3), epoch, np.float16), np.ones(3))
    _dump(
        folder / "z.10.train.pkl",
        rng.normal(size=(24, 3)).astype(np.float16),
        rng.normal(size=(24, 3)).astype(np.float16),
    )
    config = {
        "starfile_args": {"sourcefile": str(star), "sourcefile_filtered": "gone.star"},
        "dataset_args": {"datadir": None, "type": Sampler},
        "meta": {"version": "1.0.1", "cmd": ["tomodrgn", "train_vae", "x.star"]},
    }
    _dump(folder / "config.pkl", config)
    _dump(folder / "analyze.10" / "umap.pkl", rng.normal(size=(24, 2)).astype(np.float32))
    _dump(folder / "analyze.10" / "kmeans4" / "labels.pkl", np.arange(24) % 4)
    return folder


def test_latents_clusters_and_umap_arrive_by_identity(
    result: Path, star: Path, tmp_path: Path
) -> None:
    found = import_result(result, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert run.epochs() == [10]
    with open(result / "z.10.train.pkl", "rb") as stream:
        mu, logvar = pickle.load(stream), pickle.load(stream)
    ids = read_particles(star).ids
    table = run.latents().loc[ids]
    np.testing.assert_array_equal(table.filter(like="mu_"), mu.astype(np.float32))
    np.testing.assert_array_equal(table.filter(like="logvar_"), logvar.astype(np.float32))
    extras = run.extras().loc[ids]
    assert extras["cluster"].tolist() == [str(number % 4) for number in range(24)]
    with open(result / "analyze.10" / "umap.pkl", "rb") as stream:
        np.testing.assert_array_equal(extras[["UMAP 1", "UMAP 2"]], pickle.load(stream))
    clusters = pd.read_csv(run.analysis.clusters).set_index("particle_id")
    assert clusters.loc[ids[5], "cluster"] == 1
    assert run.info.command == ["tomodrgn", "train_vae", "x.star"]
    assert run.info.versions == {"tomodrgn": "1.0.1"}
    assert len(found.notes) == 1
    assert "cannot be decoded" in found.notes[0]
    assert len(run.particles()) == 24


def test_the_network_is_not_there_and_that_is_one_sentence(
    result: Path, star: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["import", str(result), "--out", str(out)]) == 0
    assert "cannot be decoded" in capsys.readouterr().err
    particle = read_particles(star).ids[0]
    for arguments in (
        ["decode", out, "--particle", particle, "--out", tmp_path / "maps"],
        ["embed", out, star, "--out", tmp_path / "a.csv"],
        ["train", star, "--out", out, "--resume"],
    ):
        assert main([str(argument) for argument in arguments]) == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert "another program" in said[-1]
    assert main(["select", str(out), "--clusters", "1", "--out", str(tmp_path / "one.star")]) == 0
    assert len(read_particles(tmp_path / "one.star")) == 6


def test_an_imported_run_can_be_analysed(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    import_result(result, out)
    shutil.rmtree(out / "analysis")
    (out / "analysis").mkdir()
    table = out / "latents" / "epoch-0010.parquet"
    latents = pd.read_parquet(table).drop(columns=["mu_2"])  # without UMAP, which takes a while
    latents.to_parquet(table)
    assert main(["analyze", str(out), "--clusters", "2"]) == 0
    said = capsys.readouterr()
    assert "another program" in said.err
    assert "orientation" in said.out
    assert not list((out / "analysis").rglob("*.mrc"))


def test_what_does_not_fit_is_said(result: Path, star: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    _dump(result / "z.11.train.pkl", np.zeros((23, 3)), np.zeros((23, 3)))
    with pytest.raises(BadInputError, match=r"23 particles, .* lists 24.*--source"):
        import_result(result, out)
    _dump(result / "z.11.train.pkl", np.zeros((24, 3)), np.zeros((24, 2)))
    with pytest.raises(BadInputError, match="one shape"):
        import_result(result, out)
    _dump(result / "config.pkl", {"starfile_args": {"sourcefile": "/gone/a.star"}})
    (result / "z.11.train.pkl").unlink()
    with pytest.raises(BadInputError, match=r"a\.star.*--source"):
        import_result(result, out)
    assert not out.exists()
    assert len(import_result(result, out, source=star).run.latents()) == 24
    with pytest.raises(BadInputError, match="no latents of tomoDRGN"):
        import_result(star.parent, tmp_path / "other")


def test_a_damaged_analysis_is_left_out_and_said(result: Path, tmp_path: Path) -> None:
    (result / "analyze.10" / "umap.pkl").write_bytes(b"no pickle")
    _dump(result / "analyze.10" / "kmeans4" / "labels.pkl", np.zeros(3, int))
    found = import_result(result, tmp_path / "run")
    assert any("umap.pkl" in note for note in found.notes)
    assert any("other particles" in note for note in found.notes)
    assert found.run.extras() is None
