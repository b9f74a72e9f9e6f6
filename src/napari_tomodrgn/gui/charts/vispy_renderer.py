"""Markers in a hidden OpenGL canvas, for large sets where there is a real GPU.

The canvas is never shown and never moved: one inside a dock loses its context when the dock floats.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

import numpy as np

from napari_tomodrgn.gui.charts.density_renderer import DensityPoints
from napari_tomodrgn.gui.charts.point_cloud import (
    ByteArray,
    PointCloud,
    PointRenderer,
    RasterPoints,
    View,
    radius_px,
)

_log = logging.getLogger(__name__)

# From this many points on a GPU is worth the copy of its picture, and density says more than discs.
MANY = 200_000
# Drivers that draw on the CPU, where numpy is quicker.
_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software", "basic render", "svga3d")


class VispyPoints:
    """Draws with OpenGL into an image."""

    def __init__(self) -> None:
        from vispy import scene

        self._canvas: Any = scene.SceneCanvas(size=(8, 8), show=False, bgcolor=(0, 0, 0, 0))
        # Makes the context valid although the canvas is never shown.
        self._canvas.native.grabFramebuffer()
        self._size = (8, 8)
        self._box = self._canvas.central_widget.add_view()
        self._box.camera = scene.PanZoomCamera()
        self._markers: Any = scene.visuals.Markers(parent=self._box.scene, antialias=0)
        self.set_points(PointCloud.of(np.zeros((0, 2))), np.zeros((0, 3), np.uint8))

    @property
    def driver(self) -> str:
        """What draws, as OpenGL names it."""
        from vispy.gloo import gl

        self._canvas.set_current()
        return str(gl.glGetParameter(gl.GL_RENDERER) or "")

    def set_points(self, cloud: PointCloud, colors: ByteArray) -> None:
        """Take positions and colours."""
        keep = np.isfinite(cloud.x) & np.isfinite(cloud.y)
        self._cloud = cloud
        self._xy = np.stack([cloud.x[keep], cloud.y[keep]], axis=1)
        self._colors = colors[keep, :3].astype(np.float32) / 255
        self._radius = radius_px(len(cloud))
        self._drawn_size = 0.0

    def render(self, view: View, size: tuple[int, int], pixel_ratio: float) -> ByteArray:
        """Give the RGBA image."""
        self._upload(2 * self._radius * pixel_ratio + 1)
        self._resize(size)
        (x, y), (wide, high) = self._cloud.middle, self._cloud.extent
        self._box.camera.rect = (
            (view.x_min - x) / wide,
            (view.y_min - y) / high,
            (view.x_max - view.x_min) / wide,
            (view.y_max - view.y_min) / high,
        )
        image = np.asarray(self._canvas.render(size=size, alpha=True), np.uint8)
        return np.ascontiguousarray(image)

    def _resize(self, size: tuple[int, int]) -> None:
        if size != self._size:
            self._size = size
            self._canvas.size = size
            # A hidden widget gets no resize event of its own; without the size in pixels vispy
            # would go on drawing into the few that it began with.
            self._canvas.native._vispy_set_physical_size(*size)
            self._canvas.events.resize(size=size, physical_size=size)

    def _upload(self, diameter: float) -> None:
        """Give points to OpenGL where they, or their size on this screen, have changed."""
        self._markers.visible = len(self._xy) > 0
        if len(self._xy) and diameter != self._drawn_size:
            self._drawn_size = diameter
            self._markers.set_data(
                pos=self._xy, face_color=self._colors, edge_width=0, size=diameter
            )

    def close(self) -> None:
        """Close the hidden canvas."""
        self._canvas.close()


def is_hardware(driver: str) -> bool:
    """Whether OpenGL's name of what draws is that of a GPU."""
    return bool(driver) and not any(name in driver.lower() for name in _SOFTWARE)


def make_renderer(count: int, *, density: bool) -> PointRenderer:
    """The renderer for so many points: counted, on the GPU where there is one, or by numpy."""
    if density:
        return DensityPoints()
    return VispyPoints() if count > MANY and _has_gpu() else RasterPoints()


@lru_cache(maxsize=1)
def _has_gpu() -> bool:
    """Whether a GPU draws, asked once: a hidden canvas takes a tenth of a second."""
    try:
        renderer = VispyPoints()
        renderer.close()
    except Exception:  # noqa: BLE001 a broken driver must not cost the scatter
        _log.debug("OpenGL cannot draw the scatter", exc_info=True)
        return False
    return is_hardware(renderer.driver)
