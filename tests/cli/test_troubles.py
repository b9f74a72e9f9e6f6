"""Every command that writes, in every trouble: one sentence, exit 2, nothing half-written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from troubles import (
    TROUBLES,
    WRITERS,
    is_hidden,
    is_possible,
    outcome,
    prepare,
    run,
    sentence,
    snapshot,
)

from napari_tomodrgn.cli.arguments import COMMANDS
from napari_tomodrgn.learn.run.directory import Run

_DOCS = Path(__file__).resolve().parents[2] / "docs" / "troubles.md"
_READ_ONLY_COMMANDS = {"inspect", "view", "demo", "doctor"}
_SAID = {
    "exists": (
        "exists already",
        "exists and is not an empty folder",
        "holds a run already",
        "holds an earlier simulation",
    ),
    "disk full": ("the disk is full",),
    "read-only": ("the file system is read-only",),
    "no permission": ("you may not write there",),
}


@pytest.fixture(scope="module")
def at() -> Iterator[Path]:
    """What the commands read; in a folder that other users may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        prepare(Path(folder))
        yield Path(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_every_command_that_writes_is_among_them() -> None:
    assert {name.split()[0] for name in WRITERS} == set(COMMANDS) - _READ_ONLY_COMMANDS


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble(name: str, trouble: str, at: Path, place: Path) -> None:
    if not is_possible(name, trouble):
        pytest.skip("a command that goes on with a run, or analyses it, replaces its own files")
    try:
        found = outcome(name, trouble, at, place)
    except OSError as error:
        pytest.skip(f"this trouble cannot be made here: {error}")
    out = place / "out"
    said = sentence(found.said, at, out)
    new = [Path(file) for file in found.left]
    if trouble == "killed":
        whole = [file for file in new if not (is_hidden(str(file)) or file.name == "training.lock")]
        trains = name in ("train", "train --resume")  # into a run, file by file
        if whole and not (trains or WRITERS[name].goes_on):
            pytest.skip(f"it was done before it could be killed: {whole}")
        _runs_after_all(name, at, out)
        return
    assert found.status == 2, found.said
    assert sum(line.startswith("napari-tomodrgn") for line in found.said.splitlines()) == 1
    assert "Traceback" not in found.said
    assert any(words in said for words in _SAID[trouble]), said
    # A training that has begun leaves a run that can be opened (or `outcome` raises), and resumed.
    if WRITERS[name].goes_on and trouble == "disk full":
        assert not [file for file in new if file.suffix == ".star"]  # it does not look whole
    elif not (trouble == "disk full" and name in ("train", "train --resume")):
        assert (found.left, found.changed) == ((), ())
    (row,) = (line for line in _rows() if line.startswith(f"| `{name}` | {trouble} |"))
    assert f"| {found.status} |" in row
    assert any(words in row for words in _SAID[trouble])


def _runs_after_all(name: str, at: Path, out: Path) -> None:
    """The same command again, or what goes on with a run: it succeeds, and nothing is left over."""
    words = WRITERS[name].words(at, out)
    if name == "train" and (out / "run" / "run.json").exists():
        words.append("--resume")
    status, said = run(words)
    assert status == 0, said
    files = [Path(file) for file in snapshot(out)]
    # An extraction keeps a hidden mark of its settings, to go on with it.
    left = [file for file in files if file.name.startswith(".") and file.name != ".extraction"]
    assert not left and not [file for file in files if file.name == "training.lock"]
    if name.startswith("train") and "--slurm" not in name:
        assert Run.open(out / "run" if name == "train" else out).epochs()


def _rows() -> list[str]:
    return [line for line in _DOCS.read_text().splitlines() if line.startswith("| `")]
