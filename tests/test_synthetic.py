"""Simulated data: what is read back is what was simulated, and the images follow the formula."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest
import starfile
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.volume import Volume, read_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.geometry import euler_to_matrix
from napari_tomodrgn.physics.fourier import images_from_samples
from napari_tomodrgn.synthetic import Simulated, SimulationConfig, SimulationProgress, simulate
from napari_tomodrgn.synthetic.imaging import Microscope, make_microscope
from napari_tomodrgn.synthetic.scene import dose_symmetric, make_scene
from napari_tomodrgn.synthetic.structures import load_structures, prepare_structures

SMALL = SimulationConfig(particles=9, tilts=11, box_size_px=32, states=3, tomograms=2, seed=4)
HIDDEN = SMALL.model_copy(update={"hidden_tilts": 3})

Make = Callable[[SimulationConfig], Simulated]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Simulate a configuration once for all tests of this file."""
    done: dict[SimulationConfig, Simulated] = {}

    def run(config: SimulationConfig) -> Simulated:
        if config not in done:
            *_, last = simulate(tmp_path_factory.mktemp("simulation"), config)
            assert isinstance(last, Simulated)
            done[config] = last
        return done[config]

    return run


def both(simulated: Simulated) -> tuple[ParticleSet, ParticleSet]:
    return read_particles(simulated.warptools), read_particles(simulated.warp)


def image_data(particles: ParticleSet) -> NDArray[np.float32]:
    """All images, in the order of the table."""
    stacks = {path: mrcfile.read(path) for path in particles.images["stack"].cat.categories}
    pairs = zip(particles.images["stack"], particles.images["stack_index"], strict=True)
    return np.stack([stacks[path][index] for path, index in pairs]).astype(np.float32)


def microscope(config: SimulationConfig) -> Microscope:
    structures = load_structures(config)
    scene = make_scene(config, len(structures.names), structures.pixel_size_angstrom)
    return make_microscope(scene, structures, config)


# What the files say


@pytest.mark.parametrize("config", [SMALL, HIDDEN], ids=["all", "hidden"])
def test_both_dialects_say_the_same_of_each_image(make: Make, config: SimulationConfig) -> None:
    warptools, warp = both(make(config))
    assert len(warptools) == len(warp) == config.particles
    kept = config.tilts - config.hidden_tilts
    assert len(warptools.images) == len(warp.images) == config.particles * kept
    assert (warptools.particles["tilts"] == kept).all()
    ours, theirs = warptools.arrays(), warp.arrays()
    np.testing.assert_array_equal(ours.particle, theirs.particle)
    np.testing.assert_allclose(ours.rotations, theirs.rotations, atol=1e-7)
    np.testing.assert_allclose(ours.shifts_px, theirs.shifts_px, atol=2e-6)
    for column, tolerance in {
        "defocus_u_angstrom": 1e-3,
        "defocus_v_angstrom": 1e-3,
        "defocus_angle_deg": 1e-5,
        "dose_e_per_angstrom2": 1e-6,
        "phase_shift_deg": 0.0,
    }.items():
        np.testing.assert_allclose(
            getattr(ours, column), getattr(theirs, column), atol=tolerance, err_msg=column
        )
    np.testing.assert_allclose(np.abs(ours.stage_tilt_deg), theirs.stage_tilt_deg, atol=1e-3)
    assert np.ptp(ours.defocus_u_angstrom) > 500  # height counts, so the test above says something


def test_optics_of_both_dialects(make: Make) -> None:
    warptools, warp = both(make(SMALL))
    assert warptools.optics.ctf_premultiplied
    assert warptools.optics.dose_weighted
    assert not warp.optics.ctf_premultiplied
    assert not warp.optics.dose_weighted
    for optics in (warptools.optics, warp.optics):
        assert optics.pixel_size_angstrom == 12.0
        assert optics.box_size_px == 32
        assert optics.voltage_kv == 300.0


def test_star_columns_are_those_of_the_programs(make: Make) -> None:
    simulated = make(HIDDEN)
    particles = starfile.read(simulated.warptools.with_name("particles.star"))
    assert list(particles) == ["general", "optics", "particles"]
    assert particles["general"] == {"rlnTomoSubTomosAre2DStacks": 1}
    assert list(particles["particles"])[-1] == "rlnTomoVisibleFrames"
    assert all(text.count("0") == 3 for text in particles["particles"]["rlnTomoVisibleFrames"])
    tomograms = starfile.read(simulated.warptools.with_name("particles_tomograms.star"))
    assert list(tomograms) == ["global", "TS_001.tomostar", "TS_002.tomostar"]
    assert (tomograms["TS_001.tomostar"]["rlnCtfScalefactor"] == 0).sum() == 3
    warp = starfile.read(simulated.warp)
    assert len(warp) == 9 * 8
    assert warp["rlnGroupName"].iloc[0] == "tomo001_particle0001"
    assert {"rlnMagnification", "rlnCtfBfactor", "rlnRandomSubset"} <= set(warp)


def test_centred_particles_give_a_warp_star_without_origins(tmp_path: Path) -> None:
    config = SimulationConfig(particles=2, tilts=2, box_size_px=16, shifts_px=0.0, tomograms=1)
    *_, simulated = simulate(tmp_path, config)
    assert isinstance(simulated, Simulated)
    assert not any(name.startswith("rlnOrigin") for name in starfile.read(simulated.warp))
    assert not read_particles(simulated.warptools).arrays().shifts_px.any()


def test_hidden_tilts_take_away_just_those_images(make: Make) -> None:
    simulated = make(HIDDEN)
    warptools, warp = both(simulated)
    # Hidden images stay in WarpTools' stacks and are not in Warp's: the same ones are left.
    assert mrcfile.read(warptools.images["stack"].iloc[0]).shape[0] == 11
    scene = microscope(HIDDEN).scene
    for row, series in enumerate(scene.series):
        first = warptools.ids[scene.members(row)[0]]
        tilts = warptools.images["tilt_index"][warptools.images["particle_id"] == first]
        np.testing.assert_array_equal(tilts, np.flatnonzero(series.visible))
    left, right = image_data(warp), image_data(warptools)
    assert paired_correlation(left, right).mean() > 0.15  # the CTF turns some frequencies over
    assert abs(paired_correlation(left, np.roll(right, 1, axis=0)).mean()) < 0.06


def test_truth_fits_the_star_files(make: Make) -> None:
    simulated = make(SMALL)
    warptools, warp = both(simulated)
    truth = pd.read_csv(simulated.truth)
    assert list(truth["particle_id"]) == warptools.ids
    assert list(truth["warp_particle_id"]) == warp.ids
    assert sorted(truth["state"].value_counts()) == [3, 3, 3]
    assert set(truth["state_name"]) == {"80S", "60S", "40S"}
    positions = [f"position_{axis}_angstrom" for axis in "xyz"]
    np.testing.assert_allclose(warptools.particles[positions], truth[positions], atol=1e-4)
    angles = ["rot_deg", "tilt_deg", "psi_deg"]
    np.testing.assert_allclose(warptools.particles[angles], truth[angles], atol=1e-5)
    names = [path.stem for path in simulated.truth_maps]
    assert names == ["80S", "60S", "40S"]
    assert read_volume(simulated.truth_maps[0]).voxel_size_angstrom == pytest.approx(12.0)


def test_continuous_motion_has_a_coordinate_for_each_particle(make: Make) -> None:
    config = SMALL.model_copy(update={"continuous": True})
    simulated = make(config)
    truth = pd.read_csv(simulated.truth)
    assert truth["coordinate"].between(0, 1).all()
    assert truth["coordinate"].nunique() == 9
    assert len(simulated.truth_maps) == 9
    first, last = (read_volume(simulated.truth_maps[row]).data for row in (0, -1))
    assert np.corrcoef(first.ravel(), last.ravel())[0, 1] < 0.95


def test_between_two_frames_is_their_mean() -> None:
    structures = load_structures(SMALL.model_copy(update={"continuous": True}))
    expected = 0.25 * structures.transforms[2] + 0.75 * structures.transforms[3]
    torch.testing.assert_close(structures.transform_at(2.75), expected)
    assert structures.transform_at(8.0) is structures.transforms[8]


# Images


def test_dose_symmetric_scheme() -> None:
    scheme = dose_symmetric(SimulationConfig(tilts=41))
    order = np.argsort(scheme.dose_e_per_angstrom2)
    np.testing.assert_allclose(scheme.stage_tilt_deg[order][:7], [0, 3, -3, -6, 6, 9, -9])
    np.testing.assert_allclose(np.sort(scheme.dose_e_per_angstrom2), np.arange(41) * 3.0)
    assert scheme.stage_tilt_deg[[0, -1]].tolist() == [-60.0, 60.0]


@pytest.mark.parametrize("box", [64, 32])
def test_projection_of_turned_blobs_is_the_formula(box: int) -> None:
    """Blobs at r project to blobs at (R r)xy; their shift, and the factor of coarser pixels."""
    config = SimulationConfig(particles=3, tilts=5, box_size_px=box, tomograms=1, shifts_px=2.0)
    config = config.model_copy(update={"dose_attenuation": False})
    places = np.array([[90.0, 10.0, -40.0], [-30.0, 70.0, 20.0], [0.0, -60.0, 50.0]])  # xyz, Å
    heights, sigma = np.array([1.0, 0.6, 0.3]), 18.0
    z, y, x = (np.indices((64, 64, 64)) - 32) * 6.0
    squared = [(x - px) ** 2 + (y - py) ** 2 + (z - pz) ** 2 for px, py, pz in places]
    blobs = (heights[:, None, None, None] * np.exp(-np.array(squared) / (2 * sigma**2))).sum(0)
    structures = prepare_structures({"blobs": Volume(blobs.astype(np.float32), 6.0)}, config)
    scene = make_scene(config, 1, structures.pixel_size_angstrom)
    instrument = make_microscope(scene, structures, config)
    pixel = 384.0 / box
    rows, columns = (np.indices((box, box)) - box // 2) * pixel
    for particle in range(3):
        poses = scene.poses(particle)
        flat = torch.ones(5, len(instrument.lattice))
        samples = instrument.signal(poses, particle, flat)
        images = images_from_samples(samples, instrument.lattice).numpy()
        for tilt in range(5):
            seen = places @ poses.rotations[tilt].T - [*(poses.shifts_px[tilt] * pixel), 0.0]
            away = [(columns - sx) ** 2 + (rows - sy) ** 2 for sx, sy, _ in seen]
            depth = np.sqrt(2 * np.pi) * sigma / pixel  # sum along z, in pixels
            profile = np.exp(-np.array(away) / (2 * sigma**2))
            expected = depth * (heights[:, None, None] * profile).sum(axis=0)
            # Trilinear reading leaves faint ghosts, a padded box away, of what is off-centre.
            error = (images[tilt] - expected) / expected.max()
            assert np.abs(error).max() < 0.03
            assert error.std() < 0.003


def test_signal_to_noise_is_as_asked(make: Make) -> None:
    """Noise is known from a second simulation that is nearly all noise."""
    asked = SMALL.model_copy(update={"snr": 0.5, "particles": 20})
    loud = image_data(read_particles(make(asked).warp))
    quiet = image_data(read_particles(make(asked.model_copy(update={"snr": 1e-6})).warp))
    # Both hold the same noise; the second holds a signal 700 times weaker.
    signal = loud - quiet
    measured = signal.var(axis=(1, 2)).mean() / quiet.var()
    assert measured == pytest.approx(0.5, rel=0.02)
    assert quiet.std() == pytest.approx(1.0, abs=0.01)


def test_noise_is_the_same_in_all_states() -> None:
    instrument = microscope(SimulationConfig(particles=40, tilts=4, box_size_px=16, seed=1))
    spread = np.array([instrument.images(row, 1e-4).warp.std() for row in range(40)])
    states = instrument.scene.crowd.place
    difference = spread[states == 0].mean() - spread[states == 1].mean()
    assert abs(difference) < 3 * spread.std() / np.sqrt(10)


def paired_correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    left, right = (part.reshape(len(part), -1).astype(np.float64) for part in (a, b))
    left -= left.mean(axis=1, keepdims=True)
    right -= right.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray((left * right).sum(axis=1) / norms)


def test_warptools_images_are_warp_images_through_ctf_and_dose() -> None:
    instrument = microscope(SMALL)
    images = instrument.images(2, 1.0)
    poses = instrument.scene.poses(2)
    box = SMALL.box_size_px
    lattice = instrument.lattice
    spectrum = np.fft.fft2(np.fft.ifftshift(-images.warp, axes=(1, 2)))
    samples = spectrum[:, lattice.rows.numpy(), lattice.columns.numpy()]
    filters = instrument.formation(poses, 2).applied.numpy()
    expected = images_from_samples(torch.from_numpy(samples * filters), lattice).numpy()
    np.testing.assert_allclose(images.warptools, expected, atol=1e-4 * np.abs(expected).max())
    assert images.warptools.shape == (11, box, box)


def test_particles_are_light_in_both_exports() -> None:
    """Averaged over particles, the middle is lighter than the rim."""
    instrument = microscope(SimulationConfig(particles=20, tilts=2, box_size_px=32, shifts_px=0))
    radius = np.linalg.norm(np.indices((32, 32)) - 16, axis=0)
    images = [instrument.images(row, 1.0) for row in range(20)]
    for stack in ([image.warp for image in images], [image.warptools for image in images]):
        mean = np.mean(stack, axis=(0, 1))
        assert mean[radius < 8].mean() > mean[(radius > 11) & (radius < 16)].mean()


# Tomograms


def test_particles_do_not_overlap_and_stay_inside() -> None:
    scene = make_scene(SimulationConfig(particles=120, tilts=3, tomograms=2), 2, 6.0)
    for row, series in enumerate(scene.series):
        positions = scene.crowd.positions_angstrom[scene.members(row)]
        apart = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
        assert apart[~np.eye(len(apart), dtype=bool)].min() >= 320.0  # none is wider
        assert (positions > 0).all()
        assert (positions < series.extent_xyz_angstrom).all()


def test_tomogram_is_light_where_particles_are(make: Make) -> None:
    simulated = make(SMALL)
    particles = read_particles(simulated.warptools)
    columns = [f"position_{axis}_angstrom" for axis in "zyx"]
    for path in simulated.tomograms:
        tomogram = read_volume(path)
        assert tomogram.voxel_size_angstrom == pytest.approx(24.0)
        own = particles.particles[particles.particles["tomogram"] == f"{path.stem}.tomostar"]
        index = np.rint(own[columns].to_numpy() / 24.0).astype(int)
        blocks = [tomogram.data[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] for z, y, x in index]
        inside, background = np.mean(blocks), np.median(tomogram.data)
        assert abs(background) < 0.02
        assert inside > 0.15
    extent = particles.source.tomograms[0].extent_xyz_angstrom
    assert extent == pytest.approx(np.array(tomogram.data.shape[::-1]) * 24.0)


def test_particle_stands_in_the_tomogram_in_its_own_pose(make: Make) -> None:
    """The centre of mass of the 60S, off the centre of the box, is found where its pose puts it."""
    config = SMALL.model_copy(update={"particles": 24, "tilts": 3, "states": 2})
    simulated = make(config)
    truth = pd.read_csv(simulated.truth).query("state_name == '60S'")
    volume = read_volume(simulated.truth_maps[1])
    grid = (np.indices(volume.data.shape) - 16).reshape(3, -1)[::-1] * 12.0
    offset = grid @ volume.data.ravel() / volume.data.sum()
    assert np.linalg.norm(offset) > 30
    tomograms = {f"{path.stem}.tomostar": read_volume(path).data for path in simulated.tomograms}
    found, expected = [], []
    for row in truth.itertuples():
        position = np.array([getattr(row, f"position_{axis}_angstrom") for axis in "xyz"])
        middle = np.rint(position / 24.0).astype(int)
        x, y, z = (slice(place - 6, place + 7) for place in middle)
        block = tomograms[row.tomogram][z, y, x]
        away = ((np.indices(block.shape) - 6)[::-1].reshape(3, -1).T + middle) * 24.0 - position
        inside = np.linalg.norm(away, axis=1) < 150
        weights = block.ravel()[inside]
        found.append(weights @ away[inside] / weights.sum())
        rotation = euler_to_matrix([row.rot_deg, row.tilt_deg, row.psi_deg])
        expected.append(rotation @ offset)
    error = np.linalg.norm(np.array(found) - expected, axis=1)
    assert np.median(error) < 8.0  # Å; a wrong turn is off by the 30 Å above and more


def test_states_come_in_the_shares_asked_for(tmp_path: Path) -> None:
    """Rounded, together all particles; the truth counts them, and equal shares are as without."""
    few = {"particles": 20, "tilts": 1, "box_size_px": 16, "tomograms": 1, "export": "warptools"}
    config = SimulationConfig.model_validate({**few, "states": 3, "shares": (0.9, 0.08, 0.02)})
    *_, simulated = simulate(tmp_path, config)
    assert isinstance(simulated, Simulated)
    names = pd.read_csv(simulated.truth)["state_name"]
    assert names.value_counts().to_dict() == {"80S": 18, "60S": 2}
    large = SimulationConfig(particles=1200, states=2, shares=(19, 1))
    assert (make_scene(large, 2, 12.0).crowd.place == 1).sum() == 60
    for wrong in ({"shares": (1.0,)}, {"shares": (0.0, 0.0)}, {"shares": (1.0, -1.0)}):
        with pytest.raises(ValidationError, match="shares"):
            SimulationConfig.model_validate(wrong)
    with pytest.raises(ValidationError, match="continuous"):
        SimulationConfig(shares=(0.5, 0.5), continuous=True)


# The run


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    config = SimulationConfig(particles=3, tilts=3, box_size_px=16, tomograms=1)
    first, again = tmp_path / "first", tmp_path / "again"
    other = tmp_path / "other"
    list(simulate(first, config))
    list(simulate(again, config))
    list(simulate(other, config.model_copy(update={"seed": 1})))
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(names) == 1 + 2 + 2 + 3 + 3 + 1 + 1 + 1
    for name in names:
        assert (first / name).read_bytes() == (again / name).read_bytes(), name
    stack = "warp/particles/TS_001.mrcs"
    assert (first / stack).read_bytes() != (other / stack).read_bytes()


def test_stack_headers_hold_the_statistics_of_the_data(make: Make) -> None:
    warptools, warp = both(make(SMALL))
    for particles, dtype in ((warptools, np.float16), (warp, np.float32)):
        path = particles.images["stack"].iloc[0]
        with mrcfile.open(path) as mrc:
            data = mrc.data.astype(np.float64)
            assert mrc.data.dtype == dtype
            assert mrc.is_image_stack()
            assert mrc.voxel_size.x == pytest.approx(12.0)
            assert float(mrc.header.dmean) == pytest.approx(data.mean(), abs=1e-3)
            assert float(mrc.header.rms) == pytest.approx(data.std(), rel=1e-3)
            assert float(mrc.header.dmax) == pytest.approx(data.max(), rel=1e-3)
        assert mrcfile.validate(path)


def test_events_count_up_to_the_end(tmp_path: Path) -> None:
    config = SimulationConfig(particles=4, tilts=2, box_size_px=16)
    events = list(simulate(tmp_path, config))
    assert isinstance(events[-1], Simulated)
    counts = [event.done for event in events if isinstance(event, SimulationProgress)]
    assert counts == sorted(counts)
    assert counts[-1] == 4


def test_stopped_simulation_leaves_no_star(tmp_path: Path) -> None:
    config = SimulationConfig(particles=4, tilts=2, box_size_px=16)
    *_, simulated = simulate(tmp_path, config)
    assert isinstance(simulated, Simulated)
    events = simulate(tmp_path, config)
    next(events)
    events.close()
    assert not simulated.warptools.exists()
    assert not simulated.warp.exists()


def test_threads_of_torch_are_left_as_they_were(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    list(simulate(tmp_path, SimulationConfig(particles=2, tilts=2, box_size_px=16)))
    assert torch.get_num_threads() == before


def test_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(BadInputError, match="holds other files"):
        next(simulate(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_configuration_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValidationError, match="leaves none"):
        SimulationConfig(tilts=3, hidden_tilts=3)
    with pytest.raises(ValidationError, match="cannot fill"):
        SimulationConfig(particles=1)
    with pytest.raises(ValidationError, match="multiple of 2"):
        SimulationConfig(box_size_px=33)


@pytest.mark.parametrize("export", ["warptools", "warp"])
def test_one_of_the_exports(tmp_path: Path, export: str) -> None:
    """Only what was asked for is written, the same to the byte as with both."""
    config = SimulationConfig(particles=4, tilts=3, box_size_px=16, seed=2)
    for folder, settings in (
        ("both", config),
        ("one", config.model_copy(update={"export": export})),
    ):
        for _ in simulate(tmp_path / folder, settings):
            pass
    other = {"warptools": "warp", "warp": "warptools"}[export]
    assert not (tmp_path / "one" / other).exists()
    files = [path for path in (tmp_path / "one" / export).rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert (
            path.read_bytes()
            == (tmp_path / "both" / path.relative_to(tmp_path / "one")).read_bytes()
        )


# Shares, another molecule, an assembly


def states_of(config: SimulationConfig) -> NDArray[np.float64]:
    states = 16 if config.assembly else len(config.shares or (1, 1))
    return make_scene(config, states, 12.0).crowd.place


def test_shares_are_kept_to_a_particle_and_in_random_order() -> None:
    config = SimulationConfig(particles=1200, shares=(0.98, 0.02), seed=3)
    places = states_of(config)
    assert np.bincount(places.astype(int)).tolist() == [1176, 24]
    rare = np.flatnonzero(places == 1)
    assert rare.min() < 300
    assert rare.max() > 900


def test_an_assembly_has_sixteen_stages_from_a_quarter_to_half_a_per_cent() -> None:
    config = SimulationConfig(particles=2000, assembly=16, box_size_px=32)
    counts = np.bincount(states_of(config).astype(int), minlength=16)
    assert counts[15] == counts.max() == pytest.approx(500, abs=1)
    assert counts.min() == pytest.approx(10, abs=1)
    assert counts.sum() == 2000
    assert np.all(np.diff(np.sort(counts)) > 0)
    assert load_structures(config).names[-1] == "assembly_16"


def test_another_molecule_is_smaller_in_smaller_pixels(make: Make) -> None:
    config = SimulationConfig(particles=4, tilts=3, box_size_px=32, molecule="envelope", states=4)
    simulated = make(config)
    for particles in both(simulated):
        assert particles.optics.pixel_size_angstrom == 8.0
        assert image_data(particles).std() > 0
    assert [path.stem for path in simulated.truth_maps] == [
        *("E3M3_2scFv", "E3M3", "E3M3_1scFv", "E3M2_2scFv"),
    ]


def test_a_molecule_with_fewer_states_says_so() -> None:
    with pytest.raises(BadInputError, match=r"The envelope has 4 states: E3M3_2scFv.*got 5"):
        load_structures(SimulationConfig(molecule="envelope", states=5))


def test_settings_that_came_later_stand_in_the_file_only_where_they_are_used(make: Make) -> None:
    plain = make(SMALL).truth.with_name("simulation.json").read_text()
    assert not {"molecule", "shares", "assembly"} & set(json.loads(plain))
    rare = SMALL.model_copy(update={"states": 2, "shares": (0.7, 0.3)})
    told = json.loads(make(rare).truth.with_name("simulation.json").read_text())
    assert told["shares"] == [0.7, 0.3]
    assert SimulationConfig.model_validate(told) == rare


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shares": (1.1, -0.1)}, "not negative"),
        ({"shares": (0.5, 0.3, 0.2)}, "3 shares for 2 states"),
        ({"shares": (0.5, 0.5), "assembly": 16}, "an assembly has its own"),
        ({"shares": (0.5, 0.5), "continuous": True}, "motion has none"),
        ({"assembly": 16, "continuous": True}, "no motion"),
        ({"assembly": 16, "molecule": "envelope"}, "of the ribosome"),
        ({"assembly": 5}, "16"),
    ],
)
def test_shares_and_assembly_that_do_not_fit(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SimulationConfig.model_validate(settings)
