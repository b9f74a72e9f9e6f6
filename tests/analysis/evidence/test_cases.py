"""The cases of ``benchmarks/evidence.py`` on small sets, two seeds each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evidence_case import Set, make_set

from napari_tomodrgn.analysis.evidence.comparison import Comparison, compare_groups
from napari_tomodrgn.analysis.evidence.permutation import beam_directions
from napari_tomodrgn.analysis.latents.clusters import k_means
from napari_tomodrgn.learn.reconstruction.contrast import run_to_end

SEEDS = (1, 2)
FEW = {"particles": 72, "box_size_px": 24, "tilts": 15, "snr": 0.1}
TRUE: dict[str, dict[str, object]] = {
    "40S turned": {"structures": ("motion_00.0_deg", "motion_16.0_deg")},
    "5S RNP": {"structures": ("60S", "60S_without_5S_RNP")},
    # The middle against an end is half of a motion: at the noise of the others 72 are too few.
    "motion": {"continuous": True, "snr": 0.4},
}


def compared(
    made: Set, drawn: np.ndarray, *, from_images: bool = True, with_maps: bool = False
) -> Comparison:
    labels = drawn.astype(np.int8)
    return run_to_end(
        compare_groups(made.evidence, labels, from_images=from_images, with_maps=with_maps)
    )


def ends(values: np.ndarray, share: float) -> np.ndarray:
    """+1 for so large a share of the particles, the largest, and −1 for the others."""
    return np.where(values >= np.quantile(values, 1 - share), 1, -1)


@pytest.fixture(scope="module", params=SEEDS)
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Set:
    return make_set(tmp_path_factory.mktemp("one"), {**FEW, "structures": ("60S",)}, request.param)


def test_no_group_of_one_structure_differs(one: Set) -> None:
    """Three ways to choose by noise; by viewing direction; by defocus within its tomogram."""
    first = one.latents[:, 0]
    distance = np.linalg.norm(one.latents - one.latents[first.argmin()], axis=1)
    for drawn in (
        np.where(k_means(one.latents, 2) == 0, 1, -1),
        ends(first, 0.1),
        ends(-distance, 0.2),
    ):
        assert not compared(one, drawn).differ
    particles, tomogram = one.evidence.data.particles, one.evidence.strata.tomogram
    along = np.abs(beam_directions(particles)[:, 0])
    arrays = particles.arrays()
    defocus = np.bincount(arrays.particle, weights=arrays.defocus_u_angstrom)
    high = np.zeros(len(particles), bool)
    for number in np.unique(tomogram):
        here = tomogram == number
        high[here] = defocus[here] > np.median(defocus[here])
    for drawn in (ends(along, 0.5), np.where(high, 1, -1)):
        found = compared(one, drawn, from_images=False)
        assert not found.crossed.crossed
        assert not found.differ


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", TRUE)
def test_true_states_differ(name: str, seed: int, tmp_path: Path) -> None:
    made = make_set(tmp_path, {**FEW, **TRUE[name]}, seed)
    first = made.latents[:, 0]
    if name == "motion":
        low, middle = np.quantile(first, [1 / 3, 2 / 3])
        drawn = np.select([first <= low, first <= middle], [0, 1], -1)
    else:
        drawn = np.where(k_means(made.latents, 2) == 0, 1, -1)
    found = compared(made, drawn, with_maps=name == "40S turned")
    assert found.differ, found.sentence()
    if name == "40S turned":
        assert found.kind is not None and found.kind.motion is not None, found.sentence()
        assert found.kind.motion.turn_deg == pytest.approx(16.0, abs=2.0)
        assert "looks like a part that moves by up to" in found.sentence()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_twentieth_of_the_particles_differs(seed: int, tmp_path: Path) -> None:
    """60S among 80S: those at the long end of the first component."""
    settings = {**FEW, "particles": 120, "structures": ("80S", "60S"), "shares": (0.95, 0.05)}
    made = make_set(tmp_path, settings, seed)
    assert made.truth["state"].sum() == 6
    first = made.latents[:, 0]
    drawn = ends(first * np.sign(((first - first.mean()) ** 3).sum()), 0.05)
    found = compared(made, drawn)
    assert found.differ, found.sentence()


@pytest.mark.parametrize("seed", SEEDS)
def test_poses_that_are_off_are_named_as_such(seed: int, tmp_path: Path) -> None:
    settings = {**FEW, "structures": ("60S",), "nuisances": {"pose_error_deg": 8.0}}
    made = make_set(tmp_path, settings, seed)
    found = compared(made, np.where(k_means(made.latents, 2) == 0, 1, -1))
    assert not found.differ
    assert found.causes.name == "alignment", found.sentence()
