"""Count the stops of four ways through the code, from a trace of a real run.

    .ci/with_display.sh python tools/ways.py [--list WAY]

star row → table    `read_particles` of a simulated optimisation set
rows → loss         `train` of it, up to the first loss of an epoch
click → layer       a click on a particle of the run, up to its whole volume in the canvas
event → curve       an epoch's event in the thread of the window, up to the redrawn curve; of an
                    epoch without a checkpoint, whose latents and maps would be another way

A *stop* is a function of the package that is entered, counted once; a *room* is a module; a
*return* is a step of the way, in the order of first entry, back into a module that it had left.
So loops, and the size of the set, count nothing. Comprehensions and lambdas are no stops.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import napari_tomodrgn as nt

SOURCE = str(Path(nt.__file__).parent)
WAYS = ("star row → table", "rows → loss", "click → layer", "event → curve")


class Way:
    """The functions of the package in the order in which they were first entered."""

    def __init__(self) -> None:
        self.stops: dict[tuple[str, str], None] = {}

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """Note a call; what `sys.setprofile` wants."""
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(SOURCE):
            if not code.co_name.startswith("<"):
                self.stops[code.co_filename[len(SOURCE) + 1 :], code.co_qualname] = None

    @property
    def rooms(self) -> int:
        """Modules on the way."""
        return len({module for module, _ in self.stops})

    @property
    def returns(self) -> int:
        """Steps back into a module that was left."""
        count, left, here = 0, set(), ""
        for module, _ in self.stops:
            if module != here:
                count += module in left
                left.add(here)
                here = module
        return count

    @contextmanager
    def traced(self) -> Iterator[None]:
        """Note the calls of all threads that run Python, the window's workers included."""
        threading.setprofile(self)
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)


def profile_workers(ways: list[Way]) -> None:
    """Let workers of the window, whose threads Qt makes, note their calls in the newest way."""
    from superqt.utils import WorkerBase

    run = WorkerBase.run

    def profiled(self: Any) -> None:
        if ways:
            sys.setprofile(ways[-1])
        try:
            run(self)
        finally:
            sys.setprofile(None)

    WorkerBase.run = profiled


def simulated(folder: Path) -> Path:
    """A small optimisation set."""
    settings = {"particles": 12, "tilts": 11, "box_size_px": 24, "states": 2, "snr": 1.0}
    from napari_tomodrgn.synthetic import SimulationConfig

    for _ in nt.simulate(folder, SimulationConfig(**settings)):
        pass
    return folder / "warptools" / "particles_optimisation_set.star"


def settings(epochs: int, checkpoint_every: int = 1) -> nt.RunConfig:
    """Default ways of a small training: the linear start, held-out images, refinement."""
    model = {"latent_dim": 2, "decoder_dim": 32, "image_encoder_dim": 32}
    data = {"held_out_fraction": 0.2}
    train = {"epochs": epochs, "points_per_particle": 128, "device": "cpu"}
    train["checkpoint_every"] = checkpoint_every
    return nt.RunConfig.model_validate({"data": data, "model": model, "train": train})


def row_to_table(star: Path) -> Way:
    """A star row becomes a table."""
    way = Way()
    with way.traced():
        nt.read_particles(star)
    return way


def rows_to_loss(star: Path, out: Path) -> Way:
    """Rows become the loss of an epoch; the training is then finished untraced."""
    way, particles, config = Way(), nt.read_particles(star), settings(2)
    events = nt.train(particles, config, out)
    with way.traced():
        for event in events:
            if type(event).__name__ == "EpochDone":
                break
    for _ in events:
        pass
    return way


class Window:
    """The plugin in a viewer, as its menu opens it."""

    def __init__(self) -> None:
        import napari
        from qtpy.QtWidgets import QApplication

        self.ways: list[Way] = []
        profile_workers(self.ways)
        self.viewer = napari.Viewer()
        _, self.widget = self.viewer.window.add_plugin_dock_widget("napari-tomodrgn", "tomoDRGN")
        self.application: Any = QApplication.instance()
        self.session = self.widget.session

    def wait(self, until: Callable[[], bool], seconds: float = 120.0) -> None:
        """Deliver events until something holds."""
        end = time.monotonic() + seconds
        while not until():
            self.application.processEvents()
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds:g} s in vain")
            time.sleep(0.002)

    @property
    def idle(self) -> bool:
        return bool(self.widget.controller.idle)

    @contextmanager
    def way(self) -> Iterator[Way]:
        """Trace what happens inside."""
        way = Way()
        self.ways.append(way)
        with way.traced():
            yield way
        self.ways.clear()

    def click_to_layer(self, run: Path) -> Way:
        """Another particle is clicked in the scatter; its volume comes whole."""
        self.widget.open(run)
        self.wait(lambda: self.session.latents is not None and self.session.decoded is not None)
        self.wait(lambda: self.idle)
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        wanted = next(n for n in self.session.latents.index if n != self.session.focused)
        row = int(self.session.latents.index.get_loc(wanted))
        scatter = self.widget.latent.view
        place = scatter.position_of(row).toPoint()
        with self.way() as way:
            QTest.mouseClick(scatter, Qt.MouseButton.LeftButton, pos=place)
            self.wait(lambda: self.session.decoded.particle_id == wanted)
            self.wait(lambda: self.session.decoded.complete and self.idle)
        return way

    def event_to_curve(self, star: Path, out: Path) -> Way:
        """An epoch is over in the training thread; the curve of the training dock is redrawn."""
        self.widget.open(star)
        self.wait(lambda: self.session.particles is not None and self.idle)
        self.widget.controller.training.start(settings(200, checkpoint_every=200), out)
        # What comes before, a first look and its map among it, is another way.
        self.wait(lambda: self._epochs > 0 and self.session.decoded is not None)
        self.wait(lambda: self.session.decoded.complete)
        before, way = self._epochs, Way()
        sys.setprofile(way)  # of this thread alone: the training's own way is another one
        self.wait(lambda: self._epochs > before)
        self.application.processEvents()
        sys.setprofile(None)
        self.widget.controller.training.stop()
        self.wait(lambda: self.idle)
        return way

    @property
    def _epochs(self) -> int:
        """Epochs on the curve."""
        return 0 if self.session.metrics is None else len(self.session.metrics)

    def close(self) -> None:
        """Close plugin and viewer."""
        self.widget.controller.close()
        self.wait(lambda: self.idle)
        self.viewer.close()


def measured(folder: Path) -> dict[str, Way]:
    """The four ways."""
    star = simulated(folder / "set")
    found = {WAYS[0]: row_to_table(star), WAYS[1]: rows_to_loss(star, folder / "run")}
    window = Window()
    found[WAYS[2]] = window.click_to_layer(folder / "run")
    found[WAYS[3]] = window.event_to_curve(star, folder / "again")
    window.close()
    return found


def main() -> None:
    """Print a table, or the stops of one way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", choices=WAYS, help="name the stops of this way in their order")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder))
    if options.list:
        print(*(f"{module}  {name}" for module, name in found[options.list].stops), sep="\n")
        return
    print("| way | stops | rooms | returns |\n|---|---|---|---|")
    for name, way in found.items():
        print(f"| {name} | {len(way.stops)} | {way.rooms} | {way.returns} |")


if __name__ == "__main__":
    main()
