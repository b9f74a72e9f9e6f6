"""Poses in the tomogram: fitted against simulated tomograms, affine and stamp against formulas."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from napari_tomodrgn.analysis.tomogram.placement import Placement, placements, stamp
from napari_tomodrgn.analysis.tomogram.placement_fit import PoseErrors, fit_poses, moved
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.volume import Volume, read_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.synthetic import SimulationConfig, simulate

REACH_ANGSTROM = 160.0


@dataclass
class Cell:
    """A simulated tomogram, its particles' placements as read, and the true map of each."""

    folder: Path
    tomogram: Volume
    placed: tuple[Placement, ...]
    maps: list[Volume]

    def render(self, placed: list[Placement]) -> np.ndarray:
        shape, voxel = self.tomogram.data.shape, self.tomogram.voxel_size_angstrom
        return stamp(self.maps, placed, shape, voxel).data

    def regions(self) -> list[tuple[np.ndarray, ...]]:
        """Voxels around each particle."""
        voxel = self.tomogram.voxel_size_angstrom
        reach = int(np.ceil(REACH_ANGSTROM / voxel)) + 1
        offsets = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3), axis=-1).reshape(-1, 3)
        found = []
        for placement in self.placed:
            index = np.rint(placement.position_zyx_angstrom / voxel).astype(int) + offsets
            away = index * voxel - placement.position_zyx_angstrom
            found.append(tuple(index[(away**2).sum(axis=1) < REACH_ANGSTROM**2].T))
        return found

    def correlations(self, placed: list[Placement]) -> np.ndarray:
        drawn = self.render(placed)
        pairs = [(drawn[region], self.tomogram.data[region]) for region in self.regions()]
        return np.array([np.corrcoef(a, b)[0, 1] for a, b in pairs])


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Cell:
    out = tmp_path_factory.mktemp("cell")
    config = SimulationConfig(
        particles=48, tilts=2, box_size_px=32, states=2, tomograms=1, shifts_px=3.0, seed=3
    )
    for _ in simulate(out, config):
        pass
    placed = placements(read_particles(out / "warptools" / "particles_optimisation_set.star"))
    names = pd.read_csv(out / "truth.csv").set_index("particle_id")["state_name"]
    known = {name: read_volume(out / "truth_maps" / f"{name}.mrc") for name in set(names)}
    maps = [known[names[placement.particle_id]] for placement in placed]
    return Cell(out, read_volume(out / "tomograms" / "TS_001.mrc"), placed, maps)


def fitted(cell: Cell, rounds: int = 2) -> PoseErrors:
    return fit_poses(cell.tomogram, cell.maps, cell.placed, REACH_ANGSTROM, rounds)


def test_maps_stand_where_the_simulated_tomogram_has_them(cell: Cell) -> None:
    """Fitted from the pose as read: ≤ 0.5 voxel and ≤ 0.5° off, in tomogram and in map axes."""
    found, voxel = fitted(cell), cell.tomogram.voxel_size_angstrom
    assert np.linalg.norm(found.shifts_zyx_angstrom, axis=1).max() / voxel < 0.5  # each particle
    shift, turn = found.common()
    assert shift / voxel < 0.1
    assert turn < 0.5


def test_a_wrong_pose_would_be_found(cell: Cell) -> None:
    """The fit returns from a pose that is half a map voxel and three degrees off, on each axis."""
    wrong = np.array([6.0, -6.0, 6.0, *np.deg2rad([3.0, -3.0, 3.0])])
    few = replace(
        cell, placed=tuple(moved(p, wrong) for p in cell.placed[:12]), maps=cell.maps[:12]
    )
    found = fitted(few, rounds=3)
    assert found.shifts_zyx_angstrom.mean(axis=0) == pytest.approx(-wrong[:3], abs=1.0)
    assert found.turns_xyz_deg.mean(axis=0) == pytest.approx(-np.rad2deg(wrong[3:]), abs=1.0)
    shift, turn = found.common()
    assert shift == pytest.approx(np.sqrt(108), abs=1.5)
    assert turn == pytest.approx(np.sqrt(27), abs=1.0)


def test_correlation_is_highest_in_the_right_pose(cell: Cell) -> None:
    right = cell.correlations(list(cell.placed))
    transposed = [replace(p, rotation_xyz=p.rotation_xyz.T) for p in cell.placed]
    reversed_axes = [replace(p, rotation_xyz=p.rotation_zyx) for p in cell.placed]
    elsewhere = [moved(p, np.array([48.0, 48.0, 0, 0, 0, 0])) for p in cell.placed]
    assert right.min() > 0.5
    assert np.median(right) > 0.7
    for wrong in (transposed, reversed_axes, elsewhere):
        other = cell.correlations(wrong)
        assert (right > other).mean() > 0.95
        assert np.median(right - other) > 0.15


def test_affine_takes_voxels_to_the_tomogram() -> None:
    rotation = Rotation.from_euler("zyx", [30, 40, 50], degrees=True).as_matrix()
    placement = Placement("t", "t/1", np.array([300.0, 200.0, 100.0]), rotation)
    volume = Volume(np.zeros((6, 8, 10), np.float32), 2.0)
    affine = placement.affine(volume)
    assert affine @ [3, 4, 5, 1] == pytest.approx([300, 200, 100, 1])
    along_x = (affine @ [3, 4, 6, 1] - affine @ [3, 4, 5, 1])[:3]
    assert along_x[::-1] == pytest.approx(2.0 * rotation[:, 0])
    voxel = np.array([1.0, 7.0, 2.0])
    assert placement.place((voxel - [3, 4, 5])[None] * 2.0)[0] == pytest.approx(
        (affine @ [*voxel, 1])[:3]
    )


@pytest.mark.parametrize("voxel", [2.0, 4.0, 1.0])
def test_unturned_stamp_is_the_map(voxel: float) -> None:
    axis = (np.arange(24) - 12) * 2.0
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")

    def blob(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.exp(-((z - 3) ** 2 + (y + 4) ** 2 + (x - 1) ** 2) / (2 * 5.0**2))

    volume = Volume(blob(z, y, x).astype(np.float32), 2.0)
    placement = Placement("t", "t/1", np.array([40.0, 36.0, 44.0]), np.eye(3))
    shape = (int(80 / voxel), int(72 / voxel), int(90 / voxel))
    stamped = stamp(volume, [placement, placement], shape, voxel)
    z, y, x = np.indices(shape) * voxel - placement.position_zyx_angstrom[:, None, None, None]
    expected = 2 * blob(z, y, x) * (z**2 + y**2 + x**2 <= 22.0**2)
    assert stamped.voxel_size_angstrom == voxel
    assert np.abs(stamped.data - expected).max() < 0.02


def test_stamp_at_and_beyond_the_edge_is_cut() -> None:
    volume = Volume(np.ones((8, 8, 8), np.float32), 1.0)
    corner = Placement("t", "t/1", np.zeros(3), np.eye(3))
    outside = replace(corner, position_zyx_angstrom=np.array([-90.0, 0.0, 0.0]))
    data = stamp([volume, volume], [corner, outside], (10, 10, 10), 1.0).data
    assert data[0, 0, 0] == pytest.approx(1.0)
    assert data[4:].max() == 0


def test_particles_of_one_tomogram_and_unknown_names(simulated: Path) -> None:
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    own = placements(particles, tomogram="TS_002")
    assert {p.tomogram for p in own} == {"TS_002.tomostar"}
    assert [p.particle_id for p in own] == particles.ids[12:]
    one = placements(particles, ids=[particles.ids[3]])
    assert [p.particle_id for p in one] == [particles.ids[3]]
    with pytest.raises(BadInputError, match="'TS_00'; there are: TS_001"):
        placements(particles, tomogram="TS_00")


def test_no_positions_are_said_to_be_missing(simulated: Path) -> None:
    """Warp's image series give the place in each image, not in the tomogram."""
    with pytest.raises(BadInputError, match="24 of 24 particles have no positions"):
        placements(read_particles(simulated / "warp" / "particles.star"))
