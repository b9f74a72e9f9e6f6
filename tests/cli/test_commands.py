"""The command line: what it prints, what it writes, how it exits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.cli import main
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.learn.run.directory import Run

SMALL = """
[model]
latent_dim = 2
decoder_dim = 64
image_encoder_dim = 64
linear_start = false
[train]
points_per_particle = 256
"""


@pytest.fixture
def star(simulated: Path) -> Path:
    return simulated / "warptools" / "particles_optimisation_set.star"


def refused(arguments: list[str | Path], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must exit with 2; what it said, which must be one line."""
    status = main([str(argument) for argument in arguments])
    said = capsys.readouterr().err.strip()
    assert status == 2
    assert said.startswith("napari-tomodrgn: ")
    assert len(said.splitlines()) == 1, said
    return said


def test_help_lists_what_works(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    for command in "demo inspect train embed decode reconstruct simulate view".split():
        assert command in text


def test_unknown_options_exit_2_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["train", "x.star", "--out", "y", "--epochs", "none"])
    assert leaving.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_inspect_json(star: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(star), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["particles"] == 24
    assert report["images"] == 24 * 11
    assert report["tilts_per_particle"] == {"min": 11, "max": 11}
    assert report["contrast"] == "keep"
    assert report["ctf_premultiplied"] is True
    assert set(report["forecast"]) == {
        "ram_gb",
        "gpu_gb",
        "first_look_seconds",
        "seconds_per_epoch",
        "refining_seconds",
    }


@pytest.mark.slow
def test_inspect_real_sets(real_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The figures that these files are known by."""
    folder = real_data / "warptools"
    name = "warptools_test_4-tomos_10-ptcls_box-32_angpix-12_optimisation_set.star"
    assert main(["inspect", str(folder / name), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["particles"], report["images"]) == (40, 1430)
    assert report["tilts_per_particle"] == {"min": 34, "max": 37}
    assert (report["box_px"], report["pixel_size_angstrom"]) == (32, 12.0)
    assert len(report["tomograms"]) == 4
    dose = report["dose_e_per_angstrom2"]
    assert dose["min"] == 0 and dose["max"] == pytest.approx(92, abs=0.1)
    assert report["ctf_premultiplied"] is True
    assert not [p for p in report["problems"] if p["severity"] == "error"]
    star = real_data / "cryosrpnt" / "10076_classD_32_sim.star"
    assert main(["inspect", str(star), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["particles"], report["images"]) == (72, 576)
    assert report["pixel_size_angstrom"] == pytest.approx(13.1)
    assert report["dose_e_per_angstrom2"] == {"min": 2.0, "max": 16.0}


def test_train_embed_decode(star: Path, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    run, table = tmp_path / "run", tmp_path / "latents.csv"
    arguments = ["train", star, "--out", run, "--config", tmp_path / "small.toml"]
    assert main([*map(str, arguments), "--epochs", "2", "--seed", "3", "--device", "cpu"]) == 0
    assert Run.open(run).config.seed == 3
    assert Run.open(run).epochs() == [1, 2]
    assert main(["embed", str(run), "--out", str(table)]) == 0
    written = pd.read_csv(table).set_index("particle_id")
    trained = Run.open(run).latents()
    assert list(written.index) == list(trained.index)
    # Refined by sums of 32-bit numbers over other blocks of particles: equal far below widths.
    width = np.exp(trained["logvar_0"] / 2)
    assert (np.abs(written["mu_0"] - trained["mu_0"]) < 1e-3 * width).all()
    first = trained.index[0]
    maps = tmp_path / "maps"
    decode = ["decode", run, "--particle", first, "--out", maps, "--box", "16", "--lowpass", "60"]
    assert main([*map(str, decode)]) == 0
    (file,) = maps.glob("*.mrc")
    volume = read_volume(file)
    assert volume.data.shape == (16, 16, 16)
    optics = Run.open(run).info.to_optics()
    expected = optics.pixel_size_angstrom * optics.box_size_px / 16
    assert volume.voxel_size_angstrom == pytest.approx(expected, rel=1e-5)
    np.save(tmp_path / "z.npy", np.zeros((2, 2), dtype=np.float32))
    assert main(["decode", str(run), "--latents", str(tmp_path / "z.npy"), "--out", str(maps)]) == 0
    assert (maps / "latent_00001.mrc").exists()
    again = ["train", str(star), "--out", str(run), "--resume", "--epochs", "3"]
    assert main(again) == 0
    assert Run.open(run).epochs() == [1, 2, 3]


def test_reconstruct(star: Path, tmp_path: Path) -> None:
    assert main(["reconstruct", str(star), "--out", str(tmp_path)]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"map.mrc", "map_filtered.mrc", "half1.mrc", "half2.mrc", "fsc.csv"}
    curve = pd.read_csv(tmp_path / "fsc.csv")
    assert len(curve) == 13 and curve["fsc"][0] == pytest.approx(1.0, abs=0.05)


def test_bad_input_is_one_sentence(
    star: Path, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert "nothing.star" in refused(["inspect", tmp_path / "nothing.star"], capsys)
    assert "nowhere" in refused(["inspect", star, "--images", tmp_path / "nowhere"], capsys)
    assert "no dialect" in refused(["inspect", star, "--dialect", "x"], capsys).lower()
    ids = tmp_path / "ids.txt"
    ids.write_text("TS_009/1\n")
    said = refused(["train", star, "--out", out, "--particles", ids], capsys)
    assert "TS_009/1" in said
    ids.write_text("")
    assert "no particle" in refused(["reconstruct", star, "--out", out, "--particles", ids], capsys)
    (tmp_path / "bad.toml").write_text("[train]\nepochs = 0\n")
    said = refused(["train", star, "--out", out, "--config", tmp_path / "bad.toml"], capsys)
    assert "train.epochs" in said
    assert "not a run" in refused(["decode", tmp_path, "--particle", "x", "--out", out], capsys)
    assert "'x'" in refused(["decode", tiny_run, "--particle", "x", "--out", out], capsys)
    np.save(tmp_path / "z.npy", np.zeros((1, 5)))
    said = refused(["decode", tiny_run, "--latents", tmp_path / "z.npy", "--out", out], capsys)
    assert "2 latent dimensions" in said
    assert "holds a run" in refused(["train", star, "--out", tiny_run], capsys)
    assert "box" in refused(["simulate", "--out", out, "--box", "33"], capsys).lower()
    assert not out.exists()


@pytest.mark.slow
def test_interrupt_saves_and_exits_130(star: Path, tmp_path: Path) -> None:
    """A real Ctrl-C on a real process; the run it leaves can be resumed."""
    (tmp_path / "small.toml").write_text(SMALL)
    command = [sys.executable, "-m", "napari_tomodrgn", "train", star, "--out", tmp_path / "run"]
    command += ["--config", tmp_path / "small.toml", "--epochs", "100000", "--device", "cpu"]
    process = subprocess.Popen(
        [str(part) for part in command],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    metrics = tmp_path / "run" / "metrics.csv"
    waited = time.monotonic()
    while not metrics.exists() and time.monotonic() - waited < 120:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    run = Run.open(tmp_path / "run")
    assert run.resume_file.exists() and run.epochs()
