"""Contours of maps as meshes: made, placed in a tomogram, merged, written as PLY, STL or glTF.

Vertices are **zyx in Å**, as everywhere; in the files they are xyz, as programs expect. Triangles
run counter-clockwise seen from outside, in xyz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.tomogram.placement import Placement, box_centre_index
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically

# A colour map of napari has so many texels: more particles in one surface would share colours.
PARTICLES_PER_MESH = 1024
# Contours of boxes up to this are drawn fluently by the hundred, and past `_MANY` by half of it.
_FLUENT_BOX = 32
_MANY = 500

MESH_SUFFIXES = ("ply", "stl", "glb")

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


def finer(volume: Volume) -> Volume:
    """The same map at twice as many voxels an edge: no more detail, smaller triangles.

    Exact between the voxels, as a map without amplitudes at Nyquist is the sum of its Fourier
    components everywhere.
    """
    data = volume.data.astype(np.float64)
    for axis in range(3):
        wide = 2 * data.shape[axis]
        data = 2 * np.fft.irfft(np.fft.rfft(data, axis=axis), n=wide, axis=axis)
    return Volume(data.astype(np.float32), volume.voxel_size_angstrom / 2)


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
    return contour_at(volume, contour_level(volume, sigma), step)


def contour_at(volume: Volume, level: float, step: int = 1) -> Mesh:
    """The surface of a map at a density: vertices ``(vertex, 3)`` from the map's centre.

    Empty where no voxel, or every one, is above it.
    """
    from skimage.measure import marching_cubes

    if not volume.data.min() < level < volume.data.max():
        return _empty()
    made = marching_cubes(volume.data, level, step_size=step)  # type: ignore[no-untyped-call]
    vertices, faces = made[:2]
    angstrom = (vertices - box_centre_index(volume)) * volume.voxel_size_angstrom
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


def write_mesh(path: str | Path, mesh: Mesh, colors: _COLORS | None = None) -> None:
    """Write a mesh, atomically: PLY, STL or glTF (``.glb``), by the suffix; xyz in Å.

    Parameters
    ----------
    path
        File to write. PLY has the values of the vertices as well, STL neither these nor colours.
    mesh
        What to write.
    colors
        ``(vertex, 3)``, 0 to 255.

    Raises
    ------
    BadInputError
        If the suffix is none of these, or there is nothing to write.
    """
    from trimesh import Trimesh

    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in MESH_SUFFIXES:
        known = ", ".join(f".{one}" for one in MESH_SUFFIXES)
        raise BadInputError(f"{path}: a mesh is written as {known}.", code="mesh-format")
    if not len(mesh.faces):
        raise BadInputError(f"{path}: there is no surface to write.", code="no-mesh")
    # Not processed: vertices stay as they are, in order.
    corners = mesh.vertices_zyx_angstrom[:, ::-1]
    made = Trimesh(corners, mesh.faces, vertex_colors=colors, process=False)
    if kind == "ply":
        made.vertex_attributes["value"] = mesh.values
    with written_atomically(path) as temporary:
        made.export(temporary, file_type=kind)


def _empty() -> Mesh:
    return Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros(0, np.float32))
