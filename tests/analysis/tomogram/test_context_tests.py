"""Tests of surroundings that a run keeps."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.analysis.tomogram.association import associations
from napari_tomodrgn.analysis.tomogram.context_tests import (
    ContextTest,
    context_file,
    digest_of,
    keep_test,
    kept_tests,
)
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    """A copy that a test may write into."""
    return Run.open(Path(shutil.copytree(tiny_run, tmp_path / "run")))


def _tested(run: Run, name: str, high: str) -> ContextTest:
    rows = run.latents()
    columns = pd.DataFrame({"height": np.arange(len(rows), dtype=float)}, index=rows.index)
    columns["one"] = 1.0  # with nothing to measure
    states = pd.Series(np.where(columns["height"] > 7, high, "low"), rows.index, name=name)
    table = associations(states, columns, rows["tomogram"].astype(str), 99)
    return ContextTest(name, digest_of(states), 99, table)


def test_of_each_state_the_last_test_is_kept(run: Run) -> None:
    assert kept_tests(run) == []
    first, other, again = (
        _tested(run, name, high) for name, high in (("a", "x"), ("b", "x"), ("a", "y"))
    )
    for one in (first, other, again):
        keep_test(run, one)
    found = kept_tests(run)
    assert [(one.state, one.digest) for one in found] == [("b", other.digest), ("a", again.digest)]
    assert first.digest != again.digest
    for one, given in zip(found, (other, again), strict=True):
        pd.testing.assert_frame_equal(one.table, given.table, check_names=False)
        assert one.permutations == 99 and one.asked.startswith("20")


def test_values_have_one_digest_in_whichever_order_they_stand() -> None:
    states = pd.Series(["1", "2", "1", None], ["a", "b", "c", "d"])
    assert digest_of(states) == digest_of(states[::-1]) == digest_of(states.dropna())
    assert digest_of(states) != digest_of(states.replace("2", "3"))
    assert digest_of(states) != digest_of(states.set_axis(["a", "b", "x", "d"]))


@pytest.mark.parametrize("text", ["", "state,column\na,b\n", "{}", "\x00"])
def test_a_damaged_file_is_told(run: Run, text: str) -> None:
    context_file(run).parent.mkdir(exist_ok=True)
    context_file(run).write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError, match="not a table of tests of surroundings"):
        kept_tests(run)
