"""compare, compare-runs, shares and report from the terminal: what they print, write and refuse."""

from __future__ import annotations

import json
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evidence_case import Case, make_case

from napari_tomodrgn.analysis.evidence.records import read_comparisons
from napari_tomodrgn.analysis.preflight.kept import keep_checks
from napari_tomodrgn.analysis.selections import Selection, save_selection
from napari_tomodrgn.analysis.tomogram.association import associations
from napari_tomodrgn.analysis.tomogram.context_tests import ContextTest, digest_of, keep_test
from napari_tomodrgn.cli import main
from napari_tomodrgn.data.checks import Check
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.palette import CATEGORIES


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    case = make_case(tmp_path_factory.mktemp("evidence"), ("80S", "60S"))
    states = case.truth["state"].to_numpy()
    ids = np.array(case.evidence.ids)
    save_selection(case.run.path, Selection(name="large", particles=tuple(ids[states == 0])))
    clusters = pd.DataFrame({"particle_id": ids, "cluster": 1 + states})
    clusters.to_csv(case.run.analysis.clusters, index=False)
    return case


def run(*words: str | Path) -> int:
    return main([str(word) for word in words])


def test_compare_says_one_sentence_and_keeps_it(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "maps"
    words = ("compare", case.run.path, "--a", "large", "--complement", "--out", out)
    assert run(*words, "--permutations", "1999", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["differ"]
    assert result["p"] == result["p_holm"] == pytest.approx(1 / 2000)
    assert result["sentence"].startswith("large and all others differ: ")
    box = case.evidence.sums.box_size_px
    for name in ("a", "a_half1", "b", "difference", "standard_error"):
        assert read_volume(out / f"{name}.mrc").data.shape == (box,) * 3
    table = pd.read_csv(out / "particles.csv").fillna("")
    assert set(table["in_tilt_half_1"]) == {"a", "b"}
    assert [one["sentence"] for one in read_comparisons(case.run)] == [result["sentence"]]
    # The same groups again are no further comparison.
    assert run(*words[:-1], tmp_path / "again", "--permutations", "1000") == 0
    assert len(read_comparisons(case.run)) == 1
    assert run("compare", case.run.path, "--a", "1", "--b", "2", "--out", tmp_path / "c") == 0
    assert len(read_comparisons(case.run)) == 1
    said = capsys.readouterr().out
    assert "cluster 1 and cluster 2 differ" in said
    assert "tilt halves agree on" in said
    # Of a condition on columns it is the same groups, and the same comparison.
    words = ("compare", case.run.path, "--a", "(cluster == 1)", "--b", "(cluster in (2, 3))")
    assert run(*words, "--out", tmp_path / "d") == 0
    assert len(read_comparisons(case.run)) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--a", "nobody", "--complement"), "is no selection of"),
        (("--a", "1", "--b", "large"), "share"),
        (("--a", "7", "--complement"), "no cluster 7"),
    ],
)
def test_compare_refuses_in_a_line(
    case: Case,
    words: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("compare", case.run.path, *words, "--out", tmp_path / "x") == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("napari-tomodrgn: ")
    assert message in said


def test_compare_does_not_write_into_a_folder_with_files(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    assert run("compare", case.run.path, "--a", "1", "--complement", "--out", tmp_path) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_a_run_compared_with_itself_moves_nobody(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("compare-runs", case.run.path, case.run.path, "--out", tmp_path / "out", "--json")
    assert run(*words) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["explained"] == pytest.approx(1)
    assert pd.read_csv(tmp_path / "out" / "particles.csv")["moved"].max() < 1e-6


def test_shares_by_condition(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = case.evidence.data.particles.particles["tomogram"].astype(str).unique()
    conditions = tmp_path / "conditions.csv"
    pd.DataFrame({"tomogram": names, "condition": ["a", "b"]}).to_csv(conditions, index=False)
    out, figure = tmp_path / "shares.csv", tmp_path / "shares.svg"
    words = ("shares", case.run.path, "--conditions", conditions, "--out", out, "--figure", figure)
    assert run(*words) == 0
    table = pd.read_csv(out)
    drawn = figure.read_text(encoding="utf-8")
    assert drawn.count("<circle") == len(table) + 2, "a point for each row, and the two names"
    assert ">a<" in drawn and ">b<" in drawn
    assert table.groupby("condition")["share"].sum().tolist() == pytest.approx([1, 1])
    said = capsys.readouterr().out
    assert "no interval of one" in said and "is not tested" in said
    assert "corrected for confusion: tilt halves agree on" in said
    page = tmp_path / "page.html"
    assert run("report", case.run.path, "--out", page) == 0, "which has the figure from now on"
    assert "Share of each cluster" in page.read_text(encoding="utf-8")


def test_trust_is_a_column_of_the_run(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "trust.csv"
    assert run("trust", case.run.path, "--out", out) == 0
    table = pd.read_csv(out)
    assert list(table["particle_id"]) == case.evidence.ids
    extras = case.run.extras()
    assert extras is not None
    assert extras["trust"].between(0, 1).all()
    assert "0 hold less than half" in capsys.readouterr().out


class _Page(HTMLParser):
    """What a page loads, and its headings."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.titles = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.titles += tag == "title"
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href")]


def test_report_is_one_page_that_loads_nothing(case: Case, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    groups = ("--a", "large", "--complement", "--permutations", "1000")
    assert run("compare", case.run.path, *groups, "--out", tmp_path / "compared") == 0
    keep_checks(case.run, [Check("contrast", "warning", "Contrast is <low>.", 0.4)])
    rows = case.run.latents()
    columns = pd.DataFrame({"height_angstrom": np.arange(40.0) % 7}, index=rows.index)
    states = pd.Series("high", rows.index).where(columns["height_angstrom"] > 2, "low")
    table = associations(states, columns, rows["tomogram"].astype(str), 99)
    keep_test(case.run, ContextTest("cluster", digest_of(states), 99, table))
    assert run("report", case.run.path, "--out", out) == 0
    text = out.read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert all(value.startswith("data:") for value in page.loaded)
    assert page.titles > 40  # the page's, and a name on each point
    for word in ("Verdict", "Comparisons", "SHA-256", "cluster 1", "Nature Methods"):
        assert word in text
    assert "<b>! Contrast (+0.4 SD)</b>: Contrast is &lt;low&gt;.</li>" in text
    assert "focus_mask" in text and "decoder_layers" not in text, "of the linear model alone"
    assert "1 of 1 columns go with it (q ≤ 0.05), by 99 shuffles within tomograms" in text
    assert "earlier clusters: others were made since" in text and "height (Å)" in text
    assert "number of tilts" in text or "place in the tomogram" in text  # of the audit
    # Clusters of the window count before those of an earlier analysis, and each has its map.
    ids = case.evidence.ids
    words = np.where(np.arange(len(ids)) < 10, "1", np.where(np.arange(len(ids)) < 17, "2", "3"))
    case.run.save_extras(pd.DataFrame({"cluster": words}, index=pd.Index(ids)))
    assert run("report", case.run.path, "--out", out, "--overwrite") == 0
    text = out.read_text(encoding="utf-8")
    for number, (count, color) in enumerate(zip((10, 7, 23), CATEGORIES, strict=False), start=1):
        assert f'{color}">●</span> cluster {number}</figcaption>{count} particles' in text
        assert f'alt="cluster {number}"' in text
    [compared] = read_comparisons(case.run)
    for name in (f"A: {compared['a']}", f"B: {compared['b']}", "A − B"):
        assert f'alt="{escape(name)}"' in text
    assert run("report", case.run.path, "--out", out) == 2
