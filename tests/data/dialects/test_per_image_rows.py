"""Warp v1 image series and the cryoSRPNT simulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import starfile

from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.stack import ImageStacks


@pytest.fixture(scope="module")
def real(real_data: Path) -> ParticleSet:
    return read_particles(real_data / "cryosrpnt" / "10076_classD_32_sim.star")


def _compare(particles: ParticleSet, star: Path, pixel: float) -> None:
    rows = starfile.read(star)
    assert sorted(particles.images["source_row"]) == list(range(len(rows)))
    for row in particles.images.to_dict("records"):
        source = rows.iloc[row["source_row"]]
        assert str(row["particle_id"]).endswith(f"/{source['rlnGroupName']}")
        assert row["dose_e_per_angstrom2"] == float(source["rlnCtfBfactor"]) / -4
        cosine = min(1.0, float(source["rlnCtfScalefactor"]))
        assert np.cos(np.deg2rad(row["stage_tilt_deg"])) == pytest.approx(cosine)
        for ours, theirs in (
            ("defocus_u_angstrom", "rlnDefocusU"),
            ("defocus_v_angstrom", "rlnDefocusV"),
            ("defocus_angle_deg", "rlnDefocusAngle"),
            ("rot_deg", "rlnAngleRot"),
            ("tilt_deg", "rlnAngleTilt"),
            ("psi_deg", "rlnAnglePsi"),
        ):
            assert row[ours] == float(source[theirs])
        for axis in "xy":
            shift = float(source.get(f"rlnOrigin{axis.upper()}", 0.0))
            assert row[f"shift_{axis}_px"] == pytest.approx(shift)
        number, name = str(source["rlnImageName"]).split("@")
        assert row["stack_index"] == int(number) - 1
        assert Path(row["stack"]).name == Path(name).name
    assert particles.optics.pixel_size_angstrom == pytest.approx(pixel)


def test_what_is_in_the_real_set(real: ParticleSet) -> None:
    assert (len(real), len(real.images)) == (72, 576)
    assert real.source.dialect == "cryosrpnt"
    dose = real.images["dose_e_per_angstrom2"]
    assert (dose.min(), dose.max()) == (2.0, 16.0)
    assert not real.optics.ctf_premultiplied
    assert not real.optics.dose_weighted
    assert real.images["phase_shift_deg"].unique().tolist() == [90.0]
    stacks = ImageStacks(real.images["stack"].cat.categories.to_list())
    images = stacks.read(np.zeros(576, int), real.images["stack_index"].to_numpy())
    assert images.shape == (576, 32, 32)
    assert np.isfinite(images).all()


def test_every_image_of_the_real_set(real: ParticleSet) -> None:
    _compare(real, real.source.path, 13.1)


def test_warp(image_series) -> None:
    particles = read_particles(image_series.star)
    assert particles.source.dialect == "warp"
    assert particles.particles["tilts"].tolist() == [3, 2, 3]
    assert particles.particles["tomogram"].tolist() == ["TS_1.tomostar"] * 2 + ["TS_2.tomostar"]
    assert np.isnan(particles.particles[["position_x_angstrom", "rot_deg"]].to_numpy()).all()
    _compare(particles, image_series.star, 10.0)


def test_pixel_size_is_that_of_the_detector_over_the_magnification(image_series) -> None:
    image_series.change("10000.0  10.0", "50000.0  5.0")
    assert read_particles(image_series.star).optics.pixel_size_angstrom == pytest.approx(1.0)
    text = image_series.star.read_text()
    image_series.star.write_text(text.replace("_rlnDetectorPixelSize", "_rlnPixelSize"))
    assert read_particles(image_series.star).optics.pixel_size_angstrom == pytest.approx(5.0)


def test_block_called_particles_with_optics(image_series, star_loop) -> None:
    """M writes RELION 3.1 style: optics apart, origins in Å."""
    before = read_particles(image_series.star)
    text = image_series.star.read_text()
    text = text.replace("data_\n", "data_particles\n").replace("_rlnVoltage", "_rlnOpticsGroup")
    text = text.replace("  300.0  ", "  3  ").replace("_rlnMagnification", "_rlnOriginXAngst")
    text = text.replace("_rlnDetectorPixelSize", "_rlnOriginYAngst")
    optics = {"rlnOpticsGroup": [3], "rlnVoltage": [300.0], "rlnImagePixelSize": [10.0]}
    image_series.star.write_text(star_loop("optics", optics) + text)
    after = read_particles(image_series.star)
    assert after.source.dialect == "warp"
    assert after.optics == before.optics
    np.testing.assert_allclose(after.images["shift_x_px"], 1000.0)
    np.testing.assert_allclose(after.images["shift_y_px"], 1.0)
    columns = ["dose_e_per_angstrom2", "rot_deg", "defocus_u_angstrom"]
    assert after.images[columns].equals(before.images[columns])


def test_rows_of_particles_in_any_order(image_series) -> None:
    before = read_particles(image_series.star)
    text = image_series.star.read_text()
    head, rows = text[: text.index("10000.0")], text[text.index("10000.0") :].split("\n")[:8]
    mixed = [rows[i] for i in (5, 0, 3, 6, 1, 4, 7, 2)]
    image_series.star.write_text(head + "\n".join(mixed) + "\n")
    after = read_particles(image_series.star)
    assert sorted(after.ids) == sorted(before.ids)
    assert after.ids != before.ids
    for name in before.ids:
        one, two = (one_set.select([name]).images for one_set in (before, after))
        columns = [column for column in one if column not in ("particle_id", "source_row")]
        assert one[columns].values.tolist() == two[columns].values.tolist()


def test_columns_in_another_order_and_more_of_them(image_series) -> None:
    before = read_particles(image_series.star)
    frame = starfile.read(image_series.star, parse_as_string=["rlnImageName", "rlnGroupName"])
    frame = frame[frame.columns[::-1]].assign(myNote="kept")
    starfile.write(frame, image_series.star, overwrite=True)
    after = read_particles(image_series.star)
    assert after.images["dose_e_per_angstrom2"].equals(before.images["dose_e_per_angstrom2"])
    assert "myNote" in after.source.blocks[""]
