"""The volume in a real viewer: lit, at its true size, and not mirrored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.gui.layers import LAYER_NAME, VolumeLayers, contour_level


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


def _bright(viewer: Any) -> NDArray[np.bool_]:
    viewer.canvas.overlays.scale_bar.visible = False
    viewer.canvas.overlays.text.visible = False
    picture = viewer.screenshot(flash=False)
    return np.asarray(picture[..., :3].max(axis=-1) > 60)


def _centre(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Column to the right and row *upward* from the middle of the picture."""
    rows, columns = np.nonzero(mask)
    return columns.mean() - mask.shape[1] / 2, mask.shape[0] / 2 - rows.mean()


def test_a_volume_is_lit_and_in_angstrom(viewer: Any, lit: Callable[..., float]) -> None:
    VolumeLayers(viewer).show_volume(_balls((0, 0, 0), radius=6), "TS_01/3")
    layer = viewer.layers[LAYER_NAME]
    assert layer.rendering == "iso"
    assert tuple(layer.scale) == (10.0, 10.0, 10.0)
    assert [str(unit) for unit in layer.units] == ["angstrom"] * 3
    np.testing.assert_allclose(layer.data_to_world((16, 16, 16)), 0.0)
    assert viewer.canvas.overlays.scale_bar.visible
    assert viewer.canvas.overlays.text.text == "TS_01/3"
    assert 0.02 < lit(viewer.screenshot(flash=False)) < 0.6
    picture = viewer.screenshot(flash=False)[..., :3].astype(int)
    assert np.percentile(picture.max(axis=-1)[picture.max(axis=-1) > 60], 80) > 120, "too dull"


def test_x_is_to_the_right_and_y_is_up(viewer: Any) -> None:
    layers = VolumeLayers(viewer)
    layers.show_volume(_balls((8, 0, 0)))
    layers.layer.rendering = "mip"  # a seventh of the time in software
    right, up = _centre(_bright(viewer))
    assert right > 30
    assert abs(up) < 3
    layers.show_volume(_balls((0, 8, 0)))
    right, up = _centre(_bright(viewer))
    assert up > 30
    assert abs(right) < 3


def test_z_comes_towards_the_viewer_so_the_hand_is_right(viewer: Any) -> None:
    """Two equal balls, one at +z to the left, one at -z to the right: the near one looks larger."""
    layers = VolumeLayers(viewer)
    layers.show_volume(_balls((-8, 0, 10), (8, 0, -10)))
    layers.layer.rendering = "mip"
    viewer.scene.camera.perspective = 60
    mask = _bright(viewer)
    middle = mask.shape[1] // 2
    assert mask[:, :middle].sum() > 1.3 * mask[:, middle:].sum() > 0


def test_updates_replace_data_and_never_the_layer(viewer: Any) -> None:
    layers = VolumeLayers(viewer)
    layers.show_volume(_balls((0, 0, 0)))
    layer = viewer.layers[LAYER_NAME]
    viewer.scene.camera.angles = (10, 20, 30)
    layer.opacity = 0.5
    large = Volume(np.repeat(np.repeat(np.repeat(_balls((0, 0, 0)).data, 2, 0), 2, 1), 2, 2), 5.0)
    layers.show_volume(large)
    assert list(viewer.layers) == [layer]
    assert layer.opacity == 0.5
    assert viewer.scene.camera.angles == pytest.approx((10, 20, 30))
    np.testing.assert_allclose(layer.data_to_world((32, 32, 32)), 0.0)
    assert layer.extent.world[1, 0] - layer.extent.world[0, 0] == pytest.approx(315)


def test_a_removed_layer_is_made_anew(viewer: Any) -> None:
    layers = VolumeLayers(viewer)
    layers.show_volume(_balls((0, 0, 0)))
    viewer.layers.clear()
    layers.show_volume(_balls((0, 0, 0)))
    assert LAYER_NAME in viewer.layers


def test_contrast_follows_the_rendering(viewer: Any) -> None:
    volume = _balls((0, 0, 0))
    layers = VolumeLayers(viewer)
    layers.show_volume(volume)
    layer = viewer.layers[LAYER_NAME]
    assert layer.contrast_limits[1] == pytest.approx(layer.iso_threshold)
    layer.rendering = "mip"
    assert layer.contrast_limits[1] == pytest.approx(float(volume.data.max()))


def test_contour_level() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(16, 16, 16)).astype(np.float32)
    data[4:8, 4:8, 4:8] += 30
    assert contour_level(Volume(data, 1.0)) == pytest.approx(3 * data.std(), rel=1e-5)
    assert contour_level(Volume(data, 1.0), 50.0) < data.max(), "something must stay in sight"
    assert contour_level(Volume(np.zeros((4, 4, 4), np.float32), 1.0)) > 0
