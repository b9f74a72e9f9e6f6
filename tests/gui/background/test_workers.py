"""Threads: items arrive in order, work stops when asked, late answers are dropped."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from napari_tomodrgn.gui.background.workers import LatestTask, LongTask, Stop


@pytest.fixture
def job(qtbot: Any) -> Iterator[LongTask]:
    job = LongTask("test")
    yield job
    job.stop()
    qtbot.waitUntil(lambda: not job.is_busy)


@pytest.fixture
def latest(qtbot: Any) -> Iterator[LatestTask]:
    latest = LatestTask()
    yield latest
    latest.cancel()
    qtbot.waitUntil(lambda: not latest.is_busy)


def _counting(stop: Stop) -> Iterator[Any]:
    for number in range(10_000):
        if stop():
            yield "saved"
            return
        yield number
        time.sleep(0.001)


def test_items_arrive_in_order_in_the_gui_thread(job: LongTask, qtbot: Any) -> None:
    heard: list[Any] = []
    job.item.connect(lambda item: heard.append((item, threading.current_thread())))
    with qtbot.waitSignal(job.ended):
        job.start(lambda stop: iter(range(200)))
    assert [item for item, _ in heard] == list(range(200))
    assert {thread for _, thread in heard} == {threading.main_thread()}


def test_stopped_work_saves_first(job: LongTask, qtbot: Any) -> None:
    heard: list[Any] = []
    job.item.connect(heard.append)
    job.start(_counting)
    qtbot.waitUntil(lambda: len(heard) > 5)
    with qtbot.waitSignal(job.ended):
        job.stop()
    assert heard[-1] == "saved"
    assert len(heard) < 10_000, "before its end"
    assert not job.is_busy


def test_a_failure_is_told_and_nothing_is_raised(job: LongTask, qtbot: Any) -> None:
    def failing(stop: Stop) -> Iterator[int]:
        yield 1
        raise ValueError("no such column")

    with qtbot.waitSignal(job.failed) as heard, qtbot.waitSignal(job.ended):
        job.start(failing)
    assert str(heard.args[0]) == "no such column"


def test_one_job_at_a_time(job: LongTask) -> None:
    job.start(_counting)
    with pytest.raises(RuntimeError, match="running already"):
        job.start(_counting)


def test_closing_the_viewer_stops_the_job_gracefully(
    make_napari_viewer: Any, job: LongTask, qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    heard: list[Any] = []
    job.item.connect(heard.append)
    job.start(_counting)
    qtbot.waitUntil(lambda: len(heard) > 2)
    with qtbot.waitSignal(job.ended):
        viewer.close()
    assert heard[-1] == "saved"


def test_late_answers_are_dropped(latest: LatestTask, qtbot: Any) -> None:
    gate = threading.Event()

    def slow(name: str) -> Iterator[str]:
        yield f"{name} preview"
        gate.wait(5)
        yield f"{name} full"

    heard: list[str] = []
    latest.item.connect(heard.append)
    latest.request(lambda: slow("first"))
    qtbot.waitUntil(lambda: heard == ["first preview"])
    for name in ("second", "third"):
        latest.request(lambda name=name: iter([name]))
    gate.set()
    qtbot.waitUntil(lambda: not latest.is_busy)
    assert heard == ["first preview", "third"]


def test_a_storm_of_requests_shows_the_last_and_queues_nothing(
    latest: LatestTask, qtbot: Any
) -> None:
    began: list[int] = []

    def one(number: int) -> Iterator[int | None]:
        began.append(number)
        for _ in range(5):
            time.sleep(0.005)
            yield None
        yield number

    heard: list[int] = []
    latest.item.connect(heard.append)
    for number in range(200):
        latest.request(lambda number=number: one(number))
    qtbot.waitUntil(lambda: not latest.is_busy)
    assert heard == [199]
    assert len(began) <= 2


def test_cancelled_work_says_nothing(latest: LatestTask, qtbot: Any) -> None:
    heard: list[Any] = []
    latest.item.connect(heard.append)
    latest.failed.connect(heard.append)

    def failing() -> Iterator[int]:
        time.sleep(0.05)
        raise ValueError("late")
        yield 1

    latest.request(failing)
    latest.cancel()
    qtbot.waitUntil(lambda: not latest.is_busy)
    assert heard == []


def test_busy_is_told_once_for_a_burst(latest: LatestTask, qtbot: Any) -> None:
    heard: list[bool] = []
    latest.busy.connect(heard.append)
    for number in range(3):
        latest.request(lambda number=number: iter([number]))
    qtbot.waitUntil(lambda: heard == [True, False])


def test_a_failing_request_is_told(latest: LatestTask, qtbot: Any) -> None:
    with qtbot.waitSignal(latest.failed) as heard:
        latest.request(lambda: iter([1 // 0]))
    assert isinstance(heard.args[0], ZeroDivisionError)


def test_a_pace_does_the_first_at_once_and_never_forgets_the_last(qtbot: Any) -> None:
    from napari_tomodrgn.gui.background.throttle import Throttle

    pace, began = Throttle(200), time.monotonic()
    at: list[float] = []
    pace.due.connect(lambda: at.append(time.monotonic() - began))
    for _ in range(5):
        pace.request()
    assert len(at) == 1
    qtbot.waitUntil(lambda: len(at) == 2)
    assert at[1] >= 0.18  # coarse timers of Qt come up to 5 % early
    pace.request()
    pace.flush()
    assert len(at) == 3
    pace.request()
    pace.close()
    assert not pace.timer.isActive()
    pace.flush()
    assert len(at) == 3
