"""Pictures of every dock on the trained sample, to be looked at: ``benchmarks/looks.py OUT``.

    --theme light, --font 16 (points), --size 3840x2160 (with QT_SCALE_FACTOR=2 set outside)

With a screen as large as the size, such as ``xvfb-run -s "-screen 0 3840x2160x24"``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from hands import made_smaller, settle, until

from napari_tomodrgn.gui.plugin.sample_data import copied_run
from napari_tomodrgn.gui.window.launch import WINDOW_SIZE, some_display

STEPS = ("particles", "training", "explore", "validate", "export")
PAGES = ("view", "context")


def take(viewer: Any, path: Path) -> None:
    """Save the whole window."""
    settle(0.3)
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    made_smaller(path)


def explore(viewer: Any, widget: Any, out: Path) -> None:
    """The latent space with card and legend, and each tab, on the run that is open."""
    session, controller = widget.session, widget.controller
    names = [str(name) for name in session.latents.index]
    session.color = "cluster"
    session.selection = frozenset(names[:40])
    widget.selections.name.setText("first forty")
    widget.selections._save()
    session.hovered = names[100]
    until(
        lambda: controller.preview.card is not None and controller.preview.card.volume is not None
    )
    for number, step in enumerate(STEPS):
        widget.tabs.setCurrentIndex(number)
        take(viewer, out / f"{step}.png")
    session.hovered = None
    session.pinned = tuple(names[:2])
    until(lambda: controller.idle)
    widget.tabs.setCurrentWidget(widget.tomogram)
    session.color = "cluster"
    session.tomogram = sorted({name.split("/")[0] for name in names})[0]
    settle(0.5)
    until(lambda: controller.idle)
    for page, name in enumerate(PAGES):
        widget.tomogram.pages.setCurrentIndex(page)
        take(viewer, out / f"tomogram-{name}.png")


def main() -> None:
    """Save every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="x".join(map(str, WINDOW_SIZE)))
    parser.add_argument("--theme", default="dark")
    parser.add_argument("--font", type=int, default=9)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    width, height = map(int, asked.size.split("x"))
    with tempfile.TemporaryDirectory() as folder, some_display():
        import napari
        from napari.settings import get_settings

        from napari_tomodrgn.gui.background.workers import finish_threads
        from napari_tomodrgn.gui.window.dock import open_dock

        get_settings().appearance.font_size = asked.font
        viewer = napari.Viewer(title="tomoDRGN")
        viewer.theme = asked.theme
        ratio = viewer.window._qt_window.devicePixelRatioF()
        viewer.window.resize(round(width / ratio), round(height / ratio))
        widget = open_dock(viewer)
        take(viewer, asked.out / "empty.png")
        widget.open(copied_run(Path(folder) / "run"))
        until(lambda: widget.session.decoded is not None and widget.controller.idle)
        try:
            explore(viewer, widget, asked.out)
        finally:
            widget.close_down()
            finish_threads()
            viewer.close()


if __name__ == "__main__":
    main()
