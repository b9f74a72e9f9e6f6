"""Image files are found wherever they are, all of them or none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from napari_tomodrgn.data.checks import check_stacks
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.dialects.locate import locate_images
from napari_tomodrgn.errors import BadInputError


def _touch(root: Path, *names: str) -> list[Path]:
    paths = [root / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


NAMES = ("Particles/a/1.mrcs", "Particles/b/1.mrcs")


def test_beside_the_star(tmp_path: Path) -> None:
    paths = _touch(tmp_path, *NAMES)
    assert locate_images(NAMES, tmp_path / "x.star", None) == paths


def test_from_the_folder_of_the_project(tmp_path: Path) -> None:
    paths = _touch(tmp_path, *NAMES)
    assert locate_images(NAMES, tmp_path / "Refine3D" / "job012" / "x.star", None) == paths


def test_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = _touch(tmp_path / "here", *NAMES)
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "there").mkdir()
    assert locate_images(NAMES, tmp_path / "there" / "x.star", None) == paths


def test_absolute_names(tmp_path: Path) -> None:
    paths = _touch(tmp_path / "disk", *NAMES)
    names = [str(path) for path in paths]
    assert locate_images(names, tmp_path / "other" / "x.star", None) == paths


def test_by_the_longest_common_end_of_the_path(tmp_path: Path) -> None:
    paths = _touch(tmp_path, "moved/deep/a/1.mrcs", "moved/deep/b/1.mrcs")
    assert locate_images(NAMES, tmp_path / "x.star", None) == paths


def test_in_a_folder_that_is_given(tmp_path: Path) -> None:
    _touch(tmp_path, *NAMES)
    paths = _touch(tmp_path / "given", "x/a/1.mrcs", "x/b/1.mrcs")
    absolute = [f"/old/disk/{name}" for name in NAMES]
    for names in (NAMES, absolute):
        assert locate_images(names, tmp_path / "x.star", tmp_path / "given") == paths


def test_a_flat_folder_of_images(tmp_path: Path) -> None:
    paths = _touch(tmp_path / "flat", "1.mrcs", "2.mrcs")
    assert locate_images(["p/1.mrcs", "q/2.mrcs"], tmp_path / "x.star", tmp_path / "flat") == paths


def test_names_that_could_mean_several_files(tmp_path: Path) -> None:
    _touch(tmp_path, "one/1.mrcs", "two/1.mrcs")
    with pytest.raises(BadInputError, match="several files") as caught:
        locate_images(["data/1.mrcs"], tmp_path / "x.star", None)
    assert caught.value.code == "missing-images"


def test_some_missing(tmp_path: Path) -> None:
    _touch(tmp_path, NAMES[0])
    with pytest.raises(BadInputError, match=r"b/1\.mrcs was not found \(1 of 2 files"):
        locate_images(NAMES, tmp_path / "x.star", None)


def test_a_set_without_its_images_still_has_places_and_doses(
    simulated: Path, tmp_path: Path
) -> None:
    """As after a run was copied from the cluster to a laptop."""
    source = simulated / "warptools"
    for star in source.glob("*.star"):
        shutil.copy(star, tmp_path)
    star = tmp_path / "particles_optimisation_set.star"
    with pytest.raises(BadInputError, match="was not found"):
        read_particles(star)
    without = read_particles(star, images_needed=False)
    whole = read_particles(source / star.name)
    pd.testing.assert_frame_equal(without.particles, whole.particles)
    columns = [name for name in whole.images.columns if name != "stack"]
    pd.testing.assert_frame_equal(without.images[columns], whole.images[columns])
    with pytest.raises(BadInputError, match="cannot be read"):
        check_stacks(without)
