"""Figures are well-formed SVG in which points lie where their numbers say."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from napari_tomodrgn.analysis.latents import figures

SVG = "{http://www.w3.org/2000/svg}"


def test_points_lie_where_their_numbers_say() -> None:
    xy = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 4.0]])
    text = figures.scatter(
        xy, ["#ff0000", "#00ff00", "#0000ff"], ("a < b", "x & y", "z"), [figures.Label("1", 0, 0)]
    )
    root = ElementTree.fromstring(text)
    points = {one.get("fill"): one for one in root.iter(f"{SVG}circle")}
    x = {color: float(point.get("cx") or 0) for color, point in points.items()}
    y = {color: float(point.get("cy") or 0) for color, point in points.items()}
    assert x["#00ff00"] > x["#ff0000"] == x["#0000ff"]
    assert y["#0000ff"] < y["#ff0000"] == y["#00ff00"]  # up on the page is less
    words = {one.text for one in root.iter(f"{SVG}text")}
    assert {"a < b", "x & y", "z", "1"} <= words


def test_of_many_points_a_sample_is_drawn_and_said() -> None:
    xy = np.random.default_rng(0).normal(size=(figures.MOST_POINTS + 100, 2))
    text = figures.scatter(xy, ["#000000"] * len(xy), ("title", "x", "y"))
    root = ElementTree.fromstring(text)
    assert len(list(root.iter(f"{SVG}circle"))) == figures.MOST_POINTS
    assert "5,000 of 5,100 drawn" in text


def test_bars_are_as_long_as_their_values() -> None:
    text = figures.bars(["a", "b"], [0.25, 0.5], ["some", ""], ("title", "axis"))
    root = ElementTree.fromstring(text)
    widths = [float(one.get("width") or 0) for one in root.iter(f"{SVG}rect") if one.get("x")]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.2, 7.0), (1e-4, 3e-4), (1e5, 9e5)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = figures.axis_ticks(low, high)
    assert 3 <= len(found) <= 9
    assert low <= found[0] <= found[-1] <= high
