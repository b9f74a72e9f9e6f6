"""A set of two pixel sizes from the command line: refused, trained, looked at, written, moved."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from exports import WRITERS
from exports.mixed import imaged_at, write_mixed

from napari_tomodrgn.cli import main
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.optics import Sampling
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.learn.run.directory import Run

SMALL = """
[model]
latent_dim = 2
decoder_dim = 32
image_encoder_dim = 32
[train]
points_per_particle = 64
epochs = 1
device = "cpu"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`both`: a tomogram of 80 px of 6 Å, one of 48 px of 8 Å; `other`: all in 80 px of 6 Å."""
    out = tmp_path_factory.mktemp("mixed")
    worlds = [imaged_at(out, box, snr=1.0) for box in (80, 48)]
    (out / "both").mkdir()
    write_mixed(worlds, "relion5", out / "both")
    WRITERS["relion5"][1](worlds[0], out / "other")
    (out / "small.toml").write_text(SMALL)
    return out


def done(words: list[object], capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    """What a command says."""
    capsys.readouterr()
    found = main([str(word) for word in words])
    said = capsys.readouterr()
    assert found == status, said.err
    assert "Traceback" not in said.err
    return said.out if status == 0 else said.err.strip()


def test_without_a_target_the_refusal_says_what_to_pass(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    star = folder / "both" / "optimisation_set.star"
    for words in (["inspect"], ["train", "--out", tmp_path / "a"], ["reconstruct", "--out", "b"]):
        said = done([words[0], star, *words[1:]], capsys, 2)
        assert len(said.splitlines()) == 1
        assert "6 Å, 80 px in optics group optics1; 8 Å, 48 px in optics group optics2" in said
        assert "--pixel-size-target 8 or more" in said
    finer = done(["inspect", star, "--pixel-size-target", "7"], capsys, 2)
    assert "A pixel size of 7 Å is finer than that of optics group optics2, 8 Å." in finer
    # One of the tomograms is a set like any other.
    one = ["inspect", star, "--tomogram", "TS_002", "--json"]
    assert json.loads(done(one, capsys))["pixel_size_angstrom"] == 8.0


def test_training_and_all_that_follows(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    star, run = folder / "both" / "optimisation_set.star", tmp_path / "run"
    target = ["--pixel-size-target", "12"]
    told = json.loads(done(["inspect", star, *target, "--json"], capsys))
    assert (told["box_px"], told["pixel_size_angstrom"]) == (32, 12.0)
    done(["train", star, *target, "--config", folder / "small.toml", "--out", run], capsys)
    done(["train", star, "--out", run, "--resume", "--epochs", "2"], capsys)
    assert Run.open(run).epochs() == [1, 2]
    found = Run.open(run).particles().optics
    assert set(found.stored) == {Sampling(80, 6.0), Sampling(48, 8.0)}
    assert set(found.samplings) == {Sampling(32, 12.0)}
    assert Run.open(run).info.to_optics() == found
    done(["decode", run, "--particles", "all", "--out", tmp_path / "maps"], capsys)
    map_of_one = read_volume(next(iter((tmp_path / "maps").glob("*.mrc"))))
    assert map_of_one.voxel_size_angstrom == pytest.approx(12.0)
    done(["reconstruct", star, *target, "--out", tmp_path / "whole"], capsys)
    linear = ["--method", "linear", "--out", tmp_path / "linear"]
    done(["train", star, *target, *linear], capsys)
    assert set(Run.open(tmp_path / "linear").particles().optics.samplings) == {Sampling(32, 12.0)}
    # Particles of which all files are larger: of them alone 40 px would be the nearest box.
    latents, other = tmp_path / "latents.csv", folder / "other" / "optimisation_set.star"
    done(["embed", run, other, "--out", latents], capsys)
    assert len(latents.read_text().splitlines()) == 1 + 16


def test_the_run_without_its_images_and_what_select_writes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both, run = tmp_path / "both", tmp_path / "run"
    shutil.copytree(folder / "both", both)
    star = both / "optimisation_set.star"
    for file in both.glob("*.star"):  # a set of its own, so that its images can go
        file.write_text(file.read_text().replace(str(folder / "both"), str(both)))
    # The box stands in the stacks alone.
    listed = both / "particles.star"
    text = listed.read_text()
    size = int(re.search(r"_rlnImageSize #(\d+)", text)[1]) - 1
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if re.search(r"\boptics[12]\b", line):
            words = line.split()
            lines[number] = " ".join(words[:size] + words[size + 1 :])
    listed.write_text("\n".join(line for line in lines if "_rlnImageSize" not in line) + "\n")
    images = read_particles(star).images
    target = ["--pixel-size-target", "12", "--config", folder / "small.toml"]
    done(["train", star, *target, "--out", run], capsys)
    shown = Run.open(run).particles()
    done(["select", star, "--particles", "none.txt", "--out", tmp_path / "x.star"], capsys, 2)
    for source in (star, run):
        out = tmp_path / f"{source.name}_some.star"
        chosen = tmp_path / "ids.txt"
        chosen.write_text("\n".join([shown.ids[0], shown.ids[-1]]))
        done(["select", source, "--particles", chosen, "--out", out], capsys)
        back = read_particles(out.with_name(f"{out.stem}_optimisation_set.star"))
        assert back.ids == [shown.ids[0], shown.ids[-1]]
        assert set(back.optics.stored) == {Sampling(80, 6.0), Sampling(48, 8.0)}
        kept = images["particle_id"].isin(back.ids).to_numpy()
        np.testing.assert_array_equal(back.images["shift_x_px"], images["shift_x_px"][kept])
    for stack in both.rglob("*.mrcs"):
        stack.unlink()
    moved = Run.open(run).particles(images_needed=False)
    assert moved.optics == shown.optics
    np.testing.assert_array_equal(moved.images["shift_x_px"], shown.images["shift_x_px"])
    done(["select", run, "--tomogram", "TS_002", "--out", tmp_path / "one.star"], capsys)
