"""What holds for all commands: sources and runs stay, and nothing that is given is ignored."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from napari_tomodrgn.analysis.selections import Selection, load_selection, save_selection
from napari_tomodrgn.cli import main
from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.learn.run.directory import Run

SMALL = """
[model]
latent_dim = 2
decoder_dim = 32
image_encoder_dim = 32
linear_start = false
[train]
points_per_particle = 64
epochs = 1
device = "cpu"
"""


@pytest.fixture
def star(simulated: Path) -> Path:
    return simulated / "warptools" / "particles_optimisation_set.star"


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_run, tmp_path / "run")


@pytest.fixture
def own(star: Path, tmp_path: Path) -> Path:
    """A copy of the set, which a test may move, damage or lose."""
    return shutil.copytree(star.parent, tmp_path / "own") / star.name


def said(words: list[object], capsys: pytest.CaptureFixture[str], status: int = 2) -> str:
    """Run a command; the one line that it said."""
    capsys.readouterr()
    try:
        found = main([str(word) for word in words])
    except SystemExit as leaving:
        found = int(leaving.code or 0)
    text = capsys.readouterr().err.strip()
    assert found == status, text
    assert "Traceback" not in text
    return text.splitlines()[-1] if text else ""


# -- nothing that is read, and no file of a run, is written over --------------------------------


def test_neither_source_nor_companions_nor_run_are_written_over(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    (tmp_path / "small.toml").write_text(SMALL)
    assert (
        main(["train", str(own), "--out", str(run), "--config", str(tmp_path / "small.toml")]) == 0
    )
    next((own.parent).rglob("*.mrcs"))
    link = tmp_path / "link.star"
    link.symlink_to(own.parent / "particles.star")
    select = ["select", run, "--tomogram", "TS_001", "--overwrite", "--out"]
    for target, words in {
        own: "is read here, or belongs to what is read",
        own.parent / "particles.star": "is read here, or belongs to what is read",
        own.parent / "particles_tomograms.star": "is read here, or belongs to what is read",
        link: "is read here, or belongs to what is read",
        run / "particles.star": "file of a run",
        run / "particles_tomograms.star": "file of a run",
    }.items():
        before = target.read_bytes()
        assert words in said([*select, target], capsys)
        assert target.read_bytes() == before
    embed = ["embed", run, "--overwrite", "--out"]
    assert "file of a run" in said([*embed, run / "metrics.csv"], capsys)
    assert "file of a run" in said([*embed, run / "latents" / "epoch-0009.parquet"], capsys)
    ids = tmp_path / "ids.csv"
    ids.write_text("particle_id\n" + read_particles(own).ids[0])
    words = said([*embed, ids, "--particles", ids], capsys)
    assert "is read" in words
    assert "holds a run" in said(["train", own, "--out", run], capsys)
    assert "exists already" in said(["train", own, "--out", own.parent, "--epochs", "1"], capsys)


# -- nothing that is given is ignored ------------------------------------------------------------


def test_a_resumed_run_keeps_its_settings(
    star: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train = ["train", star, "--out", run]
    assert (
        main([*map(str, train), "--method", "linear", "--latent-dim", "1", "--device", "cpu"]) == 0
    )
    assert main([*map(str, train), "--resume"]) == 0
    assert Run.open(run).config.method == "linear"  # not the default
    for flags, words in {
        ("--method", "vae"): "method linear, now vae",
        ("--batch-size", "8"): "train.batch_size 4, now 8",
        ("--seed", "5"): "seed 0, now 5",
        ("--epochs", "2"): "train.epochs 30, now 2",
        ("--contrast", "invert"): "data.contrast auto, now invert",
        ("--max-tilts", "3"): "data.max_tilts nothing, now 3",
        ("--pixel-size", "3"): "pixel_size_angstrom as the star file says, now 3",
    }.items():
        assert words in said([*train, "--resume", *flags], capsys)
    (tmp_path / "other.toml").write_text("[weight]\ndose = false\n")
    words = said([*train, "--resume", "--config", tmp_path / "other.toml"], capsys)
    assert "weight.dose yes, now no" in words
    assert said([*train, "--resume", "--epochs", "40", "--device", "cpu"], capsys, 0)
    assert Run.open(run).config.train.epochs == 40


def test_a_run_is_not_resumed_with_other_poses(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    train = ["train", own, "--out", tmp_path / "run", "--config", tmp_path / "small.toml"]
    assert main([*map(str, train)]) == 0
    particles = own.parent / "particles.star"
    text = particles.read_text()
    line = next(line for line in text.splitlines() if line.strip().startswith("TS_001"))
    angle = re.findall(r"(?<=\s)-?\d+\.\d{3,}", line)[3]  # after the place, the first angle
    turned = line.replace(angle, f"{float(angle) + 5:.6f}")
    particles.write_text(text.replace(line, turned))
    words = said([*train, "--resume", "--epochs", "2"], capsys)
    assert "other values of rot_deg" in words


def test_a_choice_of_particles_and_tilts_is_part_of_a_run(
    star: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, ids = tmp_path / "run", tmp_path / "ids.txt"
    (tmp_path / "small.toml").write_text(SMALL)
    every = read_particles(star).ids
    ids.write_text("\ufeff" + "\n".join(every[:20]), encoding="utf-8")
    train = ["train", star, "--out", run, "--config", tmp_path / "small.toml"]
    choice = ["--particles", ids, "--max-tilts", "6", "--exclude-tilts", "0,2-3"]
    pixel = read_particles(star).optics.pixel_size_angstrom
    binning = ["--pixel-size-target", f"{1.5 * pixel:.6f}"]
    assert said([*train, *choice, *binning], capsys, 0)
    ids.unlink()  # the run knows its particles
    found = Run.open(run).particles()
    assert found.ids == every[:20]
    assert set(found.particles["tilts"]) == {6}
    assert not found.images["tilt_index"].isin([0, 2, 3]).any()
    assert found.optics.box_size_px == 16
    assert said([*train, "--resume", "--epochs", "2"], capsys, 0)
    assert Run.open(run).epochs() == [1, 2]
    # Maps have the pixel size that was worked at; the star that is written is the one of the files.
    maps = tmp_path / "maps"
    assert said(["decode", run, "--particles", "all", "--out", maps], capsys, 0)
    names = {re.sub(r"[^\w.+-]+", "_", name) + ".mrc" for name in every[:20]}
    assert {file.name for file in maps.iterdir()} == names
    volume = read_volume(maps / sorted(names)[0])
    assert volume.box_size_px == 16
    assert volume.voxel_size_angstrom == pytest.approx(1.5 * pixel, rel=1e-4)
    assert said(["select", run, "--tomogram", "TS_001", "--out", tmp_path / "a.star"], capsys, 0)
    back = read_particles(tmp_path / "a_optimisation_set.star")
    assert back.optics == read_particles(star).optics
    assert set(back.particles["tilts"]) == {11}


def test_what_is_misspelt_is_told_with_the_nearest_name(
    star: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["train", star, "--out", tmp_path / "run"]
    assert "did you mean --epochs?" in said([*train, "--epoch", "3"], capsys)
    (tmp_path / "bad.toml").write_text("\ufeff[train]\nepoch = 3\n", encoding="utf-8")
    words = said([*train, "--config", tmp_path / "bad.toml"], capsys)
    assert "no setting train.epoch. Did you mean train.epochs?" in words
    for flags, words in {
        ("--latent-dim", "1000"): "--latent-dim must be at most 512, got 1000",
        ("--batch-size", "5000"): "--batch-size must be at most 4096, got 5000",
        ("--seed", "-1"): "--seed must be at least 0, got -1",
        ("--box-target", "33"): "--box-target must be even, got 33",
        ("--max-dose", "-3"): "--max-dose must be larger than 0, got -3",
        ("--epochs", "many"): "must be a whole number, got many",
        ("--exclude-tilts", "5-3"): "must be numbers such as 1-3,5, got 5-3",
    }.items():
        assert words in said([*train, *flags], capsys)
    assert "--box must be" in said(["simulate", "--out", tmp_path / "s", "--box", "1000"], capsys)
    assert not (tmp_path / "run").exists()


def test_lowpass_beyond_nyquist_is_refused(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    optics = Run.open(tiny_run).info.to_optics()
    nyquist = 2 * optics.pixel_size_angstrom
    decode = ["decode", tiny_run, "--particles", "all", "--out", tmp_path / "maps", "--lowpass"]
    assert "beyond Nyquist" in said([*decode, 0.9 * nyquist], capsys)
    assert "beyond Nyquist" in said(
        [*decode, 1.1 * nyquist, "--box", optics.box_size_px // 2], capsys
    )
    assert said([*decode, 1.1 * nyquist], capsys, 0)


# -- a run without its images ---------------------------------------------------------------------


def test_a_run_whose_images_are_gone_is_exported_all_the_same(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    (tmp_path / "small.toml").write_text(SMALL)
    train = ["train", own, "--out", run, "--config", tmp_path / "small.toml"]
    assert main([*map(str, train)]) == 0
    shutil.rmtree(own.parent)
    moved = run.rename(tmp_path / "laptop")
    table = Run.open(moved).latents()
    assert said(["embed", moved, "--out", out / "z.csv"], capsys, 0)
    written = pd.read_csv(out / "z.csv").set_index("particle_id")
    assert list(written.index) == list(table.index)
    assert written["mu_0"].to_numpy() == pytest.approx(table["mu_0"].to_numpy(), rel=1e-6)
    few = ["embed", moved, "--tomogram", "TS_001", "--out", out / "few.csv"]
    assert said(few, capsys, 0)
    assert len(pd.read_csv(out / "few.csv")) == (table["tomogram"] == "TS_001.tomostar").sum()
    assert said(["select", moved, "--tomogram", "TS_001", "--out", out / "a.star"], capsys, 0)
    chosen = read_particles(out / "a_optimisation_set.star", images_needed=False)
    assert set(chosen.particles["tomogram"]) == {"TS_001.tomostar"}
    place = ["place", moved, "--tomogram", "TS_001", "--out", out / "scene", "--box", "16"]
    assert said(place, capsys, 0)
    assert (out / "scene" / "place.cxc").exists()
    assert said(["decode", moved, "--particles", "all", "--out", out / "maps"], capsys, 0)
    assert said(["analyze", moved, "--clusters", "2"], capsys, 0)
    # What needs them says so.
    words = said(["embed", moved, moved / "particles.star", "--out", out / "new.csv"], capsys)
    assert "--images" in words


# -- new poses ------------------------------------------------------------------------------------


def test_new_poses_take_over_selections_and_columns(
    run: Path, star: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = Run.open(run)
    ids = list(older.latents().index)
    save_selection(run, Selection(name="good", particles=tuple(ids[3:9]), color="#ff0000"))
    older.save_extras(pd.DataFrame({"trust": range(len(ids))}, index=ids))
    # The refined star: other order, one particle fewer.
    particles = read_particles(star)
    kept = particles.select([name for name in ids if name != ids[4]])
    refined = write_subset(kept, tmp_path / "refined.star")
    words = said(
        ["select", run, "--selection", "good", "--star", refined, "--out", tmp_path / "b.star"],
        capsys,
        0,
    )
    assert words.startswith("5 of 24 particles")
    assert set(read_particles(tmp_path / "b_optimisation_set.star").ids) == {*ids[3:9]} - {ids[4]}
    (tmp_path / "small.toml").write_text(SMALL)
    train = ["train", refined, "--out", tmp_path / "new", "--config", tmp_path / "small.toml"]
    assert main([*map(str, train), "--selections-of", str(run)]) == 0
    told = capsys.readouterr().err
    assert "1 selections and 1 columns taken over" in told
    assert "1 entries of particles that are not in this run" in told
    selection = load_selection(tmp_path / "new", "good")
    assert set(selection.particles) == {*ids[3:9]} - {ids[4]} and selection.color == "#ff0000"
    extras = Run.open(tmp_path / "new").extras()
    assert extras is not None
    for name in extras.index:
        assert extras.loc[name, "trust"] == ids.index(name)


# -- other ----------------------------------------------------------------------------------------


def test_a_linked_optimisation_set_finds_its_companions(star: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "set.star"
    link.parent.mkdir()
    link.symlink_to(star)
    assert read_particles(link).ids == read_particles(star).ids


def test_inspect_lists_ids(star: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(star), "--ids", "--tomogram", "TS_002"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [name for name in read_particles(star).ids if name.startswith("TS_002")]


@pytest.mark.parametrize("module", ["numpy", "torch", "napari_tomodrgn.learn.training.train"])
def test_ctrl_c_from_the_first_moment_on(star: Path, tmp_path: Path, module: str) -> None:
    """Pressed while a module is imported: compiled ones answer an exception with their own."""
    code = (
        "import os, signal, sys\n"
        "from napari_tomodrgn.cli import main\n"
        "class Pressed:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == sys.argv[1]:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Pressed())\n"
        "sys.exit(main(sys.argv[2:]))\n"
    )
    words = [sys.executable, "-c", code, module, "train", star, "--out", tmp_path / "run"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "napari-tomodrgn: stopped.\n")
    assert not (tmp_path / "run").exists()


def test_ctrl_c_while_files_are_written_leaves_none(
    tiny_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = []

    def pressed(self: object, done: int, total: int, note: str = "") -> None:
        written.extend(tmp_path.rglob("*.mrc"))
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("napari_tomodrgn.cli.terminal.Bar.show", pressed)
    decode = ["decode", tiny_run, "--particles", "all", "--out", tmp_path / "maps"]
    assert said(decode, capsys, 130) == "napari-tomodrgn: stopped."
    assert written and not list(tmp_path.iterdir())
