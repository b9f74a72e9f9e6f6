"""What is dropped anywhere on the window opens in the panel, and napari asks nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from napari._qt.qt_viewer import QtViewer
from qtpy.QtCore import QMimeData, QPoint, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_tomodrgn.gui.particles.file_drops import opens_here

LONG = 60_000


def _drop(widget: QWidget, *paths: Path) -> bool:
    """Hold paths over a widget and let them go there, as Qt does; whether anything takes them."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    at, left = QPoint(5, 5), Qt.MouseButton.LeftButton
    copy, held = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    entering = QDragEnterEvent(at, copy, data, left, held)
    entering.ignore()
    QApplication.sendEvent(widget, entering)  # goes up to whoever takes it
    if not entering.isAccepted():
        return False
    QApplication.sendEvent(widget, QDropEvent(at.toPointF(), copy, data, left, held))
    return True


@pytest.fixture
def asked_of_napari(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What napari would open."""
    asked: list[list[str]] = []
    monkeypatch.setattr(QtViewer, "_qt_open", lambda _, names, **__: asked.append(names))
    return asked


def test_a_run_dropped_anywhere_is_opened_in_the_panel(
    widget: Any, tiny_run: Path, qtbot: Any, asked_of_napari: list[list[str]]
) -> None:
    panel, window = widget.particles, widget.window()
    viewer = window.findChild(QtViewer)
    places = {
        "panel": panel,
        "hint": panel.hint,
        "button": panel._openers[1],
        "page": panel._area.viewport(),
        "steps": widget.stepper,
        "title of the dock": widget.parentWidget(),
        "latent space": widget.latent,
        "scatter": widget.latent.view,
        "canvas": viewer.canvas.native,
        "welcome": viewer._welcome_widget,
    }
    opened: list[Path] = []
    widget._drops._open = widget.open = lambda path: opened.append(Path(path))
    for name, place in places.items():
        opened.clear()
        # Alt that was let go in another program is remembered by Qt, and held no more.
        QTest.mouseClick(window, Qt.MouseButton.MiddleButton, Qt.KeyboardModifier.AltModifier)
        assert QApplication.keyboardModifiers() == Qt.KeyboardModifier.AltModifier
        assert _drop(place, tiny_run), name
        qtbot.waitUntil(lambda: bool(opened), timeout=LONG)
        assert opened == [tiny_run], name
    assert not asked_of_napari


def test_it_is_opened_indeed_and_other_files_stay_with_napari(
    widget: Any, tiny_run: Path, tmp_path: Path, qtbot: Any, asked_of_napari: list[list[str]]
) -> None:
    viewer = widget.window().findChild(QtViewer)
    picture = tmp_path / "picture.tif"
    picture.touch()
    assert _drop(viewer, picture) and asked_of_napari == [[str(picture)]]
    assert not _drop(widget.latent.axes, picture), "no place for it"
    assert _drop(viewer, tiny_run, picture), "several are stacked by napari"
    assert len(asked_of_napari) == 2 and widget.session.source is None
    _drop(widget.particles, tiny_run)
    qtbot.waitUntil(lambda: widget.session.latents is not None, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert widget.session.source == tiny_run


def test_when_the_panel_is_closed_all_is_left_to_napari(
    widget: Any, tiny_run: Path, asked_of_napari: list[list[str]]
) -> None:
    window = widget.window()
    widget._drops.release()  # as `close_down` does
    assert not window.acceptDrops()
    assert _drop(window.findChild(QtViewer), tiny_run)
    assert asked_of_napari == [[str(tiny_run)]]


def test_what_the_panel_alone_can_open(tiny_run: Path, tiny_star: Path, tmp_path: Path) -> None:
    (tmp_path / "job.star").write_text("data_job\n_rlnJobTypeLabel x\n")
    ours = (tiny_run, tiny_run / "run.json", tmp_path / "shared.tomodrgn", tiny_star)
    assert all(map(opens_here, ours))
    for other in (tmp_path, tmp_path / "job.star", tmp_path / "map.mrc", tmp_path / "absent.star"):
        assert not opens_here(other)
