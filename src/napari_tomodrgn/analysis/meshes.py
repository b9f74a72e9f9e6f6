"""Contours of maps as meshes: made, placed in a tomogram, merged, written as PLY or STL.

Vertices are **zyx in Å**, as everywhere; in the files they are xyz, as programs expect. Triangles
run counter-clockwise seen from outside, in xyz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.placement import Placement, centre_index
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.files import written_atomically

# A colour map of napari has so many texels: more particles in one surface would share colours.
PARTICLES_PER_MESH = 1024
# Contours of boxes up to this are drawn fluently by the hundred, and past `_MANY` by half of it.
_FLUENT_BOX = 32
_MANY = 500

_COLORS = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangulated surface.

    Attributes
    ----------
    vertices_zyx_angstrom
        ``(vertex, 3)``: from the centre of the map (voxel ``n // 2``), or in the tomogram.
    faces
        Rows of ``vertices_zyx_angstrom``, ``(face, 3)``.
    values
        One a vertex: density of the contour, or, of a merged mesh, the index of the particle.
    """

    vertices_zyx_angstrom: NDArray[np.float32]
    faces: NDArray[np.int32]
    values: NDArray[np.float32]


def contour_level(volume: Volume, sigma: float) -> float:
    """Density at ``sigma`` standard deviations above solvent (0), held inside the map's range."""
    highest = float(volume.data.max())
    level = sigma * float(volume.data.std())
    return min(level, 0.8 * highest) if highest > 0 else 1.0


def step_within_budget(box_size_px: int, particles: int) -> int:
    """Every how many voxels to contour, so that so many particles can be turned fluently."""
    box = _FLUENT_BOX // 2 if particles > _MANY else _FLUENT_BOX
    return max(1, -(-box_size_px // box))


def contour(volume: Volume, sigma: float = 3.0, step: int = 1) -> Mesh:
    """The surface of a map at ``sigma`` standard deviations above solvent.

    Parameters
    ----------
    volume
        Density positive, solvent at 0.
    sigma
        Contour; see `contour_level`.
    step
        Voxels between vertices; `step_within_budget` gives one for many particles.

    Returns
    -------
    Vertices from the map's centre; empty for a map without contrast.
    """
    from skimage.measure import marching_cubes

    level = contour_level(volume, sigma)
    if not volume.data.min() < level < volume.data.max():
        return _empty()
    made = marching_cubes(volume.data, level, step_size=step)  # type: ignore[no-untyped-call]
    vertices, faces = made[:2]
    angstrom = (vertices - centre_index(volume)) * volume.voxel_size_angstrom
    return Mesh(
        angstrom.astype(np.float32),
        faces.astype(np.int32),
        np.full(len(vertices), level, dtype=np.float32),
    )


def merge(
    meshes: Mesh | Sequence[Mesh],
    placed: Sequence[Placement],
    limit: int | None = PARTICLES_PER_MESH,
) -> Mesh:
    """The surfaces of particles at their poses as one mesh.

    Parameters
    ----------
    meshes
        One for all particles, or one for each, from the centre of their maps.
    placed
        Poses, all of one tomogram.
    limit
        Most particles; None for no limit (files). `batches` divides a larger number.

    Returns
    -------
    Vertices zyx in Å in the tomogram; values are rows of ``placed``.
    """
    shapes = [meshes] * len(placed) if isinstance(meshes, Mesh) else list(meshes)
    if len(shapes) != len(placed):
        raise ValueError(f"{len(shapes)} meshes for {len(placed)} placements")
    if limit is not None and len(placed) > limit:
        raise ValueError(f"{len(placed)} particles in one mesh of at most {limit}")
    if not shapes:
        return _empty()
    counts = [len(mesh.vertices_zyx_angstrom) for mesh in shapes]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    pairs = list(zip(shapes, placed, strict=True))
    vertices = [pose.place(mesh.vertices_zyx_angstrom.astype(float)) for mesh, pose in pairs]
    faces = [mesh.faces + start for mesh, start in zip(shapes, starts, strict=True)]
    return Mesh(
        np.concatenate(vertices).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        np.repeat(np.arange(len(shapes)), counts).astype(np.float32),
    )


def batches(particles: int, limit: int = PARTICLES_PER_MESH) -> list[slice]:
    """Rows of the particles of each mesh, where all of them are too many for one."""
    return [slice(start, start + limit) for start in range(0, particles, limit)]


def write_ply(path: str | Path, mesh: Mesh, colors: _COLORS | None = None) -> None:
    """Write a binary PLY, atomically: x, y, z in Å, red, green, blue if given, value.

    Parameters
    ----------
    path
        File to write.
    mesh
        What to write.
    colors
        ``(vertex, 3)``, 0 to 255.
    """
    fields = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    if colors is not None:
        fields += [("red", "u1"), ("green", "u1"), ("blue", "u1")]
    vertices = np.empty(len(mesh.vertices_zyx_angstrom), dtype=[*fields, ("value", "<f4")])
    for column, name in enumerate("zyx"):
        vertices[name] = mesh.vertices_zyx_angstrom[:, column]
    if colors is not None:
        for column, name in enumerate(("red", "green", "blue")):
            vertices[name] = colors[:, column]
    vertices["value"] = mesh.values
    faces = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("index", "<i4", (3,))])
    faces["count"], faces["index"] = 3, mesh.faces
    names = {"<f4": "float", "u1": "uchar"}
    header = ["ply", "format binary_little_endian 1.0", "comment unit angstrom, axes xyz"]
    header += [f"element vertex {len(vertices)}"]
    header += [f"property {names[kind]} {name}" for name, kind in [*fields, ("value", "<f4")]]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    text = "\n".join(header) + "\n"
    with written_atomically(path) as temporary, temporary.open("wb") as file:
        file.write(text.encode("ascii"))
        file.write(vertices.tobytes())
        file.write(faces.tobytes())


def write_stl(path: str | Path, mesh: Mesh) -> None:
    """Write a binary STL, atomically: triangles xyz in Å with their normals."""
    corners = mesh.vertices_zyx_angstrom[mesh.faces][..., ::-1].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    record = [("normal", "<f4", (3,)), ("corners", "<f4", (3, 3)), ("attribute", "<u2")]
    triangles = np.zeros(len(mesh.faces), dtype=record)
    triangles["normal"] = normals / np.where(lengths > 0, lengths, 1.0)
    triangles["corners"] = corners
    with written_atomically(path) as temporary, temporary.open("wb") as file:
        file.write(b"napari-tomodrgn, unit angstrom, axes xyz".ljust(80))
        file.write(np.uint32(len(triangles)).astype("<u4").tobytes())
        file.write(triangles.tobytes())


def _empty() -> Mesh:
    return Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros(0, np.float32))
