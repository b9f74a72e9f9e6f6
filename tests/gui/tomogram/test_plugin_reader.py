"""Tomograms as OME-Zarr, read by whatever plugin is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_tomodrgn.data.tomograms import open_tomogram
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.tomogram.plugin_reader import read_by_plugin

VOXEL_NM = 1.2


@pytest.mark.parametrize("installed", [False, True])
def test_what_nothing_reads_is_told_in_one_sentence_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    import napari_tomodrgn.gui.tomogram.plugin_reader as module

    monkeypatch.setattr(module, "find_spec", lambda _name: object() if installed else None)
    folder = tmp_path / "TS_001.zarr"
    folder.mkdir()
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    with pytest.raises(BadInputError) as told:
        list(open_tomogram(folder, None, read_by_plugin))
    words = str(told.value)
    assert "napari-ome-zarr" in words and "convert the tomogram to MRC" in words
    assert ("install napari-ome-zarr" in words) is not installed


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_ome_zarr_is_opened_in_angstrom_voxel_for_voxel(tmp_path: Path, version: str) -> None:
    zarr = pytest.importorskip("zarr", reason="the extra `zarr` is not installed")
    pytest.importorskip("napari_ome_zarr", reason="the extra `zarr` is not installed")
    import npe2

    npe2.PluginManager.instance().discover()
    data = np.random.default_rng(0).normal(size=(24, 40, 60)).astype(np.float32)
    old = version == "0.4"
    group = zarr.open_group(tmp_path / "TS.zarr", mode="w", zarr_format=2 if old else 3)
    mode = {"chunk_key_encoding": {"name": "v2", "separator": "/"}} if old else {}
    mode |= {} if old else {"dimension_names": ["z", "y", "x"]}
    for level in range(2):
        part = data[:: 2**level, :: 2**level, :: 2**level]
        group.create_array(str(level), shape=part.shape, chunks=(12, 20, 20), dtype="f4", **mode)[
            :
        ] = part
    image = {
        "version": version,
        "axes": [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"],
        "datasets": [
            {
                "path": str(level),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [VOXEL_NM * 2**level] * 3}
                ],
            }
            for level in range(2)
        ],
    }
    group.attrs.update(
        {"multiscales": [image]} if old else {"ome": {"version": version, "multiscales": [image]}}
    )
    *_, found = open_tomogram(tmp_path / "TS.zarr", None, read_by_plugin)
    assert found is not None
    assert found.voxel_size_angstrom == pytest.approx(10 * VOXEL_NM)
    assert found.extent_zyx_angstrom == pytest.approx((288, 480, 720))
    np.testing.assert_array_equal(np.asarray(found.shown), data)
