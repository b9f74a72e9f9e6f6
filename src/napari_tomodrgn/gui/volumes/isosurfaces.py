"""Contours of maps as meshes, made in the decoding thread.

A mesh is drawn some ten times faster than a ray-cast iso-surface where OpenGL runs in software
(remote desktops, virtual machines), and a 64-voxel map is contoured in 10 ms.
"""

from __future__ import annotations

from napari_tomodrgn.analysis.evidence.drawn_difference import in_standard_errors
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.session import Isosurface

# Above this many voxels along an edge every second one is enough for the screen; up to this many
# the triangles would be seen, though the map itself is smooth.
_FINE_BOX, _COARSE_BOX = 160, 48


def make_isosurface(volume: Volume, sigma: float = 3.0, *, fine: bool = True) -> Isosurface:
    """The surface of a map at ``sigma`` standard deviations above solvent.

    Vertices are zyx in Å from the centre of the box (voxel ``n // 2``), where a particle's own
    centre is; the surface of a map without contrast is empty. Small boxes are drawn ``fine``, in
    triangles of half a voxel, unless the window has to be quick.
    """
    from napari_tomodrgn.analysis.tomogram import meshes

    coarse = volume.box_size_px <= _COARSE_BOX
    volume = meshes.finer(volume) if coarse and fine else volume
    made = meshes.contour(volume, sigma, 1 if volume.box_size_px <= _FINE_BOX else 2)
    level = meshes.contour_level(volume, sigma)
    return Isosurface(made.vertices_zyx_angstrom, made.faces, level, sigma, fine or not coarse)


def make_surface_of_errors(
    difference: Volume, standard_error: Volume, count: float, finest_angstrom: float = 0.0
) -> tuple[Isosurface, Isosurface]:
    """Surfaces where a difference is ``count`` standard errors above, and below, nothing.

    What is left out is said at `in_standard_errors`. Unlike the contour of a map this one is never
    lowered to what there is: a difference that stays below it has no surface.
    """
    from napari_tomodrgn.analysis.tomogram import meshes

    z = in_standard_errors(difference, standard_error, count, finest_angstrom)
    found = []
    for sign in (1, -1):
        volume = Volume(sign * z.data, z.voxel_size_angstrom)
        if volume.box_size_px <= _COARSE_BOX:
            volume = meshes.finer(volume)
        made = meshes.contour_at(volume, count, 1 if volume.box_size_px <= _FINE_BOX else 2)
        found.append(Isosurface(made.vertices_zyx_angstrom, made.faces, count, count))
    return found[0], found[1]


def difference(volume: Volume, mean: Volume, sigma: float) -> tuple[Isosurface, Isosurface]:
    """Surfaces of where a map has more density than another, and where less.

    Both stand at ``sigma`` standard deviations of the difference.
    """
    more = volume.data - mean.data
    found = [Volume(sign * more, volume.voxel_size_angstrom) for sign in (1, -1)]
    return make_isosurface(found[0], sigma), make_isosurface(found[1], sigma)
