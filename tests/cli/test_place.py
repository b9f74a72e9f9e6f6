"""`place` without a network, and with places from a second star file."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from terminal import done, refused

from napari_tomodrgn.analysis.tomogram.placement import placements
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.places import with_places
from napari_tomodrgn.data.star import read_star, write_star
from napari_tomodrgn.data.volume import Volume, read_volume, write_volume
from napari_tomodrgn.errors import BadInputError


@pytest.fixture
def star(simulated: Path) -> Path:
    return simulated / "warptools" / "particles_optimisation_set.star"


@pytest.fixture
def tomogram(star: Path) -> str:
    return str(read_particles(star).particles["tomogram"].iloc[0])


@pytest.fixture
def map_file(simulated: Path, tmp_path: Path) -> Path:
    volume = read_volume(next(simulated.rglob("*80S*.mrc")))
    write_volume(tmp_path / "average.mrc", volume)
    return tmp_path / "average.mrc"


def test_one_map_for_all_particles_of_a_star(
    star: Path, tomogram: str, map_file: Path, tmp_path: Path
) -> None:
    done("place", star, "--tomogram", tomogram, "--map", map_file, "--out", tmp_path / "p")
    script = (tmp_path / "p" / "place.cxc").read_text()
    placed = placements(read_particles(star), tomogram=tomogram)
    assert script.count("view matrix models") == len(placed)
    assert len(list((tmp_path / "p" / "maps").glob("*.mrc"))) == 1
    assert (tmp_path / "p" / "particles.ply").stat().st_size > 1000


def test_a_map_for_each_class(
    star: Path, tomogram: str, map_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.mrc"
    write_volume(other, Volume(read_volume(map_file).data[::-1].copy(), 10.0))
    # The tilt count is the same for all; the optics group tells nothing; so the id is a class here.
    maps = ["--map", f"11={map_file}", "--map-by", "tilts"]
    done("place", star, "--tomogram", tomogram, *maps, "--out", tmp_path / "p")
    said = refused(capsys, "place", star, "--tomogram", tomogram, "--map", f"3={other}",
                   "--map-by", "tilts", "--out", tmp_path / "q")  # fmt: skip
    assert "have tilts 11, for which --map has no file" in said
    said = refused(capsys, "place", star, "--tomogram", tomogram, "--out", tmp_path / "q")
    assert "--map or --markers do without" in said


def test_markers_stand_at_the_places(star: Path, tomogram: str, tmp_path: Path) -> None:
    done("place", star, "--tomogram", tomogram, "--markers", "--radius", "120",
         "--color", "position_z_angstrom", "--out", tmp_path / "m")  # fmt: skip
    root = ElementTree.parse(tmp_path / "m" / "particles.cmm").getroot()
    placed = placements(read_particles(star), tomogram=tomogram)
    found = np.array([[float(one.get(axis)) for axis in "zyx"] for one in root])
    np.testing.assert_allclose(found, [one.position_zyx_angstrom for one in placed], atol=1e-3)
    assert {one.get("radius") for one in root} == {"120"}
    assert len({(one.get("r"), one.get("g")) for one in root}) > 1
    assert 'open "particles.cmm"' in (tmp_path / "m" / "place.cxc").read_text()


def _volumes_star(simulated: Path, out: Path, **changes: object) -> Path:
    """The 3-D particles that the image series was exported from, as RELION 3 lists them."""
    blocks = read_star(simulated / "warptools" / "particles.star")
    frame, optics = blocks["particles"], blocks["optics"]
    pixel = float(optics["rlnImagePixelSize"].iloc[0])
    shift = {
        axis: frame[f"rlnCoordinate{axis}"].astype(float)
        - frame[f"rlnOrigin{axis}Angst"].astype(float) / pixel
        for axis in "XYZ"
    }
    number = frame["rlnTomoParticleName"].str.extract(r"(\d+)$")[0].astype(int)
    table = pd.DataFrame(
        {
            "rlnMicrographName": frame["rlnTomoName"],
            **{f"rlnCoordinate{axis}": shift[axis].map("{:.6f}".format) for axis in "XYZ"},
            **{name: frame[name] for name in ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")},
            "rlnImageName": [
                f"{tomo}/{tomo}_{one:07d}_1.98A.mrc"
                for tomo, one in zip(frame["rlnTomoName"], number, strict=True)
            ],
            "rlnPixelSize": f"{pixel:.6f}",
        }
    )
    order = np.random.default_rng(0).permutation(len(table))
    table = table.iloc[order].drop(columns=list(changes.get("drop", ())))
    write_star(out, {"": table.iloc[: changes.get("rows", len(table))]})
    return out


def test_an_image_series_takes_its_places_from_the_list_of_volumes(
    simulated: Path, star: Path, tmp_path: Path
) -> None:
    series = read_particles(simulated / "warp" / "particles.star")
    found = with_places(series, _volumes_star(simulated, tmp_path / "volumes.star"))
    assert found.notes == ()
    truth = {one.particle_id: one for one in placements(read_particles(star))}
    by_number = {_key(name): one for name, one in truth.items()}
    for one in placements(found.particles):
        other = by_number[_key(one.particle_id)]
        np.testing.assert_allclose(
            one.position_zyx_angstrom, other.position_zyx_angstrom, atol=0.01
        )
        np.testing.assert_allclose(one.rotation_xyz, other.rotation_xyz, atol=1e-4)


def test_particles_without_tomograms_are_matched_by_their_order(
    real_data: Path, tmp_path: Path
) -> None:
    """As cryoSRPNT writes them, and the list of volumes of its test data."""
    series = read_particles(real_data / "cryosrpnt" / "10076_classD_32_sim.star")
    rows = [f"both.tomostar {404 + n} {n * 10} {n + 2} 10 20 30" for n in range(72)]
    names = ["rlnMicrographName", *(f"rlnCoordinate{axis}" for axis in "XYZ"),
             "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]  # fmt: skip
    header = "\n".join(f"_{name} #{place}" for place, name in enumerate(names, 1))
    (tmp_path / "vols.star").write_text(f"data_\n\nloop_\n{header}\n" + "\n".join(rows) + "\n")
    found = with_places(series, tmp_path / "vols.star", 13.1)
    assert "matched by their order" in found.notes[0]
    placed = placements(found.particles, tomogram="both")
    assert len(placed) == 72
    assert placed[3].position_zyx_angstrom[2] == pytest.approx(407 * 13.1)


def _key(identity: str) -> tuple[str, int]:
    import re

    tomogram, particle = identity.split("/", 1)
    return tomogram.removesuffix(".tomostar"), int(re.findall(r"\d+", particle)[-1])


def test_what_does_not_match_is_named(
    simulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    series = read_particles(simulated / "warp" / "particles.star")
    some = with_places(series, _volumes_star(simulated, tmp_path / "some.star", rows=20))
    assert len(some.particles) == 20
    assert "has no place of 4 particles" in some.notes[0]
    fewer = with_places(
        series.take(np.arange(24) < 10), _volumes_star(simulated, tmp_path / "all.star")
    )
    assert "14 of its particles have no images" in fewer.notes[0]
    nameless = _volumes_star(simulated, tmp_path / "nameless.star", drop=["rlnImageName"])
    assert "matched by their order" in with_places(series, nameless).notes[0]
    short = _volumes_star(simulated, tmp_path / "s.star", drop=["rlnImageName"], rows=20)
    with pytest.raises(BadInputError, match="names no particles, and has"):
        with_places(series, short)
    pixels = _volumes_star(simulated, tmp_path / "px.star", drop=["rlnPixelSize"])
    with pytest.raises(BadInputError, match="--places-pixel-size"):
        with_places(series, pixels)
    text = (tmp_path / "all.star").read_text()
    (tmp_path / "else.star").write_text(text.replace("TS_", "Other_"))
    with pytest.raises(BadInputError, match="has none of the 24 particles"):
        with_places(series, tmp_path / "else.star")
    tomogram = series.particles["tomogram"].iloc[0]
    done("place", simulated / "warp" / "particles.star", "--tomogram", tomogram, "--markers",
         "--places", tmp_path / "some.star", "--out", tmp_path / "m")  # fmt: skip
    assert "has no place of 4 particles" in capsys.readouterr().err
