"""Forms that programs really write and that were once read wrongly: each with its right values.

The files are written by `exports.small`; each test stands for a whole kind.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from exports import small

from napari_tomodrgn.config import DataConfig, Overrides
from napari_tomodrgn.data.checks import inspect_particles
from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.data.halves import first_half
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import image_parameters
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.physics.image_formation import exposure_left, image_formation
from napari_tomodrgn.physics.lattice import half_plane


def first_particle(particles: ParticleSet) -> np.ndarray:
    return (particles.images["particle_id"].cat.codes == 0).to_numpy()


def told(particles: ParticleSet) -> dict[str, str]:
    return {problem.code: problem.severity for problem in inspect_particles(particles)}


def codes_of(path: Path) -> str:
    with pytest.raises(BadInputError) as caught:
        read_particles(path)
    assert "\n" not in str(caught.value)
    return caught.value.code


# ------------------------------------------------------------------ which particle an image shows


def test_micrograph_of_each_tilt(tmp_path: Path) -> None:
    """Warp 1 and M: the particle is the group, the tomogram what tilt images are called after."""
    particles = read_particles(small.write_series(tmp_path, small.image_rows(3, 6)))
    assert particles.source.dialect == "warp"
    assert particles.particles["tilts"].tolist() == [6, 6, 6]
    assert particles.particles["tomogram"].unique().tolist() == ["grid1_ts1"]
    assert particles.images["dose_e_per_angstrom2"][:6].tolist() == [3, 6, 9, 12, 15, 18]


def test_stack_of_each_particle(tmp_path: Path) -> None:
    columns = small.image_rows(3, 6)
    columns["rlnImageName"] = [
        f"{i % 6 + 1:06d}@series/grid1_ts1_{i // 6:07d}.mrcs" for i in range(18)
    ]
    particles = read_particles(small.write_series(tmp_path, columns))
    assert particles.ids == [f"grid1_ts1/grid1_ts1_{i:07d}" for i in range(3)]


def test_tilt_images_of_other_names(tmp_path: Path) -> None:
    """Where tilt images are not called after the tomogram the stack tells it."""
    columns = small.image_rows(3, 6)
    columns["rlnMicrographName"] = [f"frame_{i % 6:03d}.tif" for i in range(18)]
    particles = read_particles(small.write_series(tmp_path, columns))
    assert particles.ids == [f"grid1_ts1/grid1_ts1_{i:07d}" for i in range(3)]


@pytest.mark.parametrize("name", ["nextpyp", "tomodrgn"])
def test_micrograph_of_each_tilt_in_other_dialects(tmp_path: Path, name: str) -> None:
    columns = small.image_rows(3, 6)
    if name == "nextpyp":
        columns["rlnGroupNumber"] = columns.pop("rlnGroupName")
    else:
        columns["tomodrgnTotalDose"] = [3.0 * (i % 6) for i in range(18)]
        columns["tomodrgnPseudoStageTilt"] = [0.05 * (i % 6) for i in range(18)]
    particles = read_particles(small.write_series(tmp_path, columns))
    assert particles.source.dialect == name
    assert particles.particles["tilts"].tolist() == [6, 6, 6]
    assert particles.particles["tomogram"].unique().tolist() == ["grid1_ts1"]


@pytest.mark.parametrize("kept", [[0], [1], [2, 0]])
def test_a_part_of_a_set_keeps_its_names(tmp_path: Path, kept: list[int]) -> None:
    for columns in (small.image_rows(3, 6), {**small.image_rows(3, 6)}):
        star = small.write_series(tmp_path / "all", columns)
        whole = read_particles(star)
        few = whole.select([whole.ids[i] for i in kept])
        assert read_particles(write_subset(few, tmp_path / "few.star")).ids == few.ids


def test_one_image_a_particle_is_no_tilt_series(tmp_path: Path) -> None:
    columns = small.image_rows(3, 6)
    columns["rlnGroupName"] = [f"grid1_ts1_{i:07d}" for i in range(18)]
    star = small.write_series(tmp_path, columns)
    with pytest.raises(BadInputError, match=r"one image only.*rlnGroupName") as caught:
        read_particles(star)
    assert caught.value.code == "one-image-each"


def test_nextpyp_with_number_and_name_of_a_group(tmp_path: Path) -> None:
    particles = read_particles(small.nextpyp(tmp_path))
    assert particles.source.dialect == "nextpyp"
    assert particles.ids[:4] == [
        "mrc/TS_0.mrc/0_0", "mrc/TS_0.mrc/0_1", "mrc/TS_0.mrc/0_2", "mrc/TS_1.mrc/1_0",
    ]  # fmt: skip


def test_group_numbers_of_a_refinement_are_no_particles(tmp_path: Path) -> None:
    """RELION counts the groups of a Warp series when it refines it."""
    columns = small.image_rows(4, 6)
    columns["rlnGroupNumber"] = [1] * 24
    particles = read_particles(small.write_series(tmp_path, columns))
    assert particles.source.dialect == "warp"
    assert len(particles) == 4


def test_flattened_relion5(tmp_path: Path) -> None:
    particles = read_particles(small.flattened(tmp_path))
    assert particles.source.dialect == "relion5-images"
    assert particles.ids == ["ts/1", "ts/2", "ts/3"]
    images = particles.images[:5]
    assert images["dose_e_per_angstrom2"].tolist() == list(small.DOSES)
    assert images["stage_tilt_deg"].tolist() == list(small.TILTS_DEG)
    assert images["shift_x_px"].tolist() == [1.0] * 5
    assert not particles.optics.dose_weighted
    both = read_particles(small.flattened(tmp_path / "c", rlnCtfDataAreCtfPremultiplied=1)).optics
    assert both.ctf_premultiplied and both.dose_weighted


def test_single_particle_sets_are_refused(tmp_path: Path) -> None:
    star = small.single_particles(tmp_path)
    for dialect in (None, "nextpyp", "warp"):
        with pytest.raises(BadInputError, match="single-particle set") as caught:
            read_particles(star, dialect=dialect)
        assert caught.value.code == "no-particle-groups"
    given = Overrides(dose_per_tilt_e_per_angstrom2=3.0)
    assert read_particles(star, overrides=given).images["dose_e_per_angstrom2"].max() == 12.0


def test_cistem_leaves_out_what_is_switched_off(tmp_path: Path) -> None:
    occupancy = [100] * 15
    occupancy[0] = occupancy[4] = occupancy[8] = 0
    particles = read_particles(small.cistem(tmp_path, cisTEMOccupancy=occupancy))
    assert (len(particles), len(particles.images)) == (3, 12)
    assert sorted(particles.images["source_row"]) == [i for i in range(15) if i not in (0, 4, 8)]
    assert sorted(particles.images["stack_index"]) == sorted(particles.images["source_row"])
    assert told(particles)["inactive-images"] == "info"
    again = read_particles(write_subset(particles, tmp_path / "few.star"))
    assert len(again.images) == 12
    activity = [-1 if i % 5 == 3 else 1 for i in range(15)]
    particles = read_particles(small.cistem(tmp_path / "b", cisTEMImageActivity=activity))
    assert len(particles.images) == 12
    assert codes_of(small.cistem(tmp_path / "c", cisTEMOccupancy=[0] * 15)) == "no-particles"


# ------------------------------------------------------------------------- tilts and their signs


def test_relion_matrices_have_relions_sign(tmp_path: Path) -> None:
    """At −40° particle 1 is 1509.9 Å higher: RELION adds the hand times that, WarpTools the
    opposite."""
    particles = read_particles(small.relion_matrices(tmp_path))
    assert particles.source.dialect == "relion-matrices"
    height = 1920 * np.sin(np.deg2rad(40)) + 360 * np.cos(np.deg2rad(40))
    assert height == pytest.approx(1509.9, abs=0.1)
    assert particles.images["defocus_u_angstrom"][0] == pytest.approx(30000 - height, abs=0.1)
    position = particles.particles[[f"position_{axis}_angstrom" for axis in "xyz"]].iloc[0]
    assert position.tolist() == [4800.0, 2400.0, 1560.0]
    warp = read_particles(small.relion_matrices(tmp_path / "w", "grid1.tomostar"))
    assert warp.source.dialect == "warptools"
    assert warp.images["defocus_u_angstrom"][0] == pytest.approx(30000 + height, abs=0.1)


def test_refined_by_relion_warptools_tilts_keep_their_sign(tmp_path: Path) -> None:
    """RELION 5 adds its own coordinates; the matrices beside are still WarpTools'."""
    rows = small.particles("grid1.tomostar")
    rows |= {f"rlnCenteredCoordinate{axis}Angst": [at] * 2 for axis, at in zip("XYZ", (1920.0, 0.0, 360.0), strict=True)}  # fmt: skip  # noqa: E501
    particles = read_particles(small.write_set(tmp_path, rows, small.matrices()))
    assert particles.source.dialect == "relion5"
    assert particles.images["defocus_u_angstrom"][0] == pytest.approx(31509.9, abs=0.1)


def test_defocus_slope(tmp_path: Path) -> None:
    tomograms = small.overview("tomo200528_107", rlnTomoDefocusSlope=0.5)
    whole = read_particles(small.relion5(tmp_path / "1"))
    half = read_particles(small.relion5(tmp_path / "2", tomograms=tomograms))
    one, two = (part.images["defocus_u_angstrom"] - 30000 for part in (whole, half))
    np.testing.assert_allclose(two, one / 2, atol=1e-6)
    assert one[0] == pytest.approx(-1509.9, abs=0.1)


def test_a_missing_hand_is_said(tmp_path: Path) -> None:
    tomograms = small.without(small.overview("tomo200528_107"), "rlnTomoHand")
    star = small.relion5(tmp_path, tomograms=tomograms)
    assert told(read_particles(star))["no-hand"] == "info"
    assert "no-hand" not in told(read_particles(star, overrides=Overrides(hand=1)))


def test_origins_in_pixels(tmp_path: Path) -> None:
    """RELION 3.0 gives origins in pixels of the images."""
    rows = small.particles("grid1.tomostar")
    rows |= {f"rlnCoordinate{axis}": [100.0] * 2 for axis in "XYZ"}
    rows |= {"rlnOriginX": [2.0] * 2, "rlnOriginY": [-1.0] * 2, "rlnOriginZ": [0.0] * 2}
    particles = read_particles(small.write_set(tmp_path, rows, small.matrices()))
    untilted = particles.images[particles.images["stage_tilt_deg"].abs() < 1e-6]
    assert untilted["shift_x_px"].tolist() == pytest.approx([2.0, 2.0])
    assert particles.particles["position_x_angstrom"].tolist() == pytest.approx([588.0] * 2)


def test_angles_beyond_a_turn(tmp_path: Path) -> None:
    """Degrees converted to degrees: every angle is 57.3 times too large."""
    star = small.relion_matrices(tmp_path, "grid1.tomostar", angle_factor=180 / np.pi)
    problem = {p.code: p for p in inspect_particles(read_particles(star))}["angles-beyond-a-turn"]
    assert problem.severity == "warning"
    assert "57.2958" in problem.remedy
    columns = small.image_rows(3, 6)
    columns["rlnAnglePsi"] = [20 + 1000 * (i == 4) for i in range(18)]
    assert "angles-beyond-a-turn" in told(
        read_particles(small.write_series(tmp_path / "b", columns))
    )


# ---------------------------------------------------------------------- what was done to images


def test_images_that_are_not_multiplied_are_not_weighted(tmp_path: Path) -> None:
    """RELION and WarpTools skip both filters, or none."""
    for number in (0, 1):
        groups = small.optics(rlnCtfDataAreCtfPremultiplied=number)
        for write in (small.relion5, small.relion_matrices):
            found = read_particles(write(tmp_path / f"{number}{write.__name__}", groups=groups))
            assert found.optics.ctf_premultiplied == found.optics.dose_weighted == bool(number)


def test_b_factor_per_dose(tmp_path: Path) -> None:
    tomograms = small.overview("tomo200528_107", rlnCtfBfactorPerElectronDose=4.0)
    parameters = image_parameters(read_particles(small.relion5(tmp_path, tomograms=tomograms)))
    plane = half_plane(small.BOX)
    s = plane.frequencies.norm(dim=-1) / 6.0
    left = exposure_left(plane.frequencies, parameters)
    for row, dose in enumerate(small.DOSES):
        torch.testing.assert_close(left[row], torch.exp(-4.0 * dose * s**2 / 4))


def test_ctf_corrected_images_have_no_ctf(tmp_path: Path) -> None:
    frequencies = half_plane(small.BOX).frequencies
    for column, expected in (
        ("rlnCtfDataAreCtfCorrected", lambda model: torch.ones_like(model.contrast)),
        ("rlnCtfDataArePhaseFlipped", lambda model: model.contrast.abs()),
    ):
        star = small.relion5(tmp_path / column, groups=small.optics(**{column: 1}))
        parameters = image_parameters(read_particles(star))
        model = image_formation(frequencies, parameters, dose_decay=False, tilt_decay=False)
        torch.testing.assert_close(model.transfer, expected(model))
        assert (model.phase == 1).all()


def test_scale_of_multiplied_images(tmp_path: Path) -> None:
    """T = (c d s)²: what RELION and Warp multiply with, their scale factor included."""
    groups = small.optics(rlnCtfDataAreCtfPremultiplied=1)
    frequencies = half_plane(small.BOX).frequencies
    parameters = image_parameters(read_particles(small.relion5(tmp_path, groups=groups)))
    model = image_formation(frequencies, parameters)
    left = exposure_left(frequencies, parameters)
    scale = torch.cos(torch.deg2rad(torch.tensor(small.TILTS_DEG)))[:, None]
    expected = (model.contrast[:5] * left[:5] * scale).square()
    torch.testing.assert_close(model.transfer[:5], expected, atol=1e-5, rtol=1e-4)
    outer = image_formation(frequencies, parameters, dose_decay=False, tilt_decay=False)
    torch.testing.assert_close(outer.applied, model.applied)
    torch.testing.assert_close(outer.transfer, model.applied * model.contrast)
    torch.testing.assert_close(
        model.signal_over_applied * model.applied, model.signal, atol=1e-6, rtol=1e-4
    )


def test_optics_of_each_image(tmp_path: Path) -> None:
    """Voltage, Cs and amplitude contrast may differ between groups; pixel sizes not by themselves.

    They may once they are brought to one; a part of the set that has one needs no bringing.
    """
    groups = {name: [*values, *values] for name, values in small.optics().items()}
    groups |= {"rlnOpticsGroup": [1, 2], "rlnOpticsGroupName": ["titan", "glacios"]}
    groups |= {"rlnVoltage": [300.0, 200.0], "rlnAmplitudeContrast": [0.07, 0.1]}
    rows = small.particles("grid1_ts1", count=3)
    rows |= {f"rlnCoordinate{axis}": [100.0, 110.0, 120.0] for axis in "XYZ"}
    rows["rlnOpticsGroup"] = [2, 1, 2]
    particles = read_particles(small.write_set(tmp_path, rows, small.matrices(), groups=groups))
    assert particles.optics.voltage_kv == 200.0
    voltage = image_parameters(particles).ctf.voltage_kv
    assert voltage.tolist() == [200.0] * 5 + [300.0] * 5 + [200.0] * 5
    assert told(particles)["several-optics"] == "info"
    again = read_particles(write_subset(particles.select([particles.ids[1]]), tmp_path / "o.star"))
    assert again.optics.voltage_kv == 300.0
    groups["rlnImagePixelSize"] = [6.0, 4.0]
    star = small.write_set(tmp_path / "p", rows, small.matrices(), groups=groups)
    mixed = read_particles(star)
    assert told(mixed)["mixed-optics"] == "error"
    words = "4 Å, 8 px in optics group glacios; 6 Å, 8 px in optics group titan"
    with pytest.raises(BadInputError, match=words) as caught:
        mixed.with_overrides(DataConfig())
    assert caught.value.code == "mixed-optics"
    assert "--pixel-size-target 6 or more" in caught.value.remedy
    titan = mixed.select([mixed.ids[1]]).with_overrides(DataConfig())
    assert (titan.optics.pixel_size_angstrom, titan.optics.voltage_kv) == (6.0, 300.0)
    assert set(titan.images["optics_group"]) == {0}


def test_what_is_not_applied_is_said(tmp_path: Path) -> None:
    groups = small.optics(rlnBeamTiltX=0.3, rlnOddZernike="[0,0.2]", rlnMagMat00=1.0)
    problem = {p.code: p for p in inspect_particles(read_particles(small.relion5(tmp_path, groups=groups)))}  # fmt: skip  # noqa: E501
    assert "rlnBeamTiltX" in problem["not-applied"].message
    assert "rlnOddZernike" in problem["not-applied"].message
    assert "rlnMagMat00" not in problem["not-applied"].message


# ----------------------------------------------------------------------- tables of one row


@pytest.mark.parametrize("lists", [("global",), ("optics",), ("particles",), ("",), ("all",)])
@pytest.mark.parametrize("write", [small.relion5, small.relion_matrices])
def test_a_table_of_one_row_may_be_a_list(tmp_path: Path, lists: tuple[str], write) -> None:
    """RELION reads both and older ``starfile`` writes it, in any block."""
    star = write(tmp_path)
    whole = read_particles(star)
    first = read_particles(write_subset(whole.select(whole.ids[:1]), tmp_path / "one.star"))
    for path in tmp_path.glob("one*.star"):
        text = path.read_text().split("data_")
        path.write_text(
            "data_".join(_as_list(part) if _named(part, lists) else part for part in text)
        )
    again = read_particles(tmp_path / "one_optimisation_set.star")
    assert again.ids == first.ids
    numbers = again.images.select_dtypes("number")
    np.testing.assert_allclose(numbers, first.images.select_dtypes("number"))
    written = write_subset(again, tmp_path / "again.star")
    assert read_particles(written).ids == first.ids


def _named(part: str, lists: tuple[str, ...]) -> bool:
    return lists == ("all",) or part.split("\n")[0].strip() in lists


def _as_list(part: str) -> str:
    """A loop of one row as names and values; other blocks as they are."""
    lines = [line for line in part.split("\n") if line.strip()]
    if "loop_" not in [line.strip() for line in lines]:
        return part
    names = [line.split()[0] for line in lines if line.startswith("_")]
    rows = [line for line in lines[1:] if not line.startswith(("_", "loop_", "#"))]
    if len(rows) != 1:
        return part
    values = rows[0].split()
    text = "\n".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
    return f"{lines[0]}\n\n{text}\n\n"


# -------------------------------------------------------------------- what is no tilt series

FOREIGN = {
    "dynamo.tbl": ("1 1 1 0.5 0 0 10 20 30 0.2 0 0 1 -60 60 0 0 0 0 1\n", "Dynamo table"),
    "eman2.lst": ('#LSX\n# comment\n# 60\n0\tparticles3d/TS_1.hdf\t{"a":{}}\n', "EMAN2 list"),
    "pytom.xml": ("<ParticleList>\n  <Particle Filename='p.em'/>\n</ParticleList>", "PyTom"),
    "motl.em": ("\x06\0\0\x05", "EM file"),
    "copick.json": ('{"pickable_object_name": "ribosome", "points": []}', "copick"),
    "coords.csv": ("x,y,z\n1,2,3\n", "CSV table: it holds positions"),
    "emclarity.csv": ("1 2.5 3,4e2\n", "CSV table: it holds positions"),
    "metrics.csv": ("epoch,loss\n1,2\n", "CSV table: it is no list of particles"),
    "classes.csv": (
        "class,particles,map,map_source,decoded_at\ncluster 0,8,01_cluster_0.mrc,decoded,a/1\n",
        "table of maps that “Map of each cluster” has written: it says which map is of which class",
    ),
    "map.mrc": ("\0\0\0\x08", "image file"),
    "page.star": ("<!DOCTYPE html>\n<html>", "web page"),
    "stopgap.star": ("data_stopgap_motivelist\n\nloop_\n_motl_idx\n_orig_x\n\n1 100\n", "STOPGAP"),
    "species.star": ("data_\nloop_\n_wrpCoordinateX1\n_wrpAngleRot1\n1 2\n", "M species"),
    "TS_1.tomostar": ("data_\nloop_\n_wrpMovieName\n_wrpAngleTilt\na.tif 3\n", ".tomostar"),
    "picks.star": (
        "data_particles\nloop_\n_rlnTomoName\n_rlnCenteredCoordinateXAngst\n_rlnLCCmax\na 1 1\n",
        "pytom-match-pick",
    ),
    "matching.star": (
        "data_\nloop_\n_rlnCoordinateX\n_rlnMicrographName\n_rlnAutopickFigureOfMerit\n1 a 1\n",
        "template matching",
    ),
    "tomograms.star": ("data_global\nloop_\n_rlnTomoName\n_rlnTomoSizeX\na 1\n", "tomograms star"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_without_tilt_images_say_what_they_are(tmp_path: Path, name: str) -> None:
    text, words = FOREIGN[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInputError, match=words) as caught:
        read_particles(tmp_path / name)
    assert caught.value.code == "unsupported-file"
    assert caught.value.remedy.endswith(".")


VOLUMES = {
    "rlnImageDimensionality 3": {"rlnImageDimensionality": [3]},
    "rlnCtfImage": {"rlnImageDimensionality": [2]},
}


@pytest.mark.parametrize("why", VOLUMES)
def test_volumes_are_told_before_anything_is_looked_for(tmp_path: Path, why: str) -> None:
    """RELION 3, Warp --3d: no tomograms star belongs to them."""
    groups = {**small.optics(), **VOLUMES[why]}
    columns = {
        "rlnTomoName": ["TS_1"], "rlnImageName": ["subtomo/1.mrc"], "rlnCtfImage": ["ctf/1.mrc"],
        "rlnAngleRot": [1], "rlnAngleTilt": [2], "rlnAnglePsi": [3], "rlnOpticsGroup": [1],
    }  # fmt: skip
    columns |= {f"rlnCoordinate{axis}": [10] for axis in "XYZ"}
    columns |= {f"rlnTomoSubtomogram{name}": [10] for name in ("Rot", "Tilt", "Psi")}
    if why == "rlnCtfImage":
        columns.pop("rlnTomoName")
    path = tmp_path / "set.star"
    path.write_text(small.loop("optics", groups) + small.loop("particles", columns))
    with pytest.raises(BadInputError, match=f"3-D subtomograms.*{why}") as caught:
        read_particles(path)
    assert caught.value.code == "unsupported-dialect"
    assert "2-D stacks" in caught.value.remedy


def test_another_tomograms_star(tmp_path: Path) -> None:
    rows = small.particles("grid1_ts1")
    rows |= {f"rlnCoordinate{axis}": [100.0] * 2 for axis in "XYZ"}
    rows["rlnTomoVisibleFrames"] = ["[1,1,1]"] * 2
    star = small.write_set(tmp_path, rows, small.matrices())
    with pytest.raises(BadInputError, match="the tomograms star that belongs to these particles"):
        read_particles(star)


def test_halves_are_those_of_the_refinement(tmp_path: Path) -> None:
    """``rlnRandomSubset`` of each particle, in rows of images and of particles; else by seed."""
    flat = read_particles(small.flattened(tmp_path / "flat"))
    assert first_half(flat, seed=3).tolist() == [False, True, False]
    assert first_half(flat.select([flat.ids[1], flat.ids[2]])).tolist() == [True, False]
    rows = small.particles("grid1_ts1", count=4)
    rows |= {f"rlnCoordinate{axis}": [100.0, 110.0, 120.0, 130.0] for axis in "XYZ"}
    rows["rlnRandomSubset"] = [2, 2, 2, 1]
    star = small.write_set(tmp_path / "set", rows, small.matrices())
    assert first_half(read_particles(star)).tolist() == [False, False, False, True]
    rows["rlnRandomSubset"] = [1, 1, 1, 1]
    star = small.write_set(tmp_path / "one", rows, small.matrices())
    assert first_half(read_particles(star)).sum() == 2
