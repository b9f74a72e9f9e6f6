"""Small pictures: what is bright, what is where."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tomodrgn.analysis.pictures import first_voxels, shaded_surface, tilt_picture
from napari_tomodrgn.data.volume import Volume


def _ball(z: float, y: float, x: float, radius: float = 6.0) -> Volume:
    axis = np.arange(32.0)
    distance = np.sqrt(
        (axis[:, None, None] - z) ** 2 + (axis[None, :, None] - y) ** 2 + (axis - x) ** 2
    )
    return Volume(np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32), 4.0)


def test_a_ball_is_seen_where_the_canvas_shows_it() -> None:
    """x to the right, y upward; a circle of its size."""
    _, opacity = shaded_surface(_ball(16, 20, 11), 0.5, size_px=64)
    rows, columns = np.nonzero(opacity)
    scale = 64 / 26  # a tenth of the 32 voxels is left out at each face
    assert columns.mean() == pytest.approx((11 - 3 + 0.5) * scale, abs=1.5)
    assert rows.mean() == pytest.approx((26 - (20 - 3 + 0.5)) * scale, abs=1.5)
    assert opacity.astype(bool).sum() == pytest.approx(np.pi * (6 * scale) ** 2, rel=0.12)


def test_the_lamp_is_above_and_to_the_left_in_front() -> None:
    brightness, _ = shaded_surface(_ball(16, 16, 16, radius=9), 0.5, size_px=64)
    middle = 33
    upper_left, lower_right = brightness[middle - 12, middle - 12], brightness[44, 44]
    assert brightness[middle, middle] > 150, "the front is lit"
    assert upper_left > lower_right + 60


def test_what_is_in_front_hides_what_is_behind() -> None:
    """A ball nearer to the viewer (larger z) is lit in front of a plate that fills the box."""
    plate = np.zeros((32, 32, 32), np.float32)
    plate[8:10] = 1.0
    with_ball = Volume(np.maximum(plate, _ball(22, 16, 16).data), 4.0)
    flat, _ = shaded_surface(Volume(plate, 4.0), 0.5)
    seen, _ = shaded_surface(with_ball, 0.5)
    assert np.ptp(flat[20:44, 20:44]) <= 2, "a plate has one normal"
    assert np.ptp(seen[20:44, 20:44]) > 60
    hidden, _ = shaded_surface(with_ball, 2.0)
    assert not hidden.any(), "nothing reaches this level"


def test_the_nearer_of_two_surfaces_is_known() -> None:
    """Balls at z 22 and z 10 on one line of sight: the first stands half the way before."""
    near, far = first_voxels(_ball(22, 16, 16), 0.5, 52), first_voxels(_ball(10, 16, 16), 0.5, 52)
    assert far[26, 26] - near[26, 26] == pytest.approx(24, abs=2)  # 12 voxels of two pixels
    assert near[0, 0] == far[0, 0] == 52, "nothing is there"


def test_a_particle_stands_out_of_a_noisy_image() -> None:
    rng = np.random.default_rng(0)
    axis = np.arange(64.0) - 32
    disc = (axis[:, None] ** 2 + axis**2 < 15**2).astype(np.float32)
    picture = tilt_picture(disc + rng.normal(scale=1.5, size=disc.shape), size_px=64).astype(float)
    assert picture[disc > 0].mean() - picture[disc == 0].mean() > 60
    assert np.ptp(picture) == 255
    assert not tilt_picture(np.zeros((32, 32))).any(), "an empty image is no error"


def test_a_map_is_interpolated_as_scipy_does_it() -> None:
    from scipy.ndimage import zoom

    from napari_tomodrgn.analysis.pictures import _interpolated

    data = np.random.default_rng(0).normal(size=(26, 26, 26)).astype(np.float32)
    for size in (26, 64, 151):
        assert np.allclose(_interpolated(data, size), zoom(data, size / 26, order=1), atol=1e-5)
