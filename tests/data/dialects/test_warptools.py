"""The dialect of WarpTools: every value against slow loops over the star's own text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import starfile
from scipy.spatial.transform import Rotation

from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.stack import ImageStacks
from napari_tomodrgn.data.star import read_star, write_star
from napari_tomodrgn.errors import BadInputError

NAME = "warptools_test_4-tomos_10-ptcls_box-32_angpix-12"


@pytest.fixture(scope="module")
def real_set(real_data: Path) -> Path:
    return real_data / "warptools" / f"{NAME}_optimisation_set.star"


@pytest.fixture(scope="module")
def real(real_set: Path) -> ParticleSet:
    return read_particles(real_set)


def _list(text: str) -> list[float]:
    return [float(word) for word in str(text).strip("[]").split(",")]


def _expected(folder: Path, stem: str) -> dict[tuple[str, str, int], dict[str, float]]:
    """Values of every visible image, by tomogram, particle name and tilt: one at a time."""
    blocks = starfile.read(folder / f"{stem}.star", always_dict=True)
    tilts = starfile.read(folder / f"{stem}_tomograms.star", always_dict=True)
    general = tilts["global"].set_index("rlnTomoName")
    pixel = float(blocks["optics"]["rlnImagePixelSize"].iloc[0])
    found = {}
    for _, row in blocks["particles"].iterrows():
        tomogram = row["rlnTomoName"]
        size = general.loc[tomogram, ["rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ"]]
        half = size.to_numpy(float) * float(general.loc[tomogram, "rlnTomoTiltSeriesPixelSize"]) / 2
        origin = np.array([float(row[f"rlnOrigin{axis}Angst"]) for axis in "XYZ"])
        centre = np.array([float(row[f"rlnCoordinate{axis}"]) for axis in "XYZ"]) * pixel - origin
        angles = [float(row[f"rlnAngle{name}"]) for name in ("Rot", "Tilt", "Psi")]
        pose = Rotation.from_euler("ZYZ", angles, degrees=True).inv().as_matrix()
        for number, shown in enumerate(_list(row["rlnTomoVisibleFrames"])):
            if not shown:
                continue
            tilt = tilts[tomogram].iloc[number]
            matrix = np.array([_list(tilt[f"rlnTomoProj{axis}"])[:3] for axis in "XYZ"])
            depth = matrix[2] @ (centre - half)
            found[tomogram, str(row["rlnTomoParticleName"]).split("/")[-1], number] = {
                "dose": float(tilt["rlnMicrographPreExposure"]),
                "u": float(tilt["rlnDefocusU"]) + depth,
                "v": float(tilt["rlnDefocusV"]) + depth,
                "angle": float(tilt["rlnDefocusAngle"]),
                "rotation": matrix @ pose,
                "shift": (matrix @ origin)[:2] / pixel,
                "file": row["rlnImageName"],
            }
    return found


def _compare(particles: ParticleSet, folder: Path, stem: str) -> None:
    expected = _expected(folder, stem)
    assert len(particles.images) == len(expected)
    rotations = particles.arrays().rotations
    for i, row in enumerate(particles.images.to_dict("records")):
        particle = particles.particles.loc[row["particle_id"]]
        value = expected.pop((particle["tomogram"], particle["particle"], row["tilt_index"]))
        assert row["dose_e_per_angstrom2"] == value["dose"]
        assert row["defocus_u_angstrom"] == pytest.approx(value["u"], abs=1e-6)
        assert row["defocus_v_angstrom"] == pytest.approx(value["v"], abs=1e-6)
        assert row["defocus_angle_deg"] == value["angle"]
        assert row["stack"] == str(folder / value["file"])
        np.testing.assert_allclose(rotations[i], value["rotation"], atol=1e-6)
        shift = [row["shift_x_px"], row["shift_y_px"]]
        np.testing.assert_allclose(shift, value["shift"], atol=1e-9)
    assert not expected


def test_what_is_in_the_real_set(real: ParticleSet) -> None:
    assert len(real) == 40
    assert len(real.images) == 1430
    assert (real.particles["tilts"].min(), real.particles["tilts"].max()) == (34, 37)
    assert real.particles["tomogram"].nunique() == 4
    assert real.optics.box_size_px == 32
    assert real.optics.pixel_size_angstrom == 12.0
    assert real.optics.ctf_premultiplied
    assert real.optics.dose_weighted
    assert real.images["dose_e_per_angstrom2"].min() == 0.0
    assert real.images["dose_e_per_angstrom2"].max() == 92.019
    assert {known.hand for known in real.source.tomograms} == {-1.0}
    assert real.source.tomograms[0].extent_xyz_angstrom == pytest.approx(
        (4400 * 1.667, 6000 * 1.667, 1400 * 1.667)
    )


def test_every_image_of_the_real_set(real: ParticleSet, real_set: Path) -> None:
    _compare(real, real_set.parent, NAME)


def test_every_image_of_a_small_set_with_origins(warptools_set) -> None:
    _compare(read_particles(warptools_set.star), warptools_set.star.parent, "set")


def test_images_themselves_prefer_the_defocus_of_their_height(real: ParticleSet) -> None:
    """Noise of pre-multiplied images follows CTF squared, so their power tells the sign."""
    table = real.images
    stacks = ImageStacks(table["stack"].cat.categories.to_list())
    images = stacks.read(table["stack"].cat.codes.to_numpy(), table["stack_index"].to_numpy())
    k = np.fft.fftfreq(32)
    k = np.hypot(k[:, None], k[None, :])
    ring = np.rint(k * 32).astype(int)
    keep = (k > 0.2) & (k < 0.5)
    power = np.abs(np.fft.fft2(images)[:, keep]) ** 2
    for r in np.unique(ring[keep]):
        power[:, ring[keep] == r] /= power[:, ring[keep] == r].mean()
    power /= power.mean(axis=1, keepdims=True)
    slow = _expected(Path(real.source.path).parent, NAME)
    names = real.particles.loc[table["particle_id"]]
    keys = zip(names["tomogram"], names["particle"], table["tilt_index"], strict=True)
    blocks = real.source.tomogram_blocks
    depth = [slow[key]["u"] - float(blocks[key[0]]["rlnDefocusU"][key[2]]) for key in keys]
    mean = table[["defocus_u_angstrom", "defocus_v_angstrom"]].to_numpy().mean(axis=1)

    def agreement(defocus: np.ndarray) -> float:
        wavelength = 0.0196875
        chi = np.pi * wavelength * defocus[:, None] * (k[keep] / 12.0) ** 2 + np.arcsin(0.07)
        return float(np.corrcoef(np.sin(chi).ravel() ** 2, power.ravel())[0, 1])

    without = agreement(mean - depth)
    assert agreement(mean) > without + 0.005
    assert agreement(mean - 2 * np.array(depth)) < without


def test_stage_tilt_has_its_sign(warptools_set) -> None:
    images = read_particles(warptools_set.star).images
    first = images[images["particle_id"] == "TS_2.tomostar/7"]
    np.testing.assert_allclose(first["stage_tilt_deg"], np.linspace(-40, 40, 4), atol=1e-4)


def test_interleaving_tomograms_changes_no_particle(real: ParticleSet, tmp_path: Path) -> None:
    source = real.source.path.parent
    text = (source / f"{NAME}.star").read_text()
    head, rows = text[: text.index("  Unt_083")], text[text.index("  Unt_083") :]
    lines = [line for line in rows.splitlines() if line.strip()]
    order = np.argsort([int(line.split()[1]) for line in lines], kind="stable")
    assert order.tolist() != sorted(order)
    (tmp_path / "mixed.star").write_text(head + "\n".join(lines[i] for i in order) + "\n")
    tomograms = (source / f"{NAME}_tomograms.star").read_text()
    (tmp_path / "mixed_tomograms.star").write_text(tomograms)
    mixed = read_particles(tmp_path / "mixed.star", images=source)
    assert mixed.ids != real.ids
    by_id = mixed.images.groupby("particle_id", observed=True)
    columns = [name for name in real.images if name not in ("particle_id", "source_row")]
    for name, rows_of in real.images.groupby("particle_id", observed=True):
        for column in columns:
            assert by_id.get_group(name)[column].tolist() == rows_of[column].tolist()


def test_hiding_a_frame_removes_just_that_row(warptools_set) -> None:
    before = read_particles(warptools_set.star)
    warptools_set.change("[1,1,1,1]", "[1,1,0,1]")
    after = read_particles(warptools_set.star)
    gone = (before.images["particle_id"] == "TS_2.tomostar/7") & (before.images["tilt_index"] == 2)
    assert gone.sum() == 1
    expected = before.filter_images(~gone.to_numpy())
    assert after.images.equals(expected.images)
    assert after.particles.equals(expected.particles)


def test_stacks_of_visible_frames_only(warptools_set, mrc) -> None:
    """RELION writes only visible frames; the images must be the same ones."""
    before = read_particles(warptools_set.star)

    def pixels(particles: ParticleSet) -> np.ndarray:
        table = particles.images
        stacks = ImageStacks(table["stack"].cat.categories.to_list())
        return stacks.read(table["stack"].cat.codes.to_numpy(), table["stack_index"].to_numpy())

    shown = pixels(before)
    path = warptools_set.stacks[3]
    kept = pixels(before.select(["TS_2.tomostar/9"])).astype(np.float16)
    assert len(kept) == 2
    path.write_bytes(mrc(kept))
    after = read_particles(warptools_set.star)
    np.testing.assert_array_equal(pixels(after), shown)
    assert after.images["tilt_index"].tolist() == before.images["tilt_index"].tolist()


def test_stack_that_fits_neither_count(warptools_set, mrc) -> None:
    warptools_set.stacks[3].write_bytes(mrc(np.zeros((3, 8, 8), np.float16)))
    with pytest.raises(BadInputError, match="has 3 images, but the tilt series has 4 frames, 2"):
        read_particles(warptools_set.star)


def test_the_other_hand_turns_the_sign_of_the_height(warptools_set) -> None:
    """With hand +1 defocus = that of the tilt − height; height = z cos t − x sin t."""
    warptools_set.change("-1.0", "1.0", warptools_set.tomograms)
    particles = read_particles(warptools_set.star)
    blocks = starfile.read(warptools_set.tomograms, always_dict=True)
    for row in particles.images.to_dict("records"):
        particle = particles.particles.loc[row["particle_id"]]
        tilt = np.deg2rad(row["stage_tilt_deg"])
        x = particle["position_x_angstrom"] - 1000.0
        z = particle["position_z_angstrom"] - 300.0
        table = blocks[particle["tomogram"]].iloc[row["tilt_index"]]
        expected = float(table["rlnDefocusU"]) + x * np.sin(tilt) - z * np.cos(tilt)
        assert row["defocus_u_angstrom"] == pytest.approx(expected, abs=1e-3)


def test_coordinates_in_pixels_of_the_tilt_series(warptools_set) -> None:
    """RELION's coordinates count unbinned pixels: they do not fit the tomogram otherwise."""
    before = read_particles(warptools_set.star)
    blocks = read_star(warptools_set.particles)
    for column in (f"rlnCoordinate{axis}" for axis in "XYZ"):
        binned = blocks["particles"][column].astype(float)
        blocks["particles"][column] = (5 * binned).astype(str)
    write_star(warptools_set.particles, blocks)
    after = read_particles(warptools_set.star)
    columns = [f"position_{axis}_angstrom" for axis in "xyz"]
    np.testing.assert_allclose(after.particles[columns], before.particles[columns])


def test_identity_and_own_columns(warptools_set) -> None:
    particles = read_particles(warptools_set.star)
    assert particles.ids == [
        "TS_1.tomostar/7",
        "TS_1.tomostar/8",
        "TS_2.tomostar/7",
        "TS_2.tomostar/9",
    ]
    own = particles.source.blocks["particles"]["rlnMyOwnColumn"]
    assert own.tolist() == ["0012", "1e-3", "name", "two words"]


def test_refined_in_relion(warptools_set) -> None:
    """RELION adds columns and reorders; the set stays the same."""
    before = read_particles(warptools_set.star)
    text = warptools_set.particles.read_text()
    text = text.replace("_rlnMyOwnColumn #15\n", "_rlnRandomSubset #15\n_rlnMaxValue #16\n")
    for value in ("0012", "1e-3", "name", "'two words'"):
        text = text.replace(value, "1  0.25")
    warptools_set.particles.write_text(text)
    assert read_particles(warptools_set.star).images.equals(before.images)


def test_particles_star_alone_finds_its_tomograms(warptools_set) -> None:
    whole = read_particles(warptools_set.star)
    assert read_particles(warptools_set.particles).images.equals(whole.images)
    other = warptools_set.tomograms.rename(warptools_set.tomograms.with_name("geometry.star"))
    warptools_set.change("set_tomograms.star", other.name, warptools_set.star)
    assert read_particles(warptools_set.particles).images.equals(whole.images)
    warptools_set.star.unlink()
    with pytest.raises(BadInputError, match=r"set_tomograms\.star"):
        read_particles(warptools_set.particles)


def test_phase_plate_of_a_tilt_is_read(warptools_set) -> None:
    text = warptools_set.tomograms.read_text()
    text = text.replace("_rlnCtfScalefactor", "_rlnPhaseShift")
    warptools_set.tomograms.write_text(text)
    images = read_particles(warptools_set.star).images
    assert images["phase_shift_deg"].unique().tolist() == [0.5]


def test_particle_without_visible_frames_is_left_out(warptools_set) -> None:
    warptools_set.change("[0,1,1]", "[0,0,0]")
    particles = read_particles(warptools_set.star)
    assert len(particles) == 3
    assert "TS_1.tomostar/8" not in particles.ids
