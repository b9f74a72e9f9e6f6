"""A real mouse and real keys in a window under a window manager: ``benchmarks/mouse.py OUT RUN``.

Everything is done by X events (xdotool), to a window that openbox frames: nothing of the plugin is
called, only read, to know where a widget is and what came of a click. RUN is a trained run whose
images are there; it is copied. Prints a line for each thing tried, saves the screen after it, then
lists the words that are cut off on any of these; exits 1 if one thing went wrong or is cut.

    --size 1280x720, --theme light, --font 16 (points)
    --walks run star sets   the run alone; from the example and a star file to a report; sets of
                            other programs (one of them in TOMODRGN_TEST_DATA)

With a screen as large as the size: ``xvfb-run -s "-screen 0 2560x1440x24" python …``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hands import settle, until
from mouse_hand import Hand, window_manager
from mouse_run import explore
from mouse_sets import other_sets
from mouse_star import example, judge, star, take_out, train, wrong_files

from napari_tomodrgn.gui.window.launch import WINDOW_SIZE, some_display

WALKS = ("run", "star", "sets")
# Small enough to be trained on in a minute, and whose states are told apart.
SAMPLE = {"particles": 64, "tilts": 13, "box_size_px": 32, "snr": 1.0, "tomograms": 2, "seed": 3}


def main() -> int:
    """Walk; 1 if something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("run", type=Path, help="of the walk run; any folder otherwise")
    parser.add_argument("--size", default="x".join(map(str, WINDOW_SIZE)))
    parser.add_argument("--theme", default="dark")
    parser.add_argument("--font", type=int, default=9)
    parser.add_argument("--walks", nargs="+", choices=WALKS, default=WALKS)
    asked = parser.parse_args()
    for program in ("xdotool", "openbox", "import"):
        if shutil.which(program) is None:
            parser.error(f"needs {program} (packages xdotool, openbox, imagemagick)")
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, some_display(), window_manager():
        folder = Path(name)
        os.environ["NAPARI_CONFIG"] = str(folder / "napari.yaml")  # not the user's
        wrong = sum(_walk(walk, asked, folder) for walk in asked.walks)
    return int(wrong > 0)


def _walk(walk: str, asked: argparse.Namespace, folder: Path) -> int:
    with _window(asked, folder) as hand:
        if walk == "run":
            copy = shutil.copytree(asked.run, folder / "run")
            hand.viewer.open(str(copy), plugin="napari-tomodrgn")
            until(lambda: hand.session.decoded is not None and hand.widget.controller.idle)
            settle(1.0)
            explore(hand)
        elif walk == "sets":
            warp = _simulated(folder / "other").parent.parent / "warp" / "particles.star"
            copy = shutil.copytree(asked.run, folder / "a run")
            other_sets(hand, warp, Path(copy), folder)
        else:
            source = _simulated(folder / "sample")
            example(hand)
            star(hand, source)
            train(hand)
            judge(hand, folder)
            take_out(hand, source, folder)
            wrong_files(hand, folder / "wrong", source)
    for line, where in hand.cut.items():
        print(f"CUT   {where}: {line}", flush=True)
    return hand.wrong + len(hand.cut)


def _simulated(folder: Path) -> Path:
    from napari_tomodrgn.synthetic import Simulated, SimulationConfig, simulate

    made = [
        event
        for event in simulate(folder, SimulationConfig(**SAMPLE, structures=("80S", "60S")))
        if isinstance(event, Simulated)
    ]
    return Path(made[0].warptools)


@contextmanager
def _window(asked: argparse.Namespace, folder: Path) -> Iterator[Hand]:
    import napari
    from napari.settings import get_settings
    from qtpy.QtCore import QSettings

    from napari_tomodrgn.gui.background.workers import finish_threads
    from napari_tomodrgn.gui.window.dock import open_dock

    kind = QSettings.Format.IniFormat
    QSettings.setPath(kind, QSettings.Scope.UserScope, str(folder / "settings"))
    get_settings().appearance.font_size = asked.font
    viewer = napari.Viewer(title="tomoDRGN")
    viewer.theme = asked.theme
    viewer.window.resize(*map(int, asked.size.split("x")))
    widget: Any = open_dock(viewer)
    settle(2.0)
    try:
        yield Hand(viewer, widget, asked.out)
    finally:
        widget.close_down()
        finish_threads()
        viewer.close()


if __name__ == "__main__":
    sys.exit(main())
