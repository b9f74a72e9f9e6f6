"""Make the screenshots of the documentation: ``python docs/make_screenshots.py RUN [OUT]``.

Needs a run directory whose images are still there (``napari-tomodrgn demo --no-view`` writes one),
and a screen, or Xvfb. The run itself is not changed: a copy of it is shown.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_tomodrgn.gui.launch import WINDOW_SIZE, _settle, _wait, some_display

_TAB = {"particles": 0, "training": 1, "tomogram": 2, "selections": 3}


class Stations:
    """A window that is taken from one station of the journey to the next."""

    def __init__(self, run: Path, out: Path, scratch: Path) -> None:
        import napari

        from napari_tomodrgn.gui.reader import open_dock

        self.out, self.scratch = out, scratch
        self.run = Path(shutil.copytree(run, scratch / run.name, ignore=_no_cache))
        self.viewer = napari.Viewer(title="tomoDRGN")
        self.viewer.window.resize(*WINDOW_SIZE)
        self.widget: Any = open_dock(self.viewer)
        self.session, self.controller = self.widget.session, self.widget.controller

    def take(self, name: str, tab: str) -> None:
        """Save the whole window."""
        self.widget.tabs.setCurrentIndex(_TAB[tab])
        _settle(1.0)
        path = self.out / f"{name}.png"
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)
        _made_smaller(path)

    def wait(self, done: Callable[[], bool] | None = None) -> None:
        """Until nothing is under way, or something is true."""
        _wait(done or (lambda: self.controller.idle))
        _settle()

    def start(self) -> None:
        """An empty window."""
        _settle(1.0)
        self.take("start", "particles")

    def particles(self) -> None:
        """A star file, opened."""
        from napari_tomodrgn.gui.sample_data import write_sample

        self.widget.open(write_sample(self.scratch / "sample"))
        self.wait(lambda: self.session.particles is not None)
        self.wait()
        self.take("star", "particles")

    def training(self) -> None:
        """A training under way."""
        self.widget.training.button.click()
        self.wait(lambda: self.session.epoch >= 3 and self.session.decoded is not None)
        self.take("training", "training")
        self.controller.training.stop()
        self.wait()

    def explored(self) -> None:
        """A run with two named selections and pinned volumes."""
        from napari_tomodrgn.session import SELECTIONS, column

        session, controller = self.session, self.controller
        self.widget.open(self.run)
        self.wait(lambda: session.run is not None and session.run.path == self.run)
        self.wait()
        session.message = None
        scores = column(session.latents, session.particles, "PC 1").values
        names = np.asarray(session.latents.index)
        low, high = np.percentile(scores, [35, 65])
        for name, mask in (("left side", scores < low), ("right side", scores > high)):
            session.selection = frozenset(str(one) for one in names[mask])
            controller.selecting.save(name)
            self.wait()
        session.colour = SELECTIONS
        order = names[np.argsort(scores)]
        session.focused = str(order[len(order) // 20])
        controller.pinning.toggle(str(order[-len(order) // 20]))
        self.wait()
        session.message = None
        self.take("window", "selections")

    def reconstruction(self) -> None:
        """The selection, back-projected beside what the decoder shows."""
        self.session.focused = self.session.pinned[0]  # one of those that are selected
        for name in self.session.pinned:
            self.controller.pinning.toggle(name)
        self.controller.validating.start()
        self.wait()
        self.take("reconstruction", "selections")

    def close(self) -> None:
        """Leave nothing running."""
        self.widget.close_down()
        self.wait()
        self.viewer.close()


def _no_cache(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in ("cache", "resume.safetensors")]


def _made_smaller(path: Path) -> None:
    """256 colours: a page loads, and a repository keeps, a quarter of the bytes."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def main() -> None:
    """Save every picture that the pages show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="run directory to show")
    parser.add_argument("out", type=Path, nargs="?", default=Path(__file__).parent / "images")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, some_display():
        stations = Stations(asked.run, asked.out, Path(scratch))
        try:
            stations.start()
            stations.explored()
            stations.reconstruction()
            stations.particles()
            stations.training()
        finally:
            stations.close()


if __name__ == "__main__":
    main()
