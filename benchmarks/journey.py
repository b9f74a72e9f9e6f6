"""The whole way through the window, as a user goes it: ``python benchmarks/journey.py [SET …]``.

Open, look at the checks, train ten epochs while hovering and clicking, pause, go on, lasso, name,
see the particles in their tomogram, follow a trajectory, reconstruct, export, close, open again.
SETs are ``sample`` (simulated, the default), ``warptools`` and ``cryosrpnt`` (from the folder
``TOMODRGN_TEST_DATA``). Prints what each station took, and how smooth the window was meanwhile;
fails if anything was raised, or a thread, a widget or a process is left over.

    --pictures DIR   save the window at every station; those of the pages are made so
    --size WxH, --theme light, --epochs N
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hands import (
    LEFT,
    NO_KEY,
    corners_around,
    drag,
    made_smaller,
    settle,
    shows_focused,
    tab_of,
    timer_gaps,
    until,
)
from qtpy.QtCore import QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_tomodrgn.gui.window.launch import WINDOW_SIZE, some_display

NAME = "right side"
SETS = {
    "warptools": "warptools/warptools_test_4-tomos_10-ptcls_box-32_angpix-12_optimisation_set.star",
    "cryosrpnt": "cryosrpnt",
}


def _children() -> list[Any]:
    """Processes below this one."""
    import psutil

    return list(psutil.Process().children(recursive=True))


@dataclass
class Traveller:
    """A window, and what happens to it.

    Attributes
    ----------
    make_viewer
        Gives a napari viewer.
    scratch
        Folder for the run and the export.
    pictures
        Folder for the pictures, or None.
    """

    make_viewer: Callable[[], Any]
    scratch: Path
    pictures: Path | None = None
    epochs: int = 10
    raised: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    viewer: Any = None
    widget: Any = None
    # Processes that were there before, such as those that tests of this worker started.
    others: frozenset[int] = frozenset()

    def go(self, source: Path) -> None:
        """All stations, in order."""
        self.station("start", self.start)
        self.station("star", lambda: self.open(source))
        self.station("look", self.look_at_data)
        self.station("training", self.train)
        self.station("paused", self.pause)
        self.station("trained", self.finish_training)
        self.station("window", self.lasso_and_name)
        self.station("tomogram", self.see_in_tomogram)
        self.station("trajectory", self.follow_trajectory)
        self.station("reconstruction", self.reconstruct)
        self.station("comparison", self.compare)
        self.station("", self.export)
        self.station("", self.close)
        self.station("reopened", self.open_again)
        self.station("", self.close)

    def station(self, picture: str, act: Callable[[], str]) -> None:
        """Do one thing, say what came of it, take the picture."""
        began = time.perf_counter()
        words = act()
        name = act.__name__ if act.__name__ != "<lambda>" else picture
        self.told.append(f"{name:>20}  {time.perf_counter() - began:6.1f} s  {words}")
        print(self.told[-1], flush=True)
        if picture and self.pictures is not None:
            settle(0.6)
            self.pictures.mkdir(parents=True, exist_ok=True)
            file = self.pictures / f"{picture}.png"
            self.viewer.screenshot(str(file), canvas_only=False, flash=False)
            made_smaller(file)

    # -- stations -----------------------------------------------------------------------------

    def start(self) -> str:
        """An empty window, opened by the plugin menu."""
        self.others |= {child.pid for child in _children()}
        self.viewer = self.make_viewer()
        settle(0.3)
        plugins = self.viewer.window.plugins_menu
        plugins.aboutToShow.emit()
        (menu,) = (one.menu() for one in plugins.actions() if one.text() == "tomoDRGN")
        menu.actions()[0].trigger()
        self.find_widget()
        return "plugin menu, tomoDRGN"

    def open(self, source: Path) -> str:
        """A star file dropped onto napari, and its checks."""
        self.viewer.open(str(source), plugin="napari-tomodrgn")
        session = self.widget.session
        until(lambda: session.particles is not None or session.asked is not None)
        if session.particles is None:  # the images are elsewhere: as the form of the dock says it
            from napari_tomodrgn.config import ReadingConfig

            self.widget.controller.opening.request_again(ReadingConfig(images=str(source.parent)))
            until(lambda: session.particles is not None)
        until(lambda: self.widget.controller.idle)
        verdicts = [check.verdict for check in session.checks]
        found = ", ".join(f"{verdicts.count(one)} {one}" for one in sorted(set(verdicts)))
        return f"{len(session.particles)} particles; checks: {found}"

    def look_at_data(self) -> str:
        """What the images and their numbers look like, and the average of a sample of particles."""
        panel, session = self.widget.particles, self.widget.session
        panel.summary_section.set_open(False)
        panel.overview_section.set_open(True)
        until(lambda: self.widget.controller.idle)
        settle(0.5)
        panel.quick.start_requested.emit()
        until(lambda: session.validation is not None and self.widget.controller.idle)
        return f"a sample reconstructed to {session.validation.resolution_angstrom:.1f} Å"

    def train(self) -> str:
        """The button, then hovering and clicking while it learns."""
        widget, session = self.widget, self.widget.session
        widget.tabs.setCurrentWidget(widget.training)
        settle(0.2)
        panel = widget.training
        panel.form.set_value("train.epochs", self.epochs)
        panel.folder.set_folder(str(self.scratch / "run"))
        QTest.mouseClick(panel.button, LEFT)
        until(lambda: session.epoch >= 1 and session.decoded is not None)
        with timer_gaps() as gaps:
            waits = self.hover_and_click(until_epoch=max(2, self.epochs // 2))
        late = np.percentile(gaps, 99) if gaps else 0.0
        clicks = f"click to volume {max(waits):.2f} s at most of {len(waits)}" if waits else ""
        return f"10 ms timer: p99 {late:.0f} ms, worst {max(gaps, default=0.0):.0f} ms; {clicks}"

    def hover_and_click(self, until_epoch: int) -> list[float]:
        """Over random particles, clicking every fifth; how long each click took to show."""
        view, session = self.widget.latent.view, self.widget.session
        rng, waits, moves = np.random.default_rng(0), [], 0
        until(lambda: len(view.points) > 0)
        while session.training.busy and session.epoch < until_epoch:
            at = view.position_of(int(rng.integers(len(view.points)))).toPoint()
            QTest.mouseMove(view, at)
            settle(0.02)
            moves += 1
            if moves % 5 == 0:
                before, began = session.focused, time.perf_counter()
                QTest.mouseClick(view, LEFT, NO_KEY, at)
                if session.focused != before:
                    until(lambda: shows_focused(session))
                    waits.append(time.perf_counter() - began)
        return waits

    def pause(self) -> str:
        """The same button holds it, and the window can still be used."""
        session, button = self.widget.session, self.widget.training.button
        if not session.training.busy:
            return "it was over before"
        QTest.mouseClick(button, LEFT)
        until(lambda: session.training.phase == "paused")
        epoch = session.epoch
        settle(1.0)
        held = session.epoch - epoch
        view = self.widget.latent.view
        QTest.mouseClick(view, LEFT, NO_KEY, view.position_of(0).toPoint())
        until(lambda: shows_focused(session))
        return f"{held} epochs further in a second; a click still shows its volume"

    def finish_training(self) -> str:
        """Continue, to the end."""
        session = self.widget.session
        if session.training.busy:
            QTest.mouseClick(self.widget.training.button, LEFT)
        until(lambda: not session.training.busy)
        until(lambda: self.widget.controller.idle)
        until(lambda: not self.widget.controller.umap.queue.is_busy)  # UMAP
        return f"epoch {session.epoch}; {session.message.text if session.message else ''}"

    def lasso_and_name(self) -> str:
        """A line with the mouse around the right half, kept by name and shown in its colour."""
        widget, session, view = self.widget, self.widget.session, self.widget.latent.view
        session.message = None
        widget.tabs.setCurrentIndex(tab_of(widget, "Validate"))
        widget.latent.tools.choose("lasso")
        view.setFocus()
        settle(0.3)
        places = np.array([(p.x(), p.y()) for p in map(view.position_of, range(len(view.points)))])
        middle = float(np.median(places[:, 0]))  # a few outliers are no half
        drag(view, corners_around(middle, places[:, 0].max() + 8, view.height()))
        expected = int((places[:, 0] > middle).sum())
        chosen = len(session.selection)
        widget.latent.tools.choose("move")
        widget.selections.name.setText(NAME)
        QTest.mouseClick(widget.selections.keep, LEFT)
        until(lambda: any(one.name == NAME for one in session.selections))
        session.color = "selections"
        until(lambda: widget.controller.idle)
        if chosen == 0 or abs(chosen - expected) > 0.1 * len(places):
            self.raised.append(f"the lasso holds {chosen} particles, {expected} are in it")
        return f"{chosen} of {len(places)} particles, named {NAME!r}"

    def see_in_tomogram(self) -> str:
        """The particles at their places, where the star file knows them."""
        panel = self.widget.tomogram
        self.widget.tabs.setCurrentWidget(panel)
        settle(0.5)
        item = panel.list.topLevelItem(0)
        if item is None:
            return "no tomogram is listed"
        name = item.text(0)  # the list is filled anew when a tomogram opens
        panel.list.itemClicked.emit(item, 0)
        until(lambda: self.widget.controller.idle)
        settle(1.5)
        layers = [layer.name for layer in self.viewer.layers if layer.visible]
        words = f"{name}: layers {', '.join(layers)}; {panel.status.text()}"
        return words.replace("\n", " ")

    def follow_trajectory(self) -> str:
        """Along the first principal component, frame by frame with the slider."""
        widget, session = self.widget, self.widget.session
        widget.tomogram.particle.click()
        widget.latent.path.along_requested.emit(1)
        until(lambda: session.trajectory is not None and widget.controller.idle)
        slider = widget.latent.path.slider
        began = time.perf_counter()
        for frame in range(0, slider.maximum() + 1, 4):
            slider.setValue(frame)
            until(lambda: widget.controller.idle)
        count = len(range(0, slider.maximum() + 1, 4))
        each = (time.perf_counter() - began) / count
        return f"{len(session.trajectory.points)} frames; {1e3 * each:.0f} ms from one to the next"

    def reconstruct(self) -> str:
        """The selection from its images alone, beside what was decoded."""
        widget, session = self.widget, self.widget.session
        widget.tabs.setCurrentIndex(tab_of(widget, "Validate"))
        widget.latent.path.forget_requested.emit()
        session.focused = sorted(session.selection)[0]
        before = session.validation
        widget.validation.start_requested.emit()
        until(lambda: session.validation is not before and widget.controller.idle)
        return f"{session.validation.resolution_angstrom:.1f} Å (FSC 0.143)"

    def compare(self) -> str:
        """The named selection with all other particles, side by side with their difference."""
        widget, session, panel = self.widget, self.widget.session, self.widget.comparison
        widget.tabs.setCurrentIndex(tab_of(widget, "Validate"))
        panel.a.setCurrentIndex(panel.a.findData(f"named {NAME}"))
        panel.refresh()
        panel.b.setCurrentIndex(panel.b.findData("rest"))
        QTest.mouseClick(panel.compare, LEFT)
        until(lambda: session.comparison is not None and widget.controller.idle)
        words = panel.sentence.text()
        settle(0.5)
        if session.canvas_mode != "comparison":
            self.raised.append("the compared groups are not on show")
        return words

    def export(self) -> str:
        """The selection as a star file, read back."""
        from napari_tomodrgn.data.dialects import read_particles

        session, star = self.widget.session, self.scratch / "selection.star"
        self.widget.controller.selections.export(star)
        until(lambda: self.widget.controller.idle)
        written = sorted(self.scratch.glob("selection*.star"), key=lambda path: len(path.name))
        kept = set(read_particles(written[0]).ids)
        if kept != set(session.selection):
            self.raised.append(f"{written[0].name} holds other particles than were selected")
        return f"{written[0].name}, {len(kept)} particles"

    def open_again(self) -> str:
        """Another window on the run: same particles, same selection, same colour."""
        self.viewer = self.make_viewer()
        self.viewer.open(str(self.scratch / "run"), plugin="napari-tomodrgn")
        self.find_widget()
        session = self.widget.session
        until(lambda: session.decoded is not None and self.widget.controller.idle)
        names = [one.name for one in session.selections]
        if names != [NAME] or session.color != "selections":
            self.raised.append(f"reopened with {names} and colour {session.color!r}")
        return f"epoch {session.epoch}, selections {names}, colour {session.color!r}"

    def close(self) -> str:
        """The window, and with it everything that it started."""
        gone = weakref.ref(self.widget)
        name = type(self.widget).__name__
        self.widget.controller.close()
        self.viewer.close()
        self.viewer = self.widget = None
        QThreadPool.globalInstance().waitForDone(5000)
        until(lambda: not QThreadPool.globalInstance().activeThreadCount(), 10)
        settle(0.3)
        gc.collect()
        left = [one for one in QApplication.topLevelWidgets() if type(one).__name__ == name]
        children = [one for one in _children() if one.pid not in self.others]
        children = [one for one in children if "python" in one.name()]
        if left or children:
            self.raised.append(f"left over after closing: {left} {children}")
        kept = "" if gone() is None else ", its Python object is still referenced"
        return f"no thread, widget or process left{kept}"

    def find_widget(self) -> None:
        """Our dock in the viewer."""
        from napari_tomodrgn.gui.window.dock import open_dock

        until(lambda: len(self.viewer.window.dock_widgets) >= 2)
        self.widget = open_dock(self.viewer)
        settle(0.5)


@contextmanager
def watched(traveller: Traveller) -> Iterator[None]:
    """Write down what is raised in the event loop, in threads, or told by napari as an error."""
    from napari.utils.notifications import NotificationSeverity, notification_manager

    def note(kind: Any, error: Any, _trace: Any = None) -> None:
        traveller.raised.append(f"{getattr(kind, '__name__', kind)}: {error}")

    def heard(notification: Any) -> None:
        if notification.severity >= NotificationSeverity.ERROR:
            note("napari", notification.message)

    before, sys.excepthook = sys.excepthook, note
    notification_manager.notification_ready.connect(heard)
    try:
        yield
    finally:
        sys.excepthook = before
        notification_manager.notification_ready.disconnect(heard)


def source_of(name: str, scratch: Path) -> Path:
    """The star file of a set; copies of the shared ones, beside which nothing is to be written."""
    if name == "sample":
        from napari_tomodrgn.gui.plugin.sample_data import write_sample

        return write_sample(scratch / "sample")
    data = Path(os.environ["TOMODRGN_TEST_DATA"])
    found = data / SETS[name]
    star = found if found.is_file() else next(found.glob("*.star"))
    shutil.copytree(star.parent, scratch / name)
    return scratch / name / star.name


def main() -> int:
    """Travel; 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=["sample"])
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--size", default="x".join(map(str, WINDOW_SIZE)))
    parser.add_argument("--theme", default="dark")
    parser.add_argument("--epochs", type=int, default=10)
    asked = parser.parse_args()
    wrong = 0
    with some_display():
        for name in asked.sets:
            with tempfile.TemporaryDirectory() as folder:
                wrong += travel(name, Path(folder), asked)
    return int(wrong > 0)


def travel(name: str, scratch: Path, asked: argparse.Namespace) -> int:
    """One set; the number of things that went wrong."""
    import napari
    from qtpy.QtCore import QSettings

    # Neither the user's settings nor an earlier journey's.
    kind = QSettings.Format.IniFormat
    QSettings.setPath(kind, QSettings.Scope.UserScope, str(scratch / "settings"))

    def viewer() -> Any:
        made = napari.Viewer(title="tomoDRGN")
        made.theme = asked.theme
        made.window.resize(*map(int, asked.size.split("x")))
        return made

    pictures = asked.pictures and asked.pictures / ("" if name == "sample" else name)
    traveller = Traveller(viewer, scratch, pictures, asked.epochs)
    print(f"{name}:", flush=True)
    with watched(traveller):
        try:
            traveller.go(source_of(name, scratch))
        except Exception as error:  # noqa: BLE001 the other sets are to be travelled, too
            traveller.raised.append(f"{type(error).__name__}: {error}")
    print(*(f"WRONG: {what}" for what in traveller.raised), sep="\n")
    return len(traveller.raised)


if __name__ == "__main__":
    sys.exit(main())
