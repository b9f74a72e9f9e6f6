"""One set of simulated particles, exported through every dialect, says the same and looks the same.

The files are written by generators (`conftest.py`) that know the simulated scene and nothing of the
readers. Tolerances are those of the numbers' last decimal in the files.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from exports import WRITERS

from napari_tomodrgn.analysis.fsc import fsc, fsc_sphere
from napari_tomodrgn.analysis.reconstruct import Reconstruction, reconstruct
from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.checks import inspect_particles
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.physics.ctf import CtfParameters, ctf
from napari_tomodrgn.physics.lattice import half_plane

DIALECT_OF = {name: dialect for name, (dialect, _) in WRITERS.items()}
WITH_POSITIONS = tuple(
    name
    for name in DIALECT_OF
    if name.startswith(("warptools", "relion")) and name != "relion5-images"
)
PREMULTIPLIED = (*WITH_POSITIONS, "relion5-images")


def ctf_curves(columns: dict[str, np.ndarray], world) -> torch.Tensor:
    """CTF of each image on the half-plane of the box."""
    as_tensor = {name: torch.from_numpy(np.array(columns[name])) for name in ("u", "v", "angle")}
    parameters = CtfParameters(
        defocus_u_angstrom=as_tensor["u"],
        defocus_v_angstrom=as_tensor["v"],
        defocus_angle_deg=as_tensor["angle"],
        phase_shift_deg=torch.zeros_like(as_tensor["u"]),
        voltage_kv=300.0,
        spherical_aberration_mm=2.7,
        amplitude_contrast=0.07,
        pixel_size_angstrom=world.scene.pixel_size_angstrom,
    )
    points = half_plane(world.config.box_size_px, include_dc=True).frequencies
    return ctf(points.double(), parameters)


@pytest.mark.parametrize("name", DIALECT_OF)
def test_every_image_is_the_simulated_one(world, exported, truth_of, name: str) -> None:
    written = exported(name)
    particles = read_particles(written.star)
    assert particles.source.dialect == DIALECT_OF[name]
    assert particles.ids == written.names
    arrays = particles.arrays()
    for particle in range(len(world.scene)):
        truth = truth_of(world, particle)
        rows = arrays.particle == particle
        visible = world.scene.series[world.scene.crowd.series[particle]].visible
        rotations = world.scene.poses(particle).rotations[visible]
        np.testing.assert_allclose(arrays.rotations[rows], rotations, atol=1e-6)
        shifts = np.stack([truth["x"], truth["y"]], axis=1)
        np.testing.assert_allclose(arrays.shifts_px[rows], shifts, atol=1e-5)
        np.testing.assert_allclose(arrays.dose_e_per_angstrom2[rows], truth["dose"], atol=1e-5)
        stage = np.abs(arrays.stage_tilt_deg[rows])
        np.testing.assert_allclose(stage, np.abs(truth["stage"]), atol=2e-3)
        read = {
            "u": arrays.defocus_u_angstrom[rows],
            "v": arrays.defocus_v_angstrom[rows],
            "angle": arrays.defocus_angle_deg[rows],
        }
        for column, values in read.items():
            np.testing.assert_allclose(values, truth[column], atol=2e-3)
        assert (ctf_curves(read, world) - ctf_curves(truth, world)).abs().max() < 1e-4
    assert not arrays.phase_shift_deg.any()


@pytest.mark.parametrize("name", DIALECT_OF)
def test_optics_and_no_complaints(world, exported, name: str) -> None:
    particles = read_particles(exported(name).star)
    optics = particles.optics
    assert optics.pixel_size_angstrom == pytest.approx(world.scene.pixel_size_angstrom)
    assert optics.box_size_px == world.config.box_size_px
    numbers = (optics.voltage_kv, optics.spherical_aberration_mm, optics.amplitude_contrast)
    assert numbers == (300.0, 2.7, 0.07)
    assert optics.ctf_premultiplied == optics.dose_weighted == (name in PREMULTIPLIED)
    assert inspect_particles(particles) == []


@pytest.mark.parametrize("name", WITH_POSITIONS)
def test_poses_in_the_tomogram(world, exported, name: str) -> None:
    particles = read_particles(exported(name).star).particles
    crowd = world.scene.crowd
    columns = [f"position_{axis}_angstrom" for axis in "xyz"]
    np.testing.assert_allclose(particles[columns], crowd.positions_angstrom, atol=1e-4)
    angles = particles[["rot_deg", "tilt_deg", "psi_deg"]].to_numpy()
    difference = np.abs((angles - crowd.angles_deg + 180.0) % 360.0 - 180.0)
    assert difference.max() < 1e-4


# The window that training puts around a particle cuts off what the CTF spreads beyond it, λ Δf s or
# two pixels at Nyquist, and twice that far in pre-multiplied images: not the same data any more.
WHOLE_IMAGES = DataConfig(window_inner=1.5, window_outer=1.5)


@pytest.fixture(scope="module")
def maps(exported) -> dict[str, Reconstruction]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made = {
        name: reconstruct(read_particles(exported(name).star), data=WHOLE_IMAGES)
        for name in DIALECT_OF
    }
    torch.set_num_threads(threads)
    return made


def compared(one: Reconstruction, other: Reconstruction) -> np.ndarray:
    """FSC by shell up to Nyquist, without the origin."""
    return fsc(one.map, other.map, fsc_sphere(one.map.box_size_px)).correlation[1:]


def test_reconstructions_of_the_same_images_are_the_same(maps: dict[str, Reconstruction]) -> None:
    """Only the last decimals of the poses differ."""
    for name, made in maps.items():
        reference = maps["warptools" if name in PREMULTIPLIED else "warp"]
        assert compared(made, reference).min() > 0.9999, name


def test_reconstructions_of_all_dialects_agree(maps: dict[str, Reconstruction]) -> None:
    """FSC above 0.99 at every shell between any two, images as recorded or pre-multiplied."""
    for name, made in maps.items():
        for other, reference in maps.items():
            assert compared(made, reference).min() > 0.99, f"{name} against {other}"


def test_the_window_is_all_that_tells_them_apart(exported, maps: dict[str, Reconstruction]) -> None:
    """With the window of training, the two outermost of 16 shells fall below 0.99."""
    one, two = (reconstruct(read_particles(exported(name).star)) for name in ("warp", "warptools"))
    windowed = compared(one, two)
    assert windowed[:14].min() > 0.99
    assert (windowed[14:] < compared(maps["warp"], maps["warptools"])[14:] - 0.01).all()
