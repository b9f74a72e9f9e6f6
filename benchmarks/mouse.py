"""A real mouse and real keys in a window under a window manager: ``benchmarks/mouse.py OUT RUN``.

Everything is done by X events (xdotool), to a window that openbox frames: nothing of the plugin is
called, only read, to know where a widget is and what came of a click. RUN is a trained run whose
images are there; it is copied. Prints a line for each thing tried, saves the screen after it, exits
1 if one went wrong.

    --size 1280x720, --theme light
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from hands import settle, until

from napari_tomodrgn.gui.window.launch import WINDOW_SIZE, some_display

_PATIENCE_S = 300


def xdotool(*words: object) -> None:
    """One or more actions of mouse and keys."""
    subprocess.run(["xdotool", *map(str, words)], check=True)


@contextmanager
def window_manager() -> Iterator[None]:
    """Openbox on the display at hand."""
    with subprocess.Popen(["openbox"], stderr=subprocess.DEVNULL) as manager:
        try:
            settle(1.0)
            yield
        finally:
            manager.terminate()


class Hand:
    """The mouse over widgets, and what went wrong."""

    def __init__(self, viewer: Any, widget: Any, out: Path) -> None:
        self.viewer, self.widget, self.session, self.out = viewer, widget, widget.session, out
        self.wrong = 0

    def at(self, widget: Any, place: Any = None) -> tuple[int, int]:
        """Where a widget, or a place in it, is on the screen."""
        ratio = widget.devicePixelRatioF()
        point = widget.mapToGlobal(widget.rect().center() if place is None else place)
        return round(point.x() * ratio), round(point.y() * ratio)

    def click(self, widget: Any, place: Any = None) -> None:
        """Click a widget that is on show, after scrolling it into sight as a wheel would."""
        settle(0.2)
        area = next((one for one in _above(widget) if hasattr(one, "ensureWidgetVisible")), None)
        if area is not None:
            self._scroll_to(area, widget)
        xdotool("mousemove", *self.at(widget, place), "click", 1)
        settle(0.4)

    def _scroll_to(self, area: Any, widget: Any) -> None:
        for _ in range(60):
            y = widget.mapTo(area, widget.rect().center()).y()
            if 12 <= y <= area.height() - 12:
                return
            xdotool("mousemove", *self.at(area), "click", 5 if y > area.height() / 2 else 4)
            settle(0.05)

    def drag(self, widget: Any, points: list[Any], button: int = 1) -> None:
        """Press at the first place, go along the others, let go at the last."""
        xdotool("mousemove", *self.at(widget, points[0]), "mousedown", button)
        for point in points[1:]:
            xdotool("mousemove", *self.at(widget, point))
            settle(0.02)
        xdotool("mouseup", button)
        settle(0.4)

    def check(self, name: str, right: bool, found: object = "") -> None:
        """Say whether something is as it should be, and keep the picture of it."""
        settle(0.4)
        subprocess.run(["import", "-window", "root", str(self.out / f"{name}.png")], check=True)
        self.wrong += not right
        print(f"{'ok   ' if right else 'WRONG'} {name}: {found}", flush=True)


def _above(widget: Any) -> Iterator[Any]:
    while (widget := widget.parentWidget()) is not None:
        yield widget


def walk(hand: Hand) -> None:
    """All that is tried, in order."""
    lasso(hand)
    letters(hand)
    name_and_compare(hand)
    turn(hand)
    leave(hand)
    from_images(hand)
    close(hand)


def lasso(hand: Hand) -> None:
    """A line that ends where it began is a lasso, however near."""
    from qtpy.QtCore import QPoint

    view, session = hand.widget.latent.view, hand.session
    places = np.array([(p.x(), p.y()) for p in map(view.position_of, range(len(view.points)))])
    middle = float(places[:, 0].min() + places[:, 0].max()) / 2
    left, right = round(places[:, 0].min() - 8), round(middle)
    low, high = 12, view.height() - 40
    corners = [(left, low), (right, low), (right, high), (left, high), (left, low + 1)]
    around = [
        QPoint(round(x0 + s * (x1 - x0)), round(y0 + s * (y1 - y0)))
        for (x0, y0), (x1, y1) in pairwise(corners)
        for s in np.linspace(0, 1, 6)
    ]
    hand.click(hand.widget.latent.tools._named["lasso"])
    hand.drag(view, around)
    expected = int((places[:, 0] < middle).sum())
    found = len(session.selection)
    hand.check("lasso", abs(found - expected) <= 2, f"{found} selected, {expected} inside")
    hand.click(hand.widget.latent.tools._named["move"])


def letters(hand: Hand) -> None:
    """Letters typed into the open list of colours choose a colour, not a tool."""
    before = hand.widget.latent.view.tool if hasattr(hand.widget.latent.view, "tool") else ""
    hand.click(hand.widget.latent.color)
    xdotool("type", "--delay", 60, "tomo")
    settle(0.3)
    xdotool("key", "Return")
    settle(0.5)
    now = hand.widget.latent.tools._named["move"].isChecked()
    color = hand.session.color
    hand.check("letters", now and color == "tomogram", f"colour {color!r}, tool {before or 'move'}")


def name_and_compare(hand: Hand) -> None:
    """The selection gets a name; it is compared with all others."""
    widget, session = hand.widget, hand.session
    hand.click(widget.stepper.buttons["Validate"])
    hand.click(widget.selections.name)
    xdotool("type", "--delay", 40, "left side")
    settle(0.3)
    hand.click(widget.selections.keep)
    until(lambda: len(session.selections) > 0)
    hand.check("named", session.selections[0].name == "left side", session.selections[0].name)
    panel = widget.comparison
    hand.click(panel.compare)
    asked = session.comparison_status.busy
    hand.check("comparing", asked and panel.compare.text() == "Stop comparing", panel.status.text())
    until(lambda: session.comparison is not None, _PATIENCE_S)
    until(lambda: widget.controller.idle, _PATIENCE_S)
    hand.check("compared", session.canvas_mode == "comparison", panel.sentence.text())
    hand.click(panel.halves)
    until(lambda: widget.controller.idle)
    shown = [layer.name for layer in hand.viewer.layers if layer.visible]
    hand.check("half maps", sum("half" in name for name in shown) == 4, shown)
    hand.click(panel.halves)
    until(lambda: widget.controller.idle)


def turn(hand: Hand) -> None:
    """Dragging turns all cells, each about its own middle."""
    from qtpy.QtCore import QPoint

    canvas = hand.viewer.window._qt_viewer.canvas.native
    x, y = canvas.width() // 2, canvas.height() // 2
    before = hand.viewer.scene.camera.angles
    hand.drag(canvas, [QPoint(x + 8 * step, y + 5 * step) for step in range(12)])
    turned = not np.allclose(before, hand.viewer.scene.camera.angles)
    up = np.array(hand.viewer.scene.camera.up_direction)
    heights = [
        float(up @ np.array(layer.translate))
        for layer in hand.viewer.layers
        if layer.visible and layer.name.startswith(("A", "B"))
    ]
    hand.check("turned", turned and np.ptp(heights) < 1e-2, f"{len(heights)} surfaces in a row")


def leave(hand: Hand) -> None:
    """A click on a particle shows its volume, and what was there before."""
    view, session = hand.widget.latent.view, hand.session
    index = int(view.points[:, 0].argmax())
    hand.click(view, view.position_of(index).toPoint())
    until(lambda: hand.widget.controller.idle)
    shown = [layer.name for layer in hand.viewer.layers if layer.visible]
    right = session.canvas_mode == "particle" and shown == ["decoded"]
    hand.check("a click leaves the stage", right, shown)


def from_images(hand: Hand) -> None:
    """The switch, and what it says."""
    session, bar = hand.session, hand.widget.latent.volumes
    hand.click(bar.images)
    until(lambda: session.decoded.effective_particles is not None, _PATIENCE_S)
    words = hand.viewer.canvas.overlays["tomodrgn_caption"].text
    hand.check("from images", "particles in effect" in words, words)
    hand.click(bar.images)
    until(lambda: hand.widget.controller.idle)
    hand.check("decoded again", session.decoded.effective_particles is None)


def close(hand: Hand) -> None:
    """The corner of the window, while something runs: one question, which names it."""
    from qtpy.QtWidgets import QApplication, QMessageBox

    def boxes() -> list[Any]:
        return [one for one in QApplication.topLevelWidgets() if isinstance(one, QMessageBox)]

    panel, session = hand.widget.comparison, hand.session
    hand.click(panel.compare)
    seen: list[str] = []

    def answer() -> None:
        seen.extend(f"{box.text()}" for box in boxes() if box.isVisible())
        subprocess.run(["import", "-window", "root", str(hand.out / "closing.png")], check=True)
        xdotool("key", "Escape")

    from qtpy.QtCore import QTimer

    running = session.comparison_status.busy
    QTimer.singleShot(1500, answer)
    xdotool("key", "alt+F4")
    settle(3.0)
    kept = hand.viewer.window._qt_window.isVisible()
    hand.check("closing asks once", running and kept and len(seen) == 1, seen)
    if session.comparison_status.busy:
        hand.click(panel.compare)
    until(lambda: hand.widget.controller.idle, _PATIENCE_S)


def main() -> int:
    """Walk; 1 if something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--size", default="x".join(map(str, WINDOW_SIZE)))
    parser.add_argument("--theme", default="dark")
    asked = parser.parse_args()
    for program in ("xdotool", "openbox", "import"):
        if shutil.which(program) is None:
            parser.error(f"needs {program} (packages xdotool, openbox, imagemagick)")
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, some_display(), window_manager():
        return _in_window(asked, Path(folder))


def _in_window(asked: argparse.Namespace, folder: Path) -> int:
    import napari
    from qtpy.QtCore import QSettings

    from napari_tomodrgn.gui.background.workers import finish_threads
    from napari_tomodrgn.gui.window.dock import open_dock

    kind = QSettings.Format.IniFormat
    QSettings.setPath(kind, QSettings.Scope.UserScope, str(folder / "settings"))
    viewer = napari.Viewer(title="tomoDRGN")
    viewer.theme = asked.theme
    viewer.window.resize(*map(int, asked.size.split("x")))
    widget = open_dock(viewer)
    hand = Hand(viewer, widget, asked.out)
    done: Callable[[], bool] = lambda: widget.session.decoded is not None  # noqa: E731
    try:
        viewer.open(str(shutil.copytree(asked.run, folder / "run")), plugin="napari-tomodrgn")
        until(lambda: done() and widget.controller.idle)
        settle(1.0)
        walk(hand)
    finally:
        widget.close_down()
        finish_threads()
        viewer.close()
    return int(hand.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
