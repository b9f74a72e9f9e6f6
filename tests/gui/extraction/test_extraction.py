"""From a dropped list to opened tilt images, in the window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_lists import lists_in_a_window
from scipy.ndimage import map_coordinates

from napari_tomodrgn.gui.extraction.panel import ExtractionPanel
from napari_tomodrgn.gui.extraction.recognize import is_averaging_list
from napari_tomodrgn.gui.extraction.words import in_fields
from napari_tomodrgn.gui.plugin.reader import get_reader
from napari_tomodrgn.synthetic.tilt_series.lists import LISTS

FROM_ONE = ("stopgap.star", "motl.em", "dynamo.tbl")


def test_lists_are_told_by_what_they_say(tilt_images: Path, tmp_path: Path) -> None:
    lists = tilt_images / "tilt_series" / "lists" / "imod"
    for name in LISTS:
        assert is_averaging_list(lists / name)
        assert get_reader(lists / name) is not None
    (tmp_path / "points.csv").write_text("index,axis-0,axis-1\n")
    (tmp_path / "numbers.csv").write_text(",".join(["a"] * 26) + "\n")
    (tmp_path / "movie.xml").write_text("<Movie/>")
    others = [tmp_path / name for name in ("points.csv", "numbers.csv", "movie.xml")]
    for path in (*others, tilt_images / "truth.csv"):
        assert not is_averaging_list(path)
    for name in ("warp/particles.star", "warptools/particles.star"):
        assert not is_averaging_list(tilt_images / name)


def brightness(layer: Any, points: Any) -> np.ndarray:
    """Grey values of an image's layer at the rings of another one."""
    places = (np.asarray(points.data) + points.translate - layer.translate) / layer.scale
    return map_coordinates(np.asarray(layer.data, np.float64), places.T, order=1)


def assert_rings_are_on_particles(viewer: Any) -> None:
    """Particles are dark in tilt images, light in the simulated tomogram."""
    image, rings, tomogram, places = viewer.layers
    assert [layer.name for layer in viewer.layers] == [
        "tilt image, TS_001",
        "predicted particles, TS_001",
        "tomogram, TS_001",
        "listed particles, TS_001",
    ]
    for layer, points, sign in ((image, rings, -1), (tomogram, places, 1)):
        grey = np.asarray(layer.data)
        there = sign * (brightness(layer, points) - grey.mean()) / grey.std()
        # Six of seven: a hole in the middle of a map, or the noise, may be where one is.
        assert (there > 0.5).sum() >= len(there) - 1
    assert tomogram.translate[-1] > image.data.shape[-1] * image.scale[-1]
    assert viewer.dims.ndisplay == 2


@pytest.mark.parametrize("name", lists_in_a_window("stopgap.star", "relion5.star", "TS_001.csv"))
def test_from_every_list_to_opened_images(
    name: str,
    viewer: Any,
    widget: Any,
    tilt_images: Path,
    fill: Callable[..., None],
    tmp_path: Path,
    qtbot: Any,
) -> None:
    window = widget
    panel, service = window.particles.extraction, window.controller.extraction
    # 1: a list is dropped.
    viewer.open(
        str(tilt_images / "tilt_series" / "lists" / "imod" / name), plugin="napari-tomodrgn"
    )
    assert window.particles.extraction_section.is_open
    assert panel.list.text() == name
    panel.out.set_folder(str(tmp_path / "out"))
    # 2: the folder of tilt series; where the rest is elsewhere, that too.
    fill(panel, tilt_images, z="keep", pose="keep", hand="1")
    panel.choices["origin"].setCurrentText("1" if name in FROM_ONE else "0")
    with qtbot.waitSignal(service.surveyed):
        panel.tilt_series.line.editingFinished.emit()
    table = panel.table
    texts = [
        [table.item(row, column).text() for column in range(6)] for row in range(table.rowCount())
    ]
    one_tomogram = name in ("copick_TS_001.json", "TS_001.csv")
    assert table.rowCount() == (1 if one_tomogram else 2)
    assert [row[1:] for row in texts] == [["7", "✓", "✓", "✓", "✓"]] * table.rowCount()
    qtbot.waitUntil(lambda: len(viewer.layers) == 4)
    assert_rings_are_on_particles(viewer)
    # 3: extract and open.
    assert panel.start.isEnabled()
    with qtbot.waitSignals([service.extracted, service.ended]):
        panel.start.click()
    qtbot.waitUntil(lambda: window.session.particles is not None)
    assert len(window.session.particles) == 7 * table.rowCount()
    assert not window.particles.extraction_section.is_open
    assert window.session.source == tmp_path / "out" / "optimisation_set.star"
    assert not any("TS_001" in layer.name for layer in viewer.layers)
    qtbot.waitUntil(lambda: window.controller.idle)
    # Where the tomograms are is known, too.
    assert window.tomogram.files.folder.text() == str((tilt_images / "tomograms").resolve())
    assert len(window.session.tomogram_files) == table.rowCount()


def test_what_the_form_asks_for_goes_once_it_was_chosen(
    widget: Any, tilt_images: Path, fill: Callable[..., None], qtbot: Any
) -> None:
    panel, session = widget.particles.extraction, widget.session

    def said() -> str:
        return "" if session.message is None else session.message.text

    panel.look.click()
    assert said() == "Choose the list first."
    qtbot.wait(700)
    assert said() == "Choose the list first.", "as long as there is none"
    panel.set_list(tilt_images / "tilt_series" / "lists" / "imod" / "dynamo.tbl")
    qtbot.wait(700)
    assert said(), "the tilt series are not chosen yet"
    fill(panel, tilt_images)
    qtbot.waitUntil(lambda: not said())
    panel.out.set_folder("")
    panel.start.setEnabled(True)
    panel.start.click()
    assert said() == "Choose the folder to write to."
    panel.out.set_folder("somewhere")
    qtbot.waitUntil(lambda: not said())


def test_what_is_missing_is_said_and_nothing_can_be_cut(
    tilt_images: Path, fill: Callable[..., None], tmp_path: Path, qtbot: Any
) -> None:
    from napari_tomodrgn.extract.lists import read_list
    from napari_tomodrgn.extract.survey import survey

    panel = ExtractionPanel()
    qtbot.addWidget(panel)
    refused: list[str] = []
    panel.refused.connect(lambda why, _mended: refused.append(why))
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


@pytest.mark.parametrize("alignments", [("imod",), ("imod", "aretomo"), ()])
def test_folders_beside_are_found_where_only_one_can_be_meant(
    widget: Any, tilt_images: Path, tmp_path: Path, qtbot: Any, alignments: tuple[str, ...]
) -> None:
    """A project has stacks, alignments, CTF and mdocs in folders side by side."""
    given, project = tilt_images / "tilt_series", tmp_path / "project"
    project.mkdir()
    (project / "stacks").symlink_to(given / "stacks")
    for name in alignments:
        (project / name).symlink_to(given / "alignments" / name)
    (project / "ctf").symlink_to(given / "ctf" / "ctffind")
    (project / "mdocs").symlink_to(given / "dose" / "mdoc")
    panel, service = widget.particles.extraction, widget.controller.extraction
    panel.set_list(given / "lists" / "imod" / "dynamo.tbl")
    panel.tilt_series.set_folder(str(project / "stacks"))
    assert not panel.details.is_open
    with qtbot.waitSignal(service.surveyed):
        panel.tilt_series.line.editingFinished.emit()
    found = {name: edit.folder for name, edit in panel.folders.items() if edit.folder}
    beside = {"ctf": given / "ctf" / "ctffind", "dose": given / "dose" / "mdoc"}
    if alignments == ("imod",):
        beside["alignment"] = given / "alignments" / "imod"
        assert not panel.missing.text() and panel.start.isEnabled()
    else:
        # Said once for both tomograms, and the field that is named is in sight.
        assert panel.missing.text().count("no alignment of TS_001 was found") == 1
        words = "Name the folder that holds it with “Alignment” under “Folders and conventions”"
        assert words in panel.missing.text() and "1 more: TS_002." in panel.missing.text()
        assert panel.details.is_open and not panel.start.isEnabled()
        with qtbot.waitSignal(service.surveyed):  # named, the table is of it at once
            panel.folders["alignment"].line.setText(str(given / "alignments" / "imod"))
            panel.folders["alignment"].line.editingFinished.emit()
        assert not panel.missing.text() and panel.start.isEnabled()
    assert found == {name: str(path.resolve()) for name, path in beside.items()}
    qtbot.waitUntil(lambda: widget.controller.idle)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Pass --z keep|mirror and --hand 1|-1.", "choose “Z” and “Hand”."),
        ("Pass --dose DIR, or --dose-per-tilt E and --order FILE.", "as “Dose” under"),
        ("Pass --tomograms DIR with the reconstructions.", "Name “Tomograms” under"),
        ("box_px must be a multiple of 2, got 39", "“Box (px)” must be a multiple of 2, got 39"),
        ("Pass --list-pixel-size A.", "are options of napari-tomodrgn extract, in a terminal"),
    ],
)
def test_options_of_the_command_are_fields_of_the_form(said: str, words: str) -> None:
    shown = in_fields(said)
    assert words in shown
    assert ("--" in shown) == ("two dashes" in shown), "what has no field is said to have none"


def test_looking_beside_an_open_run_hides_its_map_until_one_asks_for_it(
    widget: Any,
    viewer: Any,
    tilt_images: Path,
    tiny_run: Path,
    opened: Callable[[Path], Any],
    fill: Callable[..., None],
    tmp_path: Path,
    qtbot: Any,
) -> None:
    session = opened(tiny_run)
    panel = widget.particles.extraction
    decoded, camera = viewer.layers["decoded"], viewer.scene.camera
    camera.angles = (0.0, 30.0, 90.0)
    (tmp_path / "odd.tbl").write_text("1 2 3\n", encoding="utf-8")
    panel.set_list(tmp_path / "odd.tbl")
    fill(panel, tilt_images, z="keep", pose="keep", hand="1", origin="1")
    panel.look.click()
    qtbot.waitUntil(lambda: session.message is not None and "odd.tbl" in session.message.text)
    panel.set_list(tilt_images / "tilt_series" / "lists" / "imod" / "dynamo.tbl")
    assert panel.out.folder.endswith("dynamo_extracted"), "as it was proposed for the other"
    qtbot.waitUntil(lambda: any(one.name == "tilt image, TS_001" for one in viewer.layers))
    assert session.message is None or "odd.tbl" not in session.message.text
    seen = {layer.name for layer in viewer.layers if layer.visible}
    assert {one.split(",")[0] for one in seen} == {
        *("tilt image", "predicted particles", "tomogram", "listed particles")
    }
    assert viewer.dims.ndisplay == 2 and not decoded.visible
    session.focused = next(n for n in session.latents.index if n != session.focused)
    assert decoded.visible and viewer.dims.ndisplay == 3
    assert camera.angles == pytest.approx((0.0, 30.0, 90.0))
    assert not any("TS_001" in layer.name for layer in viewer.layers)
    qtbot.waitUntil(lambda: widget.controller.idle)


def test_an_extraction_that_is_stopped_says_where_it_is_and_goes_on(
    widget: Any,
    tilt_images: Path,
    fill: Callable[..., None],
    tmp_path: Path,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from napari_tomodrgn.extract import run

    written = run.write_tomogram
    held = threading.Event()

    def slow(*words: Any) -> Iterator[int]:
        for done in written(*words):
            yield done
            held.wait(10)

    panel, service = widget.particles.extraction, widget.controller.extraction
    panel.set_list(tilt_images / "tilt_series" / "lists" / "imod" / "dynamo.tbl")
    fill(panel, tilt_images, z="keep", pose="keep", hand="1", origin="1")
    out = tmp_path / "out"
    panel.out.set_folder(str(out))
    with qtbot.waitSignal(service.surveyed):
        panel.look.click()
    monkeypatch.setattr(run, "write_tomogram", slow)
    panel.start.click()
    qtbot.waitUntil(lambda: "images" in panel.status.text())
    panel.stop.click()
    held.set()
    with qtbot.waitSignal(service.ended):
        pass
    assert widget.session.message.text.startswith(f"Stopped. Images that were cut stay in {out};")
    assert not (out / "optimisation_set.star").exists() and widget.session.particles is None
    with qtbot.waitSignals([service.extracted, service.ended]):
        panel.start.click()
    qtbot.waitUntil(lambda: widget.session.particles is not None)
    qtbot.waitUntil(lambda: widget.controller.idle)
