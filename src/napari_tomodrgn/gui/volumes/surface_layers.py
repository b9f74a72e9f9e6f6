"""What a surface layer of napari takes: vertices, faces, and one colour."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray

from napari_tomodrgn.gui.charts.colormaps import rgb
from napari_tomodrgn.session import Isosurface

if TYPE_CHECKING:
    from napari.components.camera import Camera
    from napari.layers import Surface
    from napari.viewer import Viewer

    from napari_tomodrgn.data.volume import Volume

# Vertices (vertex, zyx) and faces (face, 3), which index them.
SurfaceData = tuple[NDArray[np.float32], NDArray[np.int32]]

COLOR = "#9fc3e6"
_COLOR_WORDS = {
    **{"orange": "#e69f00", "sky blue": "#56b4e9", "green": "#00a878", "yellow": "#f0e442"},
    **{"blue": "#3d8bfd", "red": "#d55e00", "pink": "#cc79a7", "grey": "#a0a7b4"},
    **{"light green": "#8dd35f", "purple": "#b07aff", "pale blue": COLOR, "white": "#ffffff"},
    **{"dark purple": "#440154", "dark blue": "#2a3a8c", "black": "#000000"},
}
# y is stored negated and drawn with this scale, so that napari's lamp shines from in front.
SCALE = (1.0, -1.0, 1.0)
# A surface without a face cannot be drawn: this one has no area.
NOTHING = (np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.int32))


def drawable(mesh: Isosurface, box_angstrom: float) -> SurfaceData:
    """What a layer takes, with the corners of the box as vertices that belong to no face.

    The layer's extent is then the box, whatever is in it. Else each map would have another, and
    napari would lay its sliders out and slice all layers anew before it draws it.
    """
    vertices, faces = (mesh.vertices, mesh.faces) if len(mesh.faces) else NOTHING
    half = box_angstrom / 2
    corners = np.array([[-half] * 3, [half] * 3], np.float32)
    return np.concatenate([vertices * np.array(SCALE, np.float32), corners]), faces


def add_surface(
    viewer: Viewer, data: SurfaceData, name: str, on_seen: Callable[[object], None]
) -> Surface:
    """Add a lit surface in Å, and listen to its eye."""
    layer = viewer.add_surface(
        data,
        name=name,
        colormap=surface_colors(COLOR),
        contrast_limits=(0.0, 1.0),
        shading="smooth",
        scale=SCALE,
        units=("angstrom",) * 3,
    )
    layer.events.visible.connect(on_seen)
    return layer


def paint(layer: Surface, color: str) -> None:
    """Give a layer one colour, if it has another."""
    if layer.colormap.name != color:
        layer.colormap = surface_colors(color)


def color_word(layer: Surface) -> str:
    """What one would call the colour of a layer, in a legend: the nearest that has a name here."""
    color = 255 * np.asarray(layer.colormap.colors, float)[-1, :3]  # the user may have chosen it
    near = {word: np.square(rgb(one) - color).sum() for word, one in _COLOR_WORDS.items()}
    return min(near, key=lambda word: float(near[word]))


def legend(layers: dict[str, Surface], words: dict[str, str]) -> list[str]:
    """Say in which colour each of several maps in one place is drawn, a line for each colour."""
    lines: dict[str, list[str]] = {}
    for name, layer in layers.items():
        lines.setdefault(color_word(layer), []).append(words[name].splitlines()[0])
    return [f"{word}: {', '.join(of_color)}" for word, of_color in lines.items()]


def surface_colors(color: str) -> Colormap:
    """A colour map of one colour."""
    top = [part / 255 for part in rgb(color)]
    return Colormap([[*top, 1.0], [*top, 1.0]], name=color)


def nudge(camera: Camera) -> None:
    """Let napari aim its lamp and size the arrows of the axes, which it does as the camera turns.

    Until then light comes from below, and arrows that were moved are drawn half as long.
    """
    angles = camera.angles
    camera.angles = (angles[0], angles[1], angles[2] + 1e-3)
    camera.angles = angles


def box_angstrom(volume: Volume) -> float:
    """Edge of a map's box."""
    return volume.box_size_px * volume.voxel_size_angstrom
