"""Parts of a report: charts that show all of their words, classes as the window has them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from napari_tomodrgn.analysis.latents.components import STRIP
from napari_tomodrgn.analysis.report.charts import scatter_chart
from napari_tomodrgn.analysis.report.classes import Classes
from napari_tomodrgn.gui.charts.colormaps import colors_of_categories
from napari_tomodrgn.particle_columns import Column

_LETTER = 6.6  # px of a letter at 11 px, the widest of what numbers are made of


def _texts(chart: str) -> list[tuple[float, str, str]]:
    found = re.findall(r'<text x="([\d.]+)"[^>]*text-anchor="(\w+)">([^<]*)<', chart)
    return [(float(x), anchor, words) for x, anchor, words in found]


def test_no_word_of_an_axis_is_cut() -> None:
    """Numbers as long as −0.000549 end left of the axis, and begin right of its name."""
    points = np.array([[-0.000549, -0.000549], [-0.000123, -0.000102]])
    chart = scatter_chart(points, ["a", "b"], ["#000000"] * 2, ("PC 1 (60%)", "PC 2 (40%)"))
    assert chart.count("-0.000549") == 2
    for x, anchor, words in _texts(chart):
        width = _LETTER * len(words)
        left = {"end": x - width, "middle": x - width / 2}[anchor]
        assert left >= (14 if anchor == "end" else 0) and left + width <= 460


def test_places_across_a_strip_have_no_numbers() -> None:
    points = np.array([[1.5, -0.9], [2.5, 0.7]])
    words = [
        one[2] for one in _texts(scatter_chart(points, ["a", "b"], ["#000"] * 2, ("z", STRIP)))
    ]
    assert words == ["z", "1.5", "2.5"]


def test_classes_have_the_colors_of_the_window() -> None:
    classes = Classes(("1", "2", "3"), np.array([2, 0, 1, -1]))
    window = colors_of_categories(Column("cluster", classes.codes, classes.names))
    assert classes.colors[:3] == [window[2], window[0], window[1]]


@pytest.mark.parametrize(
    ("name", "members", "expected"),
    [
        ("cluster 1", [0, 1], True),
        ("cluster 1", [0], False),  # clusters were made anew, and bear the same names
        ("cluster 3", [3], False),
        ("large", [3], True),
    ],
)
def test_a_cluster_that_was_compared_may_be_another_by_now(
    name: str, members: list[int], expected: bool
) -> None:
    classes = Classes(("1", "2"), np.array([0, 0, 1, 1]))
    assert classes.has_members(name, np.isin(np.arange(4), members)) is expected
