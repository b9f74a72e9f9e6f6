"""Cost of the latent scatter: ``.ci/with_display.sh python benchmarks/scatter.py``.

CPU time of the whole process, all threads of a software OpenGL included, median of the repeats, on
a chart of 800 x 600 pixels; for opening, wall time from arrays to the first picture. In the window
also how long nothing could move, and which lines of code held it where that was long.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from hands import culprits, settle, timer_gaps, until
from qtpy.QtWidgets import QApplication

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.gui.background.workers import finish_threads
from napari_tomodrgn.gui.charts.density_renderer import DensityPoints
from napari_tomodrgn.gui.charts.drawn_shape import LASSO
from napari_tomodrgn.gui.charts.hit_testing import nearest, points_in_outline
from napari_tomodrgn.gui.charts.interactive_scatter import InteractiveScatter, LassoSelection
from napari_tomodrgn.gui.charts.point_cloud import RasterPoints
from napari_tomodrgn.gui.latent_space.panel import LatentPanel
from napari_tomodrgn.gui.latent_space.preview_service import preview_picture
from napari_tomodrgn.gui.plugin.sample_data import packaged_run
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
    xy, colors = clusters(count)
    view = InteractiveScatter()
    view.resize(*SIZE)
    view.show()
    QApplication.processEvents()
    begun = time.perf_counter()
    view.set_points(xy, colors)
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
    masks = cycle((~selected, selected))
    figures["select"] = cpu_ms(lambda: view.set_selected(next(masks)))
    view.set_renderer(DensityPoints())
    figures["pan, density"] = cpu_ms(pan)
    view.set_renderer(RasterPoints())
    cloud, transform = view._cloud, view._transform()
    figures["pick"] = cpu_ms(lambda: nearest(cloud, transform, (400.0, 300.0), 10.0))
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    radius = 150 + 60 * np.sin(5 * angles)
    corners = [*zip(400 + radius * np.cos(angles), 300 + radius * np.sin(angles), strict=True)]
    figures[LASSO] = cpu_ms(lambda: points_in_outline(cloud, transform, corners, SIZE))
    words = ", ".join(f"{name} {value:.1f} ms" for name, value in figures.items())
    print(f"{count:>9,} points: open {opened:.2f} s, {words}", flush=True)
    view.close()


def random_latents(count: int) -> pd.DataFrame:
    """A table of latents as the trained sample has it, of four dimensions."""
    rng = np.random.default_rng(0)
    mu = (rng.normal(size=(count, 4)) * np.arange(4, 0, -1)).astype(np.float32)
    names = [f"TS_{row % 99:02d}/{row}" for row in range(count)]
    columns: dict[str, Any] = {"particle_id": names, "tomogram": [name[:5] for name in names]}
    columns |= {f"mu_{axis}": mu[:, axis] for axis in range(4)}
    columns |= {f"logvar_{axis}": np.full(count, -3, np.float32) for axis in range(4)}
    return pd.DataFrame(columns)


def measure_panel(count: int) -> None:
    """Print how long the whole panel takes from a table of latents to its picture."""
    table = random_latents(count).set_index("particle_id")
    session = Session()
    panel = LatentPanel(session)
    panel.resize(1000, 600)
    panel.show()
    settle(0.1)
    with timer_gaps() as gaps:
        begun = time.perf_counter()
        session.latents = table
        until(lambda: len(panel.view.points) == count)
        panel.view.grab()
        opened = time.perf_counter() - begun
        settle(0.05)
    moved = []
    for name in table.index[:9]:
        begun = time.process_time()
        session.hovered = str(name)
        panel.view.grab()
        moved.append(1000 * (time.process_time() - begun))
    print(
        f"{count:>9,} particles: panel open {opened:.2f} s, longest gap {max(gaps):.0f} ms, "
        f"hover {median(moved):.2f} ms",
        flush=True,
    )
    session.disconnect_all()
    panel.stop()
    panel.close()


def write_run(folder: Path, count: int) -> None:
    """The trained sample with the latents of ever so many particles, whose images nobody has."""
    import shutil

    shutil.copytree(packaged_run(), folder)
    shutil.rmtree(folder / "analysis")
    file = next((folder / "latents").glob("*.parquet"))
    random_latents(count).to_parquet(file, index=False)


def measure_window(count: int) -> None:
    """Print, of a window on such a run, how long each thing takes and how long nothing could move.

    A gap is that between two ticks of a 10 ms timer of the window's thread.
    """
    import shutil

    import napari

    # A copy: the window keeps what is done as a script in the run.
    sample = shutil.copytree(packaged_run(), Path(tempfile.mkdtemp()) / "sample")
    viewer = napari.Viewer()
    viewer.window.resize(1440, 900)
    _, widget = viewer.window.add_plugin_dock_widget("napari-tomodrgn", "tomoDRGN")
    # Hours of UMAP in a child process are no part of it; its columns are put in below.
    widget.controller.umap.queue.request = lambda *_: None
    panel, session = widget.latent, widget.session
    # What a window does once, such as importing torch, is no part of it either.
    widget.controller.open(sample)
    until(lambda: session.decoded is not None and widget.controller.idle)
    settle(1.0)
    names = random_latents(count)["particle_id"]
    umap = pd.DataFrame({f"UMAP {k}": np.linspace(0, k, count) for k in (1, 2)}, index=names)

    def shown() -> bool:
        picture = panel._picture
        return (
            picture is not None
            and len(picture.asked.table) == count
            and not panel.drawing.is_busy
            and not panel._redraw.isActive()
            and picture.asked.color == session.color
            and picture.asked.axes == session.axes
        )

    def lasso() -> None:
        mask = np.arange(count) % 3 == 0
        panel._on_lasso(LassoSelection(mask, "replace"))

    with tempfile.TemporaryDirectory() as folder:
        write_run(Path(folder) / "run", count)
        steps: dict[str, tuple[Callable[[], None], Callable[[], bool]]] = {
            "open": (lambda: widget.open(Path(folder) / "run"), shown),
            "first map": (lambda: None, lambda: widget.controller.idle),
            "axes z 2, z 3": (lambda: setattr(session, "axes", ("z 2", "z 3")), shown),
            "axes PC 3, PC 4": (lambda: setattr(session, "axes", ("PC 3", "PC 4")), shown),
            "colour PC 1": (lambda: setattr(session, "color", "PC 1"), shown),
            "colour tomogram": (lambda: setattr(session, "color", "tomogram"), shown),
            "UMAP columns": (lambda: session.add_columns(umap), shown),
            "axes UMAP": (lambda: setattr(session, "axes", ("UMAP 1", "UMAP 2")), shown),
            "lasso of a third": (lasso, lambda: len(session.selection) == -(-count // 3)),
        }
        for name, (do, done) in steps.items():
            with timer_gaps() as gaps, culprits() as lines:
                begun = time.perf_counter()
                do()
                until(done)
                panel.view.grab()
                took = time.perf_counter() - begun
                settle(0.3)
            print(f"{count:>9,} in the window, {name}: {took:.2f} s, gap {max(gaps):.0f} ms")
            for where, times in lines.most_common(4):
                print(f"          {5 * times:4d} ms {where}", flush=True)
        widget.close_down()
        finish_threads()
    viewer.close()


def measure_card() -> None:
    """Print what the picture of a hovered particle's volume costs, beside the preview itself."""
    axis = np.arange(32.0) - 16
    ball = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2
    volume = Volume(np.exp(-ball / 50).astype(np.float32), 8.0)
    took = cpu_ms(lambda: preview_picture(volume, 3.0, (110, 180, 240)))
    print(f"picture of a map of 32 voxels in the card: {took:.1f} ms", flush=True)


def main() -> None:
    """Measure every size."""
    application = QApplication.instance() or QApplication([])
    for count in COUNTS:
        measure(count)
        measure_panel(count)
    measure_card()
    measure_window(COUNTS[-1])
    del application


if __name__ == "__main__":
    main()
