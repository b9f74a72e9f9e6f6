"""Chosen particles go back in the form of the list that they came in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from own_lists import assert_rows_untouched

from napari_tomodrgn.cli import main
from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.lists import read_list
from napari_tomodrgn.extract.run import extract
from napari_tomodrgn.extract.settings import ExtractConfig
from napari_tomodrgn.extract.way_back import write_list_back
from napari_tomodrgn.synthetic.tilt_series.lists import LISTS

Make = Callable[..., ExtractConfig]


@pytest.mark.parametrize("name", LISTS)
def test_chosen_particles_as_their_list(name: str, made: Make, tmp_path: Path) -> None:
    config = made("imod", name, box_px=16)
    list(extract(config, tmp_path / "out"))
    particles = read_particles(tmp_path / "out" / "optimisation_set.star")
    chosen = particles.select(particles.ids[3:8] + particles.ids[-2:])
    # As `select` does, of a star written elsewhere.
    again = read_particles(write_subset(chosen, tmp_path / "elsewhere" / "chosen.star"))
    back = write_list_back(again, tmp_path / "elsewhere" / "chosen.star")
    assert back is not None
    assert back.suffix == Path(name).suffix
    last = len(read_list(config.particles)) - 1  # copick and emClarity have a file a tomogram
    assert last in (14, 29)
    assert_rows_untouched(config.particles, back, [3, 4, 5, 6, 7, last - 1, last])


def test_a_list_that_was_changed_is_not_written(made: Make, tmp_path: Path) -> None:
    path = tmp_path / "dynamo.tbl"
    path.write_bytes(made("imod", "dynamo.tbl").particles.read_bytes())
    list(extract(made("imod", "dynamo.tbl", particles=path, box_px=16), tmp_path / "out"))
    particles = read_particles(tmp_path / "out" / "optimisation_set.star")
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(BadInputError, match="not the list any more"):
        write_list_back(particles, tmp_path / "chosen.star")


def test_other_sets_have_no_list(tilt_images: Path, tmp_path: Path) -> None:
    particles = read_particles(tilt_images / "warp" / "particles.star")
    assert write_list_back(particles, tmp_path / "chosen.star") is None


def test_select_writes_the_list_too(made: Make, tmp_path: Path) -> None:
    list(extract(made("imod", "dynamo.tbl", box_px=16), tmp_path / "out"))
    source = tmp_path / "out" / "optimisation_set.star"
    (tmp_path / "ids.txt").write_text("TS_001/2\nTS_002/20\n")
    words = ["select", str(source), "--particles", str(tmp_path / "ids.txt"), "--out"]
    assert main([*words, str(tmp_path / "chosen.star")]) == 0
    lines = (tmp_path / "chosen_dynamo.tbl").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["2", "20"]
    whole = made("imod", "dynamo.tbl").particles.read_text().splitlines()
    assert lines == [whole[1], whole[19]]
    assert main([*words, str(tmp_path / "each.star"), "--per-tomogram"]) == 0
    for name, row in (("TS_001", 1), ("TS_002", 19)):
        assert (tmp_path / f"each_{name}_dynamo.tbl").read_text() == whole[row] + "\n"
