"""How soon the trained sample is there: ``python benchmarks/sample.py [TIMES]`` with a display.

Each time in a new process: napari is up and idle, the dock is not, torch was never imported, and
the sample was never copied. From choosing it in *File > Open Sample* to points that can be clicked
and to the first volume, as the event loop goes; and the longest gap of a 10 ms timer meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from statistics import median

NAMES = ("dock", "scatter", "volume", "gap before the volume")


def once() -> None:
    """Print the four figures of this process."""
    import napari
    from hands import culprits, settle, timer_gaps, until

    from napari_tomodrgn.gui.background.workers import finish_threads
    from napari_tomodrgn.gui.window.controller import controller_of

    viewer = napari.Viewer()
    viewer.window.resize(1440, 900)
    settle(1.0)
    assert "torch" not in sys.modules, "nothing may have imported torch yet"
    with timer_gaps() as gaps, culprits() as lines:
        begun = time.perf_counter()
        viewer.open_sample("napari-tomodrgn", "trained")
        took = [time.perf_counter() - begun]
        controller = controller_of(viewer)
        assert controller is not None
        session, panel = controller.session, _panel_of(viewer)
        until(lambda: len(panel.view.points) > 0 and panel.view._picture is not None)
        took.append(time.perf_counter() - begun)
        until(lambda: session.decoded is not None)
        took.append(time.perf_counter() - begun)
    print(*(f"{second:.3f}" for second in took), f"{max(gaps):.0f}")
    if os.environ.get("CULPRITS"):
        for where, times in lines.most_common(8):
            print(f"{5 * times:4d} ms {where}", file=sys.stderr)
    controller.close()
    finish_threads()
    os._exit(0)  # what is closed in order is tested elsewhere


def _panel_of(viewer: object) -> object:
    from qtpy.QtWidgets import QApplication

    from napari_tomodrgn.gui.latent_space.panel import LatentPanel

    return next(one for one in QApplication.allWidgets() if isinstance(one, LatentPanel))


def main() -> None:
    """Start so many processes and print medians."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    figures = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as cache:
            told = subprocess.run(
                [sys.executable, __file__, "once"],
                env={**os.environ, "XDG_CACHE_HOME": cache},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout
        figures.append([float(word) for word in told.split()[-4:]])
        print(f"  {told.splitlines()[-1]}", flush=True)
    for name, values in zip(NAMES, zip(*figures, strict=True), strict=True):
        print(f"{name}: {median(values):.2f} {'ms' if 'gap' in name else 's'}")


if __name__ == "__main__":
    once() if sys.argv[1:] == ["once"] else main()
