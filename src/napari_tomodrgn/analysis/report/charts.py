"""Charts, tables and pictures of a report, as text that stands inside an HTML page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents.components import STRIP
from napari_tomodrgn.analysis.pictures import first_voxels, shaded_surface
from napari_tomodrgn.data.volume import Volume

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

_WIDTH, _HEIGHT = 460, 300  # of a chart, px
# Left of the axis a number such as -0.000549 has its room, and the axis its name.
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 34, 34, 46
_MOST_POINTS = 5000  # in a scatter; of more a random sample is drawn
_FRAMES = 12  # in one turn of a picture
# A picture is small: larger boxes are made coarser before they are turned.
_MOST_VOXELS = 96
_MARGIN = 0.0  # the whole box: long particles come near its faces
_GREY, _BEHIND = "#9fa6b0", 226


def lines_table(pairs: Mapping[str, object]) -> str:
    """What is known, a line each."""
    lines = [f"<tr><th>{escape(k)}</th><td>{escape(str(v))}</td></tr>" for k, v in pairs.items()]
    return f"<table>{''.join(lines)}</table>"


def columns_table(table: pd.DataFrame) -> str:
    """A table with its heads; floating-point numbers with three digits."""
    head = "".join(f"<th>{escape(str(name))}</th>" for name in table.columns)
    lines = []
    for row in table.itertuples(index=False):
        cells = [
            f'<td class="number">{value:.3g}</td>'
            if isinstance(value, float)
            else f"<td>{escape(str(value))}</td>"
            for value in row
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def line_chart(
    x: FloatArray,
    curves: dict[str, tuple[FloatArray, str]],
    axes: tuple[str, str],
    ticks: Sequence[str] = (),
) -> str:
    """Curves and their colors over ``x``, by name; NaN breaks a curve.

    ``ticks`` are words for some of x, evenly spread.
    """
    values = np.concatenate([np.asarray(curve, float) for curve, _ in curves.values()])
    values = values[np.isfinite(values)]
    if not len(values) or not len(x):
        return ""
    low, high = float(values.min()), float(values.max())
    place = _Frame((float(x.min()), float(x.max())), (min(low, 0.0) if high > 0 else low, high))
    parts = place.axes(axes, ticks)
    for number, (name, (curve, color)) in enumerate(curves.items()):
        points = " ".join(
            f"{place.x(a):.1f},{place.y(b):.1f}"
            for a, b in zip(x, curve, strict=True)
            if np.isfinite(b)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        height = 14 + 15 * number
        parts.append(
            f'<path d="M{_WIDTH - 22} {height - 4}h18" stroke="{color}" stroke-width="3"/>'
            f'<text x="{_WIDTH - 28}" y="{height}" text-anchor="end">{escape(name)}</text>'
        )
    return _svg(parts)


def scatter_chart(
    points: FloatArray, names: Sequence[str], colors: Sequence[str], axes: tuple[str, str]
) -> str:
    """Points ``(point, 2)`` in their colors; the name appears under the pointer."""
    rows = np.arange(len(points))
    if len(rows) > _MOST_POINTS:
        rows = np.sort(np.random.default_rng(0).choice(len(points), _MOST_POINTS, replace=False))
    low, high = points.min(axis=0), points.max(axis=0)
    place = _Frame((float(low[0]), float(high[0])), (float(low[1]), float(high[1])))
    parts = place.axes(axes, ())
    for row in rows.tolist():
        parts.append(
            f'<circle cx="{place.x(points[row, 0]):.1f}" cy="{place.y(points[row, 1]):.1f}" r="3" '
            f'fill="{colors[row]}" fill-opacity="0.8"><title>{escape(names[row])}</title></circle>'
        )
    return _svg(parts)


def turning_picture(volume: Volume, label: str, color: str = _GREY, size_px: int = 150) -> str:
    """A surface at 3 standard deviations that turns about the vertical axis, as a GIF."""
    level = float(volume.data.mean() + 3 * volume.data.std())

    def frame(angle_deg: float) -> NDArray[np.uint8]:
        light, opacity = shaded_surface(_turned(volume, angle_deg), level, size_px, _MARGIN)
        return _painted(np.full((size_px, size_px, 3), 255, np.uint8), light, opacity > 0, color)

    return _turning(frame, label, size_px)


def turning_difference(
    errors: Volume,
    count: float,
    behind: Volume,
    label: str,
    colors: tuple[str, str],
    size_px: int = 150,
) -> str:
    """Surfaces of a difference at ±``count`` standard errors that turn before a shadow, as a GIF.

    Parameters
    ----------
    errors, count
        The difference A − B in standard errors, and at how many its surfaces are.
    behind
        A map whose outline says where in the particle one looks.
    label, size_px
        What is said where no picture is shown, and how large it is.
    colors
        Where there is more in A, and more in B.
    """
    level = float(behind.data.mean() + 3 * behind.data.std())

    def frame(angle_deg: float) -> NDArray[np.uint8]:
        outline = shaded_surface(_turned(behind, angle_deg), level, size_px, _MARGIN)[1] > 0
        picture = np.where(outline, _BEHIND, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
        turned = _turned(errors, angle_deg)
        sides = [Volume(sign * turned.data, turned.voxel_size_angstrom) for sign in (1, -1)]
        more, less = (first_voxels(side, count, size_px, _MARGIN) for side in sides)
        for side, color, nearest in (
            (sides[0], colors[0], (more < size_px) & (more <= less)),
            (sides[1], colors[1], less < more),
        ):
            light, _ = shaded_surface(side, count, size_px, _MARGIN)
            picture = _painted(picture, light, nearest, color)
        return picture

    return _turning(frame, label, size_px)


def _turned(volume: Volume, angle_deg: float) -> Volume:
    from scipy.ndimage import rotate, zoom

    data, voxel = volume.data, volume.voxel_size_angstrom
    if (share := _MOST_VOXELS / len(data)) < 1:
        data, voxel = zoom(data, share, order=1), voxel / share
    return Volume(rotate(data, angle_deg, axes=(0, 2), reshape=False, order=1), voxel)


def _painted(
    picture: NDArray[np.uint8], light: NDArray[np.uint8], where: NDArray[np.bool_], color: str
) -> NDArray[np.uint8]:
    tone = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)], float)
    lit = (light[..., None] / 255 * tone).astype(np.uint8)
    return np.where(where[..., None], lit, picture)


def _turning(frame: Callable[[float], NDArray[np.uint8]], label: str, size_px: int) -> str:
    import imageio.v3 as iio

    frames = np.stack([frame(angle) for angle in np.arange(_FRAMES) * (360 / _FRAMES)])
    stream = io.BytesIO()
    iio.imwrite(stream, frames, extension=".gif", duration=150, loop=0)
    text = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<img alt="{escape(label)}" width="{size_px}" src="data:image/gif;base64,{text}">'


class _Frame:
    """Chart units → picture units."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = ((low, high if high > low else low + 1.0) for low, high in (x, y))

    def x(self, value: float) -> float:
        low, high = self._x
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self._y
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def axes(self, names: tuple[str, str], ticks: Sequence[str]) -> list[str]:
        left, right = _LEFT, _WIDTH - _RIGHT
        bottom, top = _HEIGHT - _BOTTOM, _TOP
        parts = [
            f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="currentColor"/>',
            f'<text x="{(left + right) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">'
            f"{escape(names[0])}</text>",
            f'<text transform="translate(14 {(top + bottom) / 2}) rotate(-90)" '
            f'text-anchor="middle">{escape(names[1])}</text>',
        ]
        for value in () if names[1] == STRIP else self._y:  # places across a strip mean nothing
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
