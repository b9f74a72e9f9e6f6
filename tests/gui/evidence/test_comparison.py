"""Two groups compared in a real window: sentence, cells, what is borrowed, files, giving up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_tomodrgn.analysis.evidence.records import read_comparisons
from napari_tomodrgn.gui.charts.colormaps import color_at
from napari_tomodrgn.gui.evidence.comparison_stage import map_cells
from napari_tomodrgn.gui.evidence.stage_layers import CAPTION_NAME, LABELS_NAME
from napari_tomodrgn.gui.tomogram import export_page
from napari_tomodrgn.gui.volumes.layers import CAPTION_NAME as PARTICLE_CAPTION
from napari_tomodrgn.gui.volumes.map_labels import bottom_of_corner
from napari_tomodrgn.session.verdict import Verdict

LONG = 120_000
LEFT = Qt.MouseButton.LeftButton
CELLS = ["A: cluster 1", "B: cluster 2", "A − B, more in A", "A − B, more in B"]


@pytest.fixture
def compared(widget: Any, clustered: Any, computed_once: None, qtbot: Any) -> Any:
    """The session after *Compare* was pressed for the two clusters, and the cells are there."""
    widget.tabs.setCurrentIndex(3)
    shown: list[float] = []

    def note(status: Any, _old: Any) -> None:
        shown.append(status.fraction if status.busy else 1.0)

    clustered.events.comparison_status.connect(note)
    QTest.mouseClick(widget.comparison.compare, LEFT)
    assert clustered.comparison_status.busy
    assert widget.comparison.compare.text() == "Stop comparing"
    qtbot.waitUntil(lambda: clustered.comparison is not None, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    clustered.events.comparison_status.disconnect(note)
    assert shown == sorted(shown) and shown[-1] == 1.0, "one progress, which never goes back"
    return clustered


def _shown(viewer: Any) -> list[str]:
    return sorted(layer.name for layer in viewer.layers if layer.visible)


def _on_screen(viewer: Any, name: str) -> np.ndarray:
    """Where the middle of a cell is on the canvas: right and up, in Å."""
    camera = viewer.scene.camera
    up, view = np.array(camera.up_direction), np.array(camera.view_direction)
    place = np.array(viewer.layers[name].translate)
    return np.array([place @ np.cross(up, view), place @ up])


def test_two_clusters_stand_beside_their_difference(
    viewer: Any, widget: Any, compared: Any, lit: Callable[..., float]
) -> None:
    panel, record = widget.comparison, compared.comparison.record
    assert record["differ"] and record["z"] > 5  # they are an 80S and a 60S
    said = panel.sentence.text().replace("\u00a0", " ")  # which keep coordinates in one line
    assert "differ" in said and record["sentence"] == said
    assert widget.banner.text == said, "wherever one is when it ends"
    assert record["particles_a"] + record["particles_b"] == 40
    told = panel.numbers.text().replace("\u00a0", " ")
    words = "With poses, contrast and defocus taken out, the molecule differs by "
    words += f"{record['z']:.1f} σ, p ≤ 0.0002"
    assert told.startswith(f"{words} (none of 4,999 random splits differs as much). A 20, B 20")
    assert compared.comparison.folder.parent.name == "comparisons"
    assert [curve.name for curve in panel.plot.curves] == ["A", "B", "A − B"]
    assert _shown(viewer) == sorted([*CELLS, LABELS_NAME])
    assert compared.canvas_mode == "comparison" and panel.stage.isChecked()
    assert "differ" in viewer.canvas.overlays[CAPTION_NAME].text.replace("\n", " ")
    # Each group has one colour: as a map, where there is more of it, in the scatter, as a curve.
    colors = [viewer.layers[name].colormap.name for name in CELLS]
    assert colors == 2 * list(compared.comparison.colors) and colors[0] != colors[1]
    assert [curve.color for curve in panel.plot.curves[:2]] == colors[:2]
    assert panel.plot.curves[2].color not in colors
    table = compared.table
    column = table.column("cluster")
    for number, color in enumerate(colors[:2]):
        first = int(np.flatnonzero(np.asarray(column.values) == number)[0])
        assert color_at(column, first) == color
    words = viewer.layers[LABELS_NAME].features["words"].iloc[2]
    assert "in the colour of the one with more" in " ".join(words.split())
    assert lit(viewer.screenshot(canvas_only=True, flash=False)) > 0.03


def test_cells_stay_side_by_side_however_they_are_turned(viewer: Any, compared: Any) -> None:
    camera = viewer.scene.camera
    for angles in ((0, 0, 0), (30, 40, 20), (-80, 10, 130)):
        camera.angles = angles
        places = [_on_screen(viewer, name) for name in CELLS[:3]]
        steps = np.diff(places, axis=0)
        assert steps[0][0] == pytest.approx(steps[1][0], rel=1e-3)
        assert steps[0][0] > 0.9 * 24 * 10  # boxes do not overlap, A is left of B
        assert np.abs(steps[:, 1]).max() < 1e-3 * steps[0][0]
        same = [viewer.layers[name].translate for name in CELLS[2:]]
        assert np.allclose(*same)


def test_no_cell_is_below_caption_axes_or_scale_bar(
    viewer: Any, widget: Any, compared: Any
) -> None:
    layers, camera = widget.controller.stage.layers, viewer.scene.camera
    cells = list(map_cells(compared.comparison, 3.0, 4.0))
    for height, width in ((270, 560), (365, 670), (1360, 900)):
        viewer.canvas.size = height, width
        layers.show(cells, 240.0, "Two sentences. " * 8)
        layers.set_up_view()
        letters = viewer.layers[LABELS_NAME].text.size
        for angles in ((0, 0, 0), (5, 20, -10)):
            camera.angles = angles
            places = camera.zoom * np.array([_on_screen(viewer, name) for name in CELLS[:3]])
            x, y, box = width / 2 + places[:, 0], height / 2 - places[:, 1], 240 * camera.zoom
            lines = len(viewer.canvas.overlays[CAPTION_NAME].text.splitlines())
            assert y.min() - 0.42 * box > max(72, 23 * lines), "caption and axes are above"
            assert y.max() + 0.53 * box + 16 < height - 44, "the scale bar is below the labels"
            assert x.min() - box / 2 > 0 and x.max() + box / 2 < width
            assert viewer.layers[LABELS_NAME].text.size == letters, "however it is turned"
    axes = viewer.window._qt_viewer.canvas._viewer_overlay_to_visual[viewer.canvas.overlays.axes]
    assert {tuple(one.node.size) for one in axes} == {(72, 72)}, "as small as there is room for"


@pytest.mark.usefixtures("computed_once")
def test_the_canvas_is_given_back(viewer: Any, widget: Any, clustered: Any, qtbot: Any) -> None:
    camera, overlays = viewer.scene.camera, viewer.canvas.overlays
    mine = viewer.add_points(np.zeros((1, 3)), name="mine", size=5)
    hidden = viewer.add_points(np.zeros((1, 3)), name="hidden", size=5, visible=False)
    camera.angles, camera.zoom = (5.0, 15.0, 25.0), 1.7
    before = (_shown(viewer), overlays.axes.position, overlays.axes.size, camera.center)
    size = viewer.canvas.size
    QTest.mouseClick(widget.comparison.compare, LEFT)
    qtbot.waitUntil(lambda: clustered.comparison is not None, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert not mine.visible and not hidden.visible
    camera.angles = (50.0, 60.0, 70.0)
    QTest.mouseClick(widget.comparison.stage, LEFT)
    assert clustered.canvas_mode == "particle"
    assert before == (_shown(viewer), overlays.axes.position, overlays.axes.size, camera.center)
    assert camera.angles == pytest.approx((5.0, 15.0, 25.0))
    # What the comparison says takes a row of pixels from the canvas: the map has less room by that.
    caption = bottom_of_corner(viewer, PARTICLE_CAPTION)
    lower = (viewer.canvas.size[0] - 2 * caption) / (size[0] - 2 * caption)
    assert lower > 0.98 and camera.zoom == pytest.approx(1.7 * lower)
    assert not overlays[CAPTION_NAME].visible
    QTest.mouseClick(widget.comparison.stage, LEFT)
    qtbot.waitUntil(lambda: set(CELLS) <= set(_shown(viewer)), timeout=LONG)
    assert camera.angles == pytest.approx((50.0, 60.0, 70.0))  # the stage keeps its own
    # A click on a particle asks for its volume: it is shown, not decoded out of sight.
    clustered.focused = str(clustered.latents.index[7])
    assert clustered.canvas_mode == "particle" and mine.visible and not hidden.visible


@pytest.mark.usefixtures("computed_once")
def test_a_tomogram_and_back_to_the_comparison(
    viewer: Any, widget: Any, clustered: Any, qtbot: Any
) -> None:
    """Opening a tomogram takes the maps away: the button beside *Tomogram* brings them back."""
    panel, camera = widget.tomogram, viewer.scene.camera
    assert not panel.comparison.isEnabled() and panel.particle.isChecked()
    QTest.mouseClick(widget.comparison.compare, LEFT)
    qtbot.waitUntil(lambda: clustered.comparison is not None, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert panel.comparison.isChecked()
    zoom, angles = 1.3 * camera.zoom, (50.0, 60.0, 70.0)
    camera.zoom, camera.angles = zoom, angles
    panel._open(panel.list.topLevelItem(0), 0)
    qtbot.waitUntil(lambda: clustered.canvas_mode == "tomogram", timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert not set(CELLS) & set(_shown(viewer)) and panel.tomogram.isChecked()
    panel.comparison.click()
    qtbot.waitUntil(lambda: set(CELLS) <= set(_shown(viewer)), timeout=LONG)
    assert _shown(viewer) == sorted([*CELLS, LABELS_NAME]), "nothing of the tomogram"
    assert camera.zoom == pytest.approx(zoom) and camera.angles == pytest.approx(angles)
    panel.tomogram.click()
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert not set(CELLS) & set(_shown(viewer))
    panel.particle.click()
    assert clustered.canvas_mode == "particle" and _shown(viewer) == ["decoded"]


@pytest.mark.usefixtures("computed_once")
@pytest.mark.parametrize("alone", [False, True])
def test_each_way_back_shows_the_whole_comparison(
    viewer: Any, widget: Any, clustered: Any, qtbot: Any, lit: Callable[..., float], alone: bool
) -> None:
    """With no other layer napari sets its camera anew at the first; slices have no cells."""
    panel, camera = widget.tomogram, viewer.scene.camera
    QTest.mouseClick(widget.comparison.compare, LEFT)
    qtbot.waitUntil(lambda: clustered.comparison is not None, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    view = (camera.zoom, camera.center, camera.angles)
    lit_first = lit(viewer.screenshot(canvas_only=True, flash=False))
    widget.tabs.setCurrentIndex(2)
    if alone:
        viewer.layers.remove("decoded")
    for dimensions in (3, 3, 2):
        panel.particle.click()
        assert not set(CELLS) & set(_shown(viewer))
        viewer.dims.ndisplay = dimensions
        panel.comparison.click()  # at once: nothing waits for a thread, which others may hold
        assert _shown(viewer) == sorted([*CELLS, LABELS_NAME]) and viewer.dims.ndisplay == 3
        assert (camera.zoom, camera.center) == (pytest.approx(view[0]), pytest.approx(view[1]))
        assert camera.angles == pytest.approx(view[2])
        assert lit(viewer.screenshot(canvas_only=True, flash=False)) > 0.9 * lit_first


def test_b_takes_the_group_that_a_gives_up(
    viewer: Any, widget: Any, compared: Any, qtbot: Any
) -> None:
    panel = widget.comparison
    assert (panel.a.currentData(), panel.b.currentData()) == ("cluster 1", "cluster 2")
    QTest.mouseClick(panel.halves, LEFT)
    panel.a.setCurrentIndex(panel.a.findData("cluster 2"))
    panel.a.activated.emit(panel.a.currentIndex())
    assert (panel.a.currentData(), panel.b.currentData()) == ("cluster 2", "cluster 1")
    compared.comparison = replace(compared.comparison, found=replace(compared.comparison.found))
    assert panel.stage.isChecked() and not panel.halves.isChecked(), "another one shows its maps"
    made_small: list[object] = []
    viewer.canvas.overlays.axes.events.size.connect(lambda _=None: made_small.append(1))
    viewer.theme = "light"
    qtbot.waitUntil(lambda: bool(made_small), timeout=LONG)


def test_half_maps_are_four_cells_and_the_difference_has_a_contour_of_its_own(
    viewer: Any, widget: Any, compared: Any, qtbot: Any
) -> None:
    panel, layer = widget.comparison, viewer.layers["A − B, more in B"]
    before = len(layer.data[1])
    panel.errors.setValue(20)  # ten standard errors
    qtbot.waitUntil(lambda: widget.controller.idle)
    assert 0 < len(layer.data[1]) < before
    map_faces = len(viewer.layers["A: cluster 1"].data[1])
    assert panel.errors_words.text() == "10 SE"
    QTest.mouseClick(panel.halves, LEFT)
    qtbot.waitUntil(lambda: "A: cluster 1, half 2" in viewer.layers, timeout=LONG)
    halves = [f"{one}, half {number}" for one in CELLS[:2] for number in (1, 2)]
    assert _shown(viewer) == sorted([*halves, LABELS_NAME])
    QTest.mouseClick(panel.halves, LEFT)
    qtbot.waitUntil(lambda: set(CELLS) <= set(_shown(viewer)), timeout=LONG)
    assert len(viewer.layers["A: cluster 1"].data[1]) == map_faces
    widget.tomogram.particle.click()  # as after a run is opened again: no comparison on show
    assert panel.halves.isEnabled() and not panel.stage.isChecked()
    QTest.mouseClick(panel.halves, LEFT)
    qtbot.waitUntil(lambda: _shown(viewer) == sorted([*halves, LABELS_NAME]), timeout=LONG)
    assert panel.stage.isChecked() and panel.halves.isChecked()
    widget.tomogram.particle.click()
    QTest.mouseClick(panel.stage, LEFT)
    qtbot.waitUntil(lambda: _shown(viewer) == sorted([*CELLS, LABELS_NAME]), timeout=LONG)
    assert not panel.halves.isChecked(), "what is shown is what the buttons say"


def test_a_kept_comparison_is_there_when_its_run_is_opened_again(
    viewer: Any,
    widget: Any,
    compared: Any,
    run: Path,
    tiny_run: Path,
    opened: Callable[[Path], Any],
    qtbot: Any,
) -> None:
    found, panel = compared.comparison, widget.comparison
    opened(tiny_run)
    assert compared.comparison is None
    opened(run)
    qtbot.waitUntil(lambda: compared.comparison is not None, timeout=LONG)
    again = compared.comparison
    assert (again.sentence, again.folder) == (found.sentence, found.folder)
    assert (again.groups, again.ids, again.names) == (found.groups, found.ids, found.names)
    assert again.record["p_holm"] == pytest.approx(found.record["p_holm"])
    assert np.array_equal(again.found.drawn, found.found.drawn)
    assert np.array_equal(again.found.labels, found.found.labels)
    assert np.allclose(
        again.found.difference.difference.data, found.found.difference.difference.data
    )
    assert np.allclose(again.found.maps[1].half2.data, found.found.maps[1].half2.data)
    resolutions = [one.found.resolution_angstrom for one in (again, found)]
    assert resolutions[0] == pytest.approx(resolutions[1])
    verdict = Verdict.of(compared.quality)
    assert verdict.kind == "supported" and compared.message.text != verdict.sentence
    assert compared.message.text == verdict.after(again.record).sentence
    assert compared.canvas_mode == "particle" and "Kept in the run as" in panel.numbers.text()
    assert not panel.status.text() and panel.report.property("next")
    QTest.mouseClick(panel.stage, LEFT)
    qtbot.waitUntil(lambda: set(CELLS) <= set(_shown(viewer)), timeout=LONG)
    (found.folder / "a_fsc.csv").write_text("nothing\n")
    opened(tiny_run)
    opened(run)
    qtbot.waitUntil(lambda: "Compare the groups again" in widget.banner.text, timeout=LONG)
    assert compared.comparison is None
    compared.message = None
    for row in (1, 0):  # other groups, and these again
        panel.a.setCurrentIndex(row)
        panel.a.activated.emit(row)
        qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert compared.message is None, "told once"


def test_a_run_that_is_opened_again_shows_what_was_compared_last(
    viewer: Any,
    widget: Any,
    compared: Any,
    run: Path,
    tiny_run: Path,
    opened: Callable[[Path], Any],
    qtbot: Any,
) -> None:
    """Though other groups are offered first, and those that were compared are gone."""
    panel, first = widget.comparison, compared.comparison
    compared.selection = frozenset(first.groups[0] | set(list(first.groups[1])[:8]))
    panel.a.setCurrentIndex(0)
    panel.refresh()
    panel.b.setCurrentIndex(panel.b.findData("rest"))
    QTest.mouseClick(panel.compare, LEFT)
    qtbot.waitUntil(lambda: compared.comparison is not first, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    last = compared.comparison
    opened(tiny_run)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert compared.comparison is None and not panel._kept_row.isVisibleTo(panel)
    opened(run)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert not compared.selection, "nobody has chosen that group again"
    again = compared.comparison
    assert (again.folder, again.groups, again.names) == (last.folder, last.groups, last.names)
    assert again.sentence.startswith("Of the groups as they were: selection and all others differ")
    assert panel._kept_row.isVisibleTo(panel) and len(panel.plot.curves) == 3
    service = widget.controller.comparison
    for one in (first, last):  # the verdict, while nothing else was said, is that of the newer
        service._show_found(one)
        if one is first:
            compared.show_message(Verdict.of(compared.quality).sentence)
            service._answer_verdict(one)
    assert compared.message.text.endswith(str(last.record["sentence"]))
    texts = [panel.kept.itemText(row) for row in range(panel.kept.count())]
    assert texts == ["selection and all others", "cluster 1 and cluster 2"]
    panel.kept.setCurrentIndex(1)
    panel.kept.activated.emit(1)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert (compared.comparison.folder, panel.status.text()) == (first.folder, "")
    assert [box.currentText() for box in (panel.a, panel.b)] == ["cluster 1 (20)", "cluster 2 (20)"]
    assert compared.comparison.colors == first.colors
    QTest.mouseClick(panel.stage, LEFT)
    qtbot.waitUntil(lambda: set(CELLS) <= set(_shown(viewer)), timeout=LONG)


def test_while_groups_are_compared_it_says_whose_result_is_below(
    widget: Any, compared: Any
) -> None:
    panel = widget.comparison
    panel.a.setCurrentIndex(1)
    panel.refresh()
    compared.comparison_status = replace(compared.comparison_status, busy=True, what="Comparing")
    assert panel.status.text().endswith("\nWhat is below is of cluster 1 and cluster 2.")
    compared.comparison_status = replace(compared.comparison_status, busy=False)
    assert panel.status.text().startswith("What is below is of cluster 1")


def test_where_nothing_reaches_the_contour_the_label_says_so(compared: Any) -> None:
    def label(errors: float) -> str:
        return str(map_cells(compared.comparison, 3.0, errors)[-1].label)

    assert label(4.0).endswith("standard errors\nin the colour of the one with more")
    assert label(1e4) == "A − B at 10000 standard errors\nnothing reaches that"


def test_a_verdict_is_never_read_as_one_of_other_groups(
    viewer: Any, widget: Any, compared: Any, qtbot: Any
) -> None:
    panel, found = widget.comparison, compared.comparison
    sentence = str(found.record["sentence"])

    def caption() -> str:
        return str(viewer.canvas.overlays[CAPTION_NAME].text.replace("\n", " "))

    widget.controller.clusters.find(3)
    qtbot.waitUntil(lambda: widget.controller.idle and compared.comparison.earlier, timeout=LONG)
    said = panel.sentence.text().replace("\u00a0", " ")
    assert said.startswith("Of the groups as they were: cluster 1 and cluster 2")
    qtbot.waitUntil(lambda: caption().startswith("Of the groups as they were: "), timeout=LONG)
    assert panel.status.text() == "What is below is of cluster 1 and cluster 2."
    assert panel.compare.property("next") and not panel.report.property("next")
    widget.controller.clusters.find(2)
    qtbot.waitUntil(lambda: widget.controller.idle and compared.comparison is found, timeout=LONG)
    assert panel.sentence.text().replace("\u00a0", " ") == sentence and not panel.status.text()
    first = sentence.split(", mostly in ")[0]
    qtbot.waitUntil(lambda: caption() == f"{first} …", timeout=LONG)  # the canvas is low
    viewer.window.resize(1500, 1150)
    qtbot.waitUntil(lambda: caption() == sentence, timeout=LONG)
    viewer.window.resize(1100, 720)
    panel.b.setCurrentIndex(panel.b.findData("rest"))
    panel.refresh()  # the same particles by another name, which nobody has asked about
    assert compared.comparison is found and not panel.status.text()


def test_a_window_may_be_closed_on_a_comparison(widget: Any, viewer: Any, compared: Any) -> None:
    """The canvas is gone before the dock hears of it: nothing is given back, nothing raised."""
    assert widget.controller.stage.layers.is_up
    shown = _shown(viewer)
    widget.controller.close()
    assert _shown(viewer) == shown and not widget.controller.stage.layers.is_up


def test_maps_on_show_are_those_of_the_comparison(
    widget: Any, compared: Any, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody saves a particle's map while A, B and A − B are on show; each time a new folder."""
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    bar, page = widget.latent.volumes, widget.export
    assert bar.actions_by_name["map"].text() == "Maps of A, B and A − B (MRC)…"
    assert page.map.text() == "Maps of A, B and A − B (MRC) …"
    presses = (lambda: bar.choose("map"), page.map.click, widget.comparison.export.click)
    for press, name in zip(presses, ("", "_2", "_3"), strict=True):
        press()
        folder = tmp_path / f"cluster_1_vs_cluster_2{name}"
        qtbot.waitUntil(lambda folder=folder: (folder / "b.star").exists(), timeout=LONG)
        qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
        assert {"a.mrc", "b.mrc", "difference.mrc"} <= {one.name for one in folder.iterdir()}
        assert folder.name in widget.banner.text
    assert {one.name for one in tmp_path.glob("*.mrc")} == set(), "none in the chosen folder itself"
    compared.canvas_mode = "particle"
    assert bar.actions_by_name["map"].text() == "Map on show (MRC)…"
    assert page.map.text() == "Map on show (MRC) …"


def test_both_groups_are_exported_and_never_over_something(
    widget: Any, compared: Any, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_tomodrgn.data.dialects import read_particles

    out = tmp_path / "both"
    widget.comparison.export_requested.emit(str(out))
    qtbot.waitUntil(lambda: "written to" in widget.banner.text, timeout=LONG)
    written = {path.name for path in out.iterdir()}
    assert {"a.mrc", "b.mrc", "a_half1.mrc", "b_fsc.csv", "difference.mrc"} <= written
    drawn = compared.comparison.found.drawn
    stars = [next(out.glob(f"{name}*optimisation_set.star")) for name in "ab"]
    chosen = [set(read_particles(star).ids) for star in stars]
    ids = np.array(compared.comparison.ids)
    assert chosen == [set(ids[drawn == 1]), set(ids[drawn == -1])]
    with mrcfile.open(out / "a.mrc") as file:
        assert np.allclose(file.data, compared.comparison.found.maps[0].filtered.data)
    (out / "a.mrc").write_bytes(b"of somebody")
    widget.comparison.export_requested.emit(str(out))
    qtbot.waitUntil(lambda: "exists" in widget.banner.text, timeout=LONG)
    assert (out / "a.mrc").read_bytes() == b"of somebody"
    page = tmp_path / "page.html"
    widget.tabs.setCurrentIndex(4)  # from the step Export as well
    monkeypatch.setattr(export_page, "ask_for_report", lambda *_: str(page))
    QTest.mouseClick(widget.export.report, LEFT)
    qtbot.waitUntil(lambda: "Report written" in widget.banner.text, timeout=LONG)
    text = page.read_text()
    assert compared.comparison.record["sentence"].split(",")[0] in text
    sizes = compared.added_columns["cluster"].value_counts()
    for name, color in zip("12", compared.comparison.colors, strict=True):  # as in the window
        assert f'<span style="color:{color}">●</span> cluster {name}' in text
        assert f"{sizes[name]} particles (" in text


def test_a_comparison_is_given_up_and_late_answers_are_dropped(
    widget: Any, clustered: Any, run: Path, tiny_run: Path, opened: Any, qtbot: Any
) -> None:
    panel = widget.comparison
    QTest.mouseClick(panel.compare, LEFT)
    QTest.mouseClick(panel.compare, LEFT)
    assert not clustered.comparison_status.busy
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert clustered.comparison is None and panel.compare.text() == "Compare"
    QTest.mouseClick(panel.compare, LEFT)
    qtbot.waitUntil(lambda: clustered.comparison_status.what == "Comparing", timeout=LONG)
    opened(tiny_run)
    assert clustered.comparison is None and clustered.canvas_mode == "particle"
    assert not clustered.comparison_status.busy


def test_a_selection_is_compared_with_the_rest_and_with_a_random_group(
    widget: Any, clustered: Any, qtbot: Any
) -> None:
    panel, ids = widget.comparison, list(clustered.latents.index)
    clustered.selection = frozenset(ids[:3])
    assert panel.a.itemText(0) == "selection (3)"
    panel.a.setCurrentIndex(0)
    panel.refresh()
    panel.b.setCurrentIndex(panel.b.findData("rest"))
    QTest.mouseClick(panel.compare, LEFT)
    qtbot.waitUntil(lambda: "has 3 particles" in widget.banner.text, timeout=LONG)
    assert clustered.comparison is None and not clustered.comparison_status.busy
    clustered.selection = frozenset(ids[:10])
    shared = next(row for row in range(panel.b.count()) if panel.b.itemText(row)[:7] == "cluster")
    panel.b.setCurrentIndex(shared)
    QTest.mouseClick(panel.compare, LEFT)
    assert "share" in widget.banner.text and not clustered.comparison_status.busy  # at once
    panel.b.setCurrentIndex(panel.b.findData("matched"))
    QTest.mouseClick(panel.compare, LEFT)
    qtbot.waitUntil(lambda: clustered.comparison is not None, timeout=LONG)
    assert clustered.comparison.record["particles_b"] == 10
    assert "others at random" in panel.sentence.text()
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    first = clustered.comparison
    panel.b.setCurrentIndex(panel.b.findData("rest"))
    QTest.mouseClick(panel.compare, LEFT)
    qtbot.waitUntil(lambda: clustered.comparison is not first, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    panel.b.setCurrentIndex(panel.b.findData("matched"))
    panel.refresh()
    again = clustered.comparison
    assert again.found is first.found
    assert first.record["p_holm"] == first.record["p"], "of one"
    kept = {one["folder"]: one for one in read_comparisons(clustered.run)}
    # Of two now, as Holm has it: the smaller p counts twice, the larger is no smaller than that.
    small, large = sorted(one["p"] for one in kept.values())
    adjusted = sorted(one["p_holm"] for one in kept.values())
    assert small < large and adjusted == [2 * small, max(2 * small, large)]
    assert again.record["p_holm"] == kept[str(again.folder)]["p_holm"]


def test_nothing_is_offered_where_there_are_no_images(
    widget: Any, opened: Callable[[Path], Any], run: Path, qtbot: Any
) -> None:
    session = opened(run)
    assert not widget.comparison.compare.isEnabled()
    assert "Select particles" in widget.comparison.status.text()
    session.selection = frozenset(list(session.latents.index)[:8])
    assert widget.comparison.compare.isEnabled()
    session.particles = None
    assert not widget.comparison.compare.isEnabled()


def test_a_surface_of_errors_is_never_lowered_and_has_no_dust() -> None:
    from napari_tomodrgn.data.volume import Volume
    from napari_tomodrgn.gui.volumes.isosurfaces import make_surface_of_errors

    z, y, x = np.mgrid[-16:16, -16:16, -16:16]
    data = (0.6 * np.exp(-(z**2 + y**2 + x**2) / 18)).astype(np.float32)  # six standard errors
    data[16, 16, 26] = 0.6  # one voxel of as many
    error = Volume(np.full_like(data, 0.1), 4.0)
    more, less = make_surface_of_errors(Volume(data, 4.0), error, 4.0, finest_angstrom=12.0)
    assert np.abs(more.vertices).max() < 4.0 * 6 and len(more.faces) > 50
    assert not len(less.faces)
    with_dust, _ = make_surface_of_errors(Volume(data, 4.0), error, 4.0)
    assert with_dust.vertices[:, 2].max() > 4.0 * 9
    assert not len(make_surface_of_errors(Volume(data, 4.0), error, 8.0)[0].faces)
