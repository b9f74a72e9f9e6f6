"""The tomogram with its particles in place, as a user meets it: open, look, pick, brush, toggle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QPushButton

from napari_tomodrgn.analysis.tomogram.meshes import contour
from napari_tomodrgn.analysis.tomogram.placement import placements
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.gui.tomogram import export_service
from napari_tomodrgn.gui.tomogram.layers import ENTRIES, Chunk, TomogramLayers
from napari_tomodrgn.gui.tomogram.panel import TomogramPanel
from napari_tomodrgn.gui.tomogram.particle_surfaces import MapCache
from napari_tomodrgn.gui.tomogram.ray_picking import boxed, brushed, picked
from napari_tomodrgn.gui.volumes.figure import FigureOptions
from napari_tomodrgn.gui.volumes.layers import LAYER_NAME, ORIENTATION
from napari_tomodrgn.session import Session, TomogramDisplay

LONG = 60_000


@pytest.fixture
def shown(
    widget: Any, qtbot: Any, tiny_run: Path, tiny_star: Path, opened: Callable[[Path], Any]
) -> Any:
    """A run whose first tomogram is on show, with its own maps."""
    session = opened(tiny_run)
    assert len(session.tomogram_files) == 2, "beside the star file that the run came from"
    for folder, count in ((tiny_run, 0), (tiny_star.parent.parent / "tomograms", 2)):
        widget.tomogram.files.folder.setText(str(folder))
        widget.tomogram.files.folder.editingFinished.emit()
        qtbot.waitUntil(lambda n=count: len(session.tomogram_files) == n, timeout=LONG)
    session.tomogram_display = TomogramDisplay(shape="own")
    widget.tomogram.list.itemClicked.emit(widget.tomogram.list.topLevelItem(0), 0)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    return session


def canvas_px(viewer: Any, place_zyx: np.ndarray) -> QPoint:
    """Where a place is on the canvas, seen from above (z towards, y up, x to the right)."""
    camera, (height, width) = viewer.scene.camera, viewer.canvas.size
    away = np.asarray(place_zyx) - np.asarray(camera.center)
    return QPoint(
        round(width / 2 + away[2] * camera.zoom), round(height / 2 - away[1] * camera.zoom)
    )


def native(viewer: Any) -> Any:
    return viewer.window._qt_viewer.canvas.native


def test_particles_stand_at_their_poses(viewer: Any, widget: Any, shown: Any) -> None:
    assert widget.tomogram.list.topLevelItemCount() == 2
    row = widget.tomogram.list.topLevelItem(0)
    assert [row.text(column) for column in range(3)] == ["TS_001.tomostar", "12", "found"]
    layers = viewer.layers
    assert "tomogram TS_001" in layers
    surface, cell = layers["particles in place"], widget.controller.tomogram_scene
    assert np.abs(layers["tomogram TS_001"].scale - 24.0).max() < 1e-4
    placed = placements(shown.particles, tomogram=shown.tomogram)
    decoder = shown.run.decoder()
    for at in (0, 7):
        row = cell.layers.surfaced[at]
        pose = placed[row]
        latent = shown.latents.loc[pose.particle_id, ["mu_0", "mu_1", "mu_2"]]
        mesh = contour(decoder.decode(latent.to_numpy(np.float32).copy(), 32), shown.sigma)
        ours = surface.vertices[surface.vertex_values == at]
        world = ours * np.asarray(surface.scale)
        expected = pose.place(mesh.vertices_zyx_angstrom.astype(float))
        np.testing.assert_allclose(world, expected, atol=0.05)
    assert "individual maps: 12 of 12 decoded" in widget.tomogram.status.text()


def test_one_canvas_shows_one_or_the_other(
    viewer: Any, widget: Any, qtbot: Any, shown: Any
) -> None:
    def seen() -> set[str]:
        return {layer.name for layer in viewer.layers if layer.visible}

    assert LAYER_NAME not in seen()
    title = viewer.canvas.overlays.tomodrgn_tomogram
    assert title.visible and title.text.startswith("TS_001.tomostar  ·  12 particles")
    assert viewer.layers.selection.active.name == "particles TS_001.tomostar"
    viewer.scene.camera.angles = (5.0, 20.0, 0.0)
    inside = np.array([viewer.scene.camera.zoom, *viewer.scene.camera.center])
    QTest.mouseClick(widget.tomogram.particle, Qt.MouseButton.LeftButton)
    assert seen() == {LAYER_NAME} and not title.visible
    assert viewer.canvas.overlays.tomodrgn_caption.text.startswith(shown.focused)
    np.testing.assert_allclose(viewer.scene.camera.center, 0.0)
    QTest.mouseClick(widget.tomogram.tomogram, Qt.MouseButton.LeftButton)
    assert {"tomogram TS_001", "particles in place"} <= seen()
    assert LAYER_NAME not in seen()
    again = np.array([viewer.scene.camera.zoom, *viewer.scene.camera.center])
    np.testing.assert_allclose(again, inside, rtol=1e-6)
    np.testing.assert_allclose(viewer.scene.camera.angles, (5.0, 20.0, 0.0), atol=1e-3)

    # A volume that is decoded meanwhile stays out of sight.
    shown.focused = shown.latents.index[-1]
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert shown.decoded.particle_id == shown.focused
    assert not viewer.layers[LAYER_NAME].visible
    assert not viewer.canvas.overlays.tomodrgn_caption.visible and title.visible


def test_surfaces_that_were_deleted_come_back_with_the_next_particle(
    viewer: Any, widget: Any, qtbot: Any, shown: Any
) -> None:
    layers, scene = viewer.layers, widget.controller.tomogram_scene
    before = layers["particles in place"].data[0].shape
    layers.selection = {layers["particles in place"]}
    layers.remove_selected()
    QTest.mouseClick(_button(widget.tomogram.look, "▶"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "particles in place" in layers, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert shown.canvas_mode == "tomogram" and widget.tomogram.tomogram.isChecked()
    assert layers["particles in place"].visible and not layers[LAYER_NAME].visible
    assert layers["particles in place"].data[0].shape == before
    place = scene.positions[scene.poses.ids.index(shown.focused)]
    np.testing.assert_allclose(viewer.scene.camera.center, place)


def _button(page: Any, words: str) -> QPushButton:
    return next(one for one in page.findChildren(QPushButton) if one.text() == words)


def test_words_beside_the_tomogram_are_of_what_is_on_show(widget: Any, shown: Any) -> None:
    """And what is below them stays where it is."""
    words = widget.tomogram.status
    room = words.heightForWidth(300)
    assert room >= 4 * words.fontMetrics().lineSpacing()
    shown.canvas_mode = "tomogram"
    assert "12 particles" in words.text()
    one = str(shown.latents.index[2])
    shown.focused = one
    assert words.text().endswith(f"{one}: its map is under Particle.")
    assert words.heightForWidth(300) == room
    shown.canvas_mode = "particle"
    assert words.text() == f"On show: the map of {one}."
    assert words.heightForWidth(300) == room
    shown.canvas_mode = "tomogram"
    assert "12 particles" in words.text()


def test_a_click_focuses_what_is_under_it(viewer: Any, widget: Any, qtbot: Any, shown: Any) -> None:
    cell = widget.controller.tomogram_scene
    for row in (2, 9):
        place = cell.poses.positions_zyx_angstrom[row]
        above = np.flatnonzero(  # a particle that hides this one is what is meant
            (np.linalg.norm((cell.poses.positions_zyx_angstrom - place)[:, 1:], axis=1) < 150)
            & (cell.poses.positions_zyx_angstrom[:, 0] > place[0])
        )
        if len(above):
            continue
        at = canvas_px(viewer, place)
        QTest.mouseMove(native(viewer), at)
        qtbot.waitUntil(lambda row=row: shown.hovered == cell.poses.ids[row])
        QTest.mouseClick(native(viewer), Qt.MouseButton.LeftButton, pos=at)
        assert shown.focused == cell.poses.ids[row]
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)


def _drag(viewer: Any, qtbot: Any, corners: tuple[QPoint, QPoint], keys: Any) -> None:
    first, last = corners
    QTest.mousePress(native(viewer), Qt.MouseButton.LeftButton, keys, pos=first)
    for share in (0.5, 1.0):
        qtbot.wait(15)  # vispy drops faster moves
        QTest.mouseMove(native(viewer), first + (last - first) * share)
    qtbot.wait(15)
    QTest.mouseRelease(native(viewer), Qt.MouseButton.LeftButton, keys, pos=last)


def test_the_rectangle_of_the_scatter_selects_in_the_tomogram_with_the_same_keys(
    viewer: Any, widget: Any, qtbot: Any, shown: Any
) -> None:
    cell, tools = widget.controller.tomogram_scene, widget.latent.tools
    at = cell.poses.positions_zyx_angstrom[:, 1:]
    middle = float(np.median(at[:, 1]))
    low, high = at.min(axis=0) - 100, at.max(axis=0) + 100

    def corners(left: float, right: float) -> tuple[QPoint, QPoint]:
        top, bottom = (0.0, high[0], left), (0.0, low[0], right)
        return canvas_px(viewer, np.array(top)), canvas_px(viewer, np.array(bottom))

    def names(mask: np.ndarray) -> set[str]:
        return {one for one, inside in zip(cell.poses.ids, mask, strict=True) if inside}

    tools.choose("rectangle")
    before = viewer.scene.camera.angles
    plain, shift = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
    _drag(viewer, qtbot, corners(low[1], middle), plain)
    assert shown.selection == names(at[:, 1] <= middle), "the left half"
    _drag(viewer, qtbot, corners(middle, high[1]), shift)
    assert shown.selection == set(cell.poses.ids), "Shift adds the right one"
    _drag(viewer, qtbot, corners(low[1], middle), Qt.KeyboardModifier.ControlModifier)
    assert shown.selection == names(at[:, 1] > middle), "Control takes the left one away"
    np.testing.assert_allclose(viewer.scene.camera.angles, before, atol=1e-9)
    tools.choose("move")
    widget.controller.selections.undo()
    assert shown.selection == set(cell.poses.ids), "each box is one step"
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)


def test_a_box_holds_what_is_in_it_on_the_screen_also_with_perspective() -> None:
    eye, up = np.array([100.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    at = np.array([[0.0, 5, 5], [0, -5, 5], [50, 4, 4], [50, 6, 4], [-100, 15, 15], [0, 5, 11]])

    def ray(y: float, x: float) -> tuple[np.ndarray, np.ndarray]:
        through = np.array([0.0, y, x])
        return through, (through - eye) / np.linalg.norm(through - eye)

    # Through y, x = 0 and 10 at z = 0: half as wide at z = 50, twice at z = -100.
    found = boxed(at, (ray(0.0, 0.0), ray(10.0, 10.0)), up)
    assert found.tolist() == [True, False, True, False, True, False]
    down = np.array([-1.0, 0.0, 0.0])
    flat = boxed(at, ((np.zeros(3), down), (np.array([0.0, 10, 10]), down)), up)
    assert flat.tolist() == [True, False, True, True, False, False]


def test_a_stroke_with_shift_selects_in_both_views(
    viewer: Any, widget: Any, qtbot: Any, shown: Any
) -> None:
    cell = widget.controller.tomogram_scene
    first, last = cell.poses.positions_zyx_angstrom[[0, 1]]
    camera = np.array([*viewer.scene.camera.center, *viewer.scene.camera.angles])
    shift = Qt.KeyboardModifier.ShiftModifier
    QTest.mousePress(native(viewer), Qt.MouseButton.LeftButton, shift, pos=canvas_px(viewer, first))
    for share in np.linspace(0.1, 1.0, 10):
        qtbot.wait(15)  # vispy drops faster moves
        QTest.mouseMove(native(viewer), canvas_px(viewer, first + share * (last - first)))
    qtbot.wait(15)
    QTest.mouseRelease(
        native(viewer), Qt.MouseButton.LeftButton, shift, pos=canvas_px(viewer, last)
    )
    assert {cell.poses.ids[0], cell.poses.ids[1]} <= shown.selection
    after = np.array([*viewer.scene.camera.center, *viewer.scene.camera.angles])
    np.testing.assert_allclose(after, camera, atol=1e-6)
    assert f"{len(shown.selection)} selected" in widget.latent.status.text()
    widget.controller.selections.undo()
    assert not shown.selection, "a stroke is one step"


def test_who_is_not_drawn_has_no_ring(widget: Any, shown: Any) -> None:
    cell = widget.controller.tomogram_scene
    ids, marks = cell.poses.ids, cell.layers._marks

    def ringed(row: int) -> bool:
        shown.focused = ids[row]
        return bool(marks.size[0] > 0)

    shown.selection = frozenset({ids[3]})
    assert ringed(5)
    shown.tomogram_display = replace(shown.tomogram_display, only_selected=True)
    assert not marks.size[0] > 0, "at once"
    assert [ringed(row) for row in (5, 3)] == [False, True]
    shown.selection = frozenset({ids[5]})
    assert not marks.size[0] > 0 and ringed(5)
    shown.tomogram_display = replace(shown.tomogram_display, only_selected=False)
    assert ringed(3)


def test_selections_and_neighbours_in_the_tomogram(
    viewer: Any, widget: Any, qtbot: Any, shown: Any
) -> None:
    cell = widget.controller.tomogram_scene
    chosen = cell.poses.ids[3]
    before = cell.colors()
    shown.selection = frozenset({chosen})
    surface = cell.layers.layers[1]
    entry = cell.layers.surfaced.tolist().index(3)
    palette = np.asarray(surface.colormap.colors)[:, :3] * 255
    np.testing.assert_allclose(palette[entry], before[3], atol=1)
    others = [at for at in range(12) if at != entry]
    # Nearly grey, and darker, but to be seen on black.
    assert np.ptp(palette[others], axis=1).max() < 0.3 * np.ptp(before[3].astype(float))
    assert (palette[others].max(axis=1) > 50).all()
    assert palette[others].max() < 0.55 * before.max()
    viewer.theme = "light"
    faded = np.asarray(surface.colormap.colors)[others, :3] * 255
    assert faded.min() > 140, "on a light canvas they are light"
    viewer.theme = "dark"
    shown.tomogram_display = replace(shown.tomogram_display, only_selected=True)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert cell.layers.surfaced.tolist() == [3]
    assert "1 selected" in widget.tomogram.status.text()
    shown.tomogram_display = replace(shown.tomogram_display, only_selected=False)
    at = cell.poses.positions_zyx_angstrom
    shown.focused = cell.poses.ids[5]
    reach = float(np.sort(np.linalg.norm(at - at[5], axis=1))[3])
    shown.tomogram_display = replace(shown.tomogram_display, within=reach + 1.0)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert len(cell.layers.surfaced) == 4
    shown.tomogram_display = replace(shown.tomogram_display, within=0.0)
    shown.selection = frozenset(cell.poses.ids[row] for row in (1, 4, 8))
    visited = []
    for _ in range(4):
        widget.tomogram.look.step_requested.emit(1)
        visited.append(cell.poses.ids.index(shown.focused))
        np.testing.assert_allclose(cell._viewer.scene.camera.center, at[visited[-1]], atol=1e-3)
    assert visited == [1, 4, 8, 1]
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    # From far away they are points.
    shown.tomogram_display = replace(shown.tomogram_display, shape="auto")
    viewer.scene.camera.zoom = 0.004
    layers = widget.controller.tomogram_scene.layers
    qtbot.waitUntil(lambda: widget.controller.idle and not len(layers.surfaced), timeout=LONG)
    assert (viewer.layers["particles TS_001.tomostar"].size > 0).all()


def _check_filter(column_filter: Any, shown: Any, heights: pd.Series, own: set[str]) -> None:
    """The same columns filter."""
    column_filter.name.setCurrentText("height (Å)")
    column_filter.low.setText("100")
    QTest.mouseClick(column_filter.apply, Qt.MouseButton.LeftButton)
    high = set(heights.index[heights >= 100])
    assert shown.selection == high
    column_filter.mode.setCurrentText("keep only")
    column_filter.name.setCurrentText("tomogram")
    column_filter.category.setCurrentText("TS_001.tomostar")
    QTest.mouseClick(column_filter.apply, Qt.MouseButton.LeftButton)
    assert shown.selection == high & own


def test_surroundings_are_columns_and_are_tested(
    viewer: Any, widget: Any, qtbot: Any, shown: Any, opened: Callable[[Path], Any]
) -> None:
    page = widget.tomogram.context
    # A membrane in the middle of the tomogram, in its voxels.
    image = viewer.layers["tomogram TS_001"]
    labels = np.zeros(image.data.shape, np.uint8)
    middle = labels.shape[0] // 2
    labels[middle : middle + 2] = 1
    viewer.add_labels(labels, name="membrane", scale=image.scale, units=image.units)
    names = [page.surface.itemText(row) for row in range(page.surface.count())]
    assert names == ["no surface", "membrane"], "ours are not offered"
    page.surface.setCurrentText("membrane")
    QTest.mouseClick(page.compute, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    added_columns = shown.added_columns
    own = list(widget.controller.tomogram_scene.poses.ids)
    height = (
        widget.controller.tomogram_scene.poses.positions_zyx_angstrom[:, 0] - (middle + 0.5) * 24.0
    )
    distance = added_columns.loc[own, "surface_distance_angstrom"].to_numpy()
    np.testing.assert_allclose(distance, np.abs(height) - 12.0, atol=20.0)
    others = added_columns.index.difference(own)
    assert added_columns.loc[others, "surface_distance_angstrom"].isna().all()
    assert "neighbour_distance_angstrom" in [
        widget.latent.x_axis.itemData(row) for row in range(widget.latent.x_axis.count())
    ]
    # A state that goes with the height, and nothing else.
    upper = np.where(added_columns["height_angstrom"] > 0, "upper", "lower")
    shown.add_columns(pd.DataFrame({"side": upper}, index=added_columns.index))
    listed = [page.state.itemText(row) for row in range(page.state.count())]
    called = {"PC 1", "latent z 0", "neighbour distance (Å)", "density (1/nm³)"}
    assert called <= set(listed) and not [one for one in listed if "_" in one]
    page.state.setCurrentText("side")
    QTest.mouseClick(page.test, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    rows = {
        page.table.item(row, 0).text(): [page.table.item(row, at).text() for at in (1, 2, 3)]
        for row in range(page.table.rowCount())
    }
    assert rows["height (Å)"][:2] == ["+1.00", "0.001"]
    assert set(rows) - {"neighbour's state"} <= set(listed), "the same words"
    assert rows["defocus (Å)"][1] == "0.001", "which goes with the height"
    assert float(rows["neighbour azimuth (°)"][1]) > 0.01
    assert "3 of 12 columns go with it" in page.words.text()
    assert shown.message.text == page.words.text() and page.words.text().startswith("side: ")
    _check_filter(page.filter, shown, added_columns["height_angstrom"], set(own))
    # The test is there when the run is opened again, until its state has other values.
    words, path = page.words.text(), shown.run.path
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    opened(path)
    assert page.words.text() == words and page.table.rowCount() == len(rows)
    shown.add_columns(pd.DataFrame({"side": upper[::-1]}, index=added_columns.index))
    assert page.table.rowCount() == 0 and page.words.text() != words


def test_what_is_drawn_can_be_written(
    viewer: Any,
    widget: Any,
    qtbot: Any,
    shown: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import imageio.v3 as imageio
    import trimesh

    monkeypatch.setattr(export_service, "_FRAMES", 8)

    cell, page = widget.controller.tomogram_scene, widget.export
    shown.selection = frozenset(cell.poses.ids[:5])
    names = pd.Index(cell.poses.ids, name="particle_id")
    shown.add_columns(pd.DataFrame({"depth_angstrom": np.arange(12.0), "side": "in"}, index=names))

    def written(verb: str, name: str) -> Path:
        getattr(page, f"{verb}_requested").emit(str(tmp_path / name))
        qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
        assert shown.message.severity == "info", shown.message.text
        return tmp_path / name

    mesh = trimesh.load_mesh(written("mesh", "all.ply"), process=False)
    surface = viewer.layers["particles in place"]
    world = np.asarray(surface.vertices * surface.scale)[:, ::-1]
    np.testing.assert_allclose(mesh.vertices, world, atol=1e-3)
    assert len(np.unique(mesh.visual.vertex_colors[:, :3], axis=0)) == 2, "selected and not"
    script = (written("chimerax", "scene") / "place.cxc").read_text()
    assert script.count("\nview matrix") == 12
    # No dialog asked about the files of a folder: what is there stays, and nothing is added.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "place.cxc").write_text("mine")
    page.chimerax_requested.emit(str(tmp_path / "other"))
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert shown.message.severity == "error" and "place.cxc" in shown.message.text
    assert [one.read_text() for one in (tmp_path / "other").iterdir()] == ["mine"]
    source = shown.particles.source.path
    before = source.read_bytes()
    page.star_requested.emit(str(source))
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert "is not written over" in shown.message.text and source.read_bytes() == before
    found = read_particles(written("star", "some.star").with_name("some_optimisation_set.star"))
    first = "some_optimisation_set.star (the one to open in RELION or Warp) and some.star written: "
    assert shown.message.text.startswith(first), "what is opened first, where it is last"
    assert sorted(found.ids) == sorted(shown.selection)
    block = found.source.blocks[found.source.particle_block]
    assert set(block["tomodrgnDepthAngstrom"]) == {"0", "1", "2", "3", "4"}
    assert set(block["tomodrgnSide"]) == {"in"}
    page.picture_requested.emit(str(tmp_path / "canvas.png"), None)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    height, width = viewer.screenshot(flash=False).shape[:2]
    assert imageio.imread(tmp_path / "canvas.png").shape[:2] == (2 * height, 2 * width)


def test_a_turn_is_filmed_as_wide_as_was_asked(
    viewer: Any, widget: Any, shown: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, qtbot: Any
) -> None:
    import imageio.v3 as imageio

    monkeypatch.setattr(export_service, "_FRAMES", 8)
    before = viewer.scene.camera.angles
    options = FigureOptions(width_px=501)
    widget.export.turntable_requested.emit(str(tmp_path / "turn.gif"), options)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    movie = imageio.imread(tmp_path / "turn.gif")
    assert len(movie) == 8 and movie[0].shape[1] == 500, "encoders want it even"
    assert (movie[0] != movie[2]).any()
    np.testing.assert_allclose(viewer.scene.camera.angles, before, atol=1e-3)


def test_the_step_export_says_what_a_star_file_will_hold(widget: Any, shown: Any) -> None:
    page = widget.export
    assert page.star.text() == "All particles: star file …"
    assert page.whole.isVisibleTo(page) and not page.place.isVisibleTo(page)
    shown.selection = frozenset(widget.controller.tomogram_scene.poses.ids[:5])
    assert page.star.text() == "5 selected particles: star file …"
    assert not page.whole.isVisibleTo(page)
    shown.canvas_mode = "particle"
    assert page.place.isVisibleTo(page)


def test_a_star_file_without_a_run_shows_points(
    viewer: Any,
    widget: Any,
    qtbot: Any,
    tiny_star: Path,
    tiny_run: Path,
    opened: Callable[[Path], Any],
) -> None:
    session = opened(tiny_star)
    session.tomogram = "TS_002.tomostar"
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert len(viewer.layers["particles TS_002.tomostar"].data) == 12
    assert session.canvas_mode == "tomogram"
    # A volume that is decoded now is later seen with the right hand.
    opened(tiny_run)
    session.tomogram = "TS_001.tomostar"
    session.canvas_mode = "particle"
    assert viewer.scene.camera.orientation == ORIENTATION
    assert viewer.layers[LAYER_NAME].visible


def test_every_particle_keeps_its_color(viewer: Any) -> None:
    """Squares in one surface, each of a random colour: as they come back from the screen."""
    edge = 32
    row, col = np.divmod(np.arange(ENTRIES), edge)
    corner = np.stack([np.zeros(ENTRIES), row * 10.0, col * 10.0], axis=1)
    square = np.array([[0, 0, 0], [0, 9, 0], [0, 9, 9], [0, 0, 9]], float)
    vertices = (corner[:, None] + square).reshape(-1, 3).astype(np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]]) + 4 * np.arange(ENTRIES)[:, None, None]
    values = np.repeat(np.arange(ENTRIES), 4).astype(np.float32)
    layers = TomogramLayers(viewer)
    colors = np.random.default_rng(0).integers(0, 256, (ENTRIES, 3)).astype(np.uint8)
    layers.paint(colors)
    centres = (corner + np.array([0, 4.5, 4.5])) * np.array([1, -1, 1])
    for count in (ENTRIES, 301):  # a full palette, and one with entries to spare
        some = (vertices[: 4 * count], faces[:count].reshape(-1, 3).astype(np.int32))
        layers.show_chunk(0, Chunk(np.arange(count), *some, values[: 4 * count]), TomogramDisplay())
        viewer.layers["particles in place"].shading = "none"
        layers.look_at_all(np.array([0, -320.0, 0]), np.array([0, 0.0, 320.0]))
        viewer.canvas.overlays.scale_bar.visible = False
        picture = viewer.screenshot(flash=False)
        ratio = picture.shape[0] / viewer.canvas.size[0]
        places = [canvas_px(viewer, place) for place in centres[:count]]
        found = [picture[int(at.y() * ratio), int(at.x() * ratio), :3] for at in places]
        assert np.abs(np.array(found).astype(int) - colors[:count]).max() <= 2


def test_rays_meet_the_first_sphere() -> None:
    at = np.array([[0.0, 0, 0], [100.0, 0, 0], [0, 500.0, 0]])
    down = np.array([-1.0, 0, 0])
    assert picked(at, 50.0, np.array([0.0, 0, 10]), down) == 1, "from above the higher one"
    assert picked(at, 50.0, np.array([0.0, 0, 10]), -down) == 0
    assert picked(at, 50.0, np.array([0.0, 200, 0]), down) == -1
    assert picked(np.zeros((0, 3)), 50.0, np.zeros(3), down) == -1
    assert brushed(at, 60.0, np.array([7.0, 30, 30]), down).tolist() == [True, True, False]


def test_kept_maps_stay_within_their_bytes() -> None:
    axis = np.arange(16) - 8
    ball = (axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2 < 20).astype(np.float32)
    decoded = []

    def decode() -> Volume:
        decoded.append(1)
        return Volume(ball, 2.0)

    store = MapCache(limit_bytes=10 * (2 * ball.size + 20_000))
    for number in range(40):
        store.mesh(("run", 1, str(number)), (3.0, 1), decode)
        assert store.bytes <= store.limit_bytes
    kept = len(store)
    assert 8 < kept < 30
    store.mesh(("run", 1, "39"), (2.0, 1), decode)
    assert len(decoded) == 40, "a kept map is contoured anew, not decoded"
    store.mesh(("run", 1, "0"), (3.0, 1), decode)
    assert len(decoded) == 41, "what was dropped is decoded again"


def test_a_file_that_was_not_found_is_a_link_and_looks_like_one(
    qtbot: Any, tiny_star: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, asked = Session(), []
    panel = TomogramPanel(session)
    qtbot.addWidget(panel)
    panel.resize(340, 700)
    panel.show()
    session.particles = read_particles(tiny_star)
    first, second = (panel.list.topLevelItem(row) for row in range(2))
    session.tomogram_files = {second.text(0): tmp_path / "second.mrc"}
    first, second = (panel.list.topLevelItem(row) for row in range(2))
    assert [row.text(2) for row in (first, second)] == ["not found", "found"]
    assert [row.font(2).underline() for row in (first, second)] == [True, False]
    assert first.toolTip(2).endswith("Click to choose the file …")
    assert "second.mrc. Double-click" in second.toolTip(2)
    viewport, chosen = panel.list.viewport(), tmp_path / "first.mrc"
    hand, arrow = Qt.CursorShape.PointingHandCursor, Qt.CursorShape.ArrowCursor

    def cell(row: Any, column: int) -> QPoint:
        box = panel.list.visualItemRect(row)
        left = panel.list.columnViewportPosition(column) + panel.list.columnWidth(column) // 2
        return QPoint(left, box.center().y())

    for row, column, shape in ((first, 2, hand), (first, 0, arrow), (first, 2, hand)):
        QTest.mouseMove(viewport, cell(row, column))
        qtbot.waitUntil(lambda shape=shape: viewport.cursor().shape() == shape)
    QTest.mouseMove(viewport, cell(second, 2))
    qtbot.waitUntil(lambda: viewport.cursor().shape() == arrow)

    def answer(_parent: Any, words: str, *_: Any) -> tuple[str, str]:
        asked.append(words)
        return str(chosen), ""

    def found(_folder: Path, _pattern: str, files: dict[str, Path]) -> None:
        session.tomogram_files = {**session.tomogram_files, **files}

    panel.files.find_requested.connect(found)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", answer)
    name = first.text(0)
    QTest.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=cell(first, 2))
    assert asked == [f"Tomogram {name}"] and session.tomogram_files[name] == chosen
    assert session.tomogram == ""  # the click asked for a file, not for the tomogram
    first = panel.list.topLevelItem(0)
    assert first.text(2) == "found" and not first.font(2).underline()
    QTest.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=cell(first, 2))
    assert len(asked) == 1 and session.tomogram == name
    # The right button shows no other, so it marks none.
    second = panel.list.topLevelItem(1)
    QTest.mouseClick(viewport, Qt.MouseButton.RightButton, pos=cell(second, 0))
    assert session.tomogram == name and panel.list.currentItem().text(0) == name


def test_a_film_of_two_scenes_is_not_written(
    widget: Any, shown: Any, qtbot: Any, tmp_path: Path
) -> None:
    widget.export.turntable_requested.emit(str(tmp_path / "turn.gif"), FigureOptions(width_px=64))
    qtbot.waitUntil(lambda: widget.export.words.text().startswith("Filming"), timeout=LONG)
    shown.canvas_mode = "particle"
    assert "turn.gif was not written: something else was shown" in shown.message.text
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert not list(tmp_path.glob("turn*")) and not widget.export.words.text()


def test_a_flat_section_shows_the_particles_that_it_goes_through(
    viewer: Any, widget: Any, shown: Any, qtbot: Any
) -> None:
    """Of surfaces napari draws nothing in two dimensions: the section was empty."""
    points = viewer.layers["particles TS_001.tomostar"]
    qtbot.waitUntil(lambda: not points.size.any(), timeout=LONG)  # all are surfaces
    viewer.dims.ndisplay = 2
    assert (points.size > 0).all() and points.opacity < 1
    here = points.data[3]
    viewer.dims.set_point(0, here[0])
    qtbot.waitUntil(lambda: 3 in set(points._view_indices.tolist()), timeout=LONG)
    far = np.abs(points.data[:, 0] - here[0]) > points.size
    assert not set(np.flatnonzero(far).tolist()) & set(points._view_indices.tolist())
    viewer.dims.ndisplay = 3
    assert not points.size.any() and points.opacity == 1.0
    assert tuple(viewer.dims.margin_left) == (0.0, 0.0, 0.0)


def test_a_projection_has_a_contrast_of_its_own(viewer: Any, widget: Any, shown: Any) -> None:
    image = viewer.layers["tomogram TS_001"]
    slice_limits = tuple(image.contrast_limits)
    shown.tomogram_display = replace(shown.tomogram_display, image="projection")
    assert image.contrast_limits[0] > slice_limits[0] + 0.2 * np.ptp(slice_limits)
    image.contrast_limits = (0.0, 1.0)  # by the user's hand: kept while it is one
    shown.tomogram_display = replace(shown.tomogram_display, thickness=50.0)
    assert tuple(image.contrast_limits) == (0.0, 1.0)
    shown.tomogram_display = replace(shown.tomogram_display, image="slice")
    assert tuple(image.contrast_limits) == pytest.approx(slice_limits)
