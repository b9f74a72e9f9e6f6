"""PyTorch's compiler beside an OpenGL that has a compiler as well."""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from napari_tomodrgn.gui.window.triton_library import load_triton_apart

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a matter of Linux")


@linux
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="no Triton here")
def test_triton_is_imported_after_a_canvas_was_drawn() -> None:
    """Without it: a segmentation fault where Mesa draws."""
    code = """
from vispy import app, scene
app.use_app("pyqt6")
canvas = scene.SceneCanvas(show=True)
canvas.app.process_events()
canvas.render()
from napari_tomodrgn.gui.window.triton_library import load_triton_apart
assert load_triton_apart()
import triton
canvas.render()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)


@linux
def test_its_names_are_bound_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "_C" / "libtriton.so"
    library.parent.mkdir()
    library.touch()
    spec = importlib.machinery.ModuleSpec("triton", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    asked: list[tuple[str, int]] = []

    def load(name: str, mode: int) -> Any:
        asked.append((name, mode))

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert load_triton_apart()
    assert asked == [(str(library), os.RTLD_LAZY | os.RTLD_LOCAL | os.RTLD_DEEPBIND)]


@linux
def test_a_library_that_is_none_is_told_and_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "_C").mkdir()
    (tmp_path / "_C" / "libtriton.so").write_bytes(b"no library")
    spec = importlib.machinery.ModuleSpec("triton", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    assert not load_triton_apart()
    assert "libtriton.so" in caplog.text


def test_without_triton_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    assert not load_triton_apart()
