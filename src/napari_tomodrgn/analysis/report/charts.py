"""Charts and pictures of a report, as text that stands inside an HTML page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.pictures import shaded_surface
from napari_tomodrgn.data.volume import Volume

FloatArray = NDArray[np.float64]

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#dd8452")
_WIDTH, _HEIGHT, _MARGIN = 460, 300, 46
_MOST_POINTS = 5000
_FRAMES = 12


def line_chart(
    x: FloatArray, curves: dict[str, FloatArray], axes: tuple[str, str], ticks: Sequence[str] = ()
) -> str:
    """Curves over ``x``; NaN breaks a curve. ``ticks`` are words for some of x, evenly spread."""
    values = np.concatenate([np.asarray(curve, float) for curve in curves.values()])
    values = values[np.isfinite(values)]
    if not len(values) or not len(x):
        return ""
    low, high = float(values.min()), float(values.max())
    place = _Frame((float(x.min()), float(x.max())), (min(low, 0.0) if high > 0 else low, high))
    parts = place.axes(axes, ticks)
    for number, (name, curve) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        points = " ".join(
            f"{place.x(a):.1f},{place.y(b):.1f}"
            for a, b in zip(x, curve, strict=True)
            if np.isfinite(b)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(
            f'<text x="{_WIDTH - 8}" y="{20 + 16 * number}" text-anchor="end" fill="{color}">'
            f"{escape(name)}</text>"
        )
    return _svg(parts)


def scatter_chart(
    points: FloatArray, names: Sequence[str], groups: NDArray[np.int64], axes: tuple[str, str]
) -> str:
    """Points ``(point, 2)`` colored by group; the name appears under the pointer."""
    rows = np.arange(len(points))
    if len(rows) > _MOST_POINTS:
        rows = np.sort(np.random.default_rng(0).choice(len(points), _MOST_POINTS, replace=False))
    low, high = points.min(axis=0), points.max(axis=0)
    place = _Frame((float(low[0]), float(high[0])), (float(low[1]), float(high[1])))
    parts = place.axes(axes, ())
    for row in rows.tolist():
        color = COLORS[int(groups[row]) % len(COLORS)]
        parts.append(
            f'<circle cx="{place.x(points[row, 0]):.1f}" cy="{place.y(points[row, 1]):.1f}" r="3" '
            f'fill="{color}" fill-opacity="0.8"><title>{escape(names[row])}</title></circle>'
        )
    return _svg(parts)


def turning_picture(volume: Volume, label: str, size_px: int = 120) -> str:
    """A surface at 3 standard deviations that turns about the vertical axis, as a GIF."""
    import imageio.v3 as iio
    from scipy.ndimage import rotate

    level = float(volume.data.mean() + 3 * volume.data.std())
    frames = []
    for angle in np.arange(_FRAMES) * (360 / _FRAMES):
        turned = rotate(volume.data, angle, axes=(0, 2), reshape=False, order=1)
        light, opacity = shaded_surface(Volume(turned, volume.voxel_size_angstrom), level, size_px)
        frames.append(np.where(opacity > 0, light, 255).astype(np.uint8))
    stream = io.BytesIO()
    iio.imwrite(stream, np.stack(frames), extension=".gif", duration=150, loop=0)
    text = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<img alt="{escape(label)}" width="{size_px}" src="data:image/gif;base64,{text}">'


class _Frame:
    """Chart units → picture units."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = ((low, high if high > low else low + 1.0) for low, high in (x, y))

    def x(self, value: float) -> float:
        low, high = self._x
        return _MARGIN + (value - low) / (high - low) * (_WIDTH - 2 * _MARGIN)

    def y(self, value: float) -> float:
        low, high = self._y
        return _HEIGHT - _MARGIN - (value - low) / (high - low) * (_HEIGHT - 2 * _MARGIN)

    def axes(self, names: tuple[str, str], ticks: Sequence[str]) -> list[str]:
        left, right = _MARGIN, _WIDTH - _MARGIN
        bottom, top = _HEIGHT - _MARGIN, _MARGIN
        parts = [
            f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="currentColor"/>',
            f'<text x="{(left + right) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">'
            f"{escape(names[0])}</text>",
            f'<text transform="translate(14 {(top + bottom) / 2}) rotate(-90)" '
            f'text-anchor="middle">{escape(names[1])}</text>',
        ]
        for value in self._y:
            parts.append(
                f'<text x="{left - 4}" y="{self.y(value) + 4:.1f}" text-anchor="end">'
                f"{value:.3g}</text>"
            )
        words = list(ticks) or [f"{value:.3g}" for value in self._x]
        for number, word in enumerate(words):
            x = left + (right - left) * number / max(len(words) - 1, 1)
            parts.append(
                f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(word)}</text>'
            )
        return parts


def _svg(parts: list[str]) -> str:
    body = "".join(parts)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" '
        f'font-family="sans-serif" font-size="11" fill="currentColor">{body}</svg>'
    )
