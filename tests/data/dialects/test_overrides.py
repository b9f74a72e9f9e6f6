"""What the user knows better than the star file: pixel size, hand, dose, meaning of columns."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import starfile

from napari_tomodrgn.cli import main
from napari_tomodrgn.config import Overrides
from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run

# Without what comes before and after the epochs: nothing here looks at latents.
SMALL = (
    "[model]\nlatent_dim = 2\ndecoder_dim = 16\nimage_encoder_dim = 16\nlinear_start = false\n"
    "[train]\npoints_per_particle = 128\nrefine = false\n"
)


@pytest.mark.parametrize("name", ["warptools", "relion5", "nextpyp", "cistem"])
def test_pixel_size(world, exported, name: str) -> None:
    """Shifts that are in Å become other numbers of pixels; places stay."""
    star = exported(name).star
    as_stated = read_particles(star)
    particles = read_particles(star, overrides=Overrides(pixel_size_angstrom=24.0))
    assert particles.optics.pixel_size_angstrom == 24.0
    halved = as_stated.arrays().shifts_px * world.scene.pixel_size_angstrom / 24.0
    np.testing.assert_allclose(particles.arrays().shifts_px, halved, atol=1e-9)
    assert particles.particles.equals(as_stated.particles)


def test_hand(exported, tmp_path: Path) -> None:
    """Said by the user or by the file: the same; and a subset is written as the file had it."""
    star = exported("relion5").star
    as_stated, other = read_particles(star), read_particles(star, overrides=Overrides(hand=-1))
    up = as_stated.images["defocus_u_angstrom"] - other.images["defocus_u_angstrom"]
    assert up.abs().max() > 500
    again = read_particles(write_subset(other, tmp_path / "set.star"))
    assert again.images.drop(columns="source_row").equals(
        as_stated.images.drop(columns="source_row")
    )


def test_hand_of_files_that_have_none(exported) -> None:
    for name in ("warp", "nextpyp", "cistem"):
        with pytest.raises(BadInputError, match="hand changes nothing"):
            read_particles(exported(name).star, overrides=Overrides(hand=-1))


def rewritten(written, tmp_path: Path, change) -> Path:
    """A copy of an export with every loop of its stars changed; the file to open."""
    folder = shutil.copytree(written.star.parent, tmp_path / "copy")
    for path in folder.rglob("*.star"):
        blocks = starfile.read(path, always_dict=True)
        loops = {name: change(block) for name, block in blocks.items() if hasattr(block, "columns")}
        starfile.write(blocks | loops, path, overwrite=True)
    return folder / written.star.name


@pytest.mark.parametrize("name", ["warptools", "relion5", "relion4"])
def test_dose_per_tilt_in_the_stated_order(world, exported, name: str) -> None:
    """Hidden tilts were exposed as well."""
    star = exported(name).star
    stated = read_particles(star).images["dose_e_per_angstrom2"]
    overrides = Overrides(dose_per_tilt_e_per_angstrom2=2.0)
    doses = read_particles(star, overrides=overrides).images["dose_e_per_angstrom2"]
    np.testing.assert_allclose(doses, stated * 2.0 / world.config.dose_per_tilt)
    assert doses.max() == 20.0  # of eleven tilts


@pytest.mark.parametrize("name", ["warp", "nextpyp", "tomodrgn", "emclarity"])
def test_dose_per_tilt_of_image_series(world, exported, name: str) -> None:
    """Tilts are those of the tomogram, also where a particle lacks one."""
    star = exported(name).star
    overrides = Overrides(dose_per_tilt_e_per_angstrom2=2.0)
    particles = read_particles(star, overrides=overrides)
    dose = particles.images["dose_e_per_angstrom2"].to_numpy()
    assert dose.max() == 2.0 * (11 - 2 - 1)
    stated = read_particles(star)
    order = np.argsort(stated.images["dose_e_per_angstrom2"].to_numpy()[:9])
    np.testing.assert_array_equal(dose[:9][order], 2.0 * np.arange(9))


def test_dose_per_tilt_where_no_dose_is_stated(exported, tmp_path: Path) -> None:
    """By the index of acquisition if there is one, else by the order of rows."""
    overrides = Overrides(dose_per_tilt_e_per_angstrom2=1.5)

    def blank(block):
        return block.drop(columns="rlnMicrographPreExposure", errors="ignore")

    def numbered(block):
        if "rlnTomoYTilt" not in block:
            return block
        return blank(block).assign(rlnTomoTiltMovieIndex=range(len(block), 0, -1))

    written = exported("relion5")
    by_row = read_particles(rewritten(written, tmp_path / "row", blank), overrides=overrides)
    by_index = read_particles(rewritten(written, tmp_path / "i", numbered), overrides=overrides)
    tilt = by_row.images["tilt_index"]
    np.testing.assert_array_equal(by_row.images["dose_e_per_angstrom2"], 1.5 * tilt)
    np.testing.assert_array_equal(by_index.images["dose_e_per_angstrom2"], 1.5 * (10 - tilt))
    undosed = rewritten(
        exported("nextpyp"), tmp_path, lambda b: b.assign(rlnCtfBfactor=0.0) if len(b) > 2 else b
    )
    series = read_particles(undosed, overrides=overrides).images
    np.testing.assert_array_equal(series["dose_e_per_angstrom2"], 1.5 * series["tilt_index"])


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("relion5", "rlnDefocusU"),  # of the tilts
        ("relion5", "rlnAngleRot"),
        ("relion4", "rlnTomoVisibleFrames"),
        ("relion4", "rlnImageName"),
        ("nextpyp", "rlnVoltage"),  # of the optics
        ("warp", "rlnImageName"),
        ("cistem", "cisTEMDefocus1"),
    ],
)
def test_columns_mean_what_the_user_says(exported, tmp_path: Path, name: str, column: str) -> None:
    before = read_particles(exported(name).star)
    star = rewritten(exported(name), tmp_path, lambda block: block.rename(columns={column: "own"}))
    if name != "relion4":
        with pytest.raises(BadInputError):
            read_particles(star)
    overrides = Overrides(columns={f"_{column}": "own"})
    particles = read_particles(star, overrides=overrides)
    numbers = before.images.select_dtypes("number")
    np.testing.assert_allclose(particles.images[numbers.columns], numbers, atol=1e-4)
    few = particles.take(np.arange(len(particles)) % 3 == 1)
    again = read_particles(write_subset(few, tmp_path / "few.star"), overrides=overrides)
    assert again.ids == few.ids
    np.testing.assert_array_equal(
        again.images[numbers.columns[:-1]], few.images[numbers.columns[:-1]]
    )


def test_a_column_that_is_nowhere(exported) -> None:
    with pytest.raises(BadInputError, match="no table has a column mine") as caught:
        read_particles(exported("warp").star, overrides=Overrides(columns={"rlnDefocusU": "mine"}))
    assert caught.value.code == "unused-override"


@pytest.mark.parametrize(
    ("dialect", "name"),
    [("warp", "nope"), ("relion5", "rlnDefocusW"), ("relion5", "cisTEMDefocus1"),
     ("cistem", "rlnDefocusU"), ("warptools", "rlnNrOfSignificantSamples")],
)  # fmt: skip
def test_a_meaning_that_nothing_has(exported, dialect: str, name: str) -> None:
    exporting = exported(dialect).star
    first = read_particles(exporting).source.blocks
    column = next(str(one) for block in first.values() if len(block) > 2 for one in block)
    with pytest.raises(BadInputError, match=f"as {name}, but no column of that name") as caught:
        read_particles(exporting, overrides=Overrides(columns={name: column}))
    assert caught.value.code == "unused-override"
    if name == "rlnDefocusW":
        assert "rlnDefocusU" in caught.value.remedy


def test_a_name_has_one_meaning(exported, capsys: pytest.CaptureFixture[str]) -> None:
    star = str(exported("warp").star)
    said = ["--column", "rlnDefocusU=rlnDefocusV", "--column", "_rlnDefocusU=rlnVoltage"]
    assert main(["inspect", star, "--quick", *said]) == 2
    assert "rlnDefocusU=rlnDefocusV and rlnDefocusU=rlnVoltage" in capsys.readouterr().err


def test_what_was_done_to_images_is_said_to_every_command(
    exported, capsys: pytest.CaptureFixture[str]
) -> None:
    star = str(exported("warp").star)
    said = ["--ctf-premultiplied", "yes", "--dose-weighted", "yes", "--contrast", "invert"]
    main(["inspect", star, "--json", "--quick", *said, "--dose-per-tilt", "0.5"])
    report = json.loads(capsys.readouterr().out)
    assert report["ctf_premultiplied"] and report["dose_weighted"]
    assert report["contrast"] == "invert"
    assert report["dose_e_per_angstrom2"] == {"min": 0.0, "max": 4.0}
    with pytest.raises(SystemExit):
        main(["inspect", star, "--column", "rlnDefocusU"])
    assert "NAME=COLUMN" in capsys.readouterr().err


@pytest.mark.slow
def test_command_line_and_run(exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    star = str(exported("relion5").star)
    assert main(["inspect", star, "--json", "--pixel-size", "13.5", "--hand", "-1"]) == 0
    assert json.loads(capsys.readouterr().out)["pixel_size_angstrom"] == 13.5
    config = tmp_path / "small.toml"
    config.write_text(SMALL)
    out = tmp_path / "run"
    asked = ["train", star, "--out", str(out), "--config", str(config), "--device", "cpu"]
    assert main([*asked, "--epochs", "1", "--pixel-size", "13.5", "--hand", "-1"]) == 0
    expected = read_particles(star, overrides=Overrides(pixel_size_angstrom=13.5, hand=-1))
    for _ in ("trained", "resumed"):
        particles = Run.open(out).particles()
        assert particles.optics == expected.optics
        defocus = particles.images["defocus_u_angstrom"]
        assert defocus.equals(expected.images["defocus_u_angstrom"])
        main([*asked, "--epochs", "2", "--resume"])
    assert Run.open(out).epochs() == [1, 2]
