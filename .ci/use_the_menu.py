"""Use the plugin as a user does who just installed it: ``python use_the_menu.py ENVIRONMENT``.

Opens napari, goes through the plugin menu and the samples, prints what it took, and fails where
something is missing or where the package is not the one of the environment.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import napari
import npe2
from qtpy.QtWidgets import QApplication

import napari_tomodrgn

STEPS = ("Particles", "Training", "Latent space", "Tomogram", "Validate")
PARTS = ["tomoDRGN", *(f"Go to {step}" for step in STEPS)]


def until(done: Callable[[], bool], seconds: float = 60.0) -> float:
    """Let Qt work until something is true; how long it took."""
    began = time.perf_counter()
    while not done():
        if time.perf_counter() - began > seconds:
            sys.exit("it did not happen in time")
        QApplication.processEvents()
        time.sleep(0.002)
    return time.perf_counter() - began


def registering() -> float:
    """Seconds that finding and registering the manifest takes, of five times the shortest."""
    found = []
    for _ in range(5):
        began = time.perf_counter()
        npe2.PluginManager().register(npe2.PluginManifest.from_distribution("napari-tomodrgn"))
        found.append(time.perf_counter() - began)
    return min(found)


def main() -> None:
    """Go through the menu and the samples."""
    home = Path(napari_tomodrgn.__file__).parent
    if not home.is_relative_to(Path(sys.argv[1])):
        sys.exit(f"another package was imported: {home}")
    print(f"napari {napari.__version__}, napari-tomodrgn {version('napari-tomodrgn')}")
    heavy = [name for name in ("torch", "pandas", "sklearn", "umap") if name in sys.modules]
    print(f"manifest found and registered in {1e3 * registering():.1f} ms")
    viewer: Any = napari.Viewer()
    ours = [name for name in sys.modules if name.startswith("napari_tomodrgn.")]
    if heavy or ours or "torch" in sys.modules:
        sys.exit(f"napari's start imported {heavy or ours or 'torch'}")
    window = viewer.window
    window.plugins_menu.aboutToShow.emit()
    (menu,) = (one.menu() for one in window.plugins_menu.actions() if one.text() == "tomoDRGN")
    entries = {entry.text(): entry for entry in menu.actions()}
    if list(entries) != PARTS:
        sys.exit(f"the menu holds {list(entries)}")
    for name in PARTS:
        entries[name].trigger()
        took = until(lambda: len(window.dock_widgets) == 2)
        print(f"menu entry {name}: {took:.2f} s")
    from napari_tomodrgn.gui.window.dock import open_dock

    widget = open_dock(viewer)
    for sample in ("trained", "simulated"):
        widget.session.reset()
        began = time.perf_counter()
        viewer.open_sample("napari-tomodrgn", sample)
        until(lambda: widget.session.particles is not None and widget.controller.idle)
        print(f"sample {sample}: {time.perf_counter() - began:.1f} s, ", end="")
        print(f"{len(widget.session.particles)} particles, {len(viewer.layers)} layers")
    saved = viewer.layers["truth 80S"].save(f"{sys.argv[1]}/truth.mrc", plugin="napari-tomodrgn")
    print(f"written: {saved}")
    widget.close_down()
    until(lambda: widget.controller.idle)
    viewer.close()


if __name__ == "__main__":
    main()
