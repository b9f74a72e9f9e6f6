"""Conditions on columns choose particles in every command that takes some."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from terminal import done, refused

from napari_tomodrgn.cli import main
from napari_tomodrgn.cli.commands import sets
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.training import homogeneous

_CONDITION = "rlnAngleTilt > 60 and rlnAngleTilt < 140"


@pytest.fixture
def star(simulated: Path) -> Path:
    return simulated / "warptools" / "particles_optimisation_set.star"


@pytest.fixture
def wanted(star: Path, tmp_path: Path) -> list[str]:
    """Those that `select`, which is tested elsewhere, finds."""
    done("select", star, "--where", _CONDITION, "--out", tmp_path / "some.star")
    ids = read_particles(tmp_path / "some.star").ids
    assert 4 < len(ids) < 16
    return ids


def test_a_set_is_narrowed_before_it_is_looked_at_or_reconstructed(
    star: Path, wanted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    done("inspect", star, "--where", _CONDITION, "--quick", "--json")
    assert json.loads(capsys.readouterr().out)["particles"] == len(wanted)
    done("inspect", star, "--where", _CONDITION, "--ids")
    assert capsys.readouterr().out.split() == wanted
    done("reconstruct", star, "--where", _CONDITION, "--out", tmp_path / "by-condition")
    done("reconstruct", tmp_path / "some.star", "--out", tmp_path / "by-file")
    maps = [read_volume(tmp_path / name / "map.mrc").data for name in ("by-condition", "by-file")]
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] > 0.999999


def test_a_run_is_of_those_and_goes_on_with_the_same(
    star: Path, wanted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.toml").write_text(
        "[model]\nlatent_dim = 2\ndecoder_dim = 32\nimage_encoder_dim = 32\nlinear_start = false\n"
        "[train]\nepochs = 1\npoints_per_particle = 128\nrefine = false\n"
    )
    run = tmp_path / "run"
    words = ("train", star, "--out", run, "--config", tmp_path / "small.toml", "--device", "cpu")
    done(*words, "--where", _CONDITION)
    assert list(Run.open(run).latents().index) == wanted
    done("train", star, "--out", run, "--where", _CONDITION, "--resume", "--epochs", 2)
    assert Run.open(run).epochs() == [1, 2]
    assert "particles" in refused(capsys, "train", star, "--out", run, "--resume", "--epochs", 3)


def test_latents_are_written_of_those(tiny_run: Path, tmp_path: Path) -> None:
    latents = Run.open(tiny_run).latents()
    table = tmp_path / "some.csv"
    done("embed", tiny_run, "--where", "mu_0 > 0", "--out", table)
    found = pd.read_csv(table).set_index("particle_id")
    assert list(found.index) == list(latents.index[latents["mu_0"] > 0]) and 0 < len(found) < 24


def test_a_condition_that_none_satisfies_is_one_sentence(
    star: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    none = "rlnAngleTilt > 1000"
    assert "no particle" in refused(capsys, "reconstruct", star, "--where", none, "--out", out)
    assert "no particle" in refused(capsys, "train", star, "--where", none, "--out", out)
    assert "rlnNothing" in refused(capsys, "inspect", star, "--where", "rlnNothing > 1")


@pytest.mark.slow
def test_a_map_for_all_by_the_decoder_alone_has_half_maps_and_fsc(
    star: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of 600 steps and 1024 samples: a fifth and a quarter are enough for a box of 24.
    monkeypatch.setattr(homogeneous, "_MIN_STEPS", 120)
    small = partial(homogeneous.HomogeneousConfig, points_per_particle=256)
    monkeypatch.setattr(sets, "HomogeneousConfig", small)
    out = tmp_path / "one-map"
    done("train", star, "--method", "homogeneous", "--epochs", 1, "--seed", 1, "--out", out)
    curve = pd.read_csv(out / "fsc.csv")["fsc"]
    halves = [read_volume(out / f"half{number}.mrc").data for number in (1, 2)]
    assert not np.array_equal(*halves)
    assert curve[1:4].min() > 0.5, "two networks that saw other particles agree on the molecule"
    done("reconstruct", star, "--out", tmp_path / "average")
    maps = [read_volume(folder / "map.mrc").data for folder in (out, tmp_path / "average")]
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] > 0.7
    said = refused(
        capsys, "train", star, "--method", "homogeneous", "--latent-dim", 2, "--out", out
    )
    assert "--latent-dim" in said
    assert main(["decode", str(out), "--particles", "all", "--out", str(tmp_path / "maps")]) == 2
