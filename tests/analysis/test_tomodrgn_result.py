"""A finished tomoDRGN result becomes a run whose latents belong to the right particles."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from napari_tomodrgn.analysis.latents import analyze as analyze_module
from napari_tomodrgn.analysis.tomodrgn_result import import_result
from napari_tomodrgn.analysis.tomodrgn_result.folder import ResultFolder
from napari_tomodrgn.analysis.tomodrgn_result.network import network_of
from napari_tomodrgn.cli import main
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.safe_pickle import read_settings
from napari_tomodrgn.data.volume import read_volume
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
    _dump(folder / "z.0.train.pkl", np.zeros((24, 3), np.float16), np.zeros((24, 3)))
    _dump(folder / "z.4.train.pkl", np.full((24, 3), 4, np.float16), np.ones(3))
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
    _dump(folder / "analyze.0" / "kmeans12" / "labels.pkl", np.arange(24)[::-1] % 12)
    return folder


def test_latents_clusters_and_umap_arrive_by_identity(
    result: Path, star: Path, tmp_path: Path
) -> None:
    found = import_result(result, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert run.epochs() == [1, 11], "numbered from 1; that of z.4 is damaged"
    with open(result / "z.10.train.pkl", "rb") as stream:
        mu, logvar = pickle.load(stream), pickle.load(stream)
    ids = read_particles(star).ids
    table = run.latents().loc[ids]
    np.testing.assert_array_equal(table.filter(like="mu_"), mu.astype(np.float32))
    np.testing.assert_array_equal(table.filter(like="logvar_"), logvar.astype(np.float32))
    np.testing.assert_array_equal(run.latents(1).filter(like="mu_"), 0)
    extras = run.extras().loc[ids]
    assert extras["cluster"].tolist() == [str(number % 4) for number in range(24)]
    assert extras["k-means 4"].tolist() == extras["cluster"].tolist()
    assert extras["k-means 12 (epoch 1)"].tolist() == [
        f"{number % 12:02d}" for number in reversed(range(24))
    ]
    with open(result / "analyze.10" / "umap.pkl", "rb") as stream:
        np.testing.assert_array_equal(extras[["UMAP 1", "UMAP 2"]], pickle.load(stream))
    clusters = pd.read_csv(run.analysis.clusters).set_index("particle_id")
    assert clusters.loc[ids[5], "cluster"] == 1
    assert run.info.command == ["tomodrgn", "train_vae", "x.star"]
    assert run.info.versions == {"tomodrgn": "1.0.1"}
    assert [("Epoch 5" in note, "no weights" in note) for note in found.notes] == [
        (True, False),
        (False, True),
    ]
    assert len(run.particles()) == 24


def test_without_weights_what_needs_the_network_says_so_in_one_sentence(
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
    table = out / "latents" / "epoch-0011.parquet"
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
    assert any("3 values for 24 particles" in note for note in found.notes)
    assert list(found.run.extras()) == ["k-means 12 (epoch 1)"]


class _Evil:
    """What would leave a file behind if it were unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.target), "w")


def test_malicious_files_are_refused_and_never_run(
    result: Path, star: Path, tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    config = {
        "starfile_args": {"sourcefile": str(star)},
        "model_args": {"pe_type": "gaussian", "activation": "relu", "pooling_function": "mean"},
        "lattice_args": {"boxsize": 25, "extent": 0.5},
        "dataset_args": {"norm": [0, 2.0], "invert_data": True, "datadir": _Evil(trap)},
    }
    _dump(result / "config.pkl", config)
    _dump(result / "analyze.10" / "umap.pkl", _Evil(trap))
    _dump(result / "analyze.10" / "kmeans4" / "labels.pkl", [_Evil(trap)])
    torch.save({"model_state_dict": _Evil(trap)}, result / "weights.10.pkl")
    _dump(result / "weights.0.pkl", _Evil(trap))  # no archive, as torch long ago
    found = import_result(result, tmp_path / "run")
    assert not trap.exists()
    refused = [note for note in found.notes if "nothing in it was run" in note]
    assert sorted(note.split(":")[0].rsplit("/")[-1] for note in refused) == [
        "Volumes of epoch 1 cannot be decoded",
        "Volumes of epoch 11 cannot be decoded",
        "labels.pkl",
        "umap.pkl",
    ]
    _dump(result / "z.10.train.pkl", _Evil(trap))
    with pytest.raises(BadInputError, match="nothing in it was run"):
        import_result(result, tmp_path / "other")
    assert not trap.exists()


@pytest.fixture(scope="module")
def real(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real result, imported; its configuration names folders of another machine."""
    out = tmp_path_factory.mktemp("imported") / "run"
    found = import_result(
        real_data / "tomodrgn_result" / "vae", out, images=real_data / "cryosrpnt"
    )
    assert found.notes == ()
    return out


def test_maps_of_a_real_result_are_those_that_tomodrgn_decoded(
    real: Path, real_data: Path, tmp_path: Path
) -> None:
    told, maps = real_data / "tomodrgn_result", tmp_path / "maps"
    latents = tmp_path / "z.npy"
    np.save(latents, np.loadtxt(told / "z.txt"))
    assert main(["decode", str(real), "--latents", str(latents), "--out", str(maps)]) == 0
    for number in range(3):
        ours = read_volume(maps / f"latent_{number:05d}.mrc")
        theirs = read_volume(told / "volumes" / f"vol_{number:03d}.mrc").data
        assert np.corrcoef(ours.data.ravel(), theirs.ravel())[0, 1] > 0.99999
        slope = np.polyfit(ours.data.ravel(), theirs.ravel(), 1)[0]
        assert slope == pytest.approx(1, abs=1e-5), "the same units"
        assert ours.voxel_size_angstrom == pytest.approx(13.1)


def test_embedding_the_images_of_a_real_result_gives_its_latents(
    real: Path, tmp_path: Path, real_data: Path
) -> None:
    table = tmp_path / "z.csv"
    images = ["--images", str(real_data / "cryosrpnt")]
    assert main(["embed", str(real), *images, "--out", str(table)]) == 0
    embedded, stored = pd.read_csv(table).set_index("particle_id"), Run.open(real).latents()
    for name in [name for name in stored if name.startswith(("mu_", "logvar_"))]:
        assert np.corrcoef(embedded[name], stored[name])[0, 1] > 0.9999999
        np.testing.assert_allclose(embedded[name], stored[name], atol=2e-5)


def test_clusters_and_losses_of_a_real_result(real: Path) -> None:
    run = Run.open(real)
    assert run.epochs() == [6]
    metrics = run.metrics()
    assert metrics["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert metrics["reconstruction"].iloc[-1] == pytest.approx(0.892660121122996)
    assert metrics["seconds"].iloc[0] == pytest.approx(2.662054)
    assert run.extras()["k-means 4"].nunique() == 4
    centers = pd.read_csv(run.analysis.centers)
    assert centers["particles"].sum() == 72
    assert centers["particle_id"].isin(run.latents().index).all()


def test_an_analysis_here_replaces_the_imported_one_only_when_asked(
    real: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(real, tmp_path / "run"))
    monkeypatch.setattr(analyze_module, "is_worth_it", lambda _points: False)  # UMAP takes long
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert main(["analyze", str(out), "--clusters", "3"]) == 2
    assert "are those of tomoDRGN. Replace them with --overwrite" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before
    assert main(["analyze", str(out), "--clusters", "3", "--overwrite"]) == 0
    extras = Run.open(out).extras()
    assert extras["cluster"].nunique() == 3
    assert extras["k-means 4"].nunique() == 4, "tomoDRGN's are kept"
    assert {"tomoDRGN UMAP 1", "tomoDRGN UMAP 2"} <= set(extras)
    assert len(list((out / "analysis" / "clusters").glob("*.mrc"))) == 3


def test_without_its_images_a_result_comes_in_all_the_same(real_data: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(real_data / "tomodrgn_result" / "vae", tmp_path / "vae"))
    found = import_result(copy, tmp_path / "run")
    assert len(found.notes) == 1
    assert "Embedding and reconstructing need the images" in found.notes[0]
    volume = found.run.decoder().decode(np.zeros(4), box_size_px=16)
    assert np.isfinite(volume.data).all()
    assert len(found.run.particles(images_needed=False)) == 72


def test_encoders_that_cannot_be_asked_are_refused_with_the_cause(
    real_data: Path, tmp_path: Path
) -> None:
    config = read_settings(real_data / "tomodrgn_result" / "vae" / "config.pkl")
    for pooling, cause in (("concatenate", "drawn at random"), ("set_encoder", "not offered")):
        config["model_args"]["pooling_function"] = pooling
        network = network_of(ResultFolder(tmp_path, config, ()))
        assert cause in network.without_encoder
