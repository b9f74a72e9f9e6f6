"""How far a part moves between two maps, beside what is known of maps that are simulated."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tomodrgn.analysis.part_motion import find_part_motion
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.synthetic.molecules import load_maps

# How far the small subunit's voxels move as it turns by 16° about its axis, all but a twentieth of
# them, by the maps of both ends without noise; it grows with the angle.
ANGSTROM_A_DEG = 33.9 / 16
NAMES = ("motion_00.0_deg", "motion_04.0_deg", "motion_08.0_deg", "motion_16.0_deg", "60S", "80S")


@pytest.fixture(scope="module")
def maps() -> dict[str, Volume]:
    return load_maps("ribosome", NAMES)


def noisy(volume: Volume, seed: int) -> tuple[Volume, Volume, Volume]:
    """A map with noise as strong as itself in each of its halves, and the halves."""
    random, data = np.random.default_rng(seed), volume.data
    one, two = (
        data + data.std() * random.standard_normal(data.shape).astype(np.float32) for _ in range(2)
    )
    return tuple(Volume(x, volume.voxel_size_angstrom) for x in ((one + two) / 2, one, two))  # type: ignore[return-value]


@pytest.mark.parametrize(("turn_deg", "resolution_angstrom"), [(4, 30.0), (8, 40.0), (16, 24.0)])
def test_a_turn_of_the_small_subunit_is_measured(
    maps: dict[str, Volume], turn_deg: int, resolution_angstrom: float
) -> None:
    a, a1, a2 = noisy(maps[f"motion_{turn_deg:04.1f}_deg"], 1)
    b, b1, b2 = noisy(maps["motion_00.0_deg"], 2)
    found = find_part_motion(a, b, [(a1, b1), (a2, b2)], resolution_angstrom)
    assert found is not None
    assert found.turn_deg == pytest.approx(turn_deg, abs=0.5)
    assert found.farthest_angstrom == pytest.approx(turn_deg * ANGSTROM_A_DEG, rel=0.15)
    assert 0 < found.error_angstrom < 0.1 * found.farthest_angstrom
    assert found.explained > 0.5


def test_a_part_that_comes_does_not_move(maps: dict[str, Volume]) -> None:
    a, b = maps["80S"], maps["60S"]
    assert find_part_motion(a, b, [(a, b), (a, b)], 30.0) is None


def test_one_map_does_not_move(maps: dict[str, Volume]) -> None:
    one = maps["60S"]
    assert find_part_motion(one, one, [(one, one), (one, one)], 30.0) is None
