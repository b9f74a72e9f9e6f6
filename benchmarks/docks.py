"""Pictures of the docks Particles and Training in every state: ``python benchmarks/docks.py OUT``.

On the real ribosomes of ``TOMODRGN_TEST_DATA`` where there are any, else on the simulated sample.
``checks``, ``look`` and ``following`` are those of the pages.

    --size WxH, --theme light
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hands import made_smaller, settle, until

from napari_tomodrgn.config import ReadingConfig
from napari_tomodrgn.gui.window.launch import WINDOW_SIZE, some_display

REAL = "warptools/warptools_test_4-tomos_10-ptcls_box-32_angpix-12_optimisation_set.star"
# What a user may get wrong; each is told by a check.
WRONG = {
    "overrides": {"pixel_size_angstrom": 24.0},
    "data": {"ctf_premultiplied": False, "contrast": "invert"},
}


class Docks:
    """A window that is taken from one state to the next."""

    def __init__(self, out: Path, star: Path, size: tuple[int, int], theme: str) -> None:
        import napari

        from napari_tomodrgn.gui.window.dock import open_dock

        self.out, self.star = out, star
        self.viewer = napari.Viewer(title="tomoDRGN")
        self.viewer.theme = theme
        self.viewer.window.resize(*size)
        self.widget: Any = open_dock(self.viewer)
        self.session, self.controller = self.widget.session, self.widget.controller

    def take(self, name: str, tab: str) -> None:
        """Save the whole window with a tab in front."""
        self.widget.tabs.setCurrentWidget(getattr(self.widget, tab))
        settle(0.5)
        path = self.out / f"{name}.png"
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)
        made_smaller(path)

    def idle(self) -> None:
        """Until nothing is under way."""
        settle(0.2)
        until(lambda: self.controller.idle)

    def opened(self, reading: ReadingConfig | None = None) -> None:
        """The star file, read so, and checked."""
        before = self.session.particles
        self.controller.open(self.star, reading or ReadingConfig())
        until(lambda: self.session.particles not in (None, before))

    def particles(self) -> None:
        """Empty, being checked, checked, read wrongly, not opened."""
        panel = self.widget.particles
        self.take("empty", "particles")
        self.take("training-empty", "training")
        self.opened()
        until(lambda: self.session.preflight_status.fraction > 0.4 or self.controller.idle)
        self.take("checking", "particles")
        self.idle()
        panel.checks.passed.set_open(True)
        self.take("checked", "particles")
        panel.checks.passed.set_open(False)
        self.opened(ReadingConfig.model_validate(WRONG))
        self.idle()
        panel.summary_section.set_open(False)
        panel.checks.rows[1].toggle()
        self.take("checks", "particles")
        panel.section.set_open(True)
        self.take("reading", "particles")
        panel.section.set_open(False)
        alone = self.out / "moved.star"
        alone.write_text("data_\n\nloop_\n_rlnImageName #1\n1@gone.mrcs\n")
        self.widget.open(alone)
        until(lambda: self.session.asked is not None)
        self.take("not-opened", "particles")
        alone.unlink()

    def look(self) -> None:
        """The data, and a quick map."""
        panel = self.widget.particles
        self.opened()
        self.idle()
        self.session.message = None
        panel.section.set_open(False)
        panel.summary_section.set_open(False)
        panel.overview_section.set_open(True)
        panel.look.lowpass.setValue(40.0)
        panel.look.projections.click()
        self.idle()
        self.take("look", "particles")
        panel.overview_section.set_open(False)
        self.viewer.layers.clear()
        panel.quick.button.click()
        self.idle()
        self.take("quick", "particles")

    def training(self, run: Path) -> None:
        """Ready, preparing, running, paused, stopped; then seen as another process's."""
        panel, session = self.widget.training, self.session
        panel.form.set_value("train.epochs", 40)
        panel.folder.set_folder(str(run))
        settle(0.6)
        self.idle()
        self.take("training-ready", "training")
        panel.button.click()
        until(lambda: session.training.fraction > 0)
        self.take("training-preparing", "training")
        until(lambda: session.epoch >= 6 and session.decoded is not None)
        self.take("training-running", "training")
        panel.button.click()
        self.take("training-paused", "training")
        panel.stop.click()
        self.idle()
        self.take("training-stopped", "training")
        session.message = None
        self.widget.open(run)
        until(lambda: session.training.phase == "following")
        until(lambda: session.decoded is not None and session.decoded.complete)
        self.take("following", "training")

    def close(self) -> None:
        """Leave nothing running."""
        from napari_tomodrgn.gui.background.workers import finish_threads

        self.widget.close_down()
        finish_threads()
        self.viewer.close()


def star_file(scratch: Path) -> Path:
    """A copy of the real set, or the simulated sample."""
    from napari_tomodrgn.gui.plugin.sample_data import write_sample

    real = Path(os.environ.get("TOMODRGN_TEST_DATA", "")) / REAL
    if real.is_file():
        return Path(shutil.copytree(real.parent, scratch / "set")) / real.name
    return write_sample(scratch / "set")


def main() -> None:
    """Save every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="x".join(map(str, WINDOW_SIZE)))
    parser.add_argument("--theme", default="dark")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    width, height = map(int, asked.size.split("x"))
    with tempfile.TemporaryDirectory() as folder, some_display():
        scratch = Path(folder)
        docks = Docks(asked.out, star_file(scratch), (width, height), asked.theme)
        stations: tuple[Callable[[], None], ...] = (
            docks.particles,
            docks.look,
            lambda: docks.training(scratch / "run"),
        )
        try:
            for station in stations:
                station()
        finally:
            docks.close()


if __name__ == "__main__":
    main()
