"""What is wrong with simulated images is in the images and in the truth, not in the star files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from napari_tomodrgn.geometry import euler_to_matrix
from napari_tomodrgn.physics.fourier import images_from_samples
from napari_tomodrgn.physics.lattice import half_plane
from napari_tomodrgn.synthetic import SimulationConfig, simulate
from napari_tomodrgn.synthetic.imaging import make_microscope
from napari_tomodrgn.synthetic.molecules import MOLECULES, load_maps
from napari_tomodrgn.synthetic.nuisances import Neighbors
from napari_tomodrgn.synthetic.scene import make_scene
from napari_tomodrgn.synthetic.structures import load_structures
from napari_tomodrgn.synthetic.surroundings import (
    Surroundings,
    neighbor_structures,
)
from napari_tomodrgn.synthetic.tilt_series.images import as_tilted, true_series
from napari_tomodrgn.synthetic.tilt_series.truth import TrueSeries


def test_nuisances_are_in_the_images_and_in_the_truth_only(tmp_path: Path) -> None:
    """The star files of both sets are the same; truth says what differs, image by image."""
    settings = {"particles": 12, "tilts": 5, "box_size_px": 24, "states": 1, "snr": 2.0}
    wrong = {"pose_error_deg": 8.0, "shift_error_angstrom": 20.0, "defocus_error_angstrom": 900.0}
    wrong |= {"tilt_angle_error_deg": 1.0, "uneven_dose": 0.4, "thickness": 1.0}
    wrong |= {"neighbors": 2.0, "membranes": 0.5, "false_picks": 0.25}
    stars, tables = [], []
    for name, nuisances in (("kind", {}), ("unkind", wrong)):
        config = SimulationConfig.model_validate({**settings, "nuisances": nuisances})
        for _ in simulate(tmp_path / name, config):
            pass
        folder = tmp_path / name
        stars.append((folder / "warptools" / "particles.star").read_bytes())
        tables.append((pd.read_csv(folder / "truth.csv"), pd.read_csv(folder / "truth_tilts.csv")))
    assert stars[0] == stars[1]
    (kind, kind_tilts), (unkind, tilts) = tables
    assert not kind[["pose_error_deg", "neighbors", "membrane", "false_pick"]].any().any()
    assert (kind_tilts["dose_factor"] == 1).all()
    shifts = unkind[[f"shift_error_{axis}_angstrom" for axis in "xyz"]]
    places = [f"position_{axis}_angstrom" for axis in "xyz"]
    assert np.allclose(unkind[places] - kind[places], shifts, atol=1e-3)
    turn = euler_to_matrix(unkind[["rot_deg", "tilt_deg", "psi_deg"]]) @ np.swapaxes(
        euler_to_matrix(kind[["rot_deg", "tilt_deg", "psi_deg"]]), 1, 2
    )
    angle = np.rad2deg(np.arccos((np.trace(turn, axis1=1, axis2=2) - 1) / 2))
    assert np.allclose(angle, unkind["pose_error_deg"], atol=1e-2)
    assert unkind["false_pick"].sum() == 3
    assert unkind["neighbors"].sum() > 10
    assert tilts["thickness_factor"].min() == pytest.approx(np.exp(-0.5), abs=1e-5)


def test_neighbors_stand_where_the_truth_says() -> None:
    """One neighbour, no CTF: the centre of its image is its place, seen along the beam."""
    config = SimulationConfig.model_validate(
        {"particles": 2, "tilts": 3, "box_size_px": 48, "states": 1, "shifts_px": 0.0}
    )
    kinds = neighbor_structures(load_maps("ribosome", MOLECULES["ribosome"].neighbors), config)
    pixel = kinds.pixel_size_angstrom
    scene = make_scene(config, 1, pixel, len(MOLECULES["ribosome"].neighbors))
    offset = np.array([[60.0, -35.0, 80.0]])
    one = Neighbors(np.array([1]), np.array([0]), offset, np.eye(3)[None])
    scene = replace(scene, nuisances=replace(scene.nuisances, neighbors=one))
    lattice = half_plane(48, include_dc=True)
    around = Surroundings(scene, kinds, lattice)
    ones = torch.ones((3, len(lattice)))
    images = images_from_samples(around.samples(1, scene.true_poses(1), ones), lattice).numpy()
    centred = images_from_samples(
        Surroundings(
            replace(
                scene,
                nuisances=replace(
                    scene.nuisances, neighbors=replace(one, offsets_angstrom=0 * offset)
                ),
            ),
            kinds,
            lattice,
        ).samples(1, scene.true_poses(1), ones),
        lattice,
    ).numpy()
    expected = (scene.true_tilts(0) @ offset[0])[:, :2] / pixel
    axis = np.arange(48) - 24
    for image, middle, place in zip(images, centred, expected, strict=True):
        moved = [
            (part.sum(axis=side) @ axis) / part.sum() for part in (image, middle) for side in (0, 1)
        ]
        found = np.array(moved[:2]) - np.array(moved[2:])
        assert np.abs(found - place).max() < 1.0  # a little of it has left the box
    assert not around.samples(0, scene.true_poses(0), ones).any()


def test_false_picks_are_noise_and_thick_ice_dims_high_tilts() -> None:
    settings = {"particles": 8, "tilts": 5, "box_size_px": 24, "states": 1}
    wrong = {"false_picks": 0.5, "thickness": 1.0}
    config = SimulationConfig.model_validate({**settings, "nuisances": wrong})
    structures = load_structures(config)
    scene = make_scene(config, 1, structures.pixel_size_angstrom)
    microscope = make_microscope(scene, structures, config)
    power = np.array([float(microscope.seen(p).abs().square().sum()) for p in range(8)])
    assert ((power == 0) == scene.nuisances.false_picks).all()
    there = int(np.flatnonzero(power)[0])
    plain = microscope.signal(
        scene.poses(there), there, microscope.formation(scene.poses(there), there).signal
    )
    left = microscope.seen(there).abs().square().sum(1) / plain.abs().square().sum(1)
    aslant = np.exp(1 - 2 / 3**0.5)
    assert left.tolist() == pytest.approx([np.exp(-1), aslant, 1.0, aslant, np.exp(-1)], rel=1e-4)


def test_what_is_wrong_is_in_whole_tilt_images_and_in_the_tomogram_too(tmp_path: Path) -> None:
    """False picks are empty there, and particles stand where they are, not where a list says."""
    wrong = {"shift_error_angstrom": 60.0, "tilt_angle_error_deg": 4.0, "false_picks": 0.5}
    settings = {"particles": 12, "tilts": 5, "box_size_px": 24, "states": 1, "snr": 20.0}
    config = SimulationConfig.model_validate(
        {**settings, "tilt_series": True, "tomograms": 1, "nuisances": wrong}
    )
    for _ in simulate(tmp_path, config):
        pass
    structures = load_structures(config)
    scene = make_scene(config, 1, structures.pixel_size_angstrom, 1)
    series = true_series(scene, 0, config.seed)
    tilted = as_tilted(scene, series, 0)
    half = np.array(series.volume_size_px) / 2

    def places(where: TrueSeries, positions: np.ndarray) -> np.ndarray:
        """``(tilt, particle, 2)`` xy of these places in the images."""
        return where.place(positions / series.pixel_size_angstrom)

    # The middle of the tomogram stays where it was, however far the stage was tilted.
    assert np.allclose(series.place(half[None]), tilted.place(half[None]), atol=1e-6)
    stack = _numbers_of(tmp_path / "tilt_series" / "stacks" / "TS_001.mrc")
    false = scene.nuisances.false_picks
    assert false.sum() == 6
    true = _darkness(stack, places(tilted, scene.true_positions_angstrom()))
    said = _darkness(stack, places(series, scene.crowd.positions_angstrom))
    assert true[:, ~false].mean() > 1.5 * said[:, ~false].mean() > 0
    assert abs(true[:, false].mean()) < 0.1 * true[:, ~false].mean()
    tomogram = _numbers_of(tmp_path / "tomograms" / "TS_001.mrc")
    z, y, x = np.rint(scene.true_positions_angstrom() / 24.0).astype(int).T[::-1]
    grey = tomogram[z, y, x]
    assert grey[~false].mean() > 0.5 and abs(grey[false].mean()) < 0.2


def _numbers_of(path: Path) -> np.ndarray:
    """The numbers of an MRC file."""
    import mrcfile

    with mrcfile.open(path) as file:
        return np.asarray(file.data, np.float64)


def _darkness(stack: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """``(tilt, particle)`` how much darker than the image discs at these places are."""
    rows, columns = np.indices(stack.shape[1:])
    found = np.empty(xy.shape[:2])
    for tilt, image in enumerate(stack):
        for particle, (x, y) in enumerate(xy[tilt]):
            near = (rows - y) ** 2 + (columns - x) ** 2 <= 4**2
            found[tilt, particle] = np.median(image) - image[near].mean()
    return found
