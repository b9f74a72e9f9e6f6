"""Numbers that no microscope and no program means: named, and nothing computed from them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tomodrgn.data.checks import file_checks
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.star import read_star, write_star
from napari_tomodrgn.errors import BadInputError


def rewritten(path, block: str, **columns: object) -> None:
    """A star file of which some columns of a block are others."""
    blocks = read_star(path)
    name = next(one for one in blocks if one.startswith(block))
    table = blocks[name].copy()
    for column, values in columns.items():
        table[column] = np.broadcast_to(np.asarray(values), len(table)).astype(str)
    write_star(path, {**blocks, name: table})


@pytest.mark.parametrize(
    "column, value, words",
    [
        ("rlnTomoTiltSeriesPixelSize", 0, "must be above 0"),
        ("rlnTomoSizeY", 0, "must be above 0"),
        ("rlnTomoHand", 0, "must be 1 or −1"),
        ("rlnTomoHand", 2, "must be 1 or −1"),
    ],
)
def test_tomograms_that_cannot_be(warptools_set, column: str, value: float, words: str) -> None:
    rewritten(warptools_set.tomograms, "global", **{column: value})
    with pytest.raises(BadInputError, match=words) as caught:
        read_particles(warptools_set.star)
    assert column in str(caught.value) and "row 1" in str(caught.value)


@pytest.mark.parametrize("value", [1.5, -0.5])
def test_a_scale_factor_that_is_no_cosine(image_series, value: float) -> None:
    rewritten(image_series.star, "", rlnCtfScalefactor=value)
    with pytest.raises(BadInputError, match="must be 0 to 1"):
        read_particles(image_series.star)


def test_defoci_in_micrometres_are_seen_beneath_the_heights(warptools_set) -> None:
    for name in [one for one in read_star(warptools_set.tomograms) if one != "global"]:
        rewritten(warptools_set.tomograms, name, rlnDefocusU=2.5, rlnDefocusV=2.4)
    codes = {check.code: check for check in file_checks(read_particles(warptools_set.star))}
    assert codes["defocus-in-micrometres"].verdict == "error"


def test_shifts_said_twice(image_series) -> None:
    pixels = np.linspace(-2.0, 3.0, 8).round(3)
    other = ((10.0 * pixels, False), (10.0 * pixels + 5.0, True), (-10.0 * pixels, True))
    for angstrom, told in other:
        shifts = {"rlnOriginX": pixels, "rlnOriginXAngst": angstrom.round(3)}
        rewritten(image_series.star, "", **shifts)
        codes = [check.code for check in file_checks(read_particles(image_series.star))]
        assert ("said-twice" in codes) == told


def test_pixel_sizes_and_voltages_said_twice(warptools_set) -> None:
    """In the optics block and in the rows: the block is read."""
    rewritten(warptools_set.particles, "particles", rlnVoltage=200, rlnImagePixelSize=5.0)
    particles = read_particles(warptools_set.star)
    said = [check for check in file_checks(particles) if check.code == "said-twice"]
    assert len(said) == 2 and particles.optics.voltage_kv == 300.0
    assert any("rlnVoltage of block data_optics (300)" in one.message for one in said)


def test_a_pixel_size_that_cannot_be_read_beside_one_that_is(warptools_set) -> None:
    rewritten(warptools_set.particles, "optics", rlnPixelSize="N/A")
    said = file_checks(read_particles(warptools_set.star))
    told = [one.message for one in said if one.code == "said-twice"]
    assert len(told) == 1 and "rlnPixelSize (no numbers)" in told[0]


def test_no_positions_are_not_called_good(image_series) -> None:
    codes = {check.code: check for check in file_checks(read_particles(image_series.star))}
    assert codes["positions"].number == 0 and "no positions" in codes["positions"].message
