"""Runs whose tables were damaged, and folders that a run has left: one sentence, nothing mixed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from napari_tomodrgn.cli import main
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import reject_taken


@pytest.fixture
def copied(tiny_run: Path, tmp_path: Path) -> Run:
    return Run.open(shutil.copytree(tiny_run, tmp_path / "run"))


@pytest.mark.parametrize("words", ['garbage,"', "epoch,total\none,1.0\n", "", "epoch\n"])
def test_a_table_of_losses_that_is_none(copied: Run, words: str, capsys) -> None:
    (copied.path / "metrics.csv").write_text(words)
    if words == "epoch\n":
        assert not len(copied.metrics())
        return
    assert main(["convergence", str(copied.path)]) == 2
    said = capsys.readouterr().err
    assert "metrics.csv: no table of losses" in said and "Traceback" not in said


@pytest.mark.parametrize("command", ["analyze", "report", "decode"])
def test_latents_that_are_no_numbers(copied: Run, command: str, capsys, tmp_path: Path) -> None:
    file = copied.latents_file(copied.last_epoch())
    table = pd.read_parquet(file)
    table.loc[3, "mu_1"] = float("nan")
    table.to_parquet(file, index=False)
    more = {
        "analyze": ["--clusters", "2"],
        "report": ["--out", str(tmp_path / "page.html")],
        "decode": ["--particles", "all", "--out", str(tmp_path / "maps")],
    }[command]
    assert main([command, str(copied.path), *more]) == 2
    assert f"mu_1 of particle {table['particle_id'][3]} is no number" in capsys.readouterr().err


def test_a_folder_with_epochs_of_another_run_is_refused(copied: Run, capsys) -> None:
    star = next(copied.path.glob("particles*.star"))
    (copied.path / "run.json").unlink()
    before = {file: file.read_bytes() for file in copied.path.rglob("*") if file.is_file()}
    with pytest.raises(BadInputError, match="epochs of a run without"):
        reject_taken(copied.path)
    words = ["train", str(star), "--out", str(copied.path), "--overwrite"]
    assert main(words) == 2
    assert before == {file: file.read_bytes() for file in copied.path.rglob("*") if file.is_file()}


def test_a_table_of_ones_own_is_not_replaced(simulated: Path, tmp_path: Path, capsys) -> None:
    star = simulated / "warptools" / "particles_optimisation_set.star"
    mine = tmp_path / "metrics.csv"
    mine.write_text("my notes\n")
    assert main(["train", str(star), "--out", str(tmp_path)]) == 2
    assert "metrics.csv" in capsys.readouterr().err and mine.read_text() == "my notes\n"
