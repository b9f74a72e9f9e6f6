"""What a user's hands and eyes do in a window: used by `journey`."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

LEFT, NO_KEY = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
PATIENCE_S = 400.0
_STEPS = np.linspace(0, 1, 8)


def shows_focused(session: Any) -> bool:
    """Whether the volume of the chosen particle is on show."""
    return session.decoded is not None and session.decoded.particle_id == session.focused


def tab_of(widget: Any, title: str) -> int:
    """Row of a tab."""
    rows = range(widget.tabs.count())
    return next(row for row in rows if widget.tabs.tabText(row).startswith(title))


def corners_around(left: float, right: float, height: int) -> list[QPoint]:
    """A box of the scatter, as the mouse goes around it."""
    low, high = 2, height - 3
    # Not quite back to where it began: that would be a click.
    corners = [(left, low), (right, low), (right, high), (left, high), (left, low + 9)]
    points: list[QPoint] = []
    for (x0, y0), (x1, y1) in pairwise(corners):
        points += [QPoint(round(x0 + s * (x1 - x0)), round(y0 + s * (y1 - y0))) for s in _STEPS]
    return points


def drag(widget: Any, points: list[QPoint]) -> None:
    """Press at the first point, go along the others, release."""
    QTest.mousePress(widget, LEFT, NO_KEY, points[0])
    for point in points[1:]:
        QTest.mouseMove(widget, point)
        settle(0.005)
    QTest.mouseRelease(widget, LEFT, NO_KEY, points[-1])
    settle(0.1)


def settle(seconds: float) -> None:
    """Let Qt work for a while."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.001)


def until(done: Callable[[], bool], patience: float = PATIENCE_S) -> None:
    """Let Qt work until something is true."""
    end = time.perf_counter() + patience
    while not done():
        if time.perf_counter() > end:
            raise TimeoutError("what was waited for did not happen")
        QApplication.processEvents()
        time.sleep(0.001)


@contextmanager
def timer_gaps() -> Iterator[list[float]]:
    """Milliseconds between the ticks of a 10 ms timer: how long nothing else could be drawn."""
    gaps: list[float] = []
    last = [time.perf_counter()]

    def tick() -> None:
        now = time.perf_counter()
        gaps.append(1e3 * (now - last[0]))
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(10)
    yield gaps
    timer.stop()


@contextmanager
def culprits(late_ms: float = 60.0) -> Iterator[Counter[str]]:
    """Who held the window's thread, whenever a 10 ms timer was later than that: lines of code.

    A thread looks at the stack of the main one; what holds Python's lock is seen once it lets go.
    """
    found: Counter[str] = Counter()
    ticked = [time.perf_counter()]
    over = threading.Event()
    main = threading.main_thread().ident

    def look() -> None:
        while not over.wait(0.005):
            if 1e3 * (time.perf_counter() - ticked[0]) > late_ms:
                frames = traceback.extract_stack(sys._current_frames()[main])
                ours = [one for one in frames if "napari_tomodrgn" in one.filename] or frames
                lines = [f"{Path(one.filename).stem}:{one.lineno}" for one in ours[-3:]]
                found[f"{' > '.join(lines)}; {frames[-1].name}"] += 1

    def tick() -> None:
        ticked[0] = time.perf_counter()

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(10)
    watch = threading.Thread(target=look, daemon=True)
    watch.start()
    yield found
    over.set()
    watch.join()
    timer.stop()


def made_smaller(path: Path, colors: int = 256) -> None:
    """Few colours: a page loads, and a repository keeps, a quarter of the bytes."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(colors, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
