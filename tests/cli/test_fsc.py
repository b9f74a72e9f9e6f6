"""`fsc` of two maps: the same as theory says, and one sentence where they do not compare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.analysis.map_comparison import compare_maps
from napari_tomodrgn.analysis.volume_masks import make_mask
from napari_tomodrgn.cli import main
from napari_tomodrgn.data.volume import Volume, write_volume


@pytest.fixture
def maps(tmp_path: Path) -> tuple[Path, Path]:
    """One density in two amounts of noise."""
    rng = np.random.default_rng(0)
    axis = np.arange(32) - 16
    radius2 = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    density = 20 * np.exp(-radius2 / 18)
    paths = tmp_path / "a.mrc", tmp_path / "b.mrc"
    for path in paths:
        noisy = (density + rng.normal(size=density.shape)).astype(np.float32)
        write_volume(path, Volume(noisy, 4.0))
    return paths


def test_a_map_with_itself_and_with_its_negative(maps: tuple[Path, Path], tmp_path: Path) -> None:
    same = compare_maps(maps[0], maps[0])
    assert same.correlation == pytest.approx(1)
    np.testing.assert_allclose(same.curve.correlation, 1)
    assert same.curve.resolution_angstrom() == pytest.approx(8.0), "Nyquist"
    one, other = compare_maps(*maps), compare_maps(*maps, mask="sphere")
    assert one.curve.correlation[2] > 0.99
    assert abs(one.curve.correlation[-4:].mean()) < 0.1
    assert other.correlation != one.correlation


def test_the_command_prints_and_writes(
    maps: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fsc.csv"
    assert main(["fsc", *map(str, maps), "--mask", "soft", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "correlation 0." in printed
    assert "FSC 0.143 at" in printed
    table = pd.read_csv(out)
    assert table["fsc"].iloc[0] <= 1
    assert table["frequency_per_angstrom"].iloc[-1] == pytest.approx(1 / 8)
    assert main(["fsc", *map(str, maps)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4 + 1 + 16


def test_maps_that_do_not_compare_are_one_sentence(
    maps: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: object) -> str:
        assert main(["fsc", str(maps[0]), *map(str, arguments)]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        return lines[0]

    small, other = tmp_path / "small.mrc", tmp_path / "other.mrc"
    write_volume(small, Volume(np.ones((16, 16, 16), np.float32), 4.0))
    write_volume(other, Volume(np.ones((32, 32, 32), np.float32), 1.0))
    assert "a box of 16³" in said(small)
    assert "voxels of 1 Å" in said(other)
    assert "--pixel-size" in said(other)
    assert "a mask of 16" in said(maps[1], "--mask", small)
    assert "cannot be read" in said(maps[1], "--mask", tmp_path / "gone.mrc")
    write_volume(small, Volume(np.full((32, 32, 32), 7, np.float32), 4.0))
    assert "a mask has 0 to 1" in said(maps[1], "--mask", small)
    assert main(["fsc", str(maps[0]), str(other), "--pixel-size", "4"]) == 0


def test_masks_hold_the_density_and_have_soft_edges(maps: tuple[Path, Path]) -> None:
    from napari_tomodrgn.data.volume import read_volume

    volume = read_volume(maps[0])
    tight, soft = make_mask("tight", volume), make_mask("soft", volume)
    assert tight is not None
    assert soft is not None
    assert set(np.unique(tight)) == {0.0, 1.0}
    assert tight.mean() == pytest.approx(0.01, abs=0.002)
    assert (soft[tight > 0] == 1).all()
    assert ((soft > 0) & (soft < 1)).any()
    assert soft[0, 0, 0] == 0
    assert make_mask("none", volume) is None


def test_masks_of_regions(maps: tuple[Path, Path], tmp_path: Path) -> None:
    from napari_tomodrgn.data.volume import read_volume

    out = tmp_path / "mask.mrc"
    # Voxel 20 of the x axis, 16 of the others; 4 Å a voxel.
    assert main(["mask", str(maps[0]), "--sphere", "80", "64", "64", "20", "--out", str(out)]) == 0
    mask = read_volume(out).data
    assert mask[16, 16, 20] == 1
    assert mask[16, 16, 5] == 0
    centre = np.average(np.indices(mask.shape).reshape(3, -1), weights=mask.ravel(), axis=1)
    np.testing.assert_allclose(centre, [16, 16, 20], atol=0.01)
    cuboid = ["20", "40", "60", "40", "60", "80"]
    arguments = ["mask", str(maps[0]), "--cuboid", *cuboid, "--out", str(out)]
    assert main(arguments) == 2, "nothing is replaced unasked"
    assert main([*arguments, "--overwrite"]) == 0
    mask = read_volume(out).data
    assert mask[17, 12, 7] == 1
    assert mask[12, 17, 7] == 0


def test_a_mask_around_what_differs(maps: tuple[Path, Path], tmp_path: Path) -> None:
    from napari_tomodrgn.data.volume import read_volume

    changed = read_volume(maps[0])
    changed.data[8:11, 20:23, 4:7] += 40
    other, out = tmp_path / "other.mrc", tmp_path / "mask.mrc"
    write_volume(other, changed)
    assert main(["mask", str(maps[0]), "--difference", str(other), "--out", str(out)]) == 0
    mask = read_volume(out).data
    assert mask[9, 21, 5] == 1
    assert mask.sum() < 2000
    assert main(["mask", str(maps[0]), "--difference", str(maps[0]), "--out", "x.mrc"]) == 2
