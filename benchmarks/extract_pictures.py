"""The pictures of docs/extract.md, of the window itself: ``python benchmarks/extract_pictures.py``.

A Dynamo table of simulated particles is dropped, its tilt series named, images are cut, a first
look trained, and one of two states written back as a table. ``--pictures DIR`` (default:
docs/images), ``--size WxH``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from hands import made_smaller, settle, until

from napari_tomodrgn.gui.window.launch import WINDOW_SIZE, some_display
from napari_tomodrgn.synthetic import SimulationConfig, simulate

_SET = {"particles": 80, "tilts": 21, "box_size_px": 40, "states": 2, "snr": 1.0, "tomograms": 2}
PATIENCE_S = 900.0


def picture(viewer: Any, file: Path) -> None:
    """Save the whole window."""
    settle(1.0)
    viewer.screenshot(str(file), canvas_only=False, flash=False)
    made_smaller(file, 128)  # the noise of a tilt image takes many bytes
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB", flush=True)


def name_the_folders(window: Any, root: Path) -> None:
    """The second step: one folder for the tilt series, others where they are elsewhere."""
    panel, folder = window.particles.extraction, root / "tilt_series"
    panel.tilt_series.set_folder(str(folder / "stacks"))
    for name, place in {
        "alignment": folder / "alignments" / "imod",
        "ctf": folder / "ctf" / "aretomo",
        "dose": folder / "dose" / "mdoc",
        "tomograms": root / "tomograms",
    }.items():
        panel.folders[name].set_folder(str(place))
    panel.box.setValue(_SET["box_size_px"])


def go(viewer: Any, root: Path, pictures: Path) -> None:
    """All steps, with a picture of what there is to see."""
    from napari_tomodrgn.gui.window.dock import open_dock

    window = open_dock(viewer)
    settle(0.5)
    source = root / "tilt_series" / "lists" / "imod" / "dynamo.tbl"
    viewer.open(str(source), plugin="napari-tomodrgn")
    name_the_folders(window, root)
    panel, session = window.particles.extraction, window.session
    panel.tilt_series.line.editingFinished.emit()
    until(lambda: len(viewer.layers) == 4)
    panel.out.set_folder(str(root / "dynamo_extracted"))
    picture(viewer, pictures / "extract-table.png")
    panel.start.click()
    until(lambda: session.particles is not None and window.controller.idle, PATIENCE_S)
    first_look(window, root / "run")
    window.tabs.setCurrentIndex(3)
    window.selections.export_requested.emit(str(root / "chosen.star"))
    until(lambda: window.controller.idle)
    picture(viewer, pictures / "extract-chosen.png")


def first_look(window: Any, run: Path) -> None:
    """Train the linear model, find two clusters, select one."""
    session, training = window.session, window.training
    window.tabs.setCurrentWidget(training)
    training.preset.setCurrentText("First look")
    training.preset.activated.emit(training.preset.currentIndex())
    training.folder.set_folder(str(run))
    training.button.click()
    until(lambda: session.latents is not None and not session.training.busy, PATIENCE_S)
    until(lambda: window.controller.idle, PATIENCE_S)
    actions = window.latent.tools.clusters.actions()
    next(one for one in actions if one.text() == "2 clusters").trigger()
    until(lambda: session.added_columns is not None)
    clusters = session.added_columns["cluster"]
    session.selection = frozenset(map(str, clusters.index[clusters == clusters.iloc[0]]))
    session.focused = sorted(session.selection)[0]
    until(lambda: window.controller.idle)


def main() -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[1] / "docs" / "images"
    parser.add_argument("--pictures", type=Path, default=default)
    parser.add_argument("--size", default="x".join(map(str, WINDOW_SIZE)))
    asked = parser.parse_args()
    with some_display(), tempfile.TemporaryDirectory() as scratch:
        import napari
        from qtpy.QtCore import QSettings

        kind = QSettings.Format.IniFormat
        QSettings.setPath(kind, QSettings.Scope.UserScope, str(Path(scratch) / "settings"))
        root = Path(scratch) / "sim"
        for _ in simulate(root, SimulationConfig(**_SET, tilt_series=True)):
            pass
        viewer = napari.Viewer(title="tomoDRGN")
        viewer.theme = "dark"
        viewer.window.resize(*map(int, asked.size.split("x")))
        go(viewer, root, asked.pictures)
        viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
