"""The volume in a real viewer: lit, at its true size, and not mirrored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_tomodrgn.analysis.tomogram.meshes import contour_level
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.gui.volumes.decoding_service import VolumeStyle
from napari_tomodrgn.gui.volumes.figure import FigureOptions, bar_length, enlarged, take_picture
from napari_tomodrgn.gui.volumes.isosurfaces import make_isosurface
from napari_tomodrgn.gui.volumes.layers import (
    FROM_IMAGES,
    LAYER_NAME,
    ORIENTATION,
    VolumeLayers,
)
from napari_tomodrgn.gui.volumes.map_labels import MapLabels, in_cell, in_lines, right_and_up
from napari_tomodrgn.gui.volumes.volume_view import reconstruction_label
from napari_tomodrgn.session import Decoded, Session, Validation
from napari_tomodrgn.work_status import TrainingStatus


def _balls(*centres_xyz: tuple[float, float, float], radius: float = 3.0) -> Volume:
    """Balls at positions relative to the centre of a box of 32, in voxels."""
    axis = np.arange(32) - 16.0
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    data = np.zeros((32, 32, 32), np.float32)
    for cx, cy, cz in centres_xyz:
        data += np.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / radius**2)
    return Volume(data.astype(np.float32), 10.0)


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(600, 420)
    return viewer


def _hide_overlays(viewer: Any) -> None:
    overlays = viewer.canvas.overlays
    overlays.scale_bar.visible = overlays.text.visible = overlays.axes.visible = False


def _bright(viewer: Any) -> NDArray[np.bool_]:
    _hide_overlays(viewer)
    picture = viewer.screenshot(flash=False)
    return np.asarray(picture[..., :3].max(axis=-1) > 15)


def _centre(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Column to the right and row *upward* from the middle of the picture."""
    rows, columns = np.nonzero(mask)
    return columns.mean() - mask.shape[1] / 2, mask.shape[0] / 2 - rows.mean()


def _show(layers: VolumeLayers, volume: Volume, caption: str = "", color: str | None = None) -> Any:
    box = volume.box_size_px * volume.voxel_size_angstrom
    layers.show_mesh(make_isosurface(volume), box, caption, color)
    return layers.layer


def test_a_volume_is_lit_and_in_angstrom(viewer: Any, lit: Callable[..., float]) -> None:
    layer = _show(VolumeLayers(viewer), _balls((0, 0, 0), radius=8), "TS_01/3")
    assert viewer.layers[LAYER_NAME] is layer
    assert [str(unit) for unit in layer.units] == ["angstrom"] * 3
    assert viewer.canvas.overlays.scale_bar.visible
    assert viewer.canvas.overlays.tomodrgn_caption.text == "TS_01/3"
    picture = viewer.screenshot(flash=False)
    assert 0.05 < lit(picture) < 0.6
    brightness = picture[..., :3].max(axis=-1)
    assert np.percentile(brightness[brightness > 60], 80) > 120, "too dull"


def test_light_falls_from_above_and_in_front(viewer: Any) -> None:
    layer = _show(VolumeLayers(viewer), _balls((0, 0, 0), radius=8))
    _hide_overlays(viewer)
    for angles in (None, (0, 40, 0), (0, 0, 0)):
        viewer.scene.camera.angles = angles or viewer.scene.camera.angles
        brightness = viewer.screenshot(flash=False)[..., :3].max(axis=-1).astype(int)
        middle = brightness.shape[0] // 2
        upper, lower = brightness[:middle], brightness[middle:]
        assert upper[upper > 15].mean() > lower[lower > 15].mean() + 20
        assert brightness[middle, brightness.shape[1] // 2] > 90, "lit from behind"
    assert layer.shading == "smooth"


def test_the_surface_of_a_ball_has_its_radius_in_angstrom() -> None:
    volume = _balls((2, 0, -3), radius=5)
    mesh = make_isosurface(volume)
    assert mesh.level == pytest.approx(contour_level(volume, 3.0))
    expected = 50 * np.sqrt(np.log(1 / mesh.level))
    distances = np.linalg.norm(mesh.vertices - [-30, 0, 20], axis=1)
    np.testing.assert_allclose(distances, expected, rtol=0.02)


def test_surfaces_are_coarse_only_while_a_training_shares_the_cores() -> None:
    volume = _balls((2, 0, -3), radius=5)
    fine, coarse = make_isosurface(volume), make_isosurface(volume, fine=False)
    assert fine.fine and not coarse.fine
    assert len(fine.faces) > 3 * len(coarse.faces)
    distances = [np.linalg.norm(one.vertices - [-30, 0, 20], axis=1) for one in (fine, coarse)]
    assert distances[0].std() < distances[1].std() / 2, "rounder, by smaller triangles"
    session = Session()
    assert VolumeStyle.of(session).fine
    session.training = TrainingStatus("training")
    assert not VolumeStyle.of(session).fine
    seen = Decoded(volume, "TS_1/1", 1, complete=True, mesh=coarse)
    assert VolumeStyle.of(session).is_of(seen)
    session.training = TrainingStatus()
    assert not VolumeStyle.of(session).is_of(seen), "drawn again when the training is over"


def test_x_is_to_the_right_and_y_is_up(viewer: Any) -> None:
    layers = VolumeLayers(viewer)
    _show(layers, _balls((8, 0, 0)))
    right, up = _centre(_bright(viewer))
    assert right > 30
    assert abs(up) < 3
    _show(layers, _balls((0, 8, 0)))
    right, up = _centre(_bright(viewer))
    assert up > 30
    assert abs(right) < 3


def test_z_comes_towards_the_viewer_so_the_hand_is_right(viewer: Any) -> None:
    """Two equal balls, one at +z to the left, one at -z to the right: the near one looks larger."""
    _show(VolumeLayers(viewer), _balls((-8, 0, 10), (8, 0, -10)))
    viewer.scene.camera.perspective = 60
    mask = _bright(viewer)
    middle = mask.shape[1] // 2
    assert mask[:, :middle].sum() > 1.3 * mask[:, middle:].sum() > 0


def test_a_front_ball_hides_the_one_behind(viewer: Any) -> None:
    """The same with colour alone: what is at +z is drawn over what is at -z."""
    front, back = VolumeLayers(viewer), VolumeLayers(viewer)
    _show(back, _balls((0, 0, -8)), color="#ff0000")
    _show(front, _balls((0, 0, 8)), color="#00ff00")
    picture = viewer.screenshot(flash=False)
    rows, columns = picture.shape[0] // 2, picture.shape[1] // 2
    assert picture[rows, columns, 1] > picture[rows, columns, 0]


def test_updates_replace_data_and_never_the_layer(viewer: Any) -> None:
    layers = VolumeLayers(viewer)
    layer = _show(layers, _balls((0, 0, 0)))
    viewer.scene.camera.angles = (10, 20, 30)
    layer.opacity = 0.5
    fine = np.repeat(np.repeat(np.repeat(_balls((0, 0, 0)).data, 2, 0), 2, 1), 2, 2)
    _show(layers, Volume(fine, 5.0))
    assert list(viewer.layers) == [layer]
    assert layer.opacity == 0.5
    assert viewer.scene.camera.angles == pytest.approx((10, 20, 30))


def test_a_removed_layer_is_made_anew(viewer: Any) -> None:
    layers = VolumeLayers(viewer)
    _show(layers, _balls((0, 0, 0)))
    viewer.layers.clear()
    _show(layers, _balls((0, 0, 0)))
    assert LAYER_NAME in viewer.layers


def test_a_map_without_contrast_shows_nothing(viewer: Any, lit: Callable[..., float]) -> None:
    layers = VolumeLayers(viewer)
    _show(layers, _balls((0, 0, 0)))
    _show(layers, Volume(np.zeros((32, 32, 32), np.float32), 10.0))
    assert not _bright(viewer).any()
    _show(layers, _balls((0, 0, 0)))
    assert _bright(viewer).any()


def test_a_map_alone_stands_in_the_middle_and_makes_room_for_the_decoded_one(viewer: Any) -> None:
    """As the quick reconstruction does, before there is a run."""
    from napari_tomodrgn.gui.volumes.layers import VolumeLayers
    from napari_tomodrgn.session import Isosurface

    vertices = np.array([[-5, -5, -5], [5, -5, -5], [0, 5, 5]], np.float32)
    mesh = Isosurface(vertices, np.array([[0, 1, 2]], np.int32), 0.5, 3.0)
    layers = VolumeLayers(viewer)
    layer = layers.show_companion("reconstruction", mesh, 20.0)
    assert tuple(layer.translate) == (0.0, 0.0, 0.0)
    assert tuple(viewer.scene.camera.center) == pytest.approx((0.0, 0.0, 0.0))
    layers.show_mesh(mesh, 20.0, "decoded")
    assert layer.translate[-1] > 10.0  # beside, by most of a box
    assert tuple(layers.layer.translate) == (0.0, 0.0, 0.0)


def test_what_the_user_sets_while_volumes_are_out_of_sight_stays(viewer: Any) -> None:
    layers = VolumeLayers(viewer)
    hidden, shown = (
        layers.show_companion(name, make_isosurface(_balls((0, 0, 0), radius=8)), 320.0)
        for name in ("hidden", "shown")
    )
    decoded = _show(layers, _balls((0, 0, 0), radius=8), "TS_01/3")
    hidden.visible = shown.visible = False
    layers.suspend()
    assert not decoded.visible and not viewer.canvas.overlays.tomodrgn_caption.visible
    shown.visible = True
    layers.restore()
    assert [one.visible for one in (decoded, hidden, shown)] == [True, False, True]
    assert viewer.canvas.overlays.tomodrgn_caption.visible


def test_an_opacity_of_the_user_is_kept_when_maps_are_compared(viewer: Any) -> None:
    layers = VolumeLayers(viewer)
    decoded = _show(layers, _balls((0, 0, 0), radius=8))
    mesh = make_isosurface(_balls((4, 0, 0), radius=4))
    layers.show_difference(mesh, mesh)
    faint = decoded.opacity
    layers.hide_difference()
    assert faint < 0.5 and decoded.opacity == 1.0
    decoded.opacity = 0.7
    layers.show_difference(mesh, mesh)
    layers.hide_difference()
    assert decoded.opacity == 0.7


def test_a_map_that_is_made_anew_is_as_translucent_as_the_one_before(viewer: Any) -> None:
    layers = VolumeLayers(viewer)
    layers.set_layout("overlay")
    layers.show_companion("pin", make_isosurface(_balls((4, 0, 0), radius=8)), 320.0)
    first = _show(layers, _balls((0, 0, 0), radius=8)).opacity
    viewer.layers.remove(LAYER_NAME)
    again = _show(layers, _balls((0, 0, 0), radius=8))
    assert first == again.opacity == 0.5
    layers.remove_companions("pin")
    assert again.opacity == 1.0


def test_each_map_says_whose_it_is(viewer: Any) -> None:
    layers = VolumeLayers(viewer)
    volume = _balls((0, 0, 0))
    _show(layers, volume)
    assert layers.labels.layer is None, "its title says it"
    found = Validation("60S", 71, 43.7, np.ones(1), np.ones(1), volume, make_isosurface(volume))
    label = reconstruction_label(found)
    assert label == "60S: 71 particles\nfrom images, 43.7 Å, 3 σ"
    layers.show_companion("reconstruction 60S", found.mesh, 320.0, None, label)
    viewer.scene.camera.zoom = 3.0  # room for all words
    words = [one.strip() for one in layers.labels.layer.features["words"]]
    assert words == ["decoded", label]
    one = layers.labels.layer
    layers.set_caption("TS/1  ·  from images, 22 particles in effect  ·  24 Å  ·  contour 3 σ")
    layers.set_caption("TS/1  ·  first look  ·  shell filter  ·  low-pass 20 Å  ·  contour 3 σ")
    words = _words_drawn(layers)[0]
    assert words == "TS/1 decoded, first look, shell filter, low-pass 20 Å, contour 3 σ"
    layers.set_caption("TS/1  ·  epoch 8  ·  contour 3 σ\nmagenta: more, green: less")
    words = list(layers.labels.layer.features["words"])
    assert [said.strip() for said in words] == ["TS/1\ndecoded, epoch 8, contour 3 σ", label]
    assert layers.labels.layer is one, "where a layer goes napari collects garbage for 0.3 s"
    assert list(one.text.values) == words, "what is drawn"
    places = layers.labels.layer.data
    assert places[1, 2] - places[0, 2] == pytest.approx(0.8 * 320)
    layers.remove_companions("reconstruction 60S")
    assert layers.labels.layer is None


def test_a_picture_is_the_screen_enlarged(viewer: Any) -> None:
    layers = VolumeLayers(viewer)
    _show(layers, _balls((-6, 0, 0), (6, 0, 0)))
    _hide_overlays(viewer)
    screen = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(float)
    before = viewer.scene.camera.zoom
    with enlarged(viewer, 2.0):
        large = viewer.screenshot(canvas_only=True, flash=False, scale=2.0)[..., :3].astype(float)
    assert viewer.scene.camera.zoom == before
    height, width = screen.shape[:2]
    assert large.shape[:2] == (2 * height, 2 * width)
    small = large.reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
    lit = screen.max(axis=-1) > 15
    assert abs((small.max(axis=-1) > 15).mean() - lit.mean()) < 0.05 * lit.mean()
    assert np.abs(small - screen)[lit].mean() < 12


def _words_drawn(layers: VolumeLayers) -> list[str]:
    """Without the breaks that a small canvas asks for."""
    return [" ".join(word.split()) for word in layers.labels.layer.features["words"] if word]


def _caption(viewer: Any) -> list[str]:
    overlay = viewer.canvas.overlays.tomodrgn_caption
    return list(overlay.text.splitlines()) if overlay.visible else []


def test_what_is_hidden_by_its_eye_is_not_named(viewer: Any) -> None:
    layers, mesh = VolumeLayers(viewer), make_isosurface(_balls((0, 0, 0), radius=8))
    decoded = _show(layers, _balls((0, 0, 0), radius=8), "TS_01/3")
    quick = layers.show_companion("reconstruction quick", mesh, 320.0, None, "quick: 240")
    layers.show_companion("pinned TS_01/4", mesh, 320.0, None, "TS_01/4 (pinned)")
    words = layers.labels.layer
    quick.visible = False
    assert _words_drawn(layers) == ["TS_01/3", "TS_01/4 (pinned)"]
    assert _caption(viewer) == ["TS_01/3"]
    decoded.visible = False
    assert _words_drawn(layers) == ["TS_01/4 (pinned)"] and _caption(viewer) == []
    layers.set_caption("TS_01/5")
    assert _caption(viewer) == [], "of a map that is still hidden"
    layers.suspend()
    layers.restore()
    assert _words_drawn(layers) == ["TS_01/4 (pinned)"] and _caption(viewer) == []
    decoded.visible = quick.visible = True
    assert len(_words_drawn(layers)) == 3 and _caption(viewer) == ["TS_01/5"]
    layers.show_map(_balls((0, 0, 0), radius=8), projected=True)
    assert _caption(viewer) == ["TS_01/5"], "the projection stands for the surface"
    assert layers.labels.layer is words, "the layer of words stays"


def test_maps_over_each_other_have_a_legend_and_reconstructions_stand_aside(viewer: Any) -> None:
    layers, mesh = VolumeLayers(viewer), make_isosurface(_balls((0, 0, 0), radius=8))
    _show(layers, _balls((0, 0, 0), radius=8), "TS_01/3  ·  epoch 8  ·  contour 3 σ")
    quick = layers.show_companion("reconstruction quick", mesh, 320.0, None, "quick: 240")
    pins = [
        layers.show_companion(f"pinned {name}", mesh, 320.0, color, f"{name} (pinned)\ndecoded")
        for name, color in (("TS_01/4", "#e69f00"), ("TS_01/5", "#00a878"))
    ]
    layers.set_layout("overlay")
    assert {tuple(one.translate) for one in pins} == {(0.0, 0.0, 0.0)}
    assert tuple(quick.translate) != (0.0, 0.0, 0.0), "nobody pinned it"
    assert _words_drawn(layers) == ["quick: 240"]
    assert _caption(viewer)[-3:] == [
        "pale blue: TS_01/3 (in focus)",
        "orange: TS_01/4 (pinned)",
        "green: TS_01/5 (pinned)",
    ]
    pins[1].colormap = pins[0].colormap  # as where a number colours maps, and both are high
    layers.write_caption()
    assert "orange: TS_01/4 (pinned), TS_01/5 (pinned)" in " ".join(_caption(viewer))
    pins[0].visible = False
    assert not any("TS_01/4" in line for line in _caption(viewer))
    layers.remove_companions("pinned TS_01/4", "pinned TS_01/5")
    assert "pale blue" not in " ".join(_caption(viewer)) and len(_words_drawn(layers)) == 2


@pytest.mark.parametrize("visible", [True, False])
def test_words_become_fewer_and_more(viewer: Any, visible: bool) -> None:
    """As a training starts: the canvas may show something else then, and the layer be hidden."""
    labels, places = MapLabels(viewer), np.array([[0.0, 0, 0], [0, 0, 400], [0, 400, 0]])
    labels.show(["a map", "another"], places[:2])
    layer = labels.layer
    layer.visible = visible
    for words in (["one alone"], ["three", "of", "them"], ["two", "again"], ["one alone"]):
        labels.show(words, places[: len(words)])
        assert labels.layer is layer
        assert [word.strip() for word in layer.features["words"] if word] == words
    layer.visible = True
    assert [word.strip() for word in layer._view_text if word] == ["one alone"]


def test_words_of_neighbours_do_not_run_into_each_other(viewer: Any) -> None:
    labels = MapLabels(viewer)
    words = ["A: left side, 119 particles\nfrom images, 24.3 Å, 3 σ"] * 2
    viewer.scene.camera.zoom = 1.0
    labels.show(words, np.array([[0.0, 0, 0], [0, 0, 400]]))
    assert labels.layer.text.size == 9
    viewer.scene.camera.zoom = 0.5  # 200 pixels for 27 letters
    assert 5 <= labels.layer.text.size < 9
    viewer.scene.camera.zoom = 2.0
    assert labels.layer.text.size == 9


def test_words_are_broken_to_the_width_of_their_cell(viewer: Any) -> None:
    """Where even the smallest letters are too wide; a picture has the lines of the screen."""
    labels = MapLabels(viewer)
    words = ["TS_01/3 (pinned)\ndecoded, epoch 8, shell filter, contour 3 σ", "quick: 240"]
    labels.show(words, np.array([[0.0, 0, 0], [0, 0, 400]]))
    viewer.scene.camera.zoom = 0.3  # 120 pixels
    written = list(labels.layer.features["words"])
    letter_px = 9.5 * labels.layer.text.size / 9
    assert max(map(len, written[0].splitlines())) * letter_px < 120
    assert [" ".join(one.split()) for one in written] == [" ".join(one.split()) for one in words]
    with enlarged(viewer, 3.0):
        assert list(labels.layer.features["words"]) == written
    assert list(labels.layer.features["words"]) == written
    viewer.scene.camera.zoom = 2.0
    assert [one.strip() for one in labels.layer.features["words"]] == words


def _screen_places(viewer: Any, places_zyx: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far to the right and up places are on the canvas, in pixels from where the world is 0."""
    return viewer.scene.camera.zoom * np.stack(
        [places_zyx @ hand for hand in right_and_up(viewer.scene.camera)], axis=1
    )


@pytest.mark.parametrize("angles", [(0, 0, 0), (20, 50, 10), (0, 10, 80), (0, 89, 0)])
def test_labels_stay_beneath_their_maps_and_off_each_other(viewer: Any, angles: Any) -> None:
    """However maps are turned, one before the other too: every word is there to be read."""
    labels, maps = MapLabels(viewer), np.array([[0.0, 0, 0], [0, 0, 300]])
    words = ["A: cluster 1, 1,250 particles\nfrom images, 24.3 Å, 3 σ"] * 2
    viewer.add_points(np.array([[-200.0] * 3, [200.0] * 3]), visible=False)  # napari fits to a box
    viewer.dims.ndisplay = 3
    viewer.scene.camera.orientation, viewer.scene.camera.zoom = ORIENTATION, 1.0
    labels.show(words, maps, 150.0)
    viewer.scene.camera.angles = angles
    layer = labels.layer
    below = _screen_places(viewer, maps) - _screen_places(viewer, np.asarray(layer.data))
    np.testing.assert_allclose(below, [[0, 150]] * 2, atol=1e-3)
    written, size = list(layer.features["words"]), layer.text.size
    assert [" ".join(one.split()) for one in written] == [" ".join(one.split()) for one in words]
    blocks = []
    for (x, y), one in zip(_screen_places(viewer, np.asarray(layer.data)), written, strict=True):
        lines = one.splitlines()
        wide, high = 9.5 * size / 9 * max(map(len, lines)), 1.95 * size * len(lines)
        top = y + high / 2 - 1.95 * size * (len(lines) - len(one.strip().splitlines()))
        blocks.append((x - wide / 2, x + wide / 2, y - high / 2, top))
        assert top <= y + 0.1, "nothing is written above, on the map"
    (left, right, low, high), (left2, right2, low2, high2) = blocks
    assert right <= left2 or right2 <= left or high <= low2 + 0.1 or high2 <= low + 0.1


def test_labels_break_between_what_belongs_together() -> None:
    words = "A: cluster 1, 1,250 particles, epoch 20 at 4 standard errors, 24.3 Å, 3 σ"
    for letters in range(16, 40):
        lines = in_cell(words, letters).splitlines()
        assert " ".join(lines) == words
        for kept in ("cluster 1,", "1,250 particles,", "epoch 20", "4 standard", "24.3 Å,", "3 σ"):
            assert any(kept in line for line in lines), (letters, kept)


def test_a_caption_stays_in_the_canvas_and_a_number_keeps_its_unit() -> None:
    words = "latent point, interpolated: no particles nearby  ·  epoch 20  ·  contour 3 σ"
    assert in_lines(words, 9.5 * 100) == words
    broken = in_lines(words, 9.5 * 60).splitlines()
    assert broken == ["latent point, interpolated: no particles nearby  ·  epoch 20", "contour 3 σ"]
    colors = "magenta: more, green: less"
    assert in_lines(f"{words}\n{colors}", 9.5 * 60).splitlines() == [*broken, colors]
    narrow = in_lines("mostly in a blob of 132 Å at the rim, by 105.8 σ of it", 0).splitlines()
    assert all(len(line) <= 30 for line in narrow)
    assert not any(line.startswith(("Å", "σ")) for line in narrow)
    place = in_lines("mostly in a blob of 114 Å at (-3, -30, -57) Å from the middle", 9.5 * 34)
    assert "(-3, -30, -57) Å" in place, "coordinates stay in one line"


def test_the_scale_bar_is_in_angstrom_however_far_one_is(viewer: Any) -> None:
    layers = VolumeLayers(viewer)
    _show(layers, _balls((0, 0, 0)))
    bar, camera = viewer.canvas.overlays.scale_bar, viewer.scene.camera
    viewer.canvas.overlays.axes.visible = viewer.canvas.overlays.tomodrgn_caption.visible = False
    viewer.layers[LAYER_NAME].visible = False

    def drawn_px() -> int:
        lit = viewer.screenshot(canvas_only=True, flash=False)[..., :3].min(axis=-1) > 100
        return int(np.ptp(np.flatnonzero(lit.any(axis=0))))

    camera.zoom = 1.0
    near = drawn_px()
    camera.zoom = 0.1  # 150 pixels are 1,500 Å: napari alone writes 1.25 kÅ
    assert bar.length == 750.0
    take_picture(viewer, FigureOptions(2 * viewer.canvas.size[1]))
    assert bar.length == 750.0 and camera.zoom == 0.1
    assert drawn_px() == pytest.approx(75, abs=4)
    camera.zoom = 1.0
    assert bar.length is None and drawn_px() == near, "drawn anew"
    bar.length = 40.0  # the user's own
    camera.zoom = 0.05
    assert bar.length == 40.0


def test_a_picture_leaves_the_axes_as_they_were(viewer: Any) -> None:
    layers = VolumeLayers(viewer)
    _show(layers, _balls((0, 0, 0)))
    viewer.canvas.overlays.scale_bar.visible = False
    viewer.layers[LAYER_NAME].visible = False
    before = viewer.screenshot(canvas_only=True, flash=False)
    large = take_picture(viewer, FigureOptions(2 * viewer.canvas.size[1]))
    after = viewer.screenshot(canvas_only=True, flash=False)

    def extent(picture: Any) -> Any:
        # Saturated ink: arrows and letters, no grey.
        ink = np.ptp(picture[..., :3].astype(int), axis=-1) > 120
        return np.ptp(np.argwhere(ink), axis=0)

    np.testing.assert_allclose(extent(after), extent(before), atol=1)
    assert (extent(large) > 1.6 * extent(before)).all(), "as large in the picture"


@pytest.mark.parametrize("ground", ["screen", "white", "transparent"])
def test_a_figure_has_the_size_and_ground_that_were_asked_for(viewer: Any, ground: Any) -> None:
    layers = VolumeLayers(viewer)
    _show(layers, _balls((-6, 0, 0), (6, 0, 0)))
    height, width = viewer.canvas.size
    overlays = viewer.canvas.overlays
    before = (viewer.canvas.background_color_override, overlays.scale_bar.visible)
    bare = {"scale_bar": False, "labels": False, "axes": False}
    picture = take_picture(viewer, FigureOptions(width_px=2 * width, background=ground, **bare))
    assert picture.shape == (2 * height, 2 * width, 4)
    assert (viewer.canvas.background_color_override, overlays.scale_bar.visible) == before
    corner, middle = picture[5, 5], picture[height, :, :]
    expected = {"screen": [0, 0, 0, 255], "white": [255, 255, 255, 255], "transparent": [0] * 4}
    assert corner.tolist() == expected[ground]
    lit = (middle[:, 2] > 60) & (middle[:, 3] > 250) & (middle[:, 0] < 240)
    assert 0.02 < lit.mean() < 0.7  # the balls, opaque on any ground
    # Only the scale bar, in ink that is read on it.
    barred = take_picture(viewer, FigureOptions(2 * width, 300, ground, labels=False, axes=False))
    drawn = (barred != picture).any(axis=-1)
    place = np.argwhere(drawn).mean(axis=0) / drawn.shape
    assert drawn.any() and (place > 0.6).all()
    # As long in Å as on the screen, so twice as long in pixels.
    columns = np.flatnonzero(drawn.any(axis=0))
    zoom = viewer.scene.camera.zoom
    assert columns[-1] - columns[0] == pytest.approx(2 * zoom * bar_length(zoom), abs=8)
    dark = barred[drawn][:, :3].max(axis=1) < 60
    assert dark.mean() > 0.3 if ground != "screen" else dark.mean() < 0.5


def test_the_dialog_says_the_size_in_pixels(qtbot: Any) -> None:
    from napari_tomodrgn.gui.volumes.figure_dialog import FigureDialog

    dialog = FigureDialog((500, 1000))
    qtbot.addWidget(dialog)
    assert dialog.options.width_px == round(180 / 25.4 * 300) == 2126
    assert (dialog.width_px.text(), dialog.size_words.text()) == ("2126 px", "× 1,063 px")
    dialog.dpi.setValue(1200)
    save = dialog.buttons.button(dialog.buttons.StandardButton.Save)
    assert not save.isEnabled() and "8,192" in save.toolTip()
    dialog.width_mm.setValue(85)
    dialog.background.setCurrentIndex(dialog.background.findData("white"))
    dialog.labels.setChecked(False)
    assert save.isEnabled()
    assert dialog.options == FigureOptions(4016, 1200, "white", labels=False)
    dialog.width_px.setValue(1600)  # typed: kept to the pixel, the width on paper follows
    assert (dialog.width_mm.value(), dialog.size_words.text()) == (34, "× 800 px")
    assert dialog.options.width_px == 1600


def test_colours_of_differences_and_focus_are_no_groups() -> None:
    from napari_tomodrgn.gui.charts.colormaps import rgb
    from napari_tomodrgn.gui.charts.painting import ChartColors
    from napari_tomodrgn.gui.volumes.layers import _DIFFERENCES
    from napari_tomodrgn.palette import CATEGORIES

    groups = np.array([rgb(color) for color in CATEGORIES], float)
    for color in (*_DIFFERENCES.values(), ChartColors().accent):
        assert np.linalg.norm(groups - np.array(rgb(color)), axis=1).min() > 60, color


def _flat_canvas(viewer: Any) -> list[str]:
    """Names of what is seen after napari's button for two dimensions."""
    viewer.dims.ndisplay = 2
    return [layer.name for layer in viewer.layers if layer.visible]


def test_in_two_dimensions_the_map_is_seen_in_slices(
    viewer: Any, lit: Callable[..., float]
) -> None:
    """Of a closed surface napari draws nothing there: the canvas was dark without a word."""
    layers, volume = VolumeLayers(viewer), _balls((0, 0, 0), (8, 0, 0), radius=4)
    surface = _show(layers, volume, "TS_01/3  ·  epoch 8  ·  contour 3 σ")
    layers.show_map(volume, projected=False)
    viewer.scene.camera.center = (70.0, 0.0, 0.0)  # moved while it is looked at from the side
    assert _flat_canvas(viewer) == ["decoded, slice"]
    voxel = volume.voxel_size_angstrom
    image = viewer.layers["decoded, slice"]
    assert tuple(image.scale) == (voxel,) * 3
    half = volume.box_size_px // 2
    assert viewer.dims.point[0] == 0.0
    np.testing.assert_array_equal(np.asarray(image._slice.image.raw), volume.data[half])
    layers.image.step_by_voxel()  # as soon as napari has told of two dimensions
    assert viewer.dims.range[0].step == voxel and viewer.dims.point[0] == 0.0, (
        "the slider goes from slice to slice"
    )
    assert lit(viewer.screenshot(flash=False)) > 0.01
    assert "contour" not in " ".join(_caption(viewer))
    assert "slice of the map" in " ".join(_caption(viewer))
    viewer.dims.set_point(0, 8 * voxel)
    other = _balls((8, 8, 8), radius=3)
    _show(layers, other, "TS_01/4  ·  epoch 8  ·  contour 3 σ")
    layers.show_map(other, projected=False)
    assert image in viewer.layers and viewer.dims.point[0] == 8 * voxel, "the slice stays"
    np.testing.assert_array_equal(np.asarray(image._slice.image.raw), other.data[half + 8])
    coarse = Volume(other.data[::2, ::2, ::2].copy(), 20.0)  # as a preview comes first
    layers.show_map(coarse, projected=False)
    assert tuple(image.scale) == (20.0,) * 3 and tuple(image.translate) == (-160.0,) * 3
    viewer.dims.ndisplay = 3
    assert list(viewer.layers) == [surface] and surface.visible
    assert viewer.scene.camera.center[0] == 0.0, "it turns about its own middle"
    assert "contour 3 σ" in " ".join(_caption(viewer))


def test_what_is_hidden_stays_hidden_in_two_dimensions(viewer: Any) -> None:
    layers, volume = VolumeLayers(viewer), _balls((0, 0, 0), radius=8)
    surface = _show(layers, volume, "TS_01/3")
    layers.show_map(volume, projected=False)
    surface.visible = False
    assert _flat_canvas(viewer) == []
    surface.visible = True
    assert _flat_canvas(viewer) == ["decoded, slice"], "one map, not two"
    layers.suspend()
    viewer.dims.ndisplay = 3
    assert not any(layer.visible for layer in viewer.layers), "something else has the canvas"
    layers.restore()
    assert list(viewer.layers) == [surface] and surface.visible
    layers.suspend()
    assert _flat_canvas(viewer) == []
    layers.restore()
    assert _flat_canvas(viewer) == ["decoded, slice"]
    layers.show_companion("pinned TS_01/4", make_isosurface(volume), 320.0, None, "TS_01/4")
    assert "maps beside it are seen in 3-D" in " ".join(_caption(viewer))
    assert _words_drawn(layers) == [], "nothing is there to be named"
    layers.clear()
    assert "decoded, slice" not in viewer.layers and "pinned TS_01/4" in viewer.layers


def test_a_projection_is_seen_in_slices_and_comes_back(viewer: Any) -> None:
    layers, volume = VolumeLayers(viewer), _balls((0, 0, 0), radius=8)
    surface = _show(layers, volume, "TS_01/3")
    layers.show_map(volume, projected=True)
    assert viewer.layers[-1].name == "decoded, projection" and not surface.visible
    assert _flat_canvas(viewer) == ["decoded, slice"]
    viewer.dims.ndisplay = 3
    assert [layer.name for layer in viewer.layers if layer.visible] == ["decoded, projection"]
    viewer.dims.ndisplay = 2
    layers.show_map(volume, projected=False)
    viewer.dims.ndisplay = 3
    assert list(viewer.layers) == [surface] and surface.visible


def test_layers_are_named_after_what_the_map_is_made_of(viewer: Any) -> None:
    layers, volume = VolumeLayers(viewer), _balls((0, 0, 0), radius=8)
    mesh = make_isosurface(volume)
    layers.show_mesh(mesh, 320.0, "TS_01/3", source=FROM_IMAGES)
    layers.show_map(volume, projected=False)
    assert layers.layer.name == "from images"
    layers.layer.name = "mine"
    layers.show_mesh(mesh, 320.0, "TS_01/4", source=FROM_IMAGES)
    assert layers.layer.name == "mine", "the user's own name stays while it is true"
    assert _flat_canvas(viewer) == ["from images, slice"]
    layers.show_mesh(mesh, 320.0, "TS_01/4")
    layers.show_map(volume, projected=False)
    assert [layer.name for layer in viewer.layers] == ["decoded", "decoded, slice"]
    layers.clear()
    layers.show_mesh(mesh, 320.0, "TS_01/4", source=FROM_IMAGES)
    assert [layer.name for layer in viewer.layers] == ["from images"]
