"""Whatever is wrong with the input: one sentence that names it, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.checks import check_stacks
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.errors import BadInputError


def use(path: Path, **options: object) -> None:
    """What every command does first."""
    particles = read_particles(path, **options)
    check_stacks(particles)
    particles.with_overrides(DataConfig())


def fails(path: Path, code: str, words: str, **options: object) -> None:
    with pytest.raises(BadInputError) as caught:
        use(path, **options)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    # One sentence says what was found; the remedy may be a second one.
    assert caught.value.message.endswith(".")
    assert ". " not in caught.value.message.replace("..", "")


def test_good_sets_pass(warptools_set, image_series) -> None:
    use(warptools_set.star)
    use(image_series.star)


def test_missing_star(tmp_path: Path) -> None:
    fails(tmp_path / "no.star", "no-file", "cannot be read")


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.star").touch()
    fails(tmp_path / "a.star", "empty-file", "empty")


def test_binary_named_star(warptools_set) -> None:
    path = warptools_set.stacks[0].rename(warptools_set.stacks[0].with_suffix(".star"))
    fails(path, "not-star", "binary")


@pytest.mark.parametrize("column", ["rlnAngleRot", "rlnCoordinateZ", "rlnImageName", "rlnTomoName"])
def test_missing_column_of_particles(warptools_set, column: str) -> None:
    warptools_set.change(f"_{column} ", "_gone ")
    fails(warptools_set.star, "missing-column", column)
    fails(warptools_set.particles, "missing-column", column)


@pytest.mark.parametrize("column", ["rlnImagePixelSize", "rlnVoltage", "rlnOpticsGroup"])
def test_missing_column_of_optics(warptools_set, column: str) -> None:
    text = warptools_set.particles.read_text()
    warptools_set.particles.write_text(text.replace(f"_{column} ", "_gone ", 1))
    fails(warptools_set.star, "missing-column", column)


@pytest.mark.parametrize(
    "column", ["rlnTomoProjY", "rlnDefocusV", "rlnMicrographPreExposure", "rlnTomoSizeX"]
)
def test_missing_column_of_tilts(warptools_set, column: str) -> None:
    warptools_set.change(f"_{column} ", "_gone ", warptools_set.tomograms)
    fails(warptools_set.star, "missing-column", column)


@pytest.mark.parametrize("column", ["rlnCtfBfactor", "rlnVoltage", "rlnDetectorPixelSize"])
def test_missing_column_of_images(image_series, column: str) -> None:
    image_series.change(f"_{column} ", "_gone ")
    fails(image_series.star, "missing-column", column)


def test_stack_shorter_than_the_star_says(image_series, mrc: Callable[..., bytes]) -> None:
    image_series.stacks[0].write_bytes(mrc(np.zeros((7, 8, 8), np.float32)))
    fails(image_series.star, "short-stack", "has 7 images, but the star file refers to image 8")


def test_particle_stack_shorter_than_its_series(warptools_set, mrc: Callable[..., bytes]) -> None:
    warptools_set.stacks[2].write_bytes(mrc(np.zeros((3, 8, 8), np.float16)))
    fails(warptools_set.star, "short-stack", "p_3.mrcs")


@pytest.mark.parametrize("dialect", ["warptools", "warp"])
def test_unreadable_cut_off_and_wrong_box(
    dialect: str, warptools_set, image_series, mrc: Callable[..., bytes]
) -> None:
    files = warptools_set if dialect == "warptools" else image_series
    stack = files.stacks[0]
    whole = stack.read_bytes()
    stack.write_bytes(whole[:-10])
    fails(files.star, "truncated-stack", "cut off")
    stack.write_bytes(b"not an image at all" * 100)
    fails(files.star, "unreadable-stack", "not an MRC file")
    stack.write_bytes(mrc(np.zeros((8, 6, 8), np.float32)))
    fails(files.star, "wrong-box", "square")


def test_box_that_is_not_the_one_of_the_star(warptools_set, mrc: Callable[..., bytes]) -> None:
    warptools_set.stacks[1].write_bytes(mrc(np.zeros((3, 10, 10), np.float16)))
    fails(warptools_set.star, "wrong-box", "10 px, but the set has 8 px")


def test_odd_box(image_series, mrc: Callable[..., bytes]) -> None:
    image_series.stacks[0].write_bytes(mrc(np.zeros((8, 7, 7), np.float32)))
    fails(image_series.star, "odd-box", "even")


@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "abc"])
def test_not_a_number_in_a_column(warptools_set, image_series, value: str) -> None:
    warptools_set.change("  40.25  ", f"  {value}  ")
    fails(warptools_set.star, "bad-value", "rlnCoordinateX of block data_particles, row 2")
    image_series.change("  0.866025  ", f"  {value}  ")
    fails(image_series.star, "bad-value", "rlnCtfScalefactor of block data_, row 2")


def test_zero_visible_frames(warptools_set) -> None:
    for shown in ("[1,1,1]", "[0,1,1]"):
        warptools_set.change(shown, "[0,0,0]")
    for shown in ("[1,1,1,1]", "[1,0,1,0]"):
        warptools_set.change(shown, "[0,0,0,0]")
    fails(warptools_set.star, "no-visible-frames", "hides every frame")


@pytest.mark.parametrize("shown", ["[1,1]", "[1,1,1,1,1]", "[]", "[1,x,1]", "[1,,1]", "[1,nan,1]"])
def test_visible_frames_that_do_not_fit(warptools_set, shown: str) -> None:
    warptools_set.change("[0,1,1]", shown)
    fails(warptools_set.star, "bad-value", "rlnTomoVisibleFrames of block data_particles, row 2")


@pytest.mark.parametrize("row", ["[1,0,0]", "[1,0,x,0]", "[1,0,inf,0]"])
def test_projection_that_is_no_matrix_row(warptools_set, row: str) -> None:
    warptools_set.change("[0.7660444,0.0000000,-0.6427876,0]", row, warptools_set.tomograms)
    fails(warptools_set.star, "bad-value", "rlnTomoProjX of block data_TS_1.tomostar, row 1")


@pytest.mark.parametrize("row", ["[0,0,0,0]", "[-0.7660444,0,0.6427876,0]", "[7.6,0,-6.4,0]"])
def test_projection_that_is_no_rotation(warptools_set, row: str) -> None:
    warptools_set.change("[0.7660444,0.0000000,-0.6427876,0]", row, warptools_set.tomograms)
    fails(warptools_set.star, "bad-value", "row 1, is not, with the next two, a rotation")


def test_pixel_size_and_voltage_above_zero(warptools_set, image_series) -> None:
    image_series.change("  10.0  ", "  0.0  ")
    fails(image_series.star, "bad-value", "must be above 0")
    warptools_set.change("  300.0  ", "  -300.0  ")
    fails(warptools_set.star, "bad-value", "rlnVoltage")


def test_images_folder_that_does_not_exist(warptools_set, tmp_path: Path) -> None:
    fails(warptools_set.star, "no-images-folder", "--images", images=tmp_path / "gone")
    fails(warptools_set.star, "no-images-folder", "--images", images=warptools_set.particles)


def test_missing_images(warptools_set, image_series) -> None:
    warptools_set.stacks[1].unlink()
    warptools_set.stacks[3].unlink()
    fails(warptools_set.star, "missing-images", "stacks/p_2.mrcs was not found (2 of 4 files")
    image_series.stacks[0].unlink()
    fails(image_series.star, "missing-images", "--images DIR")


def test_image_names_of_the_wrong_form(warptools_set, image_series) -> None:
    warptools_set.change("stacks/p_2", "1@stacks/p_2")
    fails(warptools_set.star, "bad-value", "row 2")
    image_series.change("000003@all.mrcs", "all.mrcs")
    fails(image_series.star, "bad-value", "not of the form 12@stack.mrcs")
    image_series.change("  all.mrcs", "  000000@all.mrcs")
    fails(image_series.star, "bad-value", "counts images from 0")


def test_missing_tomogram_and_optics_group(warptools_set) -> None:
    warptools_set.change("data_TS_2.tomostar", "data_TS_3.tomostar", warptools_set.tomograms)
    fails(warptools_set.star, "missing-tomogram", "TS_2.tomostar")
    warptools_set.change("data_TS_3.tomostar", "data_TS_2.tomostar", warptools_set.tomograms)
    warptools_set.change("  2  stacks/p_4", "  5  stacks/p_4")
    fails(warptools_set.star, "bad-value", "is '5', a group that block data_optics does not have")


def test_mixed_optics(warptools_set, image_series) -> None:
    warptools_set.change("2  300.0  2.7  0.07  10.0", "2  300.0  2.7  0.07  12.0")
    fails(
        warptools_set.star,
        "mixed-optics",
        "10 Å, 8 px in optics group 1; 12 Å, 8 px in optics group 2",
    )
    text = image_series.star.read_text()
    image_series.star.write_text(text.replace("10000.0  10.0", "10000.0  12.0", 1))
    fails(image_series.star, "mixed-optics", "12 Å, 8 px in 1 image.")


def test_same_particle_twice(warptools_set) -> None:
    warptools_set.change("TS_1/8", "TS_1/7")
    fails(warptools_set.star, "duplicate-particle", "stands in rows 1 and 2")


def test_files_that_an_optimisation_set_names(warptools_set) -> None:
    warptools_set.change("_rlnTomoTomogramsFile", "_other", warptools_set.star)
    fails(warptools_set.star, "missing-column", "rlnTomoTomogramsFile")
    warptools_set.change("_other", "_rlnTomoTomogramsFile", warptools_set.star)
    warptools_set.tomograms.unlink()
    fails(warptools_set.star, "no-file", "set_tomograms.star")


def test_a_tomograms_star_is_no_particles_star(warptools_set) -> None:
    fails(warptools_set.tomograms, "unsupported-file", "Name the optimisation set")


def test_layouts_not_read(warptools_set) -> None:
    warptools_set.change("2DStacks  1", "2DStacks  0")
    fails(warptools_set.star, "unsupported-dialect", "3-D subtomograms")
    warptools_set.change("_rlnTomoSubTomosAre2DStacks  0", "_rlnSomething  0")
    warptools_set.change("_rlnAmplitudeContrast", "_rlnImageDimensionality")
    warptools_set.change(" 0.07 ", " 3 ")
    fails(warptools_set.star, "unsupported-dialect", "rlnImageDimensionality 3")


def test_file_of_a_tilt_series_that_is_not_there(warptools_set) -> None:
    warptools_set.change("_rlnTomoHand", "_rlnTomoTiltSeriesStarFile", warptools_set.tomograms)
    fails(warptools_set.star, "bad-value", "was not found")


def test_unknown_dialect_and_star_of_another_kind(warptools_set, star_loop) -> None:
    fails(
        warptools_set.star,
        "unknown-dialect",
        "warptools, relion-matrices, tomodrgn, nextpyp, warp",
        dialect="dynamo",
    )
    other = warptools_set.star.with_name("other.star")
    other.write_text(star_loop("", {"wrpCoordinateX1": [1.0], "rlnVoltage": [300]}))
    fails(other, "unsupported-file", "M species")
    other.write_text(star_loop("", {"mine": [1.0], "rlnVoltage": [300]}))
    fails(other, "missing-column", "lacks rln")
    other.write_text("data_\nloop_\n_rlnImageName #1\n")
    fails(other, "no-particles", "no rows")
    other.write_text("data_x\n_rlnA 1\n")
    fails(other, "missing-block", "found data_x")


def test_dialect_given_but_not_that_of_the_file(warptools_set, image_series) -> None:
    fails(image_series.star, "missing-column", "rlnTomoName", dialect="warptools")
    fails(warptools_set.particles, "missing-column", "rlnGroupName", dialect="warp")
