"""Cost of the latent scatter: ``.ci/with_display.sh python benchmarks/scatter.py``.

CPU time of the whole process, all threads of a software OpenGL included, median of the repeats, on
a chart of 800 x 600 pixels; for opening, wall time from arrays to the first picture.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtWidgets import QApplication

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.gui.density import DensityPoints
from napari_tomodrgn.gui.drawing import LASSO
from napari_tomodrgn.gui.hovering import picture_of
from napari_tomodrgn.gui.latent_panel import LatentPanel
from napari_tomodrgn.gui.picking import inside_polygon, nearest
from napari_tomodrgn.gui.points import RasterPoints
from napari_tomodrgn.gui.scatter import LatentView
from napari_tomodrgn.session import Session

SIZE = (800, 600)
COUNTS = (10_000, 100_000, 1_000_000)
CORNERS = 120


def cpu_ms(work: Callable[[], Any], repeats: int = 9) -> float:
    """Median CPU time of a call."""
    work()
    taken = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - begun))
    return median(taken)


def clusters(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Six clouds of points, each of its own colour."""
    rng = np.random.default_rng(0)
    of = rng.integers(0, 6, count)
    xy = rng.normal(size=(6, 2))[of] * 2 + rng.normal(size=(count, 2)) * 0.6
    return xy, rng.integers(60, 255, (6, 3)).astype(np.uint8)[of]


def measure(count: int) -> None:
    """Print one line for so many points."""
    xy, colours = clusters(count)
    view = LatentView()
    view.resize(*SIZE)
    view.show()
    QApplication.processEvents()
    begun = time.perf_counter()
    view.set_points(xy, colours)
    view.grab()
    opened = time.perf_counter() - begun

    def pan() -> None:
        view._set_view(view.view.moved(0.01, 0.005))
        view.grab()

    figures = {"pan": cpu_ms(pan)}
    selected = np.zeros(count, bool)
    selected[: count // 3] = True
    view.set_selected(selected)
    figures["pan, a third selected"] = cpu_ms(pan)
    figures["select"] = cpu_ms(lambda: view.set_selected(selected))
    view.set_renderer(DensityPoints())
    figures["pan, density"] = cpu_ms(pan)
    view.set_renderer(RasterPoints())
    cloud, transform = view._cloud, view._transform()
    figures["pick"] = cpu_ms(lambda: nearest(cloud, transform, (400.0, 300.0), 10.0))
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    radius = 150 + 60 * np.sin(5 * angles)
    corners = [*zip(400 + radius * np.cos(angles), 300 + radius * np.sin(angles), strict=True)]
    figures[LASSO] = cpu_ms(lambda: inside_polygon(cloud, transform, corners, SIZE))
    words = ", ".join(f"{name} {value:.1f} ms" for name, value in figures.items())
    print(f"{count:>9,} points: open {opened:.2f} s, {words}", flush=True)
    view.close()


def measure_panel(count: int) -> None:
    """Print how long the whole panel takes from a table of eight latents to its picture."""
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(count, 8)) * np.arange(8, 0, -1)
    names = pd.Index([f"TS_{row % 99:02d}/{row}" for row in range(count)], name="particle_id")
    table = pd.DataFrame({f"mu_{axis}": latents[:, axis] for axis in range(8)}, index=names)
    session = Session()
    panel = LatentPanel(session)
    panel.resize(1000, 600)
    panel.show()
    QApplication.processEvents()
    begun = time.perf_counter()
    session.latents = table
    panel.refresh()
    view = panel.view
    view.grab()
    opened = time.perf_counter() - begun
    moved = []
    for name in names[:9]:
        begun = time.process_time()
        session.hovered = str(name)
        view.grab()
        moved.append(1000 * (time.process_time() - begun))
    print(
        f"{count:>9,} particles: panel open {opened:.2f} s, hover {median(moved):.2f} ms",
        flush=True,
    )
    session.silence()
    panel.close()


def measure_card() -> None:
    """Print what the picture of a hovered particle's volume costs, beside the preview itself."""
    axis = np.arange(32.0) - 16
    ball = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2
    volume = Volume(np.exp(-ball / 50).astype(np.float32), 8.0)
    took = cpu_ms(lambda: picture_of(volume, 3.0, (110, 180, 240)))
    print(f"picture of a map of 32 voxels in the card: {took:.1f} ms", flush=True)


def main() -> None:
    """Measure every size."""
    application = QApplication.instance() or QApplication([])
    for count in COUNTS:
        measure(count)
        measure_panel(count)
    measure_card()
    del application


if __name__ == "__main__":
    main()
