"""Windows opened by a program: a picture without a display, sample data, cheap imports."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from qtpy.QtWidgets import QApplication

from napari_tomodrgn.cli import main
from napari_tomodrgn.data.mrc import write_mrc
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.plugin import sample_data
from napari_tomodrgn.gui.plugin.sample_data import packaged_run
from napari_tomodrgn.gui.window import launch
from napari_tomodrgn.gui.window.dock import open_dock


def _run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="no virtual display")
def test_a_picture_without_a_display(
    tiny_run: Path, tmp_path: Path, lit: Callable[..., float]
) -> None:
    picture = tmp_path / "pictures" / "window.png"
    call = f"view([{str(tiny_run)!r}], {str(picture)!r})"
    code = f"from napari_tomodrgn.gui.window.launch import view; {call}"
    done = _run(code)
    assert done.returncode == 0, done.stderr
    from imageio.v3 import imread

    pixels = np.asarray(imread(picture))
    assert pixels.shape[:2] == (900, 1440)
    canvas = pixels[60:540, 330:1080]
    assert lit(canvas, threshold=40) > 0.01, "the volume is not in the picture"


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="no virtual display")
def test_a_virtual_display_dies_with_its_process() -> None:
    code = """
import os, psutil
from napari_tomodrgn.gui.window.launch import some_display
with some_display():
    from qtpy.QtWidgets import QApplication, QLabel
    application, label = QApplication([]), QLabel("seen")
    label.show()
    application.processEvents()
    print(*(one.pid for one in psutil.Process().children()), flush=True)
    os.abort()
"""
    done = _run(code)  # returns: nobody else holds the pipe
    assert done.returncode == -signal.SIGABRT, done.stderr
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 1
    deadline = time.monotonic() + 30
    while psutil.pid_exists(pids[0]) and psutil.Process(pids[0]).status() != "zombie":
        assert time.monotonic() < deadline, "the virtual display is still there"
        time.sleep(0.05)


def test_a_window_without_a_display_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "has_display", lambda: False)
    with pytest.raises(BadInputError, match="no screen") as error:
        launch.view([])
    assert "--screenshot" in error.value.remedy


def test_a_picture_is_never_written_over_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "map.mrc").write_bytes(b"a year of work")
    picture = tmp_path / "window.png"
    picture.write_bytes(b"another picture")
    for words, code in (
        (["--screenshot", str(picture)], "--overwrite"),
        (["--screenshot", str(tmp_path / "map.mrc"), "--overwrite"], "is read"),
    ):
        assert main(["view", str(tmp_path / "map.mrc"), *words]) == 2
        assert code in capsys.readouterr().err
    assert (tmp_path / "map.mrc").read_bytes() == b"a year of work"
    assert picture.read_bytes() == b"another picture"


_MAP = np.zeros((3, 4, 5), np.float32)
_TEXTS = {
    "notes.txt": "milk",
    "no ending": "milk",
    "settings.json": "{}",
    "page.xml": "<a/>",
    "words.csv": "milk,eggs\n",
    "shopping.star": "milk",
    "empty.star": "",
    "job.star": "data_job\n_rlnJobTypeLabel x\n",
    "cut.mrc": "no map",
    "cut.mrcs": "no map",
    "damaged/run.json": "{",
    "shared.tomodrgn": "no archive",
    "texts/notes.txt": "milk",
}


@pytest.fixture
def no_loop(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Viewers that `view` opened, with its loop left out; they are closed afterwards."""
    import napari

    viewers: list[Any] = []
    make = napari.Viewer

    def made(**words: Any) -> Any:
        viewers.append(make(**words))
        return viewers[-1]

    monkeypatch.setattr(napari, "Viewer", made)
    monkeypatch.setattr(launch, "_run_loop", lambda: None)
    return viewers


@pytest.mark.parametrize("name", [*_TEXTS, "folder", "damaged", "maps", "folder.star", "absent"])
def test_what_cannot_be_viewed_is_one_sentence(
    gl_is_real: str,
    no_loop: list[Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    for file, text in _TEXTS.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    for folder in ("folder", "maps", "folder.star"):
        (tmp_path / folder).mkdir()
    write_mrc(tmp_path / "maps" / "a.mrc", _MAP, (2.0,) * 3)
    assert main(["view", str(tmp_path / name)]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and str(tmp_path / name) in told[0], told
    assert "Traceback" not in told[0] and "object has no" not in told[0]
    assert not [one for one in QApplication.topLevelWidgets() if one.isVisible()]


def test_two_data_sets_are_one_too_many(
    tiny_star: Path, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(tiny_run, tmp_path / "other"))
    for two in ((tiny_run, other), (tiny_star, tiny_star.parent / "particles.star")):
        assert main(["view", *map(str, two)]) == 2
        told = capsys.readouterr().err
        assert "one data set" in told and all(str(path) in told for path in two)
    # A run after its particles is the run, whichever comes first.
    for both in ((tiny_star, tiny_run), (tiny_run, tiny_star)):
        assert launch._checked(both) == (tiny_run, [])


def test_maps_stacks_and_what_napari_knows_are_viewed(
    gl_is_real: str, no_loop: list[Any], tmp_path: Path, qtbot: Any
) -> None:
    from imageio.v3 import imwrite

    write_mrc(tmp_path / "map.mrc", _MAP, (2.0,) * 3)
    write_mrc(tmp_path / "stack.mrcs", _MAP, (2.0,) * 3, stack=True)
    (tmp_path / "pictures").mkdir()
    for number in range(2):
        imwrite(tmp_path / "pictures" / f"{number}.tif", np.zeros((6, 7), np.uint8))
    (tmp_path / "points.csv").write_text("index,axis-0,axis-1\n0,1.0,2.0\n")
    names = ["map.mrc", "stack.mrcs", "pictures", "points.csv"]
    launch.view([tmp_path / name for name in names])
    (viewer,) = no_loop
    try:
        assert [layer.name for layer in viewer.layers] == ["map", "stack", "pictures", "points"]
        np.testing.assert_allclose(viewer.layers["map"].scale, 2.0)
    finally:
        widget = open_dock(viewer)
        widget.close_down()
        qtbot.waitUntil(lambda: widget.controller.idle)
        viewer.close()


def test_without_a_virtual_display_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "has_display", lambda: False)
    monkeypatch.setattr(launch.shutil, "which", lambda name: None)
    with pytest.raises(BadInputError, match="Xvfb"):
        launch.view([], "picture.png")


def test_the_sample_opens_in_the_dock(
    make_napari_viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    small = {**sample_data.SETTINGS, "particles": 4, "tilts": 3, "tomograms": 1}
    monkeypatch.setattr(sample_data, "SETTINGS", small)
    monkeypatch.setattr(sample_data, "sample_folder", lambda: tmp_path / "sample")
    viewer = make_napari_viewer(show=True)
    viewer.open_sample("napari-tomodrgn", "simulated")
    _, widget = viewer.window.add_plugin_dock_widget("napari-tomodrgn", "tomoDRGN")
    qtbot.waitUntil(lambda: widget.session.particles is not None, timeout=60_000)
    assert len(widget.session.particles) == 4
    assert [layer.name for layer in viewer.layers] == ["truth 80S", "truth 60S"]
    assert not any(layer.visible for layer in viewer.layers)


def test_the_trained_run_opens_in_seconds_with_all_that_is_known(
    make_napari_viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    monkeypatch.setattr(sample_data, "cache_folder", lambda: tmp_path)
    began = time.process_time()
    viewer = make_napari_viewer(show=True, strict_qt="raise")
    widget = open_dock(viewer)
    qtbot.waitUntil(widget.isVisible)
    QApplication.processEvents()
    session, empty = widget.session, time.process_time() - began
    began = time.process_time()
    viewer.open_sample("napari-tomodrgn", "trained")
    qtbot.waitUntil(
        lambda: session.decoded is not None and session.decoded.complete, timeout=60_000
    )
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=60_000)
    # Of all threads, over what an empty window takes on this machine: 1.7 times as long.
    assert time.process_time() - began < 4.0 * empty
    assert len(session.latents) == len(session.particles) == 240
    assert {"UMAP 1", "UMAP 2", "cluster"} <= set(session.added_columns)
    assert "without its images" in session.message.text
    assert session.message.severity == "info"
    # Nor is it an alarm among the checks: exploring needs none.
    verdicts = {check.code: check.verdict for check in session.checks}
    assert verdicts["unreadable-stack"] == "info" and "error" not in verdicts.values()
    sizes = [file.stat().st_size for file in packaged_run().rglob("*") if file.is_file()]
    assert sum(sizes) < 2_000_000
    # What is kept goes into the copy, which is found again.
    session.selection = frozenset(session.latents.index[:5])
    widget.controller.selections.save("five")
    qtbot.waitUntil(lambda: widget.controller.idle)
    copy = sample_data.copied_run(tmp_path / "sample-run")
    assert (copy / "analysis" / "selections" / "five.json").is_file()
    assert not (packaged_run() / "analysis" / "selections").exists()
    widget.controller.close()
    qtbot.waitUntil(lambda: widget.controller.idle)


def test_importing_the_window_loads_no_heavy_package() -> None:
    code = (
        "import sys, napari_tomodrgn.gui.window.main_widget;"
        "import napari_tomodrgn.gui.plugin.sample_data;"
        "print([name for name in ('torch', 'sklearn', 'umap') if name in sys.modules])"
    )
    done = _run(code, QT_QPA_PLATFORM="offscreen")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_reader_alone_loads_neither_torch_nor_pandas_nor_qt() -> None:
    code = (
        "import sys, napari_tomodrgn.gui.plugin.reader;"
        "print([name for name in ('torch', 'pandas', 'qtpy', 'napari') if name in sys.modules])"
    )
    assert _run(code).stdout.strip() == "[]"


@pytest.mark.parametrize("screen", [(1280, 720), (1920, 1200)])
def test_the_window_is_no_larger_than_the_screen(
    qapp: Any, monkeypatch: pytest.MonkeyPatch, screen: tuple[int, int]
) -> None:
    from qtpy.QtCore import QRect
    from qtpy.QtGui import QGuiApplication

    free = QRect(0, 0, *screen)
    fake = SimpleNamespace(availableGeometry=lambda: free)
    monkeypatch.setattr(QGuiApplication, "primaryScreen", lambda: fake)
    width, height = launch.window_size()
    assert width <= screen[0] and height < screen[1]
    assert (width, height) == (1440, 900) or screen[0] < 1440
