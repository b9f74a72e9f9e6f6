"""The name of what a difference is of."""

from __future__ import annotations

import pytest

from napari_tomodrgn.analysis.evidence.causes import (
    ALIGNMENT,
    CONTRAST,
    DEFOCUS,
    MOLECULE,
    SURROUNDINGS,
    name_cause,
)
from napari_tomodrgn.analysis.evidence.difference import PermutationTest

SURE, CHANCE = 0.0002, 0.5


def result_of(statistic: float, p: float = CHANCE) -> PermutationTest:
    return PermutationTest(statistic, statistic, p)


@pytest.mark.parametrize(
    ("whole", "left", "around", "families", "cause"),
    [
        ((1.0, CHANCE), (1.0, CHANCE), (1.0, CHANCE), (1.0, 1.0, 1.0), ""),
        ((10.0, SURE), (5.0, SURE), (0.0, CHANCE), (1.0, 1.0, 5.0), MOLECULE),
        ((10.0, SURE), (1.0, CHANCE), (0.0, CHANCE), (1.0, 2.0, 9.0), ALIGNMENT),
        ((10.0, SURE), (1.0, CHANCE), (0.0, CHANCE), (8.0, 9.0, 9.0), CONTRAST),
        # Most of it is a multiple of the mean map, as where one of two has little of the mass.
        ((10.0, SURE), (2.9, SURE), (0.0, CHANCE), (7.0, 7.0, 7.0), MOLECULE),
        ((10.0, SURE), (1.0, SURE), (0.0, CHANCE), (9.0, 9.0, 9.0), CONTRAST),
        ((10.0, SURE), (2.9, SURE), (0.0, CHANCE), (1.0, 1.0, 7.0), ALIGNMENT),
        ((10.0, SURE), (1.0, CHANCE), (20.0, SURE), (8.0, 9.0, 9.0), SURROUNDINGS),
        # No family explains any of it: by viewing direction statistics lie below 0.
        ((3.0, CHANCE), (1.0, SURE), (0.0, CHANCE), (-3.0, -1.0, -2.0), DEFOCUS),
        ((3.0, SURE), (1.0, CHANCE), (2.0, SURE), (-3.0, -1.0, -2.0), SURROUNDINGS),
        ((3.0, SURE), (1.0, CHANCE), (2.0, CHANCE), (0.0, 0.0, 0.0), CONTRAST),
    ],
)
def test_whatever_differs_has_a_name(
    whole: tuple[float, float],
    left: tuple[float, float],
    around: tuple[float, float],
    families: tuple[float, float, float],
    cause: str,
) -> None:
    tests = {MOLECULE: result_of(*left), SURROUNDINGS: result_of(*around)}
    names = (CONTRAST, DEFOCUS, ALIGNMENT)
    tests |= {name: result_of(one) for name, one in zip(names, families, strict=True)}
    assert name_cause(tests, result_of(*whole), result_of(0.0), junk=False) == cause


@pytest.mark.parametrize(("long_waves", "cause"), [(9.0, SURROUNDINGS), (1.0, DEFOCUS)])
def test_shells_that_differ_in_long_waves_alone_are_of_the_surroundings(
    long_waves: float, cause: str
) -> None:
    statistics = {MOLECULE: 1.0, SURROUNDINGS: 0.0, CONTRAST: 2.0, DEFOCUS: 10.0, ALIGNMENT: 1.0}
    tests = {name: result_of(one) for name, one in statistics.items()}
    found = name_cause(tests, result_of(12.0, SURE), result_of(long_waves), junk=False)
    assert found == cause
