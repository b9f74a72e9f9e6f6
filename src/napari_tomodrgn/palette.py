"""Colours of clusters, groups and differences: the same in window, report and ChimeraX."""

from __future__ import annotations

# Okabe and Ito's colours, told apart by people with colour blindness, without their black and
# with brighter blues: they stand on a dark background as well. Twelve more follow, less distinct.
CATEGORIES = (
    "#e69f00 #56b4e9 #00a878 #f0e442 #3d8bfd #d55e00 #cc79a7 #a0a7b4 #8dd35f #b07aff "
    "#ff8fa3 #2ec4b6 #c9a66b #7f9cf5 #d4e157 #f06292 #4db6ac #ba9bc9 #ffb74d #90a4ae"
).split()
# Particles without a class, and a group of which one knows only that it was selected.
PLAIN = "#6fb2f0"
# All others, in a comparison.
OTHERS = "#b8a888"
# Magenta and green, where two maps are of no groups, or of groups in nearly the same colour: told
# apart by people with colour blindness.
MORE, LESS = "#f04ad8", "#39d353"
# Of a curve of a difference, which is of neither group.
DIFFERENCE = "#8a93a0"
# The blues of a selection and of clusters are 26 and 52 apart, other pairs of the first eight more.
_ALIKE = 60.0


def difference_colors(colors: tuple[str, str]) -> tuple[str, str]:
    """Colours of where there is more in A, and more in B: their own, if these are told apart."""
    rows = ([int(one[at : at + 2], 16) for at in (1, 3, 5)] for one in colors)
    apart = sum((a - b) ** 2 for a, b in zip(*rows, strict=True)) ** 0.5
    return colors if apart > _ALIKE else (MORE, LESS)
