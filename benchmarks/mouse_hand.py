"""A hand of real X events: mouse and keys by xdotool, and the pictures of what came of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cut_offs import cut_offs
from hands import settle, until
from qtpy.QtCore import QPoint, QTimer
from qtpy.QtWidgets import QApplication

PATIENCE_S = 900


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
    """The mouse over widgets, what went wrong, and what was cut off."""

    def __init__(self, viewer: Any, widget: Any, out: Path) -> None:
        self.viewer, self.widget, self.session, self.out = viewer, widget, widget.session, out
        self.wrong = 0
        self.cut: dict[str, str] = {}

    def at(self, widget: Any, place: Any = None) -> tuple[int, int]:
        """Where a widget, or a place in it, is on the screen."""
        ratio = widget.devicePixelRatioF()
        point = widget.mapToGlobal(widget.rect().center() if place is None else place)
        return round(point.x() * ratio), round(point.y() * ratio)

    def click(self, widget: Any, place: Any = None, *, times: int = 1) -> None:
        """Click a widget that is on show, after scrolling it into sight as a wheel would."""
        settle(0.2)
        area = next((one for one in _above(widget) if hasattr(one, "ensureWidgetVisible")), None)
        if area is not None:
            self._scroll_to(area, widget)
        xdotool("mousemove", *self.at(widget, place), "click", "--repeat", times, 1)
        settle(0.4)

    def _scroll_to(self, area: Any, widget: Any) -> None:
        for _ in range(60):
            y = widget.mapTo(area, widget.rect().center()).y()
            if 12 <= y <= area.height() - 12:
                return
            # On the scroll bar: a wheel would change the numbers in the fields.
            side = QPoint(area.width() - 5, area.height() // 2)
            xdotool("mousemove", *self.at(area, side), "click", 5 if y > area.height() / 2 else 4)
            settle(0.05)

    def drag(self, widget: Any, points: list[Any], button: int = 1) -> None:
        """Press at the first place, go along the others, let go at the last."""
        xdotool("mousemove", *self.at(widget, points[0]), "mousedown", button)
        for point in points[1:]:
            xdotool("mousemove", *self.at(widget, point))
            settle(0.02)
        xdotool("mouseup", button)
        settle(0.4)

    def type(self, words: str, *keys: str) -> None:
        """Type words, then press keys."""
        xdotool("type", "--delay", 30, words)
        for key in keys:
            xdotool("key", key)
        settle(0.4)

    def step(self, name: str) -> None:
        """Go to a step of the window."""
        self.click(self.widget.stepper.buttons[name])

    def answering(self, click: Callable[[], None], *answers: Callable[[], None]) -> None:
        """Click what opens dialogs or menus, which hold everything up, and answer each of them."""
        todo = list(answers)

        def begin() -> None:
            # What is clicked may still be scrolled to.
            there = QApplication.activeModalWidget() or QApplication.activePopupWidget()
            QTimer.singleShot(200 if there is None else 800, begin if there is None else answer)

        def answer() -> None:
            if todo:
                now = todo.pop(0)
                QTimer.singleShot(1500, answer)  # before the next dialog holds this up
                now()

        QTimer.singleShot(700, begin)
        click()
        until(lambda: not todo, PATIENCE_S)
        settle(2.0)

    def file(self, button: Any, path: Path, *keys: str) -> None:
        """Press a button that asks for a file, and type its name."""
        self.answering(
            lambda: self.click(button),
            lambda: self.type(str(path), "Return"),
            *(lambda key=key: xdotool("key", key) for key in keys),
        )

    def choose(self, box: Any, row: int) -> None:
        """Choose a row of a list by the keyboard."""
        down = ["Down"] * (row - box.currentIndex()) or ["Up"] * (box.currentIndex() - row)
        self.answering(
            lambda: self.click(box), lambda: xdotool("key", "--delay", 60, *down, "Return")
        )

    def point(self, index: int) -> None:
        """Click a point of the latent space."""
        view = self.widget.latent.view
        self.click(view, view.position_of(index).toPoint())

    def picture(self, name: str) -> None:
        """Keep the screen, and what is cut off on it."""
        settle(0.4)
        subprocess.run(["import", "-window", "root", str(self.out / f"{name}.png")], check=True)
        for line in cut_offs(self.widget, self.widget.latent):
            self.cut.setdefault(line, name)

    def check(self, name: str, right: bool, found: object = "") -> None:
        """Say whether something is as it should be, and keep the picture of it."""
        self.picture(name)
        self.wrong += not right
        print(f"{'ok   ' if right else 'WRONG'} {name}: {found}", flush=True)


def _above(widget: Any) -> Iterator[Any]:
    while (widget := widget.parentWidget()) is not None:
        yield widget
