"""From a dropped list to opened tilt images, in the window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_tomodrgn.gui.extraction.panel import ExtractionPanel
from napari_tomodrgn.gui.extraction.recognize import is_averaging_list
from napari_tomodrgn.gui.plugin.reader import get_reader


@pytest.fixture(scope="module")
def tilt_images(made_once: Callable[..., Path]) -> Path:
    from napari_tomodrgn.synthetic import SimulationConfig, simulate

    settings = {"particles": 14, "tilts": 5, "box_size_px": 24, "states": 1, "snr": 2.0}
    config = SimulationConfig(**settings, tilt_series=True)
    return made_once("tilt-images", lambda out: list(simulate(out, config)))


def fill(panel: ExtractionPanel, root: Path, form: str = "imod") -> None:
    """Put the simulated folders into the form, everything decided."""
    folder = root / "tilt_series"
    panel.folders["alignment"].set_folder(str(folder / "alignments" / form))
    panel.folders["ctf"].set_folder(str(folder / "ctf" / "ctffind"))
    panel.folders["dose"].set_folder(str(folder / "dose" / "mdoc"))
    panel.folders["tomograms"].set_folder(str(root / "tomograms"))
    for name, word in {"z": "keep", "pose": "keep", "origin": "1", "hand": "1"}.items():
        panel.choices[name].setCurrentText(word)
    panel.box.setValue(24)
    panel.tilt_series.set_folder(str(folder / "stacks"))


def test_lists_are_told_by_what_they_say(tilt_images: Path, tmp_path: Path) -> None:
    lists = tilt_images / "tilt_series" / "lists" / "imod"
    known = ("stopgap.star", "motl.em", "dynamo.tbl", "pytom.xml", "picks.csv")
    for name in (*known, "copick_TS_001.json"):
        assert is_averaging_list(lists / name)
        assert get_reader(lists / name) is not None
    (tmp_path / "points.csv").write_text("index,axis-0,axis-1\n")
    (tmp_path / "movie.xml").write_text("<Movie/>")
    for path in (tmp_path / "points.csv", tmp_path / "movie.xml", tilt_images / "truth.csv"):
        assert not is_averaging_list(path)
    assert not is_averaging_list(tilt_images / "warp" / "particles.star")


def test_from_a_list_to_opened_images(
    viewer: Any, widget: Any, tilt_images: Path, tmp_path: Path, qtbot: Any
) -> None:
    window = widget
    panel, service = window.particles.extraction, window.controller.extraction
    # 1: a list is dropped.
    window.open(tilt_images / "tilt_series" / "lists" / "imod" / "stopgap.star")
    assert window.particles.extraction_section.is_open
    assert panel.list.text() == "stopgap.star"
    panel.out.set_folder(str(tmp_path / "out"))
    # 2: the folder of tilt series; where the rest is elsewhere, that too.
    fill(panel, tilt_images)
    with qtbot.waitSignal(service.surveyed):
        panel.tilt_series.line.editingFinished.emit()
    table = panel.table
    assert table.rowCount() == 2
    texts = [[table.item(row, column).text() for column in range(6)] for row in range(2)]
    assert texts == [["1", "7", "✓", "✓", "✓", "✓"], ["2", "7", "✓", "✓", "✓", "✓"]]
    qtbot.waitUntil(lambda: len(viewer.layers) == 2)
    image, points = viewer.layers
    assert image.name == "tilt image, TS_001"
    assert len(points.data) == 7
    edge = np.array(image.data.shape) * image.scale
    assert ((points.data > 0) & (points.data < edge)).all()
    # 3: extract and open.
    assert panel.start.isEnabled()
    with qtbot.waitSignals([service.extracted, service.ended]):
        panel.start.click()
    qtbot.waitUntil(lambda: window.session.particles is not None)
    assert len(window.session.particles) == 14
    assert window.session.source == tmp_path / "out" / "optimisation_set.star"
    qtbot.waitUntil(lambda: window.controller.idle)


def test_what_is_missing_is_said_and_nothing_can_be_cut(
    tilt_images: Path, tmp_path: Path, qtbot: Any
) -> None:
    from napari_tomodrgn.extract.lists import read_list
    from napari_tomodrgn.extract.survey import survey

    panel = ExtractionPanel()
    qtbot.addWidget(panel)
    refused: list[str] = []
    panel.refused.connect(refused.append)
    panel.look.click()
    assert refused == ["Choose the list first."]
    panel.set_list(tilt_images / "tilt_series" / "lists" / "imod" / "dynamo.tbl")
    assert panel.out.folder.endswith("dynamo_extracted")
    fill(panel, tilt_images)
    panel.folders["ctf"].set_folder(str(tmp_path))
    config = panel.config()
    panel.show_survey(survey(config, read_list(config.particles)))
    assert not panel.start.isEnabled()
    assert "no CTF of TS_001" in panel.missing.text()
    assert panel.table.item(0, 4).text() == "–"
