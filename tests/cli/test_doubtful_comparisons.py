"""Tables of conditions and numbers of classes that say nothing are refused or told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from napari_tomodrgn.cli import main
from napari_tomodrgn.learn.run.directory import Run


@pytest.fixture
def classed(tiny_run: Path, tmp_path: Path) -> tuple[Run, list[str]]:
    """A run with clusters, and the names of its tomograms."""
    run = Run.open(shutil.copytree(tiny_run, tmp_path / "run"))
    table = run.latents()
    clusters = [number % 2 + 1 for number in range(len(table))]
    found = pd.DataFrame({"particle_id": table.index, "cluster": clusters})
    found.to_csv(run.analysis.clusters, index=False)
    run.save_extras(found.set_index("particle_id").astype({"cluster": str}))
    return run, sorted(table["tomogram"].astype(str).unique())


@pytest.mark.parametrize(
    "rows, words",
    [
        ("{0},a\n{1},b\n{0},b\n", "two conditions, a and b"),
        ("{0},a\n{1},\n", "row 2 lacks its tomogram or its condition"),
        ("{0},a\n{1}, \n", "row 2 lacks its tomogram or its condition"),
        ("{0},\n{1},\n", "row 1 lacks its tomogram or its condition"),
        ("{0},a\n{1},a \n", "All tomograms have the same condition"),
    ],
)
def test_conditions_that_are_doubtful(classed, rows: str, words: str, tmp_path: Path, capsys):
    run, names = classed
    table = tmp_path / "conditions.csv"
    table.write_text("tomogram,condition\n" + rows.format(*names))
    out = tmp_path / "shares.csv"
    assert main(["shares", str(run.path), "--conditions", str(table), "--out", str(out)]) == 2
    assert words in capsys.readouterr().err and not out.exists()


def test_one_tomogram_has_no_interval_and_strangers_are_told(classed, tmp_path: Path, capsys):
    run, names = classed
    table = tmp_path / "conditions.csv"
    rows = "".join(f"{name},{'ab'[at % 2]}\n" for at, name in enumerate([*names[:2], "TS_99"]))
    table.write_text("tomogram,condition\n" + rows)
    out = tmp_path / "shares.csv"
    assert len(names) == 2
    assert main(["shares", str(run.path), "--conditions", str(table), "--out", str(out)]) == 0
    said = "".join(capsys.readouterr())
    assert "no interval of one" in said and "is not tested" in said and "TS_99" in said
    assert pd.read_csv(out)["low"].isna().all()


@pytest.mark.parametrize("count", [1, 13, 50])
def test_numbers_of_classes_that_agree_by_themselves(tiny_run: Path, count: int, tmp_path, capsys):
    words = ["compare-runs", str(tiny_run), str(tiny_run), "--clusters", str(count)]
    assert main([*words, "--out", str(tmp_path / "pair.csv")]) == 2
    assert "say nothing of whether runs agree" in capsys.readouterr().err
