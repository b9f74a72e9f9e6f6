"""Colours that say which group is meant."""

from __future__ import annotations

import pytest

from napari_tomodrgn.palette import (
    CATEGORIES,
    LESS,
    MORE,
    OTHERS,
    PLAIN,
    difference_colors,
)


@pytest.mark.parametrize(
    "groups",
    [(CATEGORIES[0], CATEGORIES[1]), (CATEGORIES[3], OTHERS), (PLAIN, OTHERS)],
)
def test_a_difference_has_the_colours_of_its_groups(groups: tuple[str, str]) -> None:
    assert difference_colors(groups) == groups


@pytest.mark.parametrize("groups", [(PLAIN, PLAIN), (PLAIN, CATEGORIES[1])])
def test_groups_in_nearly_one_colour_are_told_apart_where_they_differ(
    groups: tuple[str, str],
) -> None:
    assert difference_colors(groups) == (MORE, LESS)
