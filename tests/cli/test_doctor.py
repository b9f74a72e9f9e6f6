"""What `doctor` says of a computer, and of one that lacks something."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from napari_tomodrgn.cli import main
from napari_tomodrgn.cli.commands import doctor


@pytest.fixture
def no_opengl(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer of a computer without a display; asking the real one takes seconds."""
    said = subprocess.CompletedProcess([], 134, "", "could not connect to display\nmore words")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_args, **_options: said)


@pytest.mark.usefixtures("no_opengl")
def test_it_says_what_a_bug_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["torch"].strip() == metadata.version("torch")
    assert sys.version.split()[0] in lines["system"]
    assert "writable" in lines["folder"]
    assert "could not connect to display" in lines["OpenGL"] and "<-" in lines["OpenGL"]


@pytest.mark.usefixtures("no_opengl")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    found = [line for line in doctor.diagnose(tmp_path / "none") if line.name == "folder"]
    assert "No such file" in found[0].found and "--out" in found[0].remedy
    assert "writable" in found[1].found and not found[1].remedy


@pytest.mark.usefixtures("no_opengl")
def test_two_bindings_clash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor.metadata, "version", lambda _name: "1.0")
    found = {line.name: line for line in doctor.diagnose(tmp_path)}
    assert "PyQt6, PyQt5, PySide6" in found["Qt binding"].found and found["Qt binding"].remedy


def test_graphics_are_asked_in_a_process_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def answer(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "a warning\nllvmpipe, OpenGL 4.5\n", "")

    monkeypatch.setattr(doctor.subprocess, "run", answer)
    assert list(doctor.diagnose(Path()))[-1] == doctor.Line("OpenGL", "llvmpipe, OpenGL 4.5")
    assert asked[-1] == [sys.executable, "-m", "napari_tomodrgn.gui.window.graphics"]
