"""The data say which way z and poses go, from where voxels count, and the hand; or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_tomodrgn.analysis.preflight import preflight
from napari_tomodrgn.data.checks import Check
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.mrc import read_mrc_header
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.geometry import mirrored_z
from napari_tomodrgn.extract.inputs import Extraction, read_extraction
from napari_tomodrgn.extract.proof import Decided, decide
from napari_tomodrgn.extract.run import extract
from napari_tomodrgn.extract.series import Conventions
from napari_tomodrgn.extract.settings import ExtractConfig
from napari_tomodrgn.learn.runtime.steps import run_to_end

Make = Callable[..., ExtractConfig]


def spoilt(extraction: Extraction, planted: Conventions) -> Extraction:
    """The same extraction of a list with other conventions."""
    particles = extraction.particles
    where, rotations = particles.coordinates.copy(), particles.rotations.copy()
    series = []
    for one in extraction.series:
        centred, turned = one.places(particles, Conventions(1, False, False, 1.0))
        if planted.mirror:
            centred, turned = mirrored_z(centred, turned)
        assert one.frame is not None
        where[one.rows] = one.frame.to_voxels(centred, planted.origin)
        rotations[one.rows] = turned.transpose(0, 2, 1) if planted.inverse else turned
        series.append(replace(one, contrast=replace(one.contrast, hand=None)))
    changed = replace(particles, coordinates=where, rotations=rotations, origin=None)
    return replace(extraction, particles=changed, series=tuple(series))


def decided(extraction: Extraction) -> Decided:
    steps = decide(extraction)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found: Decided = done.value
            return found


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("inverse", [False, True])
def test_z_and_poses_are_named_whichever_way_they_go(
    mirror: bool, inverse: bool, made: Make
) -> None:
    extraction = read_extraction(made(z="auto", pose="auto"))
    found = decided(spoilt(extraction, Conventions(1, mirror, inverse, 1.0)))
    assert (found.conventions.mirror, found.conventions.inverse) == (mirror, inverse)
    assert found.reasons["z"] == "the data"
    figures = sorted(value for name, value in found.figures.items() if ": z" not in name)
    assert figures[-1] > 5 * max(figures[-2], 0)


@pytest.mark.parametrize("origin", [0, 1])
def test_the_origin_is_named(origin: int, made: Make) -> None:
    extraction = read_extraction(made(origin="auto"))
    found = decided(spoilt(extraction, Conventions(origin, False, False, 1.0)))
    assert found.conventions.origin == origin
    assert abs(found.figures["origin 1 over 0: z"]) > 5


def test_a_format_that_the_data_contradict_is_not_followed(made: Make) -> None:
    """STOPGAP counts from 1; a list that was converted by someone may count from 0."""
    extraction = read_extraction(made(origin="auto"))
    particles = replace(
        extraction.particles, coordinates=extraction.particles.coordinates - 1, origin=1
    )
    told = list(decide(replace(extraction, particles=particles)))
    assert any("otherwise than the files" in event.message for event in told)  # type: ignore[union-attr]


def test_noise_decides_nothing(made: Make, tilt_images: Path, tmp_path: Path) -> None:
    stacks = tmp_path / "stacks"
    shutil.copytree(tilt_images / "tilt_series" / "stacks", stacks)
    rng = np.random.default_rng(0)
    for path in stacks.iterdir():
        header = read_mrc_header(path)
        images = np.memmap(path, np.float32, "r+", 1024, header.shape_zyx)
        images[:] = rng.standard_normal(header.shape_zyx, dtype=np.float32)
        images.flush()
    config = made(tilt_series=stacks, z="auto", pose="auto", origin="auto", hand="auto")
    extraction = spoilt(read_extraction(config), Conventions(1, False, False, 1.0))
    with pytest.raises(BadInputError, match="neither files nor data say origin and z and hand"):
        decided(extraction)


def test_files_that_say_are_not_asked_again(made: Make) -> None:
    """RELION's list beside RELION's alignment, with the hand in it: one frame."""
    config = made("relion5", "relion5.star", z="auto", pose="keep", hand="1")
    extraction = read_extraction(config)
    few = replace(
        extraction, series=tuple(replace(one, rows=one.rows[:2]) for one in extraction.series)
    )
    found = decided(few)
    assert found.reasons == {"origin": "given", "z": "the files", "pose": "given", "hand": "given"}


def geometry_of_cut(config: ExtractConfig, out: Path) -> Check:
    """What preflight says of a set that came cut, which is all that it knows of it."""
    list(extract(config, out))
    done = run_to_end(preflight(read_particles(out / "optimisation_set.star")))
    (found,) = (check for check in done.checks if check.code == "geometry")
    return found


@pytest.mark.parametrize("name", ["stopgap.star", "picks.csv"])
def test_preflight_names_the_origin_of_a_set_that_came_cut(
    name: str, made: Make, tmp_path: Path
) -> None:
    """A voxel of the list is two pixels here, 24 Å."""
    counted, read = ("1", "0") if name == "stopgap.star" else ("0", "1")
    check = geometry_of_cut(made("imod", name, origin=read), tmp_path / "wrong")
    assert check.verdict == "warning"
    assert "by about 24 Å along x, y and z" in check.message
    assert check.number == 2.0
    assert f"count from {counted}, and were read as counting from {read}" in check.remedy


def test_preflight_names_z_of_a_set_that_came_cut(made: Make, tmp_path: Path) -> None:
    right = geometry_of_cut(made(), tmp_path / "right")
    assert right.verdict == "ok"
    wrong = geometry_of_cut(made(z="mirror"), tmp_path / "wrong")
    assert wrong.verdict == "warning"
    assert "z is mirrored" in wrong.message
