"""What the user knows better than the star file: pixel size and hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_tomodrgn.cli import main
from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.data.particles import Overrides
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run import Run

SMALL = "[model]\nlatent_dim = 2\ndecoder_dim = 16\nimage_encoder_dim = 16\n"


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
    as_stated, other = read_particles(star), read_particles(star, overrides=Overrides(hand=1))
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


def test_command_line_and_run(exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    star = str(exported("relion5").star)
    assert main(["inspect", star, "--json", "--pixel-size", "13.5", "--hand", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["pixel_size_angstrom"] == 13.5
    config = tmp_path / "small.toml"
    config.write_text(SMALL)
    out = tmp_path / "run"
    asked = ["train", star, "--out", str(out), "--config", str(config), "--device", "cpu"]
    assert main([*asked, "--epochs", "1", "--pixel-size", "13.5", "--hand", "1"]) == 0
    expected = read_particles(star, overrides=Overrides(13.5, 1.0))
    for _ in ("trained", "resumed"):
        particles = Run.open(out).particles()
        assert particles.optics == expected.optics
        defocus = particles.images["defocus_u_angstrom"]
        assert defocus.equals(expected.images["defocus_u_angstrom"])
        main([*asked, "--epochs", "2", "--resume"])
    assert Run.open(out).epochs() == [1, 2]
