"""Meshes: size and place of a known shape, merging at poses, and files read by their formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_tomodrgn.analysis.tomogram.meshes import (
    Mesh,
    batches,
    contour,
    contour_level,
    finer,
    merge,
    step_within_budget,
    write_mesh,
)
from napari_tomodrgn.analysis.tomogram.placement import Placement
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.errors import BadInputError

VOXEL = 3.0


def ball(centre_zyx_angstrom: tuple[float, float, float] = (0, 0, 0), box: int = 32) -> Volume:
    """A ball that falls off evenly: its contours are spheres."""
    grid = (np.indices((box, box, box)) - box // 2).transpose(1, 2, 3, 0) * VOXEL
    radius = np.linalg.norm(grid - np.array(centre_zyx_angstrom), axis=-1)
    return Volume(np.clip(30.0 - radius, 0, None).astype(np.float32), VOXEL)


def enclosed(xyz: np.ndarray, faces: np.ndarray) -> float:
    """Volume within a surface, positive if its triangles turn outwards."""
    a, b, c = (xyz[faces[:, corner]].astype(float) for corner in range(3))
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6)


@pytest.mark.parametrize("step", [1, 2])
def test_contour_of_a_ball_off_the_centre(step: int) -> None:
    centre = (9.0, -6.0, 3.0)
    volume = ball(centre)
    mesh = contour(volume, 2.0, step)
    level = contour_level(volume, 2.0)
    assert level == pytest.approx(2.0 * volume.data.std())
    radii = np.linalg.norm(mesh.vertices_zyx_angstrom - np.array(centre), axis=1)
    assert radii == pytest.approx(30.0 - level, abs=0.3 * step)
    xyz = mesh.vertices_zyx_angstrom[:, ::-1]
    assert enclosed(xyz, mesh.faces) == pytest.approx(4 / 3 * np.pi * (30 - level) ** 3, rel=0.05)
    assert (mesh.values == np.float32(level)).all()


def test_contour_level() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(16, 16, 16)).astype(np.float32)
    data[4:8, 4:8, 4:8] += 30
    assert contour_level(Volume(data, 1.0), 3.0) == pytest.approx(3 * data.std(), rel=1e-5)
    assert contour_level(Volume(data, 1.0), 50.0) < data.max(), "something must stay in sight"
    assert contour_level(Volume(np.zeros((4, 4, 4), np.float32), 1.0), 3.0) > 0


def test_a_finer_map_is_the_same_map_between_its_voxels() -> None:
    """A wave and a ball: the values at old voxels stay, those between are those of the wave."""
    axis = np.arange(16)
    wave = np.cos(2 * np.pi * (3 * axis[:, None, None] + axis[None, :, None]) / 16)
    volume = Volume((wave + 0 * axis).astype(np.float32), 4.0)
    fine = finer(volume)
    assert fine.voxel_size_angstrom == 2.0
    np.testing.assert_allclose(fine.data[::2, ::2, ::2], volume.data, atol=1e-5)
    half = np.arange(32) / 2
    expected = np.cos(2 * np.pi * (3 * half[:, None] + half) / 16)
    np.testing.assert_allclose(fine.data[:, :, 5], expected, atol=1e-5)
    assert fine.data.std() == pytest.approx(volume.data.std(), rel=1e-5)


def test_a_map_without_contrast_has_no_surface() -> None:
    mesh = contour(Volume(np.zeros((8, 8, 8), np.float32), 1.0))
    assert mesh.vertices_zyx_angstrom.shape == (0, 3)
    assert merge([], []).faces.shape == (0, 3)


def test_a_contour_above_the_highest_voxel_is_lowered() -> None:
    assert len(contour(ball(), 50.0).faces) > 0


def poses(count: int) -> list[Placement]:
    rng = np.random.default_rng(0)
    turns = Rotation.random(count, rng=rng).as_matrix()
    places = rng.uniform(0, 5000, (count, 3))
    return [Placement("t", f"t/{n}", places[n], turns[n]) for n in range(count)]


def test_merged_surfaces_stand_at_their_poses() -> None:
    offset = np.array([9.0, -6.0, 3.0])
    mesh, placed = contour(ball(tuple(offset))), poses(5)
    merged = merge(mesh, placed)
    size = len(mesh.vertices_zyx_angstrom)
    assert len(merged.faces) == 5 * len(mesh.faces)
    for row, pose in enumerate(placed):
        own = merged.vertices_zyx_angstrom[merged.values == row]
        assert len(own) == size
        expected = pose.position_zyx_angstrom + (pose.rotation_xyz @ offset[::-1])[::-1]
        middle = (own.min(axis=0) + own.max(axis=0)) / 2
        assert middle == pytest.approx(expected, abs=0.6)
        faces = merged.faces[row * len(mesh.faces) : (row + 1) * len(mesh.faces)]
        assert (merged.values[faces] == row).all()
    assert enclosed(merged.vertices_zyx_angstrom[:, ::-1], merged.faces) > 0


def test_no_more_particles_in_a_mesh_than_colors() -> None:
    mesh, placed = contour(ball(box=16), step=2), poses(1025)
    with pytest.raises(ValueError, match="1025 particles in one mesh of at most 1024"):
        merge(mesh, placed)
    assert merge(mesh, placed, limit=None).values.max() == 1024
    parts = [merge(mesh, placed[rows]) for rows in batches(len(placed))]
    assert [int(part.values.max()) for part in parts] == [1023, 0]


def test_budget_coarsens_large_boxes_and_crowds() -> None:
    assert [step_within_budget(box, 100) for box in (24, 32, 64, 96)] == [1, 1, 2, 3]
    assert [step_within_budget(box, 1000) for box in (16, 32, 64)] == [1, 2, 4]


def read_ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices as a record array, and faces, by what the header says."""
    header, body = path.read_bytes().split(b"end_header\n", 1)
    lines = [line.split() for line in header.decode("ascii").splitlines()]
    assert lines[:2] == [["ply"], ["format", "binary_little_endian", "1.0"]]
    counts = {line[1]: int(line[2]) for line in lines if line[0] == "element"}
    kinds = {"float": "<f4", "uchar": "u1"}
    fields = [(line[2], kinds[line[1]]) for line in lines if len(line) == 3 and line[1] in kinds]
    assert lines[-1] == ["property", "list", "uchar", "int", "vertex_indices"]
    vertices = np.frombuffer(body, fields, counts["vertex"])
    rest = body[vertices.nbytes :]
    faces = np.frombuffer(rest, [("n", "u1"), ("index", "<i4", (3,))], counts["face"])
    assert len(rest) == faces.nbytes
    assert (faces["n"] == 3).all()
    return vertices, faces["index"]


@pytest.fixture
def mesh() -> Mesh:
    return merge(contour(ball((9.0, -6.0, 3.0))), poses(2))


def test_ply_comes_back(mesh: Mesh, tmp_path: Path) -> None:
    colors = np.random.default_rng(0).integers(0, 256, mesh.vertices_zyx_angstrom.shape)
    write_mesh(tmp_path / "with.ply", mesh, colors.astype(np.uint8))
    write_mesh(tmp_path / "without.ply", mesh)
    for name in ("with", "without"):
        vertices, faces = read_ply(tmp_path / f"{name}.ply")
        zyx = np.stack([vertices[axis] for axis in "zyx"], axis=1)
        assert (zyx == mesh.vertices_zyx_angstrom).all()
        assert (faces == mesh.faces).all()
        assert (vertices["value"] == mesh.values).all()
    vertices, _ = read_ply(tmp_path / "with.ply")
    assert (np.stack([vertices[c] for c in ("red", "green", "blue")], axis=1) == colors).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["with.ply", "without.ply"]


def test_stl_comes_back(mesh: Mesh, tmp_path: Path) -> None:
    write_mesh(tmp_path / "mesh.stl", mesh)
    content = (tmp_path / "mesh.stl").read_bytes()
    count = int.from_bytes(content[80:84], "little")
    assert not content.startswith(b"solid")  # which would say that it is text
    assert len(content) == 84 + 50 * count
    record = [("normal", "<f4", (3,)), ("corners", "<f4", (3, 3)), ("attribute", "<u2")]
    triangles = np.frombuffer(content[84:], record)
    assert (triangles["corners"] == mesh.vertices_zyx_angstrom[mesh.faces][..., ::-1]).all()
    flat = triangles["corners"].reshape(-1, 3)
    assert enclosed(flat, np.arange(3 * count).reshape(-1, 3)) > 0
    lengths = np.linalg.norm(triangles["normal"], axis=1)
    assert lengths[lengths > 0] == pytest.approx(1.0, abs=1e-5)


def test_gltf_comes_back(mesh: Mesh, tmp_path: Path) -> None:
    import trimesh

    colors = np.random.default_rng(0).integers(0, 256, mesh.vertices_zyx_angstrom.shape)
    write_mesh(tmp_path / "mesh.glb", mesh, colors.astype(np.uint8))
    (found,) = trimesh.load(tmp_path / "mesh.glb", process=False).geometry.values()
    assert (np.asarray(found.vertices, np.float32) == mesh.vertices_zyx_angstrom[:, ::-1]).all()
    assert (np.asarray(found.visual.vertex_colors)[:, :3] == colors).all()
    assert found.is_watertight
    assert found.volume > 0


def test_unknown_formats_and_empty_meshes_are_refused(mesh: Mesh, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"a mesh is written as \.ply, \.stl, \.glb"):
        write_mesh(tmp_path / "mesh.obj", mesh)
    nothing = Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros(0))
    with pytest.raises(BadInputError, match="no surface"):
        write_mesh(tmp_path / "mesh.stl", nothing)
    assert not list(tmp_path.iterdir())
