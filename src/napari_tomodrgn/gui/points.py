"""Points in, picture out: the renderers behind the scatter.

The scatter is a plain widget that blits such a picture, because a GL canvas inside a dock loses
its context when the dock floats. `RasterPoints` needs numpy only and is quick up to about a million
points; `VispyPoints` draws in a hidden canvas that is never moved to another window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
ByteArray = NDArray[np.uint8]

# Up to this many points each is a smooth disc with a rim; beyond it, a few plain pixels.
_SMOOTH_LIMIT = 8_000
_VISPY_FROM = 200_000
# Brightness of the rim of a point, which sets touching points apart.
_RIM = 0.45


@dataclass(frozen=True)
class View:
    """The part of the plane that is shown; y grows upward."""

    x_min: float
    x_max: float
    y_min: float
    y_max: float

    def to_pixels(self, xy: FloatArray, width: float, height: float) -> FloatArray:
        """Pixel positions (x to the right, y down) of points, shape (point, 2)."""
        scale = np.array(
            [width / (self.x_max - self.x_min), -height / (self.y_max - self.y_min)], xy.dtype
        )
        return (xy - np.array([self.x_min, self.y_max], xy.dtype)) * scale

    def to_plane(
        self, x_px: float, y_px: float, width: float, height: float
    ) -> tuple[float, float]:
        """The point of the plane under a pixel position."""
        return (
            self.x_min + x_px / width * (self.x_max - self.x_min),
            self.y_max - y_px / height * (self.y_max - self.y_min),
        )

    def zoomed(self, factor: float, around: tuple[float, float]) -> View:
        """The view with both ranges multiplied by ``factor``, ``around`` staying where it is."""
        x, y = around
        return View(
            x + (self.x_min - x) * factor,
            x + (self.x_max - x) * factor,
            y + (self.y_min - y) * factor,
            y + (self.y_max - y) * factor,
        )

    def moved(self, dx: float, dy: float) -> View:
        """The view shifted by ``dx, dy`` in units of the plane."""
        return View(self.x_min + dx, self.x_max + dx, self.y_min + dy, self.y_max + dy)

    @classmethod
    def around(cls, xy: FloatArray, margin: float = 0.06) -> View:
        """The view that shows all finite points with a margin."""
        finite = xy[np.isfinite(xy).all(axis=1)]
        if not len(finite):
            return cls(-1.0, 1.0, -1.0, 1.0)
        low, high = finite.min(axis=0).astype(float), finite.max(axis=0).astype(float)
        # A cloud without extent (an untrained or collapsed latent) still needs a range.
        extent = np.where(high - low > 1e-9 * (1 + np.abs(low)), high - low, 1.0)
        centre = (low + high) / 2
        low, high = centre - extent * (0.5 + margin), centre + extent * (0.5 + margin)
        return cls(float(low[0]), float(high[0]), float(low[1]), float(high[1]))


class PointRenderer(Protocol):
    """Draws points into an image."""

    def set_points(self, xy: FloatArray, colours: ByteArray) -> None:
        """Take positions (point, 2) and colours (point, 3), 0…255; later points lie on top."""

    def render(self, view: View, size: tuple[int, int], pixel_ratio: float) -> ByteArray:
        """Give an RGBA image, premultiplied, of ``size`` (width, height) device pixels."""

    def close(self) -> None:
        """Let go of whatever the renderer holds."""


def radius_px(count: int) -> float:
    """Radius of a point in logical pixels: small sets get large points."""
    return float(np.interp(np.log10(max(count, 1)), [2.0, 3.0, 4.0, 5.0], [5.0, 4.0, 2.6, 1.5]))


class RasterPoints:
    """Discs drawn by indexing into an image: numpy only, the same on every machine."""

    def __init__(self) -> None:
        self.set_points(np.zeros((0, 2)), np.zeros((0, 3), np.uint8))

    def set_points(self, xy: FloatArray, colours: ByteArray) -> None:
        """Take positions and colours."""
        self._xy = np.ascontiguousarray(xy, np.float32)
        opaque = np.full((len(colours), 1), 255, np.uint8)
        self._packed = np.hstack([colours[:, :3], opaque]).view(np.uint32).ravel()
        self._colours = colours[:, :3].astype(np.float32)

    def render(self, view: View, size: tuple[int, int], pixel_ratio: float) -> ByteArray:
        """Give the RGBA image."""
        width, height = size
        radius = radius_px(len(self._xy)) * pixel_ratio
        pixels = view.to_pixels(self._xy, width, height)
        low, high = -radius - 1, np.array([width, height]) + radius
        # NaN compares false, so points without a value are left out here.
        inside = ((pixels > low) & (pixels < high)).all(axis=1)
        if len(self._xy) <= _SMOOTH_LIMIT:
            return self._smooth(pixels[inside], self._colours[inside], size, radius)
        return self._plain(pixels[inside], self._packed[inside], size, radius)

    def close(self) -> None:
        """Nothing is held."""

    @staticmethod
    def _plain(
        pixels: FloatArray, packed: NDArray[np.uint32], size: tuple[int, int], radius: float
    ) -> ByteArray:
        page = _Page(size, radius)
        flat = np.zeros(page.area, np.uint32)
        start = page.cells(pixels)
        for dy, dx in _disc(radius):
            flat[start + (dy * page.width + dx)] = packed
        return page.cropped(flat)

    @staticmethod
    def _smooth(
        pixels: FloatArray, colours: FloatArray, size: tuple[int, int], radius: float
    ) -> ByteArray:
        """Anti-aliased discs with a dark rim, the later point on top wherever two meet."""
        page = _Page(size, radius + 1.0)
        owner = np.full(page.area, -1, np.int32)
        start, number = page.cells(pixels), np.arange(len(pixels), dtype=np.int32)
        for dy, dx in _disc(radius + 1.0):
            target = start + (dy * page.width + dx)
            # Repeated targets keep the last, that is the greatest, number.
            owner[target] = np.maximum(owner[target], number)
        lit = np.flatnonzero(owner >= 0).astype(np.int32)
        points = owner[lit]
        centres = pixels[points] + (page.pad - 0.5)
        away = np.stack([lit % page.width, lit // page.width], axis=1) - centres
        distance = np.hypot(away[:, 0], away[:, 1])
        alpha = np.clip(radius + 0.5 - distance, 0.0, 1.0)
        core = np.clip(radius - 0.7 - distance, 0.0, 1.0)
        shade = (_RIM + (1.0 - _RIM) * core) * alpha
        rgba = np.empty((len(lit), 4), np.uint8)
        rgba[:, :3] = colours[points] * shade[:, None]
        rgba[:, 3] = 255 * alpha
        flat = np.zeros(page.area, np.uint32)
        flat[lit] = rgba.view(np.uint32).ravel()
        return page.cropped(flat)


class _Page:
    """An image with a border as wide as a disc, so that no disc has to be clipped."""

    def __init__(self, size: tuple[int, int], radius: float) -> None:
        self.size = size
        self.pad = 2 * int(np.ceil(radius)) + 2
        self.width = size[0] + 2 * self.pad
        self.area = self.width * (size[1] + 2 * self.pad)

    def cells(self, pixels: FloatArray) -> NDArray[np.int32]:
        """Flat indices of the pixels that the positions fall into."""
        whole = np.floor(pixels).astype(np.int32) + self.pad
        return whole[:, 1] * np.int32(self.width) + whole[:, 0]

    def cropped(self, flat: NDArray[np.uint32]) -> ByteArray:
        """The image without its border, as RGBA bytes."""
        pad, (width, height) = self.pad, self.size
        inner = flat.reshape(-1, self.width)[pad : pad + height, pad : pad + width]
        return np.ascontiguousarray(inner).view(np.uint8).reshape(height, width, 4)


def _disc(radius: float) -> list[tuple[int, int]]:
    reach = int(np.ceil(radius))
    span = range(-reach, reach + 1)
    return [(dy, dx) for dy in span for dx in span if dx * dx + dy * dy <= radius * radius]


class VispyPoints:
    """Markers in a hidden OpenGL canvas, for large sets where there is a real GPU."""

    def __init__(self) -> None:
        from vispy import scene

        self._canvas: Any = scene.SceneCanvas(size=(8, 8), show=False, bgcolor=(0, 0, 0, 0))
        # Makes the context valid although the canvas is never shown.
        self._canvas.native.grabFramebuffer()
        self._size = (8, 8)
        self._box = self._canvas.central_widget.add_view()
        self._box.camera = scene.PanZoomCamera()
        self._markers: Any = scene.visuals.Markers(parent=self._box.scene, antialias=0)
        self.set_points(np.zeros((0, 2)), np.zeros((0, 3), np.uint8))

    def set_points(self, xy: FloatArray, colours: ByteArray) -> None:
        """Take positions and colours."""
        keep = np.isfinite(xy).all(axis=1)
        self._xy = np.ascontiguousarray(xy[keep], np.float32)
        self._colours = colours[keep, :3].astype(np.float32) / 255
        self._radius = radius_px(len(xy))
        self._drawn_size = 0.0

    def render(self, view: View, size: tuple[int, int], pixel_ratio: float) -> ByteArray:
        """Give the RGBA image."""
        self._hand_over(2 * self._radius * pixel_ratio + 1)
        self._resize(size)
        width, height = view.x_max - view.x_min, view.y_max - view.y_min
        self._box.camera.rect = (view.x_min, view.y_min, width, height)
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

    def _hand_over(self, diameter: float) -> None:
        """Give points to OpenGL where they, or their size on this screen, have changed."""
        self._markers.visible = len(self._xy) > 0
        if len(self._xy) and diameter != self._drawn_size:
            self._drawn_size = diameter
            self._markers.set_data(
                pos=self._xy, face_color=self._colours, edge_width=0, size=diameter
            )

    def close(self) -> None:
        """Close the hidden canvas."""
        self._canvas.close()


def choose_renderer(count: int, *, gpu: bool) -> PointRenderer:
    """The renderer for so many points; ``gpu`` says whether OpenGL is drawn by hardware."""
    return VispyPoints() if gpu and count > _VISPY_FROM else RasterPoints()
