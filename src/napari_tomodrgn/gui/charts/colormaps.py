"""Values to colours: the same ones in the scatter, its legend and on the volumes."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.palette import CATEGORIES, PLAIN
from napari_tomodrgn.particle_columns import (
    MAX_CATEGORIES,
    Clip,
    Column,
)

ByteArray = NDArray[np.uint8]

MISSING = "#7a7f88"


def rgb(color: str) -> tuple[int, int, int]:
    """Red, green and blue, 0…255, of ``#rrggbb``."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def hexadecimal(color: ByteArray) -> str:
    """``#rrggbb`` of three bytes."""
    return "#" + "".join(f"{int(part):02x}" for part in color[:3])


@lru_cache(maxsize=4)
def gradient(name: str = "viridis", steps: int = 256) -> ByteArray:
    """Colours (step, 3) of a continuous map of napari, its dark end lifted off the background."""
    from napari.utils.colormaps import ensure_colormap

    values = np.linspace(0.25, 1.0, steps)
    return np.round(ensure_colormap(name).map(values)[:, :3] * 255).astype(np.uint8)


@lru_cache(maxsize=1)
def hue_circle(steps: int = 256) -> ByteArray:
    """Colours (step, 3) of equal lightness and strength around the hues, for angles.

    OKLCH (Ottosson 2020): hues that look equally far apart, none brighter than another, so that
    no angle seems to be special.
    """
    angle = np.linspace(0, 2 * np.pi, steps, endpoint=False) + 0.5
    lightness, chroma = 0.74, 0.125
    a, b = chroma * np.cos(angle), chroma * np.sin(angle)
    cones = lightness + np.array(
        [0.39634 * a + 0.21580 * b, -0.10556 * a - 0.06385 * b, -0.08948 * a - 1.29149 * b]
    )
    mixing = np.array(
        [
            [4.07674, -3.30771, 0.23097],
            [-1.26844, 2.60976, -0.34132],
            [-0.00420, -0.70342, 1.70761],
        ]
    )
    linear = np.clip(mixing @ cones**3, 0.0, 1.0)
    encoded = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return np.round(encoded.T * 255).astype(np.uint8)


def colors_along(column: Column, steps: int = 256) -> ByteArray:
    """Colours (step, 3) of a column of numbers from its lower to its upper limit."""
    low, high = column.limits
    return _colored(column, np.linspace(low, high, steps))


def _colored(column: Column, values: NDArray[np.number]) -> ByteArray:
    low, high = column.limits
    table = hue_circle() if column.period else gradient()
    if column.period:
        share = np.mod(values, column.period) / column.period
        return table.take(np.floor(share * len(table)).astype(int) % len(table), axis=0)
    share = np.clip((values - low) / (high - low if high > low else 1.0), 0.0, 1.0)
    return table.take(np.round(share * (len(table) - 1)).astype(int), axis=0)


def colors_of_categories(column: Column) -> list[str]:
    """Colours of a column's categories, as far as there are some."""
    own = [color or PLAIN for color in column.colors]
    return own or CATEGORIES[:MAX_CATEGORIES]


def colors_of(column: Column | None, count: int) -> ByteArray:
    """One colour (3 bytes) a particle; grey where there is no value."""
    if column is None:
        return np.tile(np.array(rgb(PLAIN), np.uint8), (count, 1))
    missing = np.array(rgb(MISSING), np.uint8)
    if column.categorical:
        table = np.array([rgb(color) for color in colors_of_categories(column)], np.uint8)
        # The last of the table is for codes that have no colour of their own, and for none.
        table = np.vstack([table, missing])
        codes = np.where(column.values < len(table) - 1, column.values, -1)
        return table.take(np.maximum(codes, -1), axis=0, mode="wrap")
    known = np.isfinite(column.values)
    if known.all():
        return _colored(column, column.values)
    colors = _colored(column, np.where(known, column.values, 0.0))
    colors[~known] = missing
    return colors


def dimmed(colors: NDArray[np.integer], background: NDArray[np.integer] | int = 0) -> ByteArray:
    """Dim the colours ``(point, 3)``, 0 … 255, of what is not selected: nearly grey.

    They are still to be seen before ``background``, one colour ``(3,)`` or one grey.
    """
    ground = np.asarray(background, np.float64)
    grey = 0.75 * ground + 0.25 * (255 - ground)
    return (0.25 * np.asarray(colors) + 0.75 * grey).astype(np.uint8)


def color_at(column: Column, row: int) -> str:
    """``#rrggbb`` of one particle, without working out those of all."""
    one = replace(column, values=column.values[row : row + 1], clip=fixed(column))
    return hexadecimal(colors_of(one, 1)[0])


def fixed(column: Column) -> Clip:
    """The limits of a column as numbers, which hold for any part of it."""
    if column.categorical or column.period:
        return column.clip
    return Clip(limits=column.limits, of=column.name)
