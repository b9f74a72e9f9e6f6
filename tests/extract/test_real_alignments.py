"""Readers of alignments on real files."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from napari_tomodrgn.data.mrc import MrcHeader
from napari_tomodrgn.data.star import read_star
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.alignments import AlignmentInput
from napari_tomodrgn.extract.alignments.aretomo import read_aretomo
from napari_tomodrgn.extract.alignments.imod import read_imod
from napari_tomodrgn.extract.alignments.warp_xml import read_warp_series, read_warp_xml
from napari_tomodrgn.extract.geometry import tilt_angles
from napari_tomodrgn.extract.tilt_stack import TiltStack, open_tilt_stack
from napari_tomodrgn.geometry import euler_to_matrix


@pytest.fixture(scope="session")
def alignments(real_data: Path) -> Path:
    folder = real_data / "alignments"
    if not folder.is_dir():
        pytest.skip("no real alignments")
    return folder


def stack(nx: int, ny: int, count: int, pixel: float) -> TiltStack:
    """A stack that is known by its header alone."""
    header = MrcHeader(
        Path("stack.mrc"), (count, ny, nx), (pixel,) * 3, True, np.dtype(np.float32), 1024
    )
    return TiltStack(header, pixel)


def test_xf_of_10499_is_the_xml_that_warptools_made_of_it(alignments: Path) -> None:
    folder = alignments / "warp_warpylib"
    # An even size: Warp's middle is N / 2, IMOD's (N − 1) / 2. WarpTools takes the shifts as they
    # are, so the comparison is of angles and shifts.
    given = stack(964, 928, 41, 10.0)
    imod = read_imod(AlignmentInput(folder / "00254.xf", "00254", given))
    warp = read_warp_xml(AlignmentInput(folder / "00254.xml", "00254", given))
    axis = tilt_angles(imod.rotations)[:, 0] - tilt_angles(warp.rotations)[:, 0]
    assert np.abs(axis).max() < 1e-5
    assert np.abs(imod.shifts_px - warp.shifts_px).max() < 1e-4
    # The .tlt was imported without turning its sign, so Warp's tilts are minus those of the .xf.
    tlt = np.loadtxt(folder / "00254.tlt")
    assert_allclose(tilt_angles(imod.rotations)[:, 1], tlt, atol=1e-9)
    assert_allclose(tilt_angles(warp.rotations)[:, 1], -tlt, atol=1e-6)


def test_warp_places_points_as_warp_itself_does(alignments: Path) -> None:
    """TS_1 (EMPIAR-10491): levels and a 6 × 4 × 41 movement grid, against what Warp wrote."""
    folder, pixel = alignments / "warp_warpylib", 0.834
    given = stack(5760, 4092, 41, pixel)
    geometry = read_warp_xml(AlignmentInput(folder / "TS_1.xml", "TS_1", given))
    blocks = read_star(folder / "TS_1.star")
    points = blocks["points"].astype(float).to_numpy()
    truth = blocks["mappings"]
    names = [f"centeredCoordinate{axis}Angst" for axis in "XY"]
    expected = truth[names].astype(float).to_numpy().reshape(len(points), 41, 2)
    found = (geometry.project(points).xy_px * pixel) - np.array([5760, 4092]) * pixel / 2
    off = np.abs(found.transpose(1, 0, 2) - expected)
    assert off.max() < 0.01
    plain = AlignmentInput(folder / "TS_1.xml", "TS_1", given, ignore_local=True)
    without = (
        read_warp_xml(plain).project(points).xy_px * pixel - np.array([5760, 4092]) * pixel / 2
    )
    assert np.linalg.norm(without.transpose(1, 0, 2) - expected, axis=-1).mean() > 1
    angles = truth[["angleRot", "angleTilt", "anglePsi"]].astype(float).to_numpy()
    views = euler_to_matrix(angles.reshape(-1, 41, 3))
    assert_allclose(np.broadcast_to(geometry.views, views.shape), views, atol=1e-5)
    depth = geometry.project(points).depth_angstrom.T
    series = read_warp_series(folder / "TS_1.xml")
    mean = series.grid("GridCTF").along_z(41) * 1e4
    stated = truth[["defocusU", "defocusV"]].astype(float).to_numpy().mean(axis=1).reshape(-1, 41)
    assert_allclose(mean + geometry.hand * depth, stated, atol=1.0)


def test_imod_of_a_real_series(alignments: Path) -> None:
    folder = alignments / "imod_etomofiles"
    given = stack(4092, 5760, 40, 1.35)
    found = read_imod(AlignmentInput(folder / "TS_001.xf", "TS_001", given))
    angles = tilt_angles(found.rotations)
    assert_allclose(angles[:3, 0], [84.14, 84.12, 84.11], atol=0.01)
    assert_allclose(angles[0, 1], -57.12, atol=1e-9)
    first = np.loadtxt(folder / "TS_001.xf")[0]
    matrix = first[:4].reshape(2, 2)
    assert_allclose(matrix @ found.shifts_px[0], -first[4:], atol=1e-4)


def test_the_stack_of_a_real_series_has_its_header_alone(alignments: Path) -> None:
    with pytest.raises(BadInputError, match="none is known"):
        open_tilt_stack(alignments / "imod_etomofiles" / "TS_001.st")


def test_imod_with_commands_of_a_real_series(alignments: Path, tmp_path: Path) -> None:
    """tilt.com and newst.com of a binned reconstruction: SUBSETSTART keeps the middle."""
    for name in ("tilt.com", "newst.com", "tilt_1.xf", "tilt_1.tlt", "tilt_1.xtilt"):
        text = (alignments / "imod_com" / "imod_1" / name).read_bytes()
        (tmp_path / name).write_bytes(text)
    given = stack(3838, 3710, 59, 1.0825)
    found = read_imod(AlignmentInput(tmp_path / "tilt_1.xf", "tilt_1", given))
    assert found.specimen_size_px == (3712.0, 3832.0, 2000.0)
    assert len(found) == 59


def test_shortened_aln_does_not_say_from_where_it_counts(alignments: Path) -> None:
    given = stack(2032, 2032, 90, 1.7)
    path = alignments / "aretomo" / "test.aln"
    with pytest.raises(BadInputError, match="--ignore-local"):
        read_aretomo(AlignmentInput(path, "test", given))
    with pytest.raises(BadInputError, match="neither 0 to 89 nor 1 to 90"):
        read_aretomo(AlignmentInput(path, "test", given, ignore_local=True))
