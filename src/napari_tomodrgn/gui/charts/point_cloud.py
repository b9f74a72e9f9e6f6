"""Points in, picture out: the renderers behind the scatter.

The scatter is a plain widget that blits such a picture, because a GL canvas inside a dock loses
its context when the dock floats. `RasterPoints` needs numpy only and draws a million points in some
tens of milliseconds; `density_renderer.DensityPoints` counts them instead;
`vispy_renderer.VispyPoints` draws in a hidden canvas that is never moved to another window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
ByteArray = NDArray[np.uint8]

# Up to this many points each is a smooth disc with a rim; beyond it, a few plain pixels.
_SMOOTH_LIMIT = 8_000
# Points that are asked for the extent of a cloud.
_SAMPLE = 10_000
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
    def around(cls, xy: FloatArray, margin: float = 0.06, least: float = 0.0) -> View:
        """The view that shows all finite points with a margin.

        Neither range is less than a share ``least`` of the other.
        """
        finite = np.isfinite(xy[:, 0]) & np.isfinite(xy[:, 1])
        if not finite.any():
            return cls(-1.0, 1.0, -1.0, 1.0)
        # Column by column: along the short axis numpy is ten times slower.
        columns = [values if finite.all() else values[finite] for values in xy.T]
        low = np.array([values.min() for values in columns], float)
        high = np.array([values.max() for values in columns], float)
        # A cloud without extent (an untrained or collapsed latent) still needs a range.
        extent = np.where(high - low > 1e-9 * (1 + np.abs(low)), high - low, 1.0)
        extent = np.maximum(extent, least * extent.max())
        centre = (low + high) / 2
        low, high = centre - extent * (0.5 + margin), centre + extent * (0.5 + margin)
        return cls(float(low[0]), float(high[0]), float(low[1]), float(high[1]))


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Positions as they are drawn and picked: float32, near 0, infinite where there is none.

    A coordinate of 60,000 Å has too few digits left in float32 to zoom into; measured from the
    middle of the cloud in units of its extent it has them.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    middle: tuple[float, float]
    extent: tuple[float, float]

    @classmethod
    def of(cls, xy: FloatArray) -> PointCloud:
        """The cloud of positions (point, 2)."""
        columns, middle, extent = [], [], []
        for values in (xy[:, 0], xy[:, 1]):
            finite = np.isfinite(values)
            some = values[finite][:: max(1, len(values) // _SAMPLE)]
            # Percentiles: a single value of 1e30 must not take the digits of all others.
            low, high = np.percentile(some, [10, 90]) if len(some) else (0.0, 0.0)
            if high <= low and len(some):
                low, high = float(some.min()), float(some.max())
            middle.append(float(low + high) / 2)
            extent.append(float(high - low) or 1.0)
            with np.errstate(over="ignore"):
                scaled = ((values - middle[-1]) / extent[-1]).astype(np.float32)
            scaled[~finite] = np.inf
            columns.append(scaled)
        return cls(columns[0], columns[1], (middle[0], middle[1]), (extent[0], extent[1]))

    def __len__(self) -> int:
        return len(self.x)

    def taken(self, order: NDArray[np.integer]) -> PointCloud:
        """The same points in another order, or some of them; ``order`` is ``(point,)``."""
        return replace(self, x=self.x[order], y=self.y[order])

    def transform(self, view: View, width: float, height: float) -> tuple[float, ...]:
        """Numbers ``a, b, c, d``: a point is ``a x + b`` from the left, ``c y + d`` from above."""
        per_x = width / (view.x_max - view.x_min)
        per_y = height / (view.y_max - view.y_min)
        return (
            per_x * self.extent[0],
            per_x * (self.middle[0] - view.x_min),
            -per_y * self.extent[1],
            per_y * (view.y_max - self.middle[1]),
        )

    def cells(self, transform: tuple[float, ...], size: tuple[int, int]) -> NDArray[np.intp]:
        """Flat indices into an image of ``size`` (width, height), its outermost ring for the rest.

        Points outside, and those without a position, fall into the ring, so that none has to be
        looked for and left out.
        """
        a, b, c, d = (np.float32(part) for part in transform)
        width, height = size
        column, row = self.x * a, self.y * c
        for values, offset, edge in ((column, b, width), (row, d, height)):
            values += offset
            np.clip(values, 0, edge - 1, out=values)
        flat = row.astype(np.intp)
        flat *= width
        flat += column.astype(np.int32)
        return flat


@dataclass(frozen=True, eq=False)
class PlottedPoints:
    """Positions with all that a chart works out of them, in whichever thread."""

    xy: FloatArray
    cloud: PointCloud
    whole: View  # that shows all of them

    @classmethod
    def of(cls, xy: FloatArray, least: float = 0.0) -> PlottedPoints:
        """The positions (point, 2); NaN where there is none. ``least`` as of `View.around`."""
        return cls(xy, PointCloud.of(xy), View.around(xy, least=least))


class PointRenderer(Protocol):
    """Draws points into an image."""

    def set_points(self, cloud: PointCloud, colors: ByteArray) -> None:
        """Take positions and colours (point, 3), 0…255; later points lie on top."""

    def render(self, view: View, size: tuple[int, int], pixel_ratio: float) -> ByteArray:
        """Give an RGBA image, premultiplied, of ``size`` (width, height) device pixels."""

    def close(self) -> None:
        """Let go of whatever the renderer holds."""


def radius_px(count: int) -> float:
    """Radius of a point in logical pixels: small sets get large points."""
    return float(
        np.interp(np.log10(max(count, 1)), [2.0, 3.0, 4.0, 5.0, 6.0], [5.0, 4.0, 2.6, 1.5, 1.0])
    )


class RasterPoints:
    """Discs drawn by indexing into an image: numpy only, the same on every machine.

    Each point writes its number at its centre, later ones over earlier ones; then the numbers are
    spread to discs by a running maximum over the image, which costs the same for any number of
    points and leaves the last point on top wherever two meet.
    """

    def __init__(self) -> None:
        self.set_points(PointCloud.of(np.zeros((0, 2))), np.zeros((0, 3), np.uint8))

    def set_points(self, cloud: PointCloud, colors: ByteArray) -> None:
        """Take positions and colours."""
        self._cloud = cloud
        self._numbers = np.arange(len(cloud), dtype=np.int32)
        # One row more: what no point covers has the number -1.
        self._packed = np.zeros(len(cloud) + 1, np.uint32)
        bytes_of = self._packed[:-1].view(np.uint8).reshape(-1, 4)
        bytes_of[:, :3], bytes_of[:, 3] = colors[:, :3], 255

    def render(self, view: View, size: tuple[int, int], pixel_ratio: float) -> ByteArray:
        """Give the RGBA image."""
        smooth = len(self._cloud) <= _SMOOTH_LIMIT
        radius = radius_px(len(self._cloud)) * pixel_ratio
        reach = radius + 0.6 if smooth else radius
        pad = int(np.ceil(reach)) + 2  # so wide that a disc in the outermost ring is not seen
        width, height = size
        a, b, c, d = self._cloud.transform(view, width, height)
        page = (width + 2 * pad, height + 2 * pad)
        owner = np.full(page[0] * page[1], -1, np.int32)
        owner[self._cloud.cells((a, b + pad, c, d + pad), page)] = self._numbers
        spread = _spread(owner.reshape(page[1], page[0]), reach)
        owner = np.ascontiguousarray(spread[pad : pad + height, pad : pad + width])
        if smooth:
            return self._smooth(owner, (a, b, c, d), radius)
        return self._packed[owner].view(np.uint8).reshape(height, width, 4)

    def close(self) -> None:
        """Nothing is held."""

    def _smooth(
        self, owner: NDArray[np.int32], transform: tuple[float, ...], radius: float
    ) -> ByteArray:
        """Anti-aliased discs with a dark rim."""
        height, width = owner.shape
        lit = np.flatnonzero(owner.ravel() >= 0).astype(np.int32)
        points = owner.ravel()[lit]
        a, b, c, d = (np.float32(part) for part in transform)
        dx = lit % width - (self._cloud.x[points] * a + b - np.float32(0.5))
        dy = lit // width - (self._cloud.y[points] * c + d - np.float32(0.5))
        distance = np.hypot(dx, dy)
        alpha = np.clip(radius + 0.5 - distance, 0.0, 1.0)
        core = np.clip(radius - 0.7 - distance, 0.0, 1.0)
        shade = (_RIM + (1.0 - _RIM) * core) * alpha
        rgba = self._packed[points].view(np.uint8).reshape(-1, 4) * shade[:, None]
        rgba[:, 3] = 255 * alpha
        picture = np.zeros((height * width, 4), np.uint8)
        picture[lit] = rgba
        return picture.reshape(height, width, 4)


def _spread(owner: NDArray[np.int32], radius: float) -> NDArray[np.int32]:
    """The largest number within ``radius`` pixels of each pixel (image edges excepted)."""
    reach = int(radius)
    half_width = {dy: int(np.sqrt(radius**2 - dy**2)) for dy in range(-reach, reach + 1)}
    result, wide = owner.copy(), owner.copy()
    for width in range(reach + 1):
        if width:
            np.maximum(wide[:, width:], owner[:, :-width], out=wide[:, width:])
            np.maximum(wide[:, :-width], owner[:, width:], out=wide[:, :-width])
        for dy in (dy for dy, half in half_width.items() if half == width):
            to = slice(max(dy, 0), owner.shape[0] + min(dy, 0))
            of = slice(max(-dy, 0), owner.shape[0] + min(-dy, 0))
            np.maximum(result[to], wide[of], out=result[to])
    return result
