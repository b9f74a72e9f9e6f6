"""What blobs of a difference say of it: whether a part moves, or is not in both."""

from __future__ import annotations

import pytest

from napari_tomodrgn.analysis.evidence.blobs import Blob, Change, change_of


def _blob(x_angstrom: float, z: float, diameter_angstrom: float = 60.0) -> Blob:
    return Blob((x_angstrom, 0.0, 0.0), diameter_angstrom, z)


@pytest.mark.parametrize(
    ("blobs", "change"),
    [
        ([_blob(0, 10.0), _blob(100, -9.5)], "moves"),
        ([_blob(0, 10.0), _blob(40, -9.5)], "moves"),  # side by side: a short way
        ([_blob(0, 10.0), _blob(40, -5.5, 72.0)], ""),  # a fringe as large, half as high
        ([_blob(0, 10.0), _blob(40, -6.0, 30.0)], "more in a"),  # a fringe of it
        ([_blob(0, -10.0), _blob(100, -8.0)], "more in b"),
        ([_blob(0, -10.0), _blob(100, 8.0, 45.0)], ""),  # between both
        ([_blob(0, 6.0), _blob(100, 5.0)], ""),  # too faint to say
        ([], ""),
    ],
)
def test_a_part_that_moves_is_told_from_one_that_comes_and_goes(
    blobs: list[Blob], change: Change
) -> None:
    assert change_of(blobs, 20.0) == change
