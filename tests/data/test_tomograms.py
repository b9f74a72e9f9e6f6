"""Tomogram files: found by name, opened mapped, binned where they are large, voxel sizes judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from napari_tomodrgn.data import tomograms
from napari_tomodrgn.data.tomograms import Tomogram, find_files, open_tomogram
from napari_tomodrgn.errors import BadInputError


def write(path: Path, data: np.ndarray, voxel: float | None = 10.0) -> Path:
    with mrcfile.new(path) as mrc:
        mrc.set_data(data)
        if voxel is not None:
            mrc.voxel_size = voxel
    return path


def opened(path: Path, *args: Any) -> Tomogram:
    *steps, found = open_tomogram(path, *args)
    assert all(step is None for step in steps)
    assert found is not None
    return found


def test_files_are_found_by_name(tmp_path: Path) -> None:
    for name in ("TS_1_10.00Apx.mrc", "TS_10_10.00Apx.mrc", "TS_2.mrc", "rec_TS_3.mrc"):
        (tmp_path / name).touch()
    names = ["TS_1.tomostar", "TS_10.tomostar", "TS_2", "TS_3", "TS_4"]
    found = find_files(names, tmp_path)
    assert {name: path.name for name, path in found.items()} == {
        "TS_1.tomostar": "TS_1_10.00Apx.mrc",
        "TS_10.tomostar": "TS_10_10.00Apx.mrc",
        "TS_2": "TS_2.mrc",
    }
    assert find_files(["TS_3"], tmp_path, "*{name}.mrc")["TS_3"].name == "rec_TS_3.mrc"
    assert find_files(names, None) == {}
    with pytest.raises(BadInputError, match="names no tomogram"):
        find_files(names, tmp_path, "*.mrc")


@pytest.mark.parametrize("pattern", ["", "TS_1.mrc", "/data/{name}.mrc", "**{name}", "{name}\0"])
def test_patterns_that_find_nothing_anywhere_are_one_sentence(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(BadInputError, match="The pattern") as error:
        find_files(["TS_1"], tmp_path, pattern)
    assert "{name}" in error.value.remedy


def test_tomograms_may_be_in_a_folder_of_each_or_beside(tmp_path: Path) -> None:
    for path in (tmp_path / "TS_1" / "rec.mrc", tmp_path / "all" / "TS_1.mrc"):
        path.parent.mkdir()
        path.touch()
    for pattern in ("{name}/*.mrc", "**/{name}.mrc", "../all/{name}.mrc"):
        folder = tmp_path / "TS_1" if pattern.startswith("..") else tmp_path
        assert find_files(["TS_1"], folder, pattern), pattern


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int16, np.int8])
def test_small_tomograms_are_read_as_they_are(tmp_path: Path, kind: type) -> None:
    data = np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(kind)
    found = opened(write(tmp_path / "t.mrc", data))
    assert found.shown.dtype == kind
    assert found.binning == 1
    np.testing.assert_array_equal(found.shown, data)
    assert found.extent_zyx_angstrom == pytest.approx((40.0, 50.0, 60.0))
    assert not found.note


def test_large_tomograms_are_binned_by_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tomograms, "LARGEST_EDGE_PX", 20)
    monkeypatch.setattr(tomograms, "_SLAB_VOXELS", 4000)
    rng = np.random.default_rng(0)
    data = rng.normal(size=(22, 50, 41)).astype(np.float16)
    found = opened(write(tmp_path / "t.mrc", data))
    full, shown = found.levels
    assert isinstance(full.base, np.memmap) or isinstance(full, np.memmap)
    assert found.binning == 3
    assert shown.shape == (7, 16, 13)
    assert full.shape == (21, 48, 39), "exact multiples, or the layer's scale is off"
    expected = data[:21, :48, :39].astype(float).reshape(7, 3, 16, 3, 13, 3).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(shown, expected, atol=1e-5)


def test_contrast_is_of_percentiles(tmp_path: Path) -> None:
    data = np.linspace(0, 1, 50**3, dtype=np.float32).reshape(50, 50, 50)
    low, high = opened(write(tmp_path / "t.mrc", data)).contrast(5.0)
    assert (low, high) == pytest.approx((0.05, 0.95), abs=0.01)


def test_contrast_of_a_projection_is_of_what_is_projected(tmp_path: Path) -> None:
    """The largest of 50 noisy values is far out: at the contrast of a slice all was white."""
    data = np.random.default_rng(0).normal(size=(50, 60, 60)).astype(np.float32)
    tomogram = opened(write(tmp_path / "t.mrc", data))
    largest, smallest = data.max(axis=0), data.min(axis=0)
    expected = np.percentile(largest, [1, 99])
    assert tomogram.contrast(1.0, "largest") == pytest.approx(expected, abs=0.05)
    expected = np.percentile(smallest, [1, 99])
    assert tomogram.contrast(1.0, "smallest") == pytest.approx(expected, abs=0.05)
    white = (largest > tomogram.contrast(1.0)[1]).mean()
    assert white > 0.3 and (largest > tomogram.contrast(1.0, "largest")[1]).mean() < 0.02


def test_voxel_sizes_are_judged_by_the_star_file(tmp_path: Path) -> None:
    data, extent = np.zeros((4, 5, 6), np.float32), (60.0, 50.0, 40.0)
    assert not opened(write(tmp_path / "a.mrc", data), extent).note
    without = opened(write(tmp_path / "b.mrc", data, None), extent)
    assert without.voxel_size_angstrom == pytest.approx(10.0)
    assert "10.000 Å from the star file" in without.note
    assert "+20% off" in opened(write(tmp_path / "c.mrc", data, 12.0), extent).note


def test_what_is_no_tomogram_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mrc").write_text("not an MRC file")
    with pytest.raises(BadInputError, match="a tomogram"):
        opened(tmp_path / "text.mrc")
    with pytest.raises(BadInputError, match="three axes"):
        opened(write(tmp_path / "flat.mrc", np.zeros((8, 8), np.float32)))
    with pytest.raises(BadInputError, match="not an MRC file"):
        opened(tmp_path / "t.zarr")


def test_other_formats_come_from_a_reader(tmp_path: Path) -> None:
    levels = tuple(np.zeros((edge,) * 3, np.float16) for edge in (514, 257, 128))
    found = opened(tmp_path / "t.zarr", None, lambda _path: (levels, 5.0))
    assert found.binning == 2
    assert found.voxel_size_angstrom == 5.0
