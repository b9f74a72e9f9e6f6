"""The platform that all tests of windows stand on: one that draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def test_frames_are_drawn(gl_is_real: str) -> None:
    assert gl_is_real


def test_a_shown_viewer_draws_its_image(
    make_napari_viewer: Callable[..., Any], lit: Callable[..., float]
) -> None:
    viewer = make_napari_viewer(show=True, strict_qt="raise")
    viewer.window.resize(600, 420)
    viewer.add_image(np.ones((16, 16), np.float32), contrast_limits=(0, 1))
    assert lit(viewer.screenshot(flash=False)) > 0.1
