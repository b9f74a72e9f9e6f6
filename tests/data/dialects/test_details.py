"""What the shared simulation cannot show: other tilts, phase plates, hands, a stack by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import starfile

from napari_tomodrgn.data.checks import inspect_particles
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.errors import BadInputError


def copied(written, tmp_path: Path) -> Path:
    """A copy of an export that a test may change; the file to open."""
    folder = shutil.copytree(written.star.parent, tmp_path / "copy")
    return folder / written.star.name


def rewrite(path: Path, **columns: object) -> None:
    """Set columns of the last loop of a star file."""
    blocks = starfile.read(path, always_dict=True)
    name = list(blocks)[-1]
    blocks[name] = blocks[name].assign(**columns)
    starfile.write(blocks, path, overwrite=True)


def test_x_tilt_turns_before_y_tilt(world, exported, tmp_path: Path) -> None:
    """Each rotation of a specimen tilted about x, y and z, against products written out."""
    star = copied(exported("relion5"), tmp_path)
    before = read_particles(star)
    series = star.parent / "Tilts" / "job7" / "tilt_series" / "TS_001.star"
    rewrite(series, rlnTomoXTilt=7.0)
    after = read_particles(star)
    cos, sin = np.cos(np.deg2rad(7.0)), np.sin(np.deg2rad(7.0))
    about_x = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    first = before.arrays().particle == 0
    tilts = world.scene.scheme.rotations[before.images["tilt_index"][first]]
    own = tilts[0].T @ before.arrays().rotations[first][0]
    expected = np.stack([tilt @ about_x @ own for tilt in tilts])
    np.testing.assert_allclose(after.arrays().rotations[first], expected, atol=1e-6)


def test_hand_is_the_sign_of_the_projected_height(world, exported, tmp_path: Path) -> None:
    """RELION adds hand times the height along the beam, at every tilt."""
    star = copied(exported("relion5"), tmp_path)
    rewrite(star.parent / "Tilts" / "job7" / "tomograms.star", rlnTomoHand=-1.0)
    images = read_particles(star).images
    for particle in (0, 20):
        series = world.scene.series[world.scene.crowd.series[particle]]
        depth = world.scene.poses(particle).positions_angstrom[:, 2][series.visible]
        rows = images["particle_id"].cat.codes == particle
        expected = series.defocus_u_angstrom[series.visible] - depth
        np.testing.assert_allclose(images["defocus_u_angstrom"][rows], expected, atol=2e-3)


def test_the_mirrored_specimen_with_the_other_hand_is_the_same(exported, tmp_path: Path) -> None:
    """Mirrored in z and tilted the other way, a specimen projects to the same images.

    So the files may describe either; heights differ in sign, and the hand makes up for it.
    """
    star = copied(exported("relion5"), tmp_path)
    path = star.parent / "particles.star"
    rewrite(path, rlnOriginXAngst=0.0, rlnOriginYAngst=0.0, rlnOriginZAngst=0.0)
    before = read_particles(star)
    folder = star.parent / "Tilts" / "job7"
    rewrite(folder / "tomograms.star", rlnTomoHand=-1.0)
    z = starfile.read(path)["particles"]["rlnCenteredCoordinateZAngst"]
    rewrite(path, rlnCenteredCoordinateZAngst=-z)
    for series in (folder / "tilt_series").iterdir():
        rewrite(series, rlnTomoYTilt=-starfile.read(series)["rlnTomoYTilt"])
    after = read_particles(star)
    np.testing.assert_allclose(
        after.images["defocus_u_angstrom"], before.images["defocus_u_angstrom"], atol=2e-3
    )


def test_relion5_coordinates_in_pixels_of_the_series(exported, tmp_path: Path) -> None:
    """Without a column in Å, coordinates beside native tilt-series stars are RELION's pixels."""
    star = copied(exported("relion5"), tmp_path)
    before = read_particles(star).particles
    path = star.parent / "particles.star"
    rows = starfile.read(path)["particles"]
    extent = starfile.read(star.parent / "Tilts" / "job7" / "tomograms.star")
    pixels = {
        f"rlnCoordinate{axis}": rows[f"rlnCenteredCoordinate{axis}Angst"] / 1.5
        + extent[f"rlnTomoSize{axis}"].iloc[0] / 2
        for axis in "XYZ"
    }
    rewrite(path, **pixels)
    text = path.read_text().replace("rlnCenteredCoordinate", "myCenteredCoordinate")
    path.write_text(text)
    after = read_particles(star).particles
    columns = [f"position_{axis}_angstrom" for axis in "xyz"]
    np.testing.assert_allclose(after[columns], before[columns], atol=1e-3)


def test_pixel_size_from_binning(world, exported, tmp_path: Path) -> None:
    star = copied(exported("relion5"), tmp_path)
    path = star.parent / "particles.star"
    path.write_text(path.read_text().replace("_rlnImagePixelSize", "_myPixelSize"))
    pixel = read_particles(star).optics.pixel_size_angstrom
    assert pixel == pytest.approx(world.scene.pixel_size_angstrom)


def test_trajectories_are_told(exported, tmp_path: Path) -> None:
    star = copied(exported("relion5"), tmp_path)
    star.write_text(star.read_text().rstrip() + "\n_rlnTomoTrajectoriesFile  Polish/motion.star\n")
    told = inspect_particles(read_particles(star))
    assert [problem.code for problem in told] == ["trajectories"]
    assert "motion.star" in told[0].message


def test_phase_shift_of_cistem_is_in_radians(exported, tmp_path: Path) -> None:
    star = copied(exported("cistem"), tmp_path)
    rewrite(star, cisTEMPhaseShift=np.pi / 2)
    assert read_particles(star).arrays().phase_shift_deg == pytest.approx(90.0, abs=1e-3)


def test_stack_of_cistem_given_by_hand(exported, tmp_path: Path) -> None:
    star = copied(exported("cistem"), tmp_path)
    before = read_particles(star)
    stack = star.with_suffix(".mrc").rename(star.with_name("images.mrc"))
    assert len(read_particles(star)) == len(before)  # the only stack there
    shutil.copy(stack, star.with_name("more.mrc"))
    with pytest.raises(BadInputError, match="--images FILE") as caught:
        read_particles(star)
    assert caught.value.code == "missing-images"
    given = read_particles(star, images=stack)
    assert given.images["stack"].unique().tolist() == [str(stack)]
    assert given.images["stack_index"].equals(before.images["stack_index"])


def test_positions_in_a_stack_count_from_one(exported, tmp_path: Path) -> None:
    star = copied(exported("cistem"), tmp_path)
    rewrite(star, cisTEMPositionInStack=0)
    with pytest.raises(BadInputError, match="cisTEMPositionInStack"):
        read_particles(star)


def test_single_particle_set_of_cistem_is_refused(exported, tmp_path: Path) -> None:
    star = copied(exported("cistem"), tmp_path)
    rewrite(star, cisTEMParticleGroup=0, cisTEMPreExposure=0.0)
    with pytest.raises(BadInputError, match="tilts of one particle"):
        read_particles(star)


@pytest.mark.parametrize("name", ["nextpyp", "cistem", "relion5"])
def test_columns_in_another_order_and_more_of_them(exported, tmp_path: Path, name: str) -> None:
    written = exported(name)
    star = copied(written, tmp_path)
    before = read_particles(star)
    path = star.with_name(written.particles.name)
    blocks = starfile.read(path, always_dict=True)
    block = list(blocks)[-1]
    blocks[block] = blocks[block][list(blocks[block])[::-1]].assign(somethingElse="x")
    starfile.write(blocks, path, overwrite=True)
    after = read_particles(star)
    assert after.source.dialect == before.source.dialect
    assert after.ids == before.ids
    rotations = after.arrays().rotations
    np.testing.assert_allclose(rotations, before.arrays().rotations, atol=1e-6)
