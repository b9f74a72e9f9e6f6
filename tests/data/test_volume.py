"""Maps as files."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np

from napari_tomodrgn.data.volume import Volume, read_volume, write_volume


def test_a_map_is_the_same_file_whenever_it_is_written(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(6, 6, 6)).astype(np.float32)
    path = tmp_path / "map.mrc"
    write_volume(path, Volume(data, 3.5))
    with mrcfile.open(path) as mrc:
        # No time of day, which mrcfile would put in.
        assert mrc.get_labels() == ["written by napari-tomodrgn"]
    again = read_volume(path)
    assert again.voxel_size_angstrom == 3.5
    np.testing.assert_array_equal(again.data, data)
