"""How the window feels while it trains: ``python benchmarks/gui_training.py [SECONDS]``.

A simulated set is trained on the CPU in a real napari (in Xvfb where there is no screen). Measured
are the gaps between the ticks of a 10 ms timer of the window, with nobody touching it and while
particles are clicked; how long a click takes to show a volume; 200 clicks in 10 s; and a stop.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.gui.window.launch import some_display
from napari_tomodrgn.synthetic import SimulationConfig, simulate

TICK_MS = 10
CLICKS, CLICKS_SECONDS = 200, 10.0
SET = SimulationConfig(particles=150, tilts=21, box_size_px=48, states=2, tomograms=2, seed=1)


class Ticks:
    """Gaps between the ticks of a timer in the window's thread, in ms."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.gaps: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.gaps.append(1e3 * (now - self._last))
        self._last = now

    def taken(self) -> np.ndarray:
        """The gaps since this was asked last."""
        gaps, self.gaps = np.array(self.gaps), []
        return gaps


class Window:
    """A napari with the dock, and a training under way in it."""

    def __init__(self, star: Path, run: Path) -> None:
        import napari

        from napari_tomodrgn.gui.window.dock import open_dock
        from napari_tomodrgn.gui.window.launch import WINDOW_SIZE

        self.viewer = napari.Viewer()
        self.viewer.window.resize(*WINDOW_SIZE)
        self.widget: Any = open_dock(self.viewer)
        self.session, self.controller = self.widget.session, self.widget.controller
        self.ticks = Ticks()
        self.widget.open(star)
        self.until(lambda: self.session.particles is not None and self.controller.idle)
        self.widget.tabs.setCurrentWidget(self.widget.training)
        config = RunConfig.model_validate({"train": {"epochs": 5000, "device": "cpu"}})
        self.controller.training.start(config, run)
        self.until(lambda: self.session.epoch >= 1 and self.session.decoded is not None)

    def until(self, done: Callable[[], bool], seconds: float = 120.0) -> float:
        """Run the event loop until something is true; the seconds that it took."""
        from qtpy.QtCore import QEventLoop, QTimer

        loop, began = QEventLoop(), time.perf_counter()
        timer = QTimer()
        timer.timeout.connect(lambda: done() and loop.quit())
        timer.timeout.connect(lambda: time.perf_counter() - began > seconds and loop.quit())
        timer.start(5)
        if not done():
            loop.exec()
        timer.stop()
        if not done():
            raise TimeoutError(f"not there after {seconds:.0f} s")
        return time.perf_counter() - began

    def rest(self, seconds: float) -> None:
        """Only the training goes on."""
        end = time.perf_counter() + seconds
        self.until(lambda: time.perf_counter() > end)

    def click(self, row: int) -> str:
        """What a click on a particle's point does."""
        identity = str(self.session.latents.index[row])
        self.session.focused = identity
        return identity

    def close(self) -> None:
        """Leave nothing running."""
        from napari_tomodrgn.gui.background.workers import finish_threads

        self.widget.close_down()
        finish_threads()
        self.viewer.close()


def said(name: str, gaps: np.ndarray) -> None:
    """One line on gaps."""
    p50, p99 = np.percentile(gaps, [50, 99])
    over = int((gaps > 50).sum())
    print(
        f"{name:<34} p50 {p50:5.1f}  p99 {p99:5.1f}  worst {gaps.max():6.1f} ms"
        f"  ({len(gaps)} ticks, {over} over 50 ms)"
    )


def memory_mb() -> float:
    """Resident memory of this process."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure_clicks(window: Window, count: int = 12) -> None:
    """From a click to the first volume, and to the full one."""
    rng, session = np.random.default_rng(0), window.session
    first, full = [], []
    for _ in range(count):
        began = time.perf_counter()
        identity = window.click(int(rng.integers(len(session.latents))))
        window.until(lambda identity=identity: shows(session, identity))
        first.append(time.perf_counter() - began)
        window.until(lambda identity=identity: shows(session, identity, complete=True))
        full.append(time.perf_counter() - began)
        window.rest(0.3)
    for name, seconds in (("first volume", first), ("full volume", full)):
        middle, worst = np.median(seconds), max(seconds)
        print(f"{'click to ' + name:<34} median {middle:.2f}  worst {worst:.2f} s")


def shows(session: Any, identity: str, *, complete: bool = False) -> bool:
    """Whether a particle's volume is on show."""
    shown = session.decoded
    return shown is not None and shown.particle_id == identity and (shown.complete or not complete)


def measure_storm(window: Window) -> None:
    """Two hundred clicks in ten seconds: only the last may be shown in the end."""
    session, drawn = window.session, list[str]()

    def count(decoded: Any) -> None:
        drawn.append("" if decoded is None else decoded.particle_id)

    session.events.decoded.connect(count)
    before, began = memory_mb(), time.perf_counter()
    identity = ""
    order = np.random.default_rng(1).integers(len(session.latents), size=CLICKS)
    for number, row in enumerate(order):
        due = began + number * CLICKS_SECONDS / CLICKS
        window.until(lambda due=due: time.perf_counter() >= due)
        identity = window.click(int(row))
    last, queue = time.perf_counter(), window.controller.decoding.queue
    window.until(lambda: shows(session, identity, complete=True) and not queue.is_busy)
    after, many = time.perf_counter() - last, len(drawn)
    window.rest(1.0)
    session.events.decoded.disconnect(count)
    late = sum(name != identity for name in drawn[many:])
    print(f"{CLICKS} clicks in {last - began:.0f} s", end="  ")
    print(f"last shown after {after:.2f} s, {many} volumes drawn, {late} late ones", end=", ")
    print(f"memory {before:.0f} -> {memory_mb():.0f} MB")


def simulated(folder: Path) -> Path:
    """Star file of the set that is trained on."""
    *_, last = simulate(folder, SET)
    star: Path = last.warptools
    return star


def main() -> None:
    """Print all figures."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    with tempfile.TemporaryDirectory() as scratch, some_display():
        window = Window(simulated(Path(scratch) / "set"), Path(scratch) / "run")
        try:
            window.ticks.taken()
            epoch = window.session.training.epoch
            window.rest(seconds)
            print(f"{window.session.training.epoch - epoch} epochs in {seconds:.0f} s")
            said("training, window left alone", window.ticks.taken())
            measure_clicks(window)
            said("training, clicks", window.ticks.taken())
            for _ in range(3):
                measure_storm(window)
            said("training, 20 clicks a second", window.ticks.taken())
            window.controller.training.stop()
            took = window.until(lambda: not window.controller.training.running)
            print(f"stop to end of thread              {took:.2f} s")
        finally:
            window.close()


if __name__ == "__main__":
    main()
