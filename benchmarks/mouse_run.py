"""What a mouse does with a run that is open: `mouse`."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from typing import Any

import numpy as np
from hands import settle, until
from mouse_hand import PATIENCE_S, Hand, xdotool


def explore(hand: Hand) -> None:
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
    until(lambda: session.comparison is not None, PATIENCE_S)
    until(lambda: widget.controller.idle, PATIENCE_S)
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
    camera = hand.viewer.scene.camera
    up, view = np.array(camera.up_direction), np.array(camera.view_direction)
    there = np.array(
        [
            layer.translate
            for layer in hand.viewer.layers
            if layer.visible and layer.name.startswith(("A", "B"))
        ]
    )
    # In a row, or in a column where the canvas is high.
    off = min(np.ptp(there @ up), np.ptp(there @ np.cross(up, view)))
    letters = hand.viewer.layers["comparison labels"].text.size
    right = turned and off < 1e-2 and letters >= 6
    hand.check("turned", right, f"{len(there)} surfaces in line, letters of {letters} px")


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
    until(lambda: session.decoded.effective_particles is not None, PATIENCE_S)
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
    until(lambda: hand.widget.controller.idle, PATIENCE_S)
