"""Checks that the user stops: what was answered stays, and the rest is said not to be."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_tomodrgn.analysis import preflight
from napari_tomodrgn.analysis.preflight import CheckDone, PreflightDone, PreflightProgress
from napari_tomodrgn.analysis.preflight.kept import kept_checks
from napari_tomodrgn.config import ReadingConfig
from napari_tomodrgn.data.checks import Check
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.gui.particles.check_list import CheckList
from napari_tomodrgn.gui.particles.preflight_service import PreflightService
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.session import LoadedData, Session

_PIXELS, _GEOMETRY, _CONTRAST, _DOSES = (
    Check(code, "ok", f"{code} message.") for code in ("pixels", "geometry", "contrast", "doses")
)


class Asked:
    """Answers that come as the test gives them."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def __call__(self, *_: object) -> Iterator[object]:
        at = 0
        while True:
            if at < len(self.events):
                at += 1
                yield self.events[at - 1]
                if isinstance(self.events[at - 1], PreflightDone):
                    return
            else:
                yield None

    def answer(self, *checks: Check) -> None:
        self.events += [PreflightProgress("Adding up", 1, 2), *map(CheckDone, checks)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(preflight, "preflight", asked)
    return asked


def test_what_was_checked_stays_and_the_rest_is_said_not_to_be(
    qtbot: Any, tiny_star: Path, asked: Asked
) -> None:
    session = Session()
    rows, service = CheckList(session), PreflightService(session)
    qtbot.addWidget(rows)
    rows.cancel_requested.connect(service.cancel)
    rows.check_requested.connect(service.start)
    rows.resize(320, 400)
    rows.show()
    session.particles = read_particles(tiny_star)

    def stop_twice(count: int) -> None:
        qtbot.waitUntil(lambda: len(session.checks) == count)
        at = rows.mapFromGlobal(rows.cancel.mapToGlobal(rows.cancel.rect().center()))
        for _ in range(2):
            QTest.mouseClick(_below(rows, at), Qt.MouseButton.LeftButton)
        assert not session.preflight_status.busy, "the second click starts nothing"
        qtbot.waitUntil(lambda: not service.is_busy)
        asked.events = []

    service.start()
    asked.answer(_PIXELS, _GEOMETRY, _CONTRAST)
    stop_twice(3)
    assert "3 checks passed; stopped before the rest was checked" in rows.summary.text()
    rows.again.click()
    asked.answer(_PIXELS)
    stop_twice(3)
    assert session.checks == (_PIXELS, _GEOMETRY, _CONTRAST), "none of before is lost"
    assert "stopped before" in rows.summary.text()
    rows.again.click()
    noisy = Check("geometry", "warning", "geometry is off.")
    asked.answer(_PIXELS, noisy, _DOSES)
    asked.events.append(PreflightDone((), None))
    qtbot.waitUntil(lambda: not service.is_busy and len(session.checks) == 3)
    assert set(session.checks) == {_PIXELS, noisy, _DOSES}, "answered anew, or not asked any more"
    assert "stopped" not in rows.summary.text()
    service.close()


def test_the_run_that_is_trained_keeps_the_answers(
    qtbot: Any, tiny_star: Path, tiny_run: Path, asked: Asked, tmp_path: Path
) -> None:
    run = Run.open(Path(shutil.copytree(tiny_run, tmp_path / "run")))
    session = Session()
    service = PreflightService(session)
    session.particles = read_particles(tiny_star)
    service.start()
    asked.answer(_PIXELS)
    qtbot.waitUntil(lambda: len(session.checks) == 1)
    session.show_latents(run, run.latents(), 1, None)  # its first epoch, while it is being asked
    asked.answer(_GEOMETRY)
    asked.events.append(PreflightDone((), None))
    qtbot.waitUntil(lambda: not service.is_busy and len(session.checks) == 2)
    qtbot.waitUntil(lambda: kept_checks(run) == (_PIXELS, _GEOMETRY))
    for _ in range(2):  # again, also where it is open
        again = LoadedData(run.path, ReadingConfig(), run.particles(), (_DOSES,), run=run)
        session.open(again)
        assert session.checks == (_DOSES,)
        qtbot.waitUntil(lambda: session.checks == (_DOSES, _PIXELS, _GEOMETRY))
    session.reset()
    assert session.checks == ()
    service.close()


def _below(widget: CheckList, at: QPoint) -> Any:
    """What a click at a place reaches."""
    return widget.childAt(at) or widget
