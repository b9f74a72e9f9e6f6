"""From a list and tilt series to images and stars that are read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from napari_tomodrgn.analysis.fsc import correlation
from napari_tomodrgn.analysis.reconstruct import reconstruct
from napari_tomodrgn.cli import main
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.stack import ImageStacks
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.events import Extracted, TomogramDone
from napari_tomodrgn.extract.inputs import read_extraction
from napari_tomodrgn.extract.proof import decide
from napari_tomodrgn.extract.run import extract
from napari_tomodrgn.extract.settings import ExtractConfig
from napari_tomodrgn.synthetic.tilt_series.alignments import FORMS
from napari_tomodrgn.synthetic.tilt_series.lists import LISTS

Make = Callable[..., ExtractConfig]


def placed(config: ExtractConfig) -> tuple[np.ndarray, np.ndarray]:
    """Where the particles of the first tomogram are in the images, and their poses."""
    extraction = read_extraction(config)
    steps = decide(extraction)
    try:
        while True:
            next(steps)
    except StopIteration as done:
        found = extraction.placed(done.value.conventions)[0]
    order = np.argsort([int("".join(filter(str.isdigit, name))) for name in found.names])
    return found.xy_px[:, order], found.rotations[order]


@pytest.fixture(scope="module")
def expected(made: Make) -> tuple[np.ndarray, np.ndarray]:
    return placed(made())


@pytest.mark.parametrize("name", LISTS)
def test_every_list_with_imod_places_particles_alike(
    name: str, made: Make, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    xy, rotations = placed(made("imod", name))
    assert np.abs(xy - expected[0]).max() < 2e-3
    assert np.abs(rotations - expected[1]).max() < 1e-5


@pytest.mark.parametrize("name", LISTS)
def test_every_list_gives_the_same_images(
    name: str, made: Make, extracted: Path, tmp_path: Path
) -> None:
    """Lists count to five digits: a pixel is met to 2e-5, the brightest one to as much of it."""
    list(extract(made("imod", name), tmp_path / "out"))
    found, same = (images_by_row(folder) for folder in (tmp_path / "out", extracted))
    assert 160 < len(found) <= len(same)
    assert np.abs(found - same[: len(found)]).max() < 1e-3 * same.std()


def images_by_row(folder: Path) -> np.ndarray:
    """All images of an extracted set, in the order of its list."""
    particles = read_particles(folder / "optimisation_set.star")
    table = particles.images
    stacks = ImageStacks([str(name) for name in table["stack"].cat.categories])
    return stacks.read(table["stack"].cat.codes.to_numpy(), table["stack_index"].to_numpy())


@pytest.mark.parametrize("name", ["stopgap.star", "relion5.star", "warptools.star", "eman2.lst"])
def test_a_corrected_pixel_size_moves_no_particle(
    name: str, made: Make, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    xy, _ = placed(made("imod", name, pixel_size_angstrom=12.4))
    assert np.abs(xy - expected[0]).max() < 2e-3


@pytest.mark.parametrize("form", [form for form in FORMS if form != "imod"])
@pytest.mark.parametrize("name", ["stopgap.star", "copick_TS_001.json", "relion5.star"])
def test_every_alignment_places_particles_alike(
    form: str, name: str, made: Make, expected: tuple[np.ndarray, np.ndarray]
) -> None:
    xy, _ = placed(made(form, name))
    assert np.abs(xy - expected[0]).max() < 2e-3


@pytest.fixture(scope="module")
def extracted(made: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("extracted") / "out"
    events = list(extract(made(image_series=True), out))
    assert isinstance(events[-1], Extracted)
    return out


def ids_of_images(particles: ParticleSet) -> pd.Series:
    images = particles.images
    return images["particle_id"].astype(str) + ":" + images["tilt_index"].astype(str)


def test_what_is_written_is_read_with_the_truth(extracted: Path, tilt_images: Path) -> None:
    particles = read_particles(extracted / "optimisation_set.star")
    truth = pd.read_csv(tilt_images / "truth.csv")
    assert len(particles) == len(truth) == 30
    assert not particles.optics.ctf_premultiplied
    assert not particles.optics.dose_weighted
    assert particles.optics.pixel_size_angstrom == pytest.approx(12.0)
    assert particles.optics.box_size_px == 32
    exported = read_particles(tilt_images / "warptools" / "particles_optimisation_set.star")
    names = [name.replace("/", ".tomostar/") for name in particles.ids]
    same = exported.select(names)
    seen = np.unique(ids_of_images(particles).str.replace("/", ".tomostar/"))
    same = same.filter_images(ids_of_images(same).isin(seen).to_numpy())
    ours, theirs = particles.images, same.images
    assert len(ours) == len(theirs) > 320
    for column, close in {
        "defocus_u_angstrom": 12.0,  # the middle of IMOD's is half a voxel away
        "defocus_angle_deg": 0.01,
        "dose_e_per_angstrom2": 1e-3,
        "stage_tilt_deg": 1e-3,
    }.items():
        assert_allclose(ours[column], theirs[column], atol=close)
    assert np.abs(particles.arrays().rotations - same.arrays().rotations).max() < 1e-5


def test_both_outputs_give_the_same_map(extracted: Path) -> None:
    one = reconstruct(read_particles(extracted / "optimisation_set.star")).map
    series = read_particles(extracted / "image_series.star")
    assert series.source.dialect == "warp"
    # Warp's rows do not say whether images were weighted by dose; these were not.
    assert not series.optics.dose_weighted
    two = reconstruct(series).map
    assert correlation(one, two) > 0.999999


def test_images_are_normalised_by_tilt(extracted: Path) -> None:
    images = images_by_row(extracted)
    assert -0.4 < images.mean() < 0  # contrast as recorded: particles are dark
    assert 1.0 < images.std() < 1.5  # as much signal as noise in the boxes, less between them
    tilts = json.loads((extracted / "Particles" / "TS_001" / "tilts.json").read_text())["tilts"]
    assert len(tilts) == 11
    assert all(19 < tilt["mean"] < 21 for tilt in tilts)


def test_extraction_says_where_everything_came_from(extracted: Path) -> None:
    about = json.loads((extracted / "extraction.json").read_text())
    assert about["list"]["format"] == "stopgap"
    assert about["pixel_size_angstrom"] == 12.0
    assert about["decisions"]["origin"] == {"value": 1, "from": "given"}
    one = about["tomograms"][0]
    assert set(one["sources"]) == {"stack", "alignment", "ctf", "dose", "tomogram"}
    assert all(len(source["sha256"]) == 64 for source in one["sources"].values())
    assert sum(tomogram["particles"] for tomogram in about["tomograms"]) == 30


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


_KILLED = """
import os, signal, sys
from napari_tomodrgn.extract.events import ExtractProgress, TomogramDone
from napari_tomodrgn.extract.run import extract
from napari_tomodrgn.extract.settings import ExtractConfig
config = ExtractConfig.model_validate_json(open(sys.argv[1]).read())
done = False
for event in extract(config, sys.argv[2]):
    done = done or isinstance(event, TomogramDone)
    if done and isinstance(event, ExtractProgress):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_costs_a_tomogram_and_the_same_bytes_come_out(
    made: Make, extracted: Path, tmp_path: Path
) -> None:
    config, out = made(image_series=True), tmp_path / "out"
    (tmp_path / "config.json").write_text(config.model_dump_json())
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path / "config.json"), str(out)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert killed.returncode == -9
    assert (out / "Particles" / ".TS_002.partial").is_dir()
    assert not (out / "particles.star").exists()
    again = [event for event in extract(config, out) if isinstance(event, TomogramDone)]
    assert [event.reused for event in again] == [True, False]
    assert files_of(out) == files_of(extracted)


def test_a_folder_with_other_settings_is_left_alone(
    made: Make, extracted: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match="other settings"):
        list(extract(made(float16=True), extracted))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BadInputError, match="holds other files"):
        list(extract(made(), tmp_path))


def test_boxes_beyond_the_border_are_hidden_and_their_particles_left_out(made: Make) -> None:
    extraction = read_extraction(made(box_px=64))
    conventions = next_of(decide(extraction)).conventions
    found = extraction.placed(conventions)
    assert any((~one.visible).any() for one in found)
    assert all((one.visible.sum(axis=0) >= 4).all() for one in found)  # a third of 11
    strict = read_extraction(made(box_px=64, min_tilts=11)).placed(conventions)
    assert sum(len(one.left_out) for one in strict) > 0
    assert all(one.visible.all() for one in strict)


def next_of(steps):  # type: ignore[no-untyped-def]
    try:
        while True:
            next(steps)
    except StopIteration as done:
        return done.value


def test_hidden_images_are_not_in_the_stacks(made: Make, tmp_path: Path) -> None:
    config = made(box_px=64, only=("1",), float16=True)
    done = list(extract(config, tmp_path / "out"))[-2]
    assert isinstance(done, TomogramDone)
    assert done.hidden > 0
    particles = read_particles(tmp_path / "out" / "optimisation_set.star")
    assert len(particles.images) == done.images
    counts = particles.images.groupby("particle_id", observed=True)["stack_index"].max() + 1
    assert (counts == particles.particles["tilts"]).all()


def test_dry_run_writes_nothing(made: Make, tmp_path: Path) -> None:
    list(extract(made(), tmp_path / "out", dry_run=True))
    assert not (tmp_path / "out").exists()


def test_the_command_extracts(
    tilt_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tilt_images / "tilt_series"
    arguments = [
        "extract",
        str(folder / "lists" / "aretomo" / "dynamo.tbl"),
        *("--tilt-series", str(folder / "stacks"), "--alignment"),
        *(str(folder / "alignments" / "aretomo"), "--ctf", str(folder / "ctf" / "aretomo")),
        *("--tomograms", str(tilt_images / "tomograms"), "--box-target", "24"),
        *("--pixel-size-target", "16", "--out", str(tmp_path / "out")),
        *("--z", "keep", "--pose", "keep", "--origin", "1", "--hand", "1"),
    ]
    assert main([*arguments]) == 2
    assert "--dose-per-tilt E and --order FILE" in capsys.readouterr().err
    order = ["--dose-per-tilt", "3", "--order", str(folder / "dose" / "TS_001_order.txt")]
    assert main([*arguments, *order, "--tomogram", "1"]) == 0
    said = capsys.readouterr().err
    assert "beyond the border" in said
    particles = read_particles(tmp_path / "out" / "optimisation_set.star")
    assert particles.optics.pixel_size_angstrom == pytest.approx(16.0, rel=1e-3)
    # A second time everything is there already.
    assert main([*arguments, *order, "--tomogram", "1"]) == 0
    assert "there already" in capsys.readouterr().err


def test_what_is_all_there_is_left_as_it_is(made: Make, tmp_path: Path) -> None:
    """Somebody may be training on it, or have changed a star file."""
    out, config = tmp_path / "out", made()
    *_, first = extract(config, out)
    star = out / "particles.star"
    star.write_text(star.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    *events, last = extract(config, out)
    assert last == first
    assert any("nothing was written" in str(event) for event in events)
    left = [path for path in times if path.name != ".extraction"]
    assert all(path.stat().st_mtime_ns == times[path] for path in left)
    (out / "extraction.json").unlink()  # of one that was stopped at its very end
    *_, last = extract(config, out)
    assert last == first and "# mine" not in star.read_text(encoding="utf-8")
