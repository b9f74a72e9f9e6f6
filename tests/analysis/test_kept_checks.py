"""Answers of checks that a run keeps."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from napari_tomodrgn.analysis.preflight.kept import checks_file, keep_checks, kept_checks
from napari_tomodrgn.data.checks import Check
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    """A copy that a test may write into."""
    return Run.open(Path(shutil.copytree(tiny_run, tmp_path / "run")))


def test_answers_come_back_as_they_were(run: Run) -> None:
    given = (
        Check("contrast", "ok", "Particles are bright: +3.2 SD.", 3.2, "why"),
        Check("dose-decay", "info", "Undecided.", None, "why", "Ask again."),
    )
    assert kept_checks(run) == ()
    keep_checks(run, given)
    assert kept_checks(run) == given
    keep_checks(run, given[:1])
    assert kept_checks(run) == given[:1]


@pytest.mark.parametrize("text", ["", "[", '[{"code": "a"}]', '{"code": "a"}'])
def test_a_damaged_file_is_told(run: Run, text: str) -> None:
    checks_file(run).parent.mkdir(exist_ok=True)
    checks_file(run).write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError, match="not the answers of checks"):
        kept_checks(run)
