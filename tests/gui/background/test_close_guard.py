"""A window is closed on long work after one question, which names the work."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QWidget

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
