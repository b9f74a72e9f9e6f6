"""Volumes and places: contour, low-pass, projection, pins, free points, trajectories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_tomodrgn.gui.latent_space import trajectories
from napari_tomodrgn.gui.latent_space.trajectory_bar import TrajectoryBar
from napari_tomodrgn.gui.volumes.layers import LAYER_NAME
from napari_tomodrgn.particle_columns import latent_matrix, principal_components
from napari_tomodrgn.session import Session

LONG = 60_000
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    mu = rng.normal(size=(200, 3)) * [5.0, 1.0, 0.2] + [1.0, 2.0, 3.0]
    names = [f"TS/{row}" for row in range(200)]
    return pd.DataFrame({f"mu_{axis}": mu[:, axis] for axis in range(3)}, index=names)


def test_a_clicked_place_is_that_place_of_the_chart(table: pd.DataFrame) -> None:
    scores, _ = principal_components(latent_matrix(table))
    for axes, xy in ((("PC 1", "PC 2"), scores[:, :2]), (("z 2", "PC 1"), None)):
        if xy is None:
            xy = np.stack([table["mu_2"], scores[:, 0]], axis=1)
        at = tuple(xy.mean(axis=0) + 0.1)
        point = trajectories.clicked_point(table, axes, xy, at)
        found = trajectories.projected(table, axes, xy, np.array([point.z]))
        np.testing.assert_allclose(found, [at], atol=1e-9)
        assert point.n_neighbors > 0


def test_a_path_goes_along_each_component_that_is_an_axis(qtbot: Any) -> None:
    rng = np.random.default_rng(0)
    columns = {f"mu_{axis}": rng.normal(size=40) for axis in range(11)}
    names = [f"TS/{row}" for row in range(40)]
    session = Session(latents=pd.DataFrame(columns, index=names))
    bar = TrajectoryBar(session)
    qtbot.addWidget(bar)
    bar.menu.aboutToShow.emit()
    offered = [action.text() for action in bar.menu.actions()]
    assert [one for one in offered if one.startswith("Along PC")] == [
        f"Along PC {number}" for number in range(1, 12)
    ]


def test_far_away_nobody_is_near(table: pd.DataFrame) -> None:
    scores, _ = principal_components(latent_matrix(table))
    point = trajectories.clicked_point(table, ("PC 1", "PC 2"), scores[:, :2], (90.0, 0.0))
    assert point.n_neighbors == 0
    assert point.unsupported


def test_on_a_map_without_directions_a_place_is_what_is_near_there(table: pd.DataFrame) -> None:
    """UMAP: the mean of the ten particles that the chart shows nearest, of which some are far."""
    points = latent_matrix(table)
    axes, xy = ("UMAP 1", "UMAP 2"), np.stack([points[:, 0] ** 3, points[:, 1]], axis=1)
    xy[5] = np.nan
    at = xy[17]
    point = trajectories.clicked_point(table, axes, xy, (float(at[0]), float(at[1])))
    extent = np.nanmax(xy, axis=0) - np.nanmin(xy, axis=0)
    nearest = np.argsort(np.linalg.norm((xy - at) / extent, axis=1))[:10]
    np.testing.assert_allclose(point.z, points[nearest].mean(axis=0))
    shown = trajectories.projected(table, axes, xy, np.array([points[17]]))
    np.testing.assert_array_equal(shown, xy[[17]])


def test_a_drawn_path_follows_the_pen(table: pd.DataFrame) -> None:
    scores, _ = principal_components(latent_matrix(table))
    xy, axes = scores[:, :2], ("PC 1", "PC 2")
    pen = np.array([[-4.0, 0.0], [-4.0, 0.0], [0.0, 1.0], [4.0, 0.0], [30.0, 0.0]])
    path = trajectories.drawn(table, axes, xy, pen)
    line = trajectories.projected(table, axes, xy, np.array([one.z for one in path.points]))
    np.testing.assert_allclose(line[[0, -1]], pen[[0, -1]], atol=1e-9)
    on_pen = np.interp(line[:, 0], pen[1:, 0], pen[1:, 1])
    np.testing.assert_allclose(line[:, 1], on_pen, atol=1e-9)
    unsupported = [point.unsupported for point in path.points]
    assert unsupported[-1] and not unsupported[0], "out there nobody is"


def test_paths_begin_and_end_where_they_should(table: pd.DataFrame) -> None:
    path = trajectories.between(table, "TS/3", "TS/8")
    points = latent_matrix(table)
    np.testing.assert_allclose(path.points[0].z, points[3])
    np.testing.assert_allclose(path.points[-1].z, points[8])
    scores, _ = principal_components(points)
    along = trajectories.along_component(table, 1)
    frames = np.array([point.z for point in along.points])
    line = trajectories.projected(table, ("PC 1", "PC 2"), scores[:, :2], frames)
    ends = np.percentile(scores[:, 0], [2, 98])
    np.testing.assert_allclose(line[:, 0], np.linspace(*ends, len(line)), atol=1e-9)
    np.testing.assert_allclose(line[:, 1], line[0, 1], atol=1e-9, err_msg="a straight axis")


def test_a_path_along_a_component_goes_through_the_particles_not_beside_them() -> None:
    """One in ten was a false pick far off, which pulled the path beside the cloud."""
    rng = np.random.default_rng(5)
    points = np.stack([rng.normal(0, 0.3, 400), rng.uniform(-4, 4, 400)], axis=1)
    points[:40] = rng.normal((-20.0, 0.0), 0.3, (40, 2))
    names = [f"TS/{row}" for row in range(400)]
    table = pd.DataFrame({"mu_0": points[:, 0], "mu_1": points[:, 1]}, index=names)
    frames = np.array([one.z for one in trajectories.along_component(table, 2).points])
    assert np.abs(frames[:, 0]).max() < 0.5, "within the cloud; the mean is at -2"
    assert np.ptp(frames[:, 1]) > 6


def _idle(widget: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)


def test_a_path_is_seen_from_a_tomogram_and_says_when_it_goes(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    """It was played while a tomogram was on show, and gone without a word an epoch later."""
    session = opened(tiny_run)
    widget.controller.trajectories.along(1)
    qtbot.waitUntil(lambda: session.trajectory is not None, timeout=LONG)
    session.canvas_mode = "tomogram"
    QTest.mouseClick(widget.latent.path.play, LEFT)
    assert session.canvas_mode == "particle"
    session.canvas_mode = "tomogram"  # who looks at something else is not called back
    qtbot.waitUntil(lambda: not widget.latent.path.play.isChecked(), timeout=LONG)
    assert session.canvas_mode == "tomogram"
    session.show_latents(session.run, session.latents.copy(), 2, session.metrics)
    assert session.trajectory is None
    said = "The path (PC 1) went with the latents it led through: epoch 2 is on show now."
    assert session.message.text == said
    _idle(widget, qtbot)


def test_sliders_change_the_volume_on_show(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session, controls = opened(tiny_run), widget.latent.volumes
    whole = session.decoded
    controls.sigma.setValue(15)
    qtbot.waitUntil(lambda: session.decoded.mesh.sigma == 1.5, timeout=LONG)
    assert session.decoded.volume is whole.volume, "the map is contoured again, not decoded"
    controls.lowpass.setValue(60)
    qtbot.waitUntil(lambda: session.decoded.lowpass == 60.0, timeout=LONG)
    assert session.decoded.shown.data.std() < whole.volume.data.std()
    assert "low-pass 60 Å" in viewer.canvas.overlays.tomodrgn_caption.text
    controls.choose("projection")
    layer = viewer.layers["decoded, projection"]
    assert not viewer.layers[LAYER_NAME].visible
    voxel = whole.volume.voxel_size_angstrom
    assert tuple(layer.scale) == pytest.approx((voxel,) * 3)
    np.testing.assert_array_equal(layer.data, session.decoded.shown.data)
    controls.choose("surface")
    assert "decoded, projection" not in viewer.layers
    assert viewer.layers[LAYER_NAME].visible


def test_a_pinned_map_whose_layer_is_deleted_is_pinned_no_more(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session, layers = opened(tiny_run), viewer.layers
    names = [str(name) for name in session.latents.index[:3]]
    for name in names:
        widget.latent.pin_requested.emit(name)
    _idle(widget, qtbot)
    release = widget.latent.volumes.actions_by_name["release"]
    layers.selection = {layers[f"pinned {name}"] for name in names[1:]}
    layers.remove_selected()  # as napari's bin does
    qtbot.waitUntil(lambda: session.pinned == (names[0],), timeout=LONG)
    _idle(widget, qtbot)
    assert not any(f"pinned {name}" in layers for name in names[1:])
    words = " ".join(layers["map labels"].features["words"])
    assert names[0] in words and names[2] not in words
    layers.remove(layers[f"pinned {names[0]}"])
    qtbot.waitUntil(lambda: session.pinned == (), timeout=LONG)
    _idle(widget, qtbot)
    assert tuple(layers["decoded"].translate) == (0.0, 0.0, 0.0)
    assert "map labels" not in layers and not release.isEnabled()
    widget.latent.pin_requested.emit(names[0])  # a layer of that name may come again
    qtbot.waitUntil(lambda: f"pinned {names[0]}" in layers, timeout=LONG)
    _idle(widget, qtbot)
    assert session.pinned == (names[0],)


def test_pins_stand_beside_and_a_path_goes_between_them(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session = opened(tiny_run)
    names = [str(name) for name in session.latents.index]
    for name in names[:3]:
        widget.latent.pin_requested.emit(name)
    _idle(widget, qtbot)
    places = [tuple(viewer.layers[f"pinned {name}"].translate) for name in names[:3]]
    assert len(set(places)) == 3
    session.lowpass = 60.0
    _idle(widget, qtbot)
    viewer.scene.camera.zoom *= 10  # room for all words
    labels = viewer.layers["map labels"].features["words"]
    made = {label.strip().splitlines()[1] for label in labels}
    assert len(labels) == 4 and len(made) == 1, "they are filtered alike, and say so"
    assert "low-pass 60 Å" in made.pop()
    session.lowpass = 0.0
    widget.latent.pin_requested.emit(names[1])
    assert f"pinned {names[1]}" not in viewer.layers
    widget.latent.path.between_requested.emit()
    qtbot.waitUntil(lambda: session.trajectory is not None, timeout=LONG)
    _idle(widget, qtbot)
    assert session.trajectory.name == f"{names[0]} → {names[2]}"
    assert session.decoded.point == session.trajectory.points[0]
    assert " near" in viewer.canvas.overlays.tomodrgn_caption.text.replace("\n", " ")
    widget.latent.path.loop.setChecked(True)
    session.frame = len(session.trajectory.points) - 2
    widget.latent.path.frame_requested.emit(session.frame)
    widget.latent.path.play.setChecked(True)
    qtbot.waitUntil(lambda: session.frame == 1, timeout=LONG)
    widget.latent.path.play.setChecked(False)
    _idle(widget, qtbot)
    widget.latent.path.through_requested.emit()
    qtbot.waitUntil(lambda: "⇝" in session.trajectory.name, timeout=LONG)
    _idle(widget, qtbot)
    ends = [latent_matrix(session.latents)[row] for row in (0, 2)]
    np.testing.assert_allclose([session.trajectory.points[end].z for end in (0, -1)], ends)
    widget.latent.path.stop.click()
    _idle(widget, qtbot)
    assert session.decoded.particle_id == session.focused


def test_alt_click_decodes_the_place_itself(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session, view = opened(tiny_run), widget.latent.view
    at = QPoint(view.width() // 2, view.height() // 2)
    QTest.mouseClick(view, LEFT, Qt.KeyboardModifier.AltModifier, at)
    qtbot.waitUntil(lambda: session.free_point is not None, timeout=LONG)
    _idle(widget, qtbot)
    assert session.decoded.point == session.free_point
    assert "latent point" in viewer.canvas.overlays.tomodrgn_caption.text
    QTest.mouseClick(view, LEFT, pos=view.position_of(0).toPoint())
    _idle(widget, qtbot)
    assert session.free_point is None
    assert session.decoded.particle_id is not None
