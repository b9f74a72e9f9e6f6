"""Selections on disk, and `select`: exactly those particles come back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from napari_tomodrgn.analysis.selections import (
    Selection,
    delete_selection,
    ids_of_clusters,
    known_clusters,
    load_selection,
    save_selection,
    selection_names,
)
from napari_tomodrgn.cli import main
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_run, tmp_path / "run")


def test_saved_selections_come_back(tmp_path: Path) -> None:
    large = Selection(name="Large subunit 1.5", particles=("a/1", "a/2"), color="#ff8800")
    save_selection(tmp_path, large)
    save_selection(tmp_path, Selection(name="empty", particles=()))
    assert selection_names(tmp_path) == ["Large subunit 1.5", "empty"]
    assert load_selection(tmp_path, "Large subunit 1.5") == large
    delete_selection(tmp_path, "empty")
    assert selection_names(tmp_path) == ["Large subunit 1.5"]


def test_clusters_are_those_that_were_made_last(run: Path) -> None:
    """In the window, whose columns hold words, or by ``analyze``."""
    opened, ids = Run.open(run), list(Run.open(run).latents().index)
    assert known_clusters(run) is None
    opened.save_extras(pd.DataFrame({"cluster": ["01", "02"] * 12}, index=ids))
    assert ids_of_clusters(run, [2]) == ids[1::2]
    by_analyze = opened.analysis.clusters
    pd.DataFrame({"particle_id": ids, "cluster": [1] * 20 + [2] * 4}).to_csv(by_analyze)
    for seconds, members in ((+10, ids[20:]), (-10, ids[1::2])):
        moment = opened.columns_file.stat().st_mtime + seconds
        os.utime(by_analyze, (moment, moment))
        assert ids_of_clusters(run, [2]) == members
    opened.save_extras(pd.DataFrame({"cluster": ["large", "small"] * 12}, index=ids))
    assert ids_of_clusters(run, [2]) == ids[20:]  # words of a user's own are no numbers


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a\\b", " a", "x" * 200])
def test_names_that_are_no_file_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError, match="cannot be called"):
        save_selection(tmp_path, Selection(name=name, particles=()))


def test_absent_and_damaged_selections(tmp_path: Path) -> None:
    save_selection(tmp_path, Selection(name="one", particles=()))
    with pytest.raises(BadInputError, match="there are: one"):
        load_selection(tmp_path, "two")
    (tmp_path / "analysis" / "selections" / "bad.json").write_text('{"name": "bad"}')
    with pytest.raises(BadInputError, match="not a selection"):
        load_selection(tmp_path, "bad")


def selected(run: Path, out: Path, *options: str) -> list[str]:
    assert main(["select", str(run), "--out", str(out), *options]) == 0
    return read_particles(out).ids


def test_select_by_each_way(run: Path, tmp_path: Path) -> None:
    ids = Run.open(run).particles().ids
    wanted = [ids[7], ids[2], ids[20]]
    in_order = [ids[2], ids[7], ids[20]]
    listed = tmp_path / "ids.txt"
    listed.write_text("\n".join(wanted) + "\n")
    assert selected(run, tmp_path / "a.star", "--particles", str(listed)) == in_order
    save_selection(run, Selection(name="three", particles=tuple(wanted)))
    assert selected(run, tmp_path / "b.star", "--selection", "three") == in_order
    rest = selected(run, tmp_path / "c.star", "--selection", "three", "--invert")
    assert rest == [name for name in ids if name not in wanted]
    rows = "".join(f"{name},{i % 4}\n" for i, name in enumerate(ids))
    (run / "analysis" / "clusters.csv").write_text("particle_id,cluster\n" + rows)
    some = selected(run, tmp_path / "deep" / "d.star", "--clusters", "1,3")
    assert some == ids[1::2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--clusters", "1"], "has no clusters yet"),
        (["--selection", "none"], "no selection is called"),
        (["--particles", "/no/such/file"], "cannot be read as a list of particles"),
    ],
)
def test_what_cannot_be_selected(
    run: Path, tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "x.star")
    assert main(["select", str(run), "--out", out, *options]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.strip().splitlines()) == 1


def test_selecting_nobody(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = Run.open(run).particles().ids
    save_selection(run, Selection(name="all", particles=tuple(ids)))
    out = str(tmp_path / "x.star")
    assert main(["select", str(run), "--out", out, "--selection", "all", "--invert"]) == 2
    assert "no particle is left" in capsys.readouterr().err
