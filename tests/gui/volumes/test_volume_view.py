"""Volumes: difference, layouts, colours, busy mark, files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import imageio.v3 as iio
import mrcfile
import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.data.volume import Volume, read_volume
from napari_tomodrgn.gui.background.task_queue import TaskQueue
from napari_tomodrgn.gui.charts.interactive_scatter import Click
from napari_tomodrgn.gui.volumes import movie_service
from napari_tomodrgn.gui.volumes.figure import FigureOptions
from napari_tomodrgn.gui.volumes.isosurfaces import difference, make_isosurface
from napari_tomodrgn.gui.volumes.layers import CAPTION_NAME, LAYER_NAME, LESS_NAME, MORE_NAME
from napari_tomodrgn.gui.volumes.surface_layers import box_angstrom
from napari_tomodrgn.gui.volumes.volume_bar import VolumeBar
from napari_tomodrgn.gui.volumes.volume_view import VolumeView, caption, who_is
from napari_tomodrgn.particle_columns import latent_matrix
from napari_tomodrgn.session import Decoded, LatentPath, LatentPoint, Session
from napari_tomodrgn.work_status import TrainingStatus

LONG = 60_000


def _idle(widget: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)


def _blob(x: float, height: float) -> np.ndarray:
    axis = np.arange(24.0) - 12
    return height * np.exp(
        -(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + (axis - x) ** 2) / 8
    )


def test_a_difference_stands_where_density_came_and_went() -> None:
    mean = Volume((_blob(0, 2.0) + _blob(-6, 1.0)).astype(np.float32), 4.0)
    one = Volume((_blob(0, 2.0) + _blob(6, 1.0)).astype(np.float32), 4.0)
    more, less = difference(one, mean, 3.0)
    assert more.vertices[:, 2].mean() == pytest.approx(24.0, abs=1.0)  # 6 voxels of 4 Å along x
    assert less.vertices[:, 2].mean() == pytest.approx(-24.0, abs=1.0)
    assert not len(difference(mean, mean, 3.0)[0].faces)


def test_the_difference_is_to_the_map_of_the_mean_latent(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session, controls = opened(tiny_run), widget.latent.volumes
    controls.choose("difference")
    _idle(widget, qtbot)
    z = latent_matrix(session.latents).mean(axis=0).astype(np.float32)
    mean = session.run.decoder().decode(z)
    more, _ = difference(session.decoded.shown, mean, session.sigma)
    np.testing.assert_allclose(session.decoded.difference[0].vertices, more.vertices, atol=1e-3)
    assert MORE_NAME in viewer.layers and LESS_NAME in viewer.layers
    assert viewer.layers[LAYER_NAME].opacity < 0.5
    words = viewer.canvas.overlays.tomodrgn_caption.text.split()  # in lines that fit the canvas
    assert "less than the mean" in " ".join(words)
    session.focused = next(str(n) for n in session.latents.index if n != session.focused)
    _idle(widget, qtbot)
    assert session.decoded.difference is not None
    controls.choose("surface")
    _idle(widget, qtbot)
    assert session.decoded.difference is None
    assert MORE_NAME not in viewer.layers
    assert viewer.layers[LAYER_NAME].opacity == 1.0


def test_the_shell_filter_is_on_show_and_off_in_one_click(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session, switch = opened(tiny_run), widget.latent.volumes.supported
    z = latent_matrix(session.latents)[session.latents.index.get_loc(session.focused)]
    for on in (True, False, True):
        assert switch.isEnabled() and switch.isChecked() == on
        assert session.decoded.shell_filtered == on
        expected = session.run.with_shell_filter(on=on).decoder().decode(z.astype(np.float32))
        np.testing.assert_allclose(session.decoded.volume.data, expected.data, atol=1e-4)
        assert ("shell filter" in viewer.canvas.overlays.tomodrgn_caption.text) == on
        switch.click()
        _idle(widget, qtbot)
    verbs = [action.line() for action in session.actions if action.verb == "use_shell_filter"]
    assert verbs == [f"work.use_shell_filter(on={on})" for on in (False, True, False)]
    session.epoch = next(epoch for epoch in session.run.epochs() if epoch != session.epoch)
    assert not switch.isEnabled() and "has none" in switch.toolTip()


def test_the_difference_of_two_particles_is_to_the_one_that_is_pinned(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session, controls = opened(tiny_run), widget.latent.volumes
    assert not controls.actions_by_name["from pinned"].isEnabled()
    other = next(str(n) for n in session.latents.index if n != session.focused)
    session.pinned = (other,)
    controls.choose("from pinned")
    _idle(widget, qtbot)
    z = latent_matrix(session.latents)[session.latents.index.get_loc(other)].astype(np.float32)
    more, less = difference(session.decoded.shown, session.run.decoder().decode(z), session.sigma)
    np.testing.assert_allclose(session.decoded.difference[0].vertices, more.vertices, atol=1e-3)
    np.testing.assert_allclose(session.decoded.difference[1].vertices, less.vertices, atol=1e-3)
    words = viewer.canvas.overlays.tomodrgn_caption.text.split()  # in lines that fit the canvas
    assert f"less than {other}" in " ".join(words)
    session.pinned = ()
    _idle(widget, qtbot)
    assert session.decoded.difference is None and MORE_NAME not in viewer.layers


def test_the_map_on_show_is_pinned_from_the_menu(qtbot: Any) -> None:
    session = Session()
    bar = VolumeBar(session)
    qtbot.addWidget(bar)
    action, asked = bar.look.menu().actions()[0], []
    bar.pin_requested.connect(asked.append)
    assert action.text() == "Pin this volume" and not action.isEnabled()
    assert "click a point" in action.toolTip()
    volume = Volume(np.zeros((8, 8, 8), np.float32), 10.0)
    seen = Decoded(volume, "TS_01/3", 1, complete=True, mesh=make_isosurface(volume))
    session.decoded = seen
    assert action.isEnabled() and "Shift-click" in action.toolTip()
    bar.choose("pin")
    assert asked == ["TS_01/3"]
    session.pinned = ("TS_01/3",)
    assert action.text() == "Unpin this volume" and action.isEnabled()
    session.decoded = replace(seen, particle_id=None)
    assert not action.isEnabled(), "a place between particles is none"


@pytest.mark.slow
def test_nine_pins_in_a_grid_or_over_each_other(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session, controls = opened(tiny_run), widget.latent.volumes
    names = [str(name) for name in session.latents.index[:10]]
    for name in names:
        widget.latent.pin_requested.emit(name)
    _idle(widget, qtbot)
    assert len(session.pinned) == 9, "the tenth is refused"
    assert "9 volumes" in session.message.text
    layers = [viewer.layers[f"pinned {name}"] for name in names[:9]]
    assert len({tuple(layer.translate) for layer in layers}) == 9
    controls.choose("overlay")
    assert {tuple(layer.translate) for layer in layers} == {(0.0, 0.0, 0.0)}
    assert viewer.layers[-1].name == LAYER_NAME and viewer.layers[-1].opacity < 1, (
        "seen through, so drawn last"
    )
    assert len({layer.colormap.name for layer in layers}) == 9, "told apart"
    session.surface_color = "#ff0000"
    assert {layer.colormap.name for layer in [*layers, viewer.layers[LAYER_NAME]]} == {"#ff0000"}
    controls.choose("by particle")
    assert viewer.layers[LAYER_NAME].colormap.name != "#ff0000"
    controls.choose("release")
    assert not any(layer.name.startswith("pinned") for layer in viewer.layers)


def test_axes_can_be_hidden_and_a_wait_is_told(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session = opened(tiny_run)
    assert viewer.canvas.overlays.axes.visible
    assert viewer.canvas.overlays.scale_bar.visible
    assert viewer.dims.axis_labels == ("z", "y", "x")
    widget.latent.volumes.choose("axes")
    assert not viewer.canvas.overlays.axes.visible
    other = next(str(n) for n in session.latents.index if n != session.focused)
    session.focused = other
    assert "decoding" not in viewer.canvas.overlays.tomodrgn_caption.text, (
        "not before it takes long"
    )
    widget.controller.volume_view.waiting.timeout.emit()
    assert viewer.canvas.overlays.tomodrgn_caption.text == f"{other}  ·  decoding …"
    _idle(widget, qtbot)
    assert viewer.canvas.overlays.tomodrgn_caption.text.startswith(f"{other}  ·  epoch")


def test_map_and_picture_are_saved_as_they_are_shown(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any, tmp_path: Path
) -> None:
    session, controls = opened(tiny_run), widget.latent.volumes
    session.lowpass = 40.0
    qtbot.waitUntil(lambda: session.decoded.lowpass == 40.0, timeout=LONG)
    controls.map_requested.emit(str(tmp_path / "map.mrc"))
    controls.picture_requested.emit(str(tmp_path / "picture.png"), None)
    _idle(widget, qtbot)
    written = read_volume(tmp_path / "map.mrc")
    np.testing.assert_array_equal(written.data, session.decoded.shown.data)
    with mrcfile.open(tmp_path / "map.mrc") as file:
        voxel = session.decoded.volume.voxel_size_angstrom
        assert float(file.voxel_size.x) == pytest.approx(voxel, rel=1e-5)
    picture = iio.imread(tmp_path / "picture.png")
    assert picture[..., :3].max() > 100
    controls.map_requested.emit(str(tmp_path / "map.mrc" / "under-a-file.mrc"))
    _idle(widget, qtbot)
    assert session.message.severity == "error"


def _short_path(session: Any) -> LatentPath:
    z = latent_matrix(session.latents)
    ends = (z[0], (z[0] + z[1]) / 2, z[1])
    return LatentPath("a → b", tuple(LatentPoint(tuple(map(float, one)), 5) for one in ends))


def test_a_path_becomes_a_movie_and_maps(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any, tmp_path: Path
) -> None:
    session, path = opened(tiny_run), widget.latent.path
    options = FigureOptions(width_px=321, background="white")
    path.movie_requested.emit(str(tmp_path / "none.gif"), options)
    assert "Make a path first" in session.message.text
    session.trajectory = _short_path(session)
    path.movie_requested.emit(str(tmp_path / "path.gif"), options)
    qtbot.waitUntil((tmp_path / "path.gif").exists, timeout=LONG)
    _idle(widget, qtbot)
    frames = iio.imread(tmp_path / "path.gif")
    assert len(frames) == 4, "there, and back without the ends"
    assert (frames[0] != frames[2]).any(), "the volume changes on the way"
    assert frames[0].shape[1] == 320, "as wide as was asked, and even"
    assert (frames[0][-1, -1] > 250).all(), "on the ground that was asked for"
    path.maps_requested.emit(str(tmp_path / "maps"))
    _idle(widget, qtbot)
    written = sorted(one.name for one in (tmp_path / "maps").iterdir())
    assert written == ["frame_001.mrc", "frame_002.mrc", "frame_003.mrc", "frames.csv"]
    z = np.array(session.trajectory.points[2].z, np.float32)
    expected = session.run.decoder().decode(z)
    last = read_volume(tmp_path / "maps" / "frame_003.mrc")
    np.testing.assert_allclose(last.data, expected.data, atol=1e-5)
    table = np.loadtxt(tmp_path / "maps" / "frames.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[2, 2:], z, rtol=1e-6)
    (tmp_path / "maps" / "frame_002.mrc").write_bytes(b"mine")
    path.maps_requested.emit(str(tmp_path / "maps"))
    _idle(widget, qtbot)
    assert "frame_002.mrc" in session.message.text and session.message.severity == "error"
    assert (tmp_path / "maps" / "frame_002.mrc").read_bytes() == b"mine"


def test_without_an_encoder_mp4_is_refused_in_one_line_and_a_lost_path_ends_the_movie(
    widget: Any,
    opened: Callable[[Path], Any],
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, maker = opened(tiny_run), widget.controller.movie
    session.trajectory = _short_path(session)
    monkeypatch.setattr(movie_service, "_ENCODERS", {"no_such_package": "x"})
    maker.start(tmp_path / "path.mp4", FigureOptions())
    assert "imageio-ffmpeg" in session.message.text
    assert not maker.is_busy
    maker.start(tmp_path / "path.gif", FigureOptions())
    session.trajectory = None
    assert not maker.is_busy
    assert "no movie" in session.message.text
    session.trajectory = _short_path(session)
    maker.start(tmp_path / "path.gif", FigureOptions())
    widget.controller.decoding.queue.failed.emit(OSError("the checkpoint is gone"))
    assert not maker.is_busy
    assert session.message.severity == "error"


def test_errands_are_all_done_in_order_and_a_failure_stops_none(qtbot: Any) -> None:
    errands = TaskQueue()
    done: list[object] = []
    failed: list[Exception] = []
    errands.done.connect(done.append)
    errands.failed.connect(failed.append)

    def slow(value: int) -> int:
        if value == 2:
            raise OSError("disk full")
        return value

    for value in range(5):
        errands.add(lambda value=value: slow(value))
    qtbot.waitUntil(lambda: not errands.is_busy)
    assert done == [0, 1, 3, 4]
    assert [str(error) for error in failed] == ["disk full"]


def test_no_low_pass_finer_than_the_pixels_is_offered(qtbot: Any) -> None:
    volume = Volume(np.zeros((16, 16, 16), np.float32), 13.1)
    decoded = Decoded(volume, "TS/1", 1, complete=True, mesh=make_isosurface(volume))
    session = Session(decoded=decoded)
    bar = VolumeBar(session)
    qtbot.addWidget(bar)
    assert bar.lowpass_words.text() == "off"
    bar.lowpass.setValue(1)
    bar._apply()
    assert session.lowpass == 27.0 >= 2 * 13.1
    assert bar.lowpass_words.text() == "27 Å"


def test_the_words_name_the_one_that_is_decoded_now(qtbot: Any) -> None:
    said: list[str] = []
    layers: Any = MagicMock(set_caption=said.append)
    session = Session(focused="TS/1")
    view = VolumeView(session, layers)
    view.set_decoding(True)
    view.waiting.stop()  # its time has come
    view._show_waiting()
    session.focused = "TS/2"  # before the first is there: the work goes on without a pause
    assert said == ["TS/1  ·  decoding …"]
    qtbot.waitUntil(lambda: len(said) == 2, timeout=5000)
    assert said[-1] == "TS/2  ·  decoding …"
    for _ in range(200):  # each word is the whole canvas drawn anew
        session.focused = "TS/3"
        session.focused = "TS/4"
    session.free_point = LatentPoint((0.0,), 5)
    assert len(said) == 2
    qtbot.waitUntil(lambda: len(said) == 3, timeout=5000)
    assert said[-1] == "latent point  ·  decoding …"
    session.focused = "TS/5"
    view.set_decoding(False)
    qtbot.wait(2 * view.renaming.interval())
    assert len(said) == 3, "words on a wait that is over"
    volume = Volume(np.zeros((16, 16, 16), np.float32), 10.0)
    point = LatentPoint((0.0,), 2)
    decoded = Decoded(volume, None, 1, complete=True, point=point, mesh=make_isosurface(volume))
    assert caption(decoded, who_is(decoded, None)).startswith(
        "latent point, interpolated: only 2 particles nearby, not supported by data"
    )


def test_projections_are_labelled_and_give_way_to_a_click(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session = opened(tiny_run)
    widget.controller.overview.show_projections(0.0)
    qtbot.waitUntil(lambda: "projections" in viewer.layers, timeout=LONG)
    assert viewer.dims.ndisplay == 2 and not viewer.canvas.overlays.axes.visible
    words = list(viewer.layers["projections, labels"].features["words"])
    assert sum(word.endswith("°") for word in words) == 5
    assert len(words) == 5 + 6
    session.focused = str(session.latents.index[3])
    assert viewer.dims.ndisplay == 3
    assert not viewer.layers["projections"].visible
    qtbot.waitUntil(lambda: session.decoded.particle_id == session.focused, timeout=LONG)
    assert viewer.layers["decoded"].visible and viewer.canvas.overlays.axes.visible


def test_projections_give_way_to_the_first_map_of_a_training(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session = opened(tiny_run)
    decoded, session.decoded = session.decoded, None  # as when a training begins
    widget.controller.overview.show_projections(0.0)
    qtbot.waitUntil(lambda: "projections" in viewer.layers, timeout=LONG)
    session.decoded = decoded
    assert [layer.name for layer in viewer.layers if layer.visible] == ["decoded"]
    assert viewer.dims.ndisplay == 3
    box = decoded.volume.box_size_px * decoded.volume.voxel_size_angstrom
    assert viewer.scene.camera.zoom * box > 0.6 * min(viewer.canvas.size), "it fills the canvas"


def test_napari_s_button_shows_slices_of_whoever_is_in_focus(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session, button = opened(tiny_run), viewer.window._qt_viewer.viewerButtons.ndisplayButton
    seen = lambda: [layer.name for layer in viewer.layers if layer.visible]  # noqa: E731
    button.click()
    voxel = session.decoded.volume.voxel_size_angstrom
    qtbot.waitUntil(lambda: viewer.dims.range[0].step == pytest.approx(voxel), timeout=LONG)
    assert seen() == ["decoded, slice"] and viewer.dims.point[0] == 0.0
    session.focused = str(session.latents.index[3])
    qtbot.waitUntil(lambda: session.decoded.particle_id == session.focused, timeout=LONG)
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    np.testing.assert_array_equal(viewer.layers[-1].data, session.decoded.shown.data)
    assert viewer.dims.range[0].step == pytest.approx(voxel)
    widget.controller.overview.show_projections(0.0)
    qtbot.waitUntil(lambda: "projections" in seen(), timeout=LONG)
    assert not [name for name in seen() if name.startswith("decoded")]
    session.focused = str(session.latents.index[4])
    assert viewer.dims.ndisplay == 3 and seen() == ["decoded"]
    button.click()
    session.canvas_mode = "tomogram"
    assert not [name for name in seen() if name.startswith("decoded")]
    session.canvas_mode = "particle"
    viewer.dims.ndisplay = 3
    assert seen() == ["decoded"] and "decoded, slice" not in viewer.layers


def test_a_map_from_images_says_that_its_place_is_empty() -> None:
    """It is made of the particles around, whose number says nothing of the place itself."""
    volume = Volume(_blob(0, 1).astype(np.float32), 4.0)
    shown = Decoded(
        volume,
        None,
        3,
        complete=True,
        point=LatentPoint((0.0,), 0),
        effective_particles=204.0,
        resolution_angstrom=18.0,
        mesh=make_isosurface(volume),
    )
    words = caption(shown, "latent point")
    assert words.startswith(
        "latent point, no particles nearby: of those around  ·  from images, 20"
    )
    near = replace(shown, point=LatentPoint((0.0,), 12))
    assert "no particles nearby" not in caption(near, "latent point")


def test_a_click_shows_a_map_that_was_hidden_by_its_eye(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session, view = opened(tiny_run), widget.latent.view
    names = [str(name) for name in session.latents.index]
    here = names.index(session.focused)
    viewer.layers[LAYER_NAME].visible = False
    session.sigma = 4.0  # of what is hidden
    _idle(widget, qtbot)
    assert not viewer.layers[LAYER_NAME].visible and not viewer.canvas.overlays[CAPTION_NAME].text
    far = np.linalg.norm(view.points - view.points[here], axis=1).argmax()
    view.clicked.emit(Click(int(far), *map(float, view.points[far])))
    _idle(widget, qtbot)
    assert session.focused == names[far]
    assert viewer.layers[LAYER_NAME].visible
    assert viewer.canvas.overlays[CAPTION_NAME].text.startswith(names[far])
    viewer.layers[LAYER_NAME].visible = False
    view.clicked.emit(Click(int(far), *map(float, view.points[far])))
    assert viewer.layers[LAYER_NAME].visible, "of the one that is in focus, too"
    viewer.layers.remove(LAYER_NAME)  # by napari's own bin
    assert not viewer.canvas.overlays[CAPTION_NAME].text, "of a map that is gone nothing is said"
    view.clicked.emit(Click(int(far), *map(float, view.points[far])))
    assert viewer.canvas.overlays[CAPTION_NAME].text.startswith(names[far])
    session.canvas_mode = "tomogram"  # which has the canvas
    session.focused = names[here]
    assert not viewer.layers[LAYER_NAME].visible


def test_a_map_takes_the_colour_of_clusters_that_are_made_anew(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session = opened(tiny_run)
    seen = []
    for mine in ("1", "2"):
        clusters = pd.Series("2" if mine == "1" else "1", session.latents.index)
        clusters[session.focused] = mine
        session.add_columns(clusters.to_frame("cluster"))
        session.color = "cluster"
        _idle(widget, qtbot)
        seen.append(np.asarray(viewer.layers[LAYER_NAME].colormap.colors[-1]).copy())
    assert np.abs(seen[0] - seen[1]).max() > 0.1


def test_what_is_deleted_beside_a_map_takes_its_words_along(
    viewer: Any, widget: Any, opened: Callable[[Path], Any], tiny_run: Path, qtbot: Any
) -> None:
    session, layers = opened(tiny_run), widget.controller.volumes
    decoded = session.decoded
    box = box_angstrom(decoded.volume)
    for name in ("reconstruction a", "reconstruction b"):
        layers.show_companion(name, decoded.mesh, box, "#f0d68a", f"{name}: 24 particles")
    words = lambda: [one for one in layers.labels.layer.features["words"] if one]  # noqa: E731
    assert len(words()) == 3
    viewer.layers.remove("reconstruction a")
    qtbot.waitUntil(lambda: len(words()) == 2)
    assert not any("reconstruction a" in one for one in words())
    viewer.layers.remove(LAYER_NAME)
    viewer.layers.remove("reconstruction b")
    qtbot.waitUntil(lambda: layers.labels.layer is None)


def test_words_on_a_map_that_is_awaited_go_with_the_window(
    viewer: Any, widget: Any, tiny_star: Path
) -> None:
    """They stayed when the dock was closed amid a training, beside "No data open"."""
    from napari_tomodrgn.data.dialects import read_particles

    session, caption = widget.session, lambda: viewer.canvas.overlays[CAPTION_NAME].text
    session.particles = read_particles(tiny_star)
    session.training = TrainingStatus("training")
    assert caption().startswith("The first map appears")
    widget.controller.leave()
    assert not caption()
