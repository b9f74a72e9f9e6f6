"""What blobs of a difference say of it: whether a part moves, or is not in both."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tomodrgn.analysis.evidence.blobs import Blob, Change, change_of, lacking_parts
from napari_tomodrgn.analysis.evidence.records import other_places
from napari_tomodrgn.data.volume import Volume


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


# Balls of 60 Å: at −120 Å the molecule that both maps have, at 0 and 120 Å what they may have.
@pytest.mark.parametrize(
    ("in_a", "in_b", "said"),
    [
        ((1.0, 0.0), (0.0, 0.0), ("more in a", 1)),
        ((0.2, 0.1), (0.9, 1.0), ("more in b", 2)),
        ((1.0, 0.0), (0.0, 1.0), ("", 0)),  # each has one
        ((1.0, 0.0), (0.7, 0.0), ("", 0)),  # both have it
        ((0.2, 0.0), (0.0, 0.0), ("", 0)),  # that is no part of a molecule
    ],
)
def test_who_has_density_where_groups_differ_has_a_part(
    in_a: tuple[float, float], in_b: tuple[float, float], said: tuple[Change, int]
) -> None:
    voxel, box = 10.0, 40
    z, y, x = (np.indices((box,) * 3) - box // 2) * voxel

    def made(first: float, second: float) -> Volume:
        data = np.random.default_rng(0).normal(0, 0.02, (box,) * 3)
        for density, middle in ((1.0, -120.0), (first, 0.0), (second, 120.0)):
            data[(x - middle) ** 2 + y**2 + z**2 < 30.0**2] += density
        return Volume(data.astype(np.float32), voxel)

    a, b = made(*in_a), made(*in_b)
    places = [
        _blob(middle, 10.0 * np.sign(one - other), 50.0)
        for middle, one, other in zip((0.0, 120.0), in_a, in_b, strict=True)
        if one != other
    ]
    assert lacking_parts(places, a, b) == said


def test_places_beside_the_surest_are_told() -> None:
    """As many as the sentence counts: neither fringes nor what is finer than can be seen."""

    def told(*blobs: tuple[float, float, float], cause: str = "molecule") -> str:
        rows = [
            {"center_xyz_angstrom": [x, -20.4, 3.0], "diameter_angstrom": wide, "z": z}
            for x, wide, z in blobs
        ]
        return other_places({"cause": cause, "resolution_angstrom": 20.0, "blobs": rows})

    surest, fringe, speck = (0.0, 60.0, 9.0), (20.0, 50.0, -8.5), (200.0, 11.0, -8.2)
    assert told() == told(surest) == told(surest, fringe, speck) == ""
    words = " Also 32 Å across at (120, -20, 3) Å, more in B (8.0 σ)"
    assert told(surest, fringe, (120.4, 31.6, -8.0)) == f"{words}."
    assert told(surest, (120.4, 31.6, -8.0), cause="alignment") == ""
    many = told(surest, (120.4, 31.6, -8.0), *((200.0 + 90 * n, 30.0, 7.0) for n in range(6)))
    assert many.startswith(f"{words}; ") and many.endswith("; 4 more.")
