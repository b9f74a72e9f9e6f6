"""What is written reads back equal, and what is kept is kept letter for letter."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.star import read_star
from napari_tomodrgn.errors import BadInputError

REAL = {
    "warptools": "warptools_test_4-tomos_10-ptcls_box-32_angpix-12_optimisation_set.star",
    "cryosrpnt": "10076_classD_32_sim.star",
}


def assert_equal(one: ParticleSet, other: ParticleSet, *, numbering: bool = True) -> None:
    """Equal but for the rows of the files they came from (and the numbering of image series)."""
    ignored = ["source_row"] if numbering else ["source_row", "tilt_index"]
    pd.testing.assert_frame_equal(
        one.images.drop(columns=ignored),
        other.images.drop(columns=ignored),
        check_categorical=False,
        check_exact=True,
    )
    pd.testing.assert_frame_equal(one.particles, other.particles, check_exact=True)
    assert one.optics == other.optics


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("part", ["all", "particles", "images"])
def test_real_sets(real_data: Path, tmp_path: Path, name: str, part: str) -> None:
    particles = read_particles(real_data / name / REAL[name])
    rng = np.random.default_rng(4)
    if part == "particles":
        particles = particles.take(rng.random(len(particles)) < 0.3)
    elif part == "images":
        particles = particles.filter_images(rng.random(len(particles.images)) < 0.4)
    written = write_subset(particles, tmp_path / "elsewhere" / "some.star")
    assert_equal(particles, read_particles(written), numbering=name == "warptools")
    again = read_particles(tmp_path / "elsewhere" / "some.star")
    assert_equal(particles, again, numbering=name == "warptools")


def test_files_and_text_beside_the_source(warptools_set) -> None:
    particles = read_particles(warptools_set.star).select(["TS_1.tomostar/8", "TS_2.tomostar/9"])
    folder = warptools_set.star.parent
    written = write_subset(particles, folder / "two.star")
    assert written == folder / "two_optimisation_set.star"
    before = read_star(warptools_set.particles)
    after = read_star(folder / "two.star")
    assert after["optics"].equals(before["optics"])
    assert after["general"] == before["general"]
    expected = before["particles"].iloc[[1, 3]].reset_index(drop=True)
    pd.testing.assert_frame_equal(after["particles"], expected)
    assert (
        read_star(folder / "two_tomograms.star").keys() == particles.source.tomogram_blocks.keys()
    )


def test_moved_files_are_named_absolutely(warptools_set, tmp_path: Path) -> None:
    particles = read_particles(warptools_set.star)
    write_subset(particles, tmp_path / "far" / "set.star")
    names = read_star(tmp_path / "far" / "set.star")["particles"]["rlnImageName"]
    assert names.tolist() == [str(path) for path in warptools_set.stacks]


def test_numbers_of_images_survive_moving(image_series, tmp_path: Path) -> None:
    particles = read_particles(image_series.star)
    write_subset(particles, tmp_path / "far" / "set.star")
    names = read_star(tmp_path / "far" / "set.star")[""]["rlnImageName"]
    assert names[0] == f"000001@{image_series.stacks[0]}"


def test_hidden_frames_are_written_and_others_keep_their_text(warptools_set) -> None:
    warptools_set.change("[1,1,1,1]", "[1,1,1,1.0]")
    particles = read_particles(warptools_set.star)
    first = particles.images["particle_id"] == "TS_1.tomostar/7"
    fewer = particles.filter_images(~(first & (particles.images["tilt_index"] == 1)).to_numpy())
    written = write_subset(fewer, warptools_set.star.with_name("fewer.star"))
    lists = read_star(warptools_set.star.with_name("fewer.star"))["particles"]
    assert lists["rlnTomoVisibleFrames"].tolist() == [
        "[1,0,1]",
        "[0,1,1]",
        "[1,1,1,1.0]",
        "[1,0,1,0]",
    ]
    assert_equal(fewer, read_particles(written))


def test_hiding_needs_stacks_of_all_frames(warptools_set, mrc) -> None:
    warptools_set.stacks[3].write_bytes(mrc(np.zeros((2, 8, 8), np.float16)))
    particles = read_particles(warptools_set.star)
    last = particles.filter_images(np.arange(len(particles.images)) < len(particles.images) - 1)
    with pytest.raises(BadInputError, match="only the visible frames") as caught:
        write_subset(last, warptools_set.star.with_name("last.star"))
    assert caught.value.code == "cannot-hide-frames"
    assert not warptools_set.star.with_name("last.star").exists()


def test_without_a_column_of_visible_frames(warptools_set) -> None:
    lines = warptools_set.particles.read_text().replace("_rlnTomoVisibleFrames", "_myFrames")
    warptools_set.particles.write_text(lines)
    particles = read_particles(warptools_set.star)
    assert particles.particles["tilts"].tolist() == [3, 3, 4, 4]
    fewer = particles.filter_images(np.arange(len(particles.images)) != 4)
    written = write_subset(fewer, warptools_set.star.with_name("fewer.star"))
    assert_equal(fewer, read_particles(written))


def test_other_entries_of_an_optimisation_set_follow(warptools_set, tmp_path: Path) -> None:
    motion = warptools_set.star.with_name("motion.star")
    motion.write_text("data_\n_rlnA 1\n")
    with open(warptools_set.star, "a") as stream:
        stream.write("_rlnTomoTrajectoriesFile motion.star\n_rlnTomoReferenceFscFile gone.star\n")
    written = write_subset(read_particles(warptools_set.star), tmp_path / "far" / "set.star")
    entries = read_star(written)[""]
    assert entries["rlnTomoTrajectoriesFile"] == str(motion)
    assert entries["rlnTomoReferenceFscFile"] == "gone.star"


def test_nothing_to_write(warptools_set, tmp_path: Path) -> None:
    particles = read_particles(warptools_set.star)
    with pytest.raises(BadInputError, match="no particles"):
        write_subset(particles.take(np.zeros(4, bool)), tmp_path / "none.star")
    assert os.listdir(tmp_path) == ["warptools"]
