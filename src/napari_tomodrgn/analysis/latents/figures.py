"""Figures of an analysis as SVG, written by hand.

SVG, because a figure for a paper is edited afterwards: lines and words stay lines and words in
Inkscape and Illustrator, and any browser shows it. By hand, because three kinds of chart are a
hundred lines, and a plotting library would be a dependency of every cluster node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

# Size of a figure and its margins, px.
WIDTH, HEIGHT = 640, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 40, 55
# More points than this make a file that editors choke on, and no other picture.
MOST_POINTS = 5000
_TEXT = "#222222"
_LARGE = 'font-size="22"'  # of a chart that is shown as narrow as a dock
_BAR = "#4477aa"


@dataclass(frozen=True)
class Label:
    """Words at a place of the chart, in its own units."""

    text: str
    x: float
    y: float


def scatter(
    xy: NDArray[np.floating],
    colors: Sequence[str],
    words: tuple[str, str, str],
    labels: Sequence[Label] = (),
) -> str:
    """Points ``(point, 2)`` with a colour each; ``words`` are title and names of the axes.

    Of very many points a random sample is drawn, and the title says so.
    """
    title, x_name, y_name = words
    kept = list(range(len(xy)))
    if len(xy) > MOST_POINTS:
        drawn = np.random.default_rng(0).choice(len(xy), MOST_POINTS, replace=False)
        kept = [int(row) for row in np.sort(drawn)]
        title = f"{title} ({MOST_POINTS:,} of {len(xy):,} drawn)"
    low, high = xy.min(axis=0), xy.max(axis=0)
    edge = 0.04 * np.maximum(high - low, 1e-9 + 1e-6 * np.abs(high))
    frame = _Frame(tuple(low - edge), tuple(high + edge))
    radius = 3 if len(kept) <= 1000 else 1.8
    parts = [
        f'<circle cx="{frame.x(xy[row, 0]):.1f}" cy="{frame.y(xy[row, 1]):.1f}" r="{radius}" '
        f'fill="{colors[row]}" fill-opacity="0.75"/>'
        for row in kept
    ]
    parts += [
        _text(frame.x(one.x), frame.y(one.y), one.text, 'text-anchor="middle" font-weight="bold"')
        for one in labels
    ]
    return _document([*frame.axes(x_name, y_name), *parts, _title(title)])


def bars(
    names: Sequence[str], values: Sequence[float], notes: Sequence[str], words: tuple[str, str]
) -> str:
    """A horizontal bar 0…1 for each name, with a note at its end; ``words``: title, axis."""
    title, axis = words
    height = _TOP + _BOTTOM + 28 * len(names)
    left, right = 210, 150
    scale = WIDTH - left - right
    parts = []
    for row, (name, value, note) in enumerate(zip(names, values, notes, strict=True)):
        y = _TOP + 28 * row
        width = scale * float(np.clip(value, 0.0, 1.0))
        parts.append(_text(left - 10, y + 16, name, 'text-anchor="end"'))
        parts.append(
            f'<rect x="{left}" y="{y + 3}" width="{width:.1f}" height="18" fill="{_BAR}"/>'
        )
        parts.append(_text(left + width + 6, y + 16, note))
    base = _TOP + 28 * len(names) + 6
    parts.append(_line(left, base, left + scale, base))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + scale * share
        parts.append(_line(x, base, x, base + 5))
        parts.append(_text(x, base + 20, f"{share:.0%}", 'text-anchor="middle"'))
    parts.append(_text(left + scale / 2, base + 40, axis, 'text-anchor="middle"'))
    return _document([*parts, _title(title)], height)


def share_chart(table: pd.DataFrame, p_values: Mapping[Any, float]) -> str:
    """Shares of classes by condition, with their intervals: a point a condition and class.

    Conditions are shades of grey: colours are those of clusters.

    Parameters
    ----------
    table
        ``condition, class, corrected, low, high``; without interval where the latter are NaN.
    p_values
        By class, written below its name; NaN: not tested.
    """
    kinds, conditions = list(p_values), list(dict.fromkeys(table["condition"]))
    steps = np.linspace(0x1B, 0xB4, len(conditions)).astype(int)
    colors = [f"#{step:02x}{step:02x}{step:02x}" for step in steps]
    highest = float(table[["corrected", "high"]].max().max())
    frame = _Frame((-0.5, 0.0), (len(kinds) - 0.5, min(1.0, 1.1 * highest)))
    bottom, parts = HEIGHT - _BOTTOM, [_line(_LEFT, _TOP, _LEFT, HEIGHT - _BOTTOM)]
    parts.append(_line(_LEFT, bottom, WIDTH - _RIGHT, bottom))
    for value in axis_ticks(frame.low[1], frame.high[1]):
        parts.append(_line(_LEFT - 5, frame.y(value), _LEFT, frame.y(value)))
        words = f"{value:.0%}"
        parts.append(_text(_LEFT - 9, frame.y(value) + 7, words, f'text-anchor="end" {_LARGE}'))
    for place, (kind, p) in enumerate(p_values.items()):
        for words, down in ((str(kind), 24), (f"p {p:.2g}" if p == p else "", 48)):
            middle = f'text-anchor="middle" {_LARGE}'
            parts.append(_text(frame.x(place), bottom + down, words, middle))
    for row in table.to_dict("records"):
        number = conditions.index(row["condition"])
        beside = (number - (len(conditions) - 1) / 2) * 0.6 / len(conditions)
        x = frame.x(kinds.index(row["class"]) + beside)
        low, at, high = (frame.y(row[name]) for name in ("low", "corrected", "high"))
        parts += _with_interval(x, (low, at, high), colors[number])
    for number, name in enumerate(conditions):
        y = _TOP + 12 + 26 * number
        parts += _with_interval(WIDTH - 170, (float("nan"), y, float("nan")), colors[number])
        parts.append(_text(WIDTH - 156, y + 7, str(name), _LARGE))
    return _document([*parts, _title("Share of each cluster, 95 % interval over tomograms")])


def _with_interval(x: float, low_at_high: tuple[float, float, float], color: str) -> list[str]:
    """A point and the line of its interval, where that is a number."""
    low, y, high = low_at_high
    place = f'x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"'
    line = [f'<line {place} stroke="{color}" stroke-width="3"/>'] if low == low else []
    return [*line, f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{color}"/>']


@dataclass(frozen=True)
class _Frame:
    """Where the units of a chart lie on the page."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def x(self, value: float) -> float:
        share = (value - self.low[0]) / (self.high[0] - self.low[0])
        return float(_LEFT + share * (WIDTH - _LEFT - _RIGHT))

    def y(self, value: float) -> float:
        share = (value - self.low[1]) / (self.high[1] - self.low[1])
        return float(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM))

    def axes(self, x_name: str, y_name: str) -> list[str]:
        """Two lines with round numbers, and what they show."""
        left, bottom = _LEFT, HEIGHT - _BOTTOM
        parts = [_line(left, _TOP, left, bottom), _line(left, bottom, WIDTH - _RIGHT, bottom)]
        for value in axis_ticks(self.low[0], self.high[0]):
            x = self.x(value)
            parts.append(_line(x, bottom, x, bottom + 5))
            parts.append(_text(x, bottom + 20, f"{value:g}", 'text-anchor="middle"'))
        for value in axis_ticks(self.low[1], self.high[1]):
            y = self.y(value)
            parts.append(_line(left - 5, y, left, y))
            parts.append(_text(left - 9, y + 4, f"{value:g}", 'text-anchor="end"'))
        middle = (left + WIDTH - _RIGHT) / 2
        parts.append(_text(middle, HEIGHT - 12, x_name, 'text-anchor="middle"'))
        turned = f'text-anchor="middle" transform="rotate(-90 18 {HEIGHT / 2})"'
        return [*parts, _text(18, HEIGHT / 2, y_name, turned)]


def axis_ticks(low: float, high: float, about: int = 7) -> list[float]:
    """Round numbers between two values, about so many."""
    raw = (high - low) / about
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * next(one for one in (1, 2, 5, 10) if one * power >= raw)
    numbers = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return [float(round(number, 12)) + 0.0 for number in numbers]


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{_TEXT}" {more}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{_TEXT}"/>'


def _title(text: str) -> str:
    return _text(WIDTH / 2, 22, text, 'text-anchor="middle" font-size="15"')


def _document(parts: Sequence[str], height: int = HEIGHT) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">'
    )
    ground = f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    return "\n".join([head, ground, *parts, "</svg>\n"])
