"""The shipped maps: what is in them, by numbers taken from the atoms of PDB 6ZU5 and 7CTH."""

from __future__ import annotations

import itertools
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_tomodrgn.synthetic.molecules import ASSEMBLY, known_names, load_maps

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMPOSITIONS = ("80S", "60S", "60S_without_5S_RNP", "80S_without_Lso2", "40S")
# Centroids of the removed atoms, zyx in Å from the 80S centre of mass, from the coordinates.
FIVE_S_RNP_ZYX_ANGSTROM = (62.9, -67.0, 19.6)
LSO2_ZYX_ANGSTROM = (8.8, -46.5, 11.9)


@pytest.fixture(scope="module")
def maps() -> dict[str, NDArray[np.float64]]:
    """Every array of the file, as float64."""
    source = files("napari_tomodrgn") / "sample_maps" / "ribosome_6zu5.npz"
    with as_file(source) as path, np.load(path, allow_pickle=False) as archive:
        assert {archive[name].dtype.name for name in (*COMPOSITIONS, "motion")} == {"float16"}
        return {name: archive[name].astype(np.float64) for name in archive.files}


def centroid_zyx_angstrom(volume: NDArray[np.float64], voxel: float) -> NDArray[np.float64]:
    """Density-weighted centroid from the box centre, zyx in Å."""
    positions = (np.indices(volume.shape).reshape(3, -1) - volume.shape[0] // 2) * voxel
    return np.asarray(positions @ volume.ravel() / volume.sum())


def test_keys_shapes_and_voxel(maps: dict[str, NDArray[np.float64]]) -> None:
    assert set(maps) == {*COMPOSITIONS, "motion", "motion_angle_deg", "voxel_size_angstrom"}
    assert all(maps[name].shape == (64, 64, 64) for name in COMPOSITIONS)
    assert maps["motion"].shape == (9, 64, 64, 64)
    assert maps["voxel_size_angstrom"] == 6.0
    np.testing.assert_allclose(maps["motion_angle_deg"], np.arange(0, 17, 2))


def test_density_is_positive_on_one_scale_and_inside_the_box(
    maps: dict[str, NDArray[np.float64]],
) -> None:
    volumes = np.concatenate([[maps[name] for name in COMPOSITIONS], maps["motion"]])
    assert np.isfinite(volumes).all()
    assert volumes.min() == 0.0
    assert maps["80S"].max() == pytest.approx(1.0, abs=1e-3)
    radius_px = np.linalg.norm(np.indices((64, 64, 64)) - 32, axis=0)
    assert volumes[:, radius_px > 31].max() == 0.0  # a turned particle stays whole


def test_masses_add_up(maps: dict[str, NDArray[np.float64]]) -> None:
    mass = {name: maps[name].sum() for name in COMPOSITIONS}
    lso2 = mass["80S"] - mass["80S_without_Lso2"]
    assert mass["60S"] + mass["40S"] + lso2 == pytest.approx(mass["80S"], rel=0.001)
    # shares of the atoms: 40S 62393, 5S RNP 6004, Lso2 638 of 165175
    assert mass["40S"] / mass["80S"] == pytest.approx(62393 / 165175, rel=0.03)
    five_s = (mass["60S"] - mass["60S_without_5S_RNP"]) / mass["80S"]
    assert five_s == pytest.approx(6004 / 165175, rel=0.03)
    assert lso2 / mass["80S"] == pytest.approx(638 / 165175, rel=0.03)


@pytest.mark.parametrize(
    ("whole", "part", "expected_zyx_angstrom"),
    [
        ("60S", "60S_without_5S_RNP", FIVE_S_RNP_ZYX_ANGSTROM),
        ("80S", "80S_without_Lso2", LSO2_ZYX_ANGSTROM),
    ],
)
def test_compositions_differ_where_the_removed_chains_are(
    maps: dict[str, NDArray[np.float64]],
    whole: str,
    part: str,
    expected_zyx_angstrom: tuple[float, float, float],
) -> None:
    difference = maps[whole] - maps[part]
    voxel = float(maps["voxel_size_angstrom"])
    found = centroid_zyx_angstrom(difference, voxel)
    # Every axis is off-centre by more than this, so a swapped or mirrored axis would show.
    np.testing.assert_allclose(found, expected_zyx_angstrom, atol=0.5 * voxel)
    inside = np.linalg.norm(
        (np.indices(difference.shape).T - 32) * voxel - expected_zyx_angstrom, axis=-1
    ).T
    assert difference[inside < 70].sum() > 0.98 * difference.sum()


def test_centre_of_mass_is_the_box_centre(maps: dict[str, NDArray[np.float64]]) -> None:
    centre = centroid_zyx_angstrom(maps["80S"], float(maps["voxel_size_angstrom"]))
    np.testing.assert_allclose(centre, 0.0, atol=1.0)


def test_motion_starts_unrotated_and_moves_the_40s_only(
    maps: dict[str, NDArray[np.float64]],
) -> None:
    motion, large = maps["motion"], maps["60S"]
    np.testing.assert_allclose(motion[0], maps["80S_without_Lso2"], atol=2e-3)
    np.testing.assert_allclose(motion.sum(axis=(1, 2, 3)), motion[0].sum(), rtol=1e-3)
    assert np.all(motion >= large - 2e-3)  # the 60S is in every frame, where it was
    moving = motion - large
    match = [np.corrcoef(moving[0].ravel(), frame.ravel())[0, 1] for frame in moving]
    assert match[0] == pytest.approx(1.0)
    assert np.all(np.diff(match) < 0)  # each step leads further away
    assert match[-1] < 0.8


# The envelope and the assembly


def test_the_envelope_is_long_and_its_compositions_lose_what_they_are_named_for() -> None:
    loaded = load_maps("envelope", known_names("envelope"))
    maps = {name: volume.data.astype(np.float64) for name, volume in loaded.items()}
    whole = maps["E3M3_2scFv"]
    assert loaded["E3M3_2scFv"].voxel_size_angstrom == 4.0
    assert whole.max() == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(centroid_zyx_angstrom(whole, 4.0), 0.0, atol=1.0)
    places = (np.indices(whole.shape).reshape(3, -1) - 32) * 4.0
    widths = np.sqrt(np.linalg.eigvalsh(np.cov(places, aweights=whole.ravel())))
    assert widths[2] > 1.9 * widths[1] > 1.9 * widths[0]  # 43, 21, 17 Å
    # atoms: 16667, 3640 of them of both fragments, 586 of an M protein
    lost = {name: 1 - maps[name].sum() / whole.sum() for name in maps}
    assert lost["E3M3"] == pytest.approx(3640 / 16667, rel=0.03)
    assert lost["E3M3_1scFv"] == pytest.approx(1820 / 16667, rel=0.03)
    assert lost["E3M2_2scFv"] == pytest.approx(586 / 16667, rel=0.05)
    gone = centroid_zyx_angstrom(whole - maps["E3M2_2scFv"], 4.0)
    np.testing.assert_allclose(gone, (29.1, 32.3, 12.7), atol=2.0)
    radius_px = np.linalg.norm(np.indices(whole.shape) - 32, axis=0)
    assert max(volume[radius_px > 31].max() for volume in maps.values()) == 0.0


def test_each_stage_of_the_assembly_holds_the_one_before() -> None:
    maps = [volume.data for volume in load_maps("ribosome", ASSEMBLY).values()]
    assert len(maps) == 16
    steps = np.array([(late - early).min() for early, late in itertools.pairwise(maps)])
    assert steps.min() >= 0
    kda = np.diff([volume.sum(dtype=np.float64) for volume in maps])
    kda *= 2450 / maps[-1].sum(dtype=np.float64)  # of the whole ribosome
    assert kda[:-1].min() > 70  # 80 by the atoms; RNA scatters more than protein does
    assert kda[-1] == pytest.approx(9.2, rel=0.1)  # the single protein Lso2
    whole = load_maps("ribosome", ("80S",))["80S"].data
    np.testing.assert_allclose(maps[-1], whole, atol=2e-3)
