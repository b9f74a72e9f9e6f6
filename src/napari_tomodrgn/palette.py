"""Colours of classes, groups and differences: the same in the window, in a report, in ChimeraX."""

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
# Magenta and green: colours of no group, and told apart by people with colour blindness.
MORE_IN_A, MORE_IN_B = "#f04ad8", "#39d353"
