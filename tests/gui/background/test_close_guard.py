"""A window is closed on long work after one question, which names the work."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QApplication, QLabel, QPushButton, QWidget

from napari_tomodrgn.gui.background.close_guard import CloseGuard
from napari_tomodrgn.gui.background.work import Work
from napari_tomodrgn.gui.background.workers import LongTask


class _Click(QCloseEvent):
    """As a click on the corner of a window sends it."""

    def spontaneous(self) -> bool:
        return True


@pytest.mark.parametrize("answer", [True, False])
def test_the_corner_asks_once_and_only_while_something_runs(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    window, work = QWidget(), Work()
    qtbot.addWidget(window)
    window.show()
    guard, asked, over = CloseGuard(window, work), [], threading.Event()
    monkeypatch.setattr(guard, "ask", lambda names: asked.append(names) or answer)
    assert not guard.eventFilter(window, _Click())  # nothing runs: napari's own way
    task = LongTask("tomoDRGN training", work)

    def steps(stop: Any) -> Any:
        while not over.wait(0.01):
            yield None

    task.start(steps)
    click = _Click()
    assert guard.eventFilter(window, click) and not click.isAccepted()
    assert asked == [["tomoDRGN training"]]
    qtbot.wait(50)
    assert window.isVisible() is not answer
    assert not guard.eventFilter(window, QCloseEvent())  # closed by code: nobody is asked
    assert len(asked) == 1
    over.set()
    qtbot.waitUntil(lambda: not task.is_busy)


@pytest.mark.parametrize("answer", [True, False])
def test_the_cross_of_the_dock_asks_too(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    """Without work the click is napari's; with work it goes on once the question is answered."""
    window, dock, work = QWidget(), QWidget(), Work()
    cross, clicked, over, asked = QPushButton(dock), [], threading.Event(), []
    cross.setObjectName("QTitleBarCloseButton")
    cross.clicked.connect(lambda: clicked.append(True))
    for widget in (window, dock):
        qtbot.addWidget(widget)
        widget.show()
    guard = CloseGuard(window, work)
    guard.watch_dock(dock)
    monkeypatch.setattr(guard, "ask", lambda names, what: asked.append((names, what)) or answer)
    qtbot.mouseClick(cross, Qt.MouseButton.LeftButton)
    assert len(clicked) == 1 and not asked
    task = LongTask("tomoDRGN training", work)

    def steps(stop: Any) -> Any:
        while not over.wait(0.01):
            yield None

    task.start(steps)
    qtbot.mouseClick(cross, Qt.MouseButton.LeftButton)
    qtbot.wait(50)
    assert asked == [(["tomoDRGN training"], "panel")]
    assert len(clicked) == 1 + answer
    over.set()
    qtbot.waitUntil(lambda: not task.is_busy)


def test_naparis_own_question_says_what_would_stop(qtbot: Any, make_napari_viewer: Any) -> None:
    """Ctrl+Q asks as napari does; it lost a training without a word."""
    viewer, work, over, seen = make_napari_viewer(), Work(), threading.Event(), []
    window = viewer.window._qt_window
    guard, task = CloseGuard(window, work), LongTask("tomoDRGN training", work)

    def steps(stop: Any) -> Any:
        while not over.wait(0.01):
            yield None

    def look() -> None:
        dialog: Any = QApplication.activeModalWidget()
        guard._add_to_naparis_question()  # as where the window is told twice that it is blocked
        seen.extend(label.text() for label in dialog.findChildren(QLabel))
        dialog.reject()

    task.start(steps)
    QTimer.singleShot(300, look)
    window.close(quit_app=True, confirm_need=True)
    assert seen.count("Still running: tomoDRGN training. Closing stops it.") == 1
    over.set()
    qtbot.waitUntil(lambda: not task.is_busy)
    guard.release()
