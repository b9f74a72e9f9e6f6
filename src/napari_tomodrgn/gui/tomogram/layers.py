"""The layers of a tomogram with its particles in place: a sibling of `layers`, same hand and lamp.

Particles are **merged surfaces** of at most 1,024 each: the value of a vertex is the number of its
particle within the surface, and the colour map has one entry a particle. Recolouring is then the
change of a colour map, some milliseconds, whatever the number of triangles. Of more entries than
1,024 napari's texture would mix some.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray

from napari_tomodrgn.data.tomograms import Projection, Tomogram
from napari_tomodrgn.gui.volumes.layers import ORIENTATION
from napari_tomodrgn.gui.volumes.map_labels import TITLE_NAME, bottom_of_corner, bottom_of_lines
from napari_tomodrgn.gui.volumes.surface_layers import nudge
from napari_tomodrgn.gui.widgets.viewer_layers import remove_layers
from napari_tomodrgn.session import TomogramDisplay

if TYPE_CHECKING:
    from napari.layers import Image, Layer, Points, Surface
    from napari.viewer import Viewer

ENTRIES = 1024
_SCALE = (1.0, -1.0, 1.0)  # see `layers`
_MARKS = ("#ffffff", "#ffe066")  # in focus, under the pointer
# Diameters in radii of a particle: of points where there is no surface, and of the marks.
_POINT, _MARK = 1.2, 2.8
_SMALLEST_PX = 3.0  # of a point, on the screen
_FLAT_OPACITY = 0.5  # of points over a section
ByteArray = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Chunk:
    """One merged surface.

    Attributes
    ----------
    rows
        Particles in it, as rows of the tomogram's poses; at most `ENTRIES`.
    vertices
        ``(vertex, 3)`` zyx in Å, **y negated** for the layer.
    faces
        ``(face, 3)``.
    values
        Of each vertex: place of its particle in ``rows``.
    """

    rows: NDArray[np.int64]
    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    values: NDArray[np.float32]


class TomogramLayers:
    """Tomogram, points, surfaces and marks in a viewer."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self._image: Any = None
        self._points: Points | None = None
        self._marks: Points | None = None
        self._surfaces: dict[int, Surface] = {}
        self._chunks: dict[int, Chunk] = {}
        self._colors: ByteArray = np.zeros((0, 3), np.uint8)
        self._tomogram: Tomogram | None = None
        self._visible = True
        self._hidden: list[Layer] = []  # what the user hid, while something else is on show
        self._image_wanted = True  # whether the form asks for it
        self._shown = np.zeros(0, bool)  # which particles have a point or a surface
        self._projected: Projection = ""  # that the grey values are spread for
        viewer.dims.events.ndisplay.connect(self._on_ndisplay)

    @property
    def layers(self) -> list[Layer]:
        """All layers of the tomogram that are still there."""
        ours = [self._image, *self._surfaces.values(), self._points, self._marks]
        return [one for one in ours if one is not None and one in self.viewer.layers]

    @property
    def image(self) -> Image | None:
        """The tomogram's layer, or None."""
        return self._image if self._image in self.layers else None

    @property
    def chunks(self) -> list[Chunk]:
        """The merged surfaces that are drawn."""
        return [chunk for number, chunk in self._chunks.items() if number in self._surfaces]

    @property
    def surfaced(self) -> NDArray[np.int64]:
        """Rows of the particles that are drawn as surfaces, ``(row,)``."""
        rows = [chunk.rows for chunk in self._chunks.values()]
        return np.concatenate(rows) if rows else np.zeros(0, np.int64)

    def set_visible(self, visible: bool) -> None:
        """Show or hide all of it, but for what the user hid."""
        if self._visible and not visible:
            self._hidden = [layer for layer in self.layers if not layer.visible]
        self._visible = visible
        for layer in self.layers:
            if layer not in self._hidden:
                layer.visible = visible

    def clear(self) -> None:
        """Take everything away."""
        remove_layers(self.viewer, self.layers)
        self._image = self._points = self._marks = self._tomogram = None
        self._surfaces, self._chunks = {}, {}

    # -- the tomogram -------------------------------------------------------------------------

    def show_image(self, tomogram: Tomogram, look: TomogramDisplay) -> None:
        """Show a tomogram instead of the one on show."""
        remove_layers(self.viewer, [self._image])
        levels = list(tomogram.levels)
        self._projected = look.projected
        limits = tomogram.contrast(look.percent, self._projected)
        self._tomogram = tomogram
        self._image = self.viewer.add_image(
            levels if len(levels) > 1 else levels[0],
            multiscale=len(levels) > 1,
            name=f"tomogram {tomogram.path.stem}",
            scale=(tomogram.voxel_size_angstrom,) * 3,
            units=("angstrom",) * 3,
            contrast_limits=limits,
            colormap="gray",
            depiction="plane",
            rendering="average",
            visible=self._visible,
        )
        self._image_wanted = True
        self._image.plane.normal = (1.0, 0.0, 0.0)
        self.viewer.layers.move(self.viewer.layers.index(self._image), 0)
        self.apply(look)
        self._activate()

    def hide_image(self) -> None:
        """Take the tomogram away; the particles stay."""
        remove_layers(self.viewer, [self._image])
        self._image = self._tomogram = None

    def apply(self, look: TomogramDisplay, *, contrast: bool = False) -> None:
        """Slice, projection, thickness, contrast and clipping as they are set."""
        layer, tomogram = self.image, self._tomogram
        if layer is not None and tomogram is not None:
            # The plane is in voxels of the level that is drawn.
            voxel = tomogram.voxel_size_angstrom * tomogram.binning
            depth, rows, columns = tomogram.shown.shape
            layer.plane.position = (look.depth * (depth - 1), rows / 2, columns / 2)
            layer.plane.thickness = max(1.0, look.thickness / voxel)
            self._show_image(look.image != "none")
            layer.depiction = "plane" if look.image == "slice" else "volume"
            # The projection keeps what is bright on the screen.
            mip = "minip" if look.reverse else "mip"
            layer.rendering = "average" if look.image == "slice" else mip
            layer.blending = "translucent" if look.at_slice == "hide" else "translucent_no_depth"
            layer.colormap = "gray_r" if look.reverse else "gray"
            if contrast or look.projected != self._projected:
                self._projected = look.projected
                layer.contrast_limits = tomogram.contrast(look.percent, look.projected)
        self._clip(look)

    def _show_image(self, wanted: bool) -> None:
        """Show or hide the image where that is asked for anew: its eye is the user's."""
        if wanted == self._image_wanted:
            return
        self._image_wanted = wanted
        if self._visible:
            self._image.visible = wanted
        elif wanted:
            self._hidden = [layer for layer in self._hidden if layer is not self._image]
        else:
            self._hidden.append(self._image)

    def slice_height(self, look: TomogramDisplay, top_angstrom: float) -> float:
        """Height z of the slice in Å."""
        tomogram = self._tomogram
        if tomogram is None:
            return look.depth * top_angstrom
        return look.depth * (tomogram.extent_zyx_angstrom[0] - tomogram.voxel_size_angstrom)

    def _clip(self, look: TomogramDisplay) -> None:
        for layer in self._surfaces.values():
            self._clip_one(layer, look)

    def _clip_one(self, layer: Surface, look: TomogramDisplay) -> None:
        """Cut away what is nearer to the eye (higher in z) than the slice."""
        height = self.slice_height(look, self._top())
        layer.experimental_clipping_planes = (
            [{"position": (height, 0.0, 0.0), "normal": (-1.0, 0.0, 0.0)}]
            if look.at_slice == "cut"
            else []
        )

    def _top(self) -> float:
        return 0.0 if self._points is None else float(self._points.data[:, 0].max())

    # -- the particles ------------------------------------------------------------------------

    def show_points(self, positions_zyx: NDArray[np.float64], radius: float, name: str) -> None:
        """Show a point at each particle, instead of those on show; their surfaces go.

        Parameters
        ----------
        positions_zyx
            ``(particle, 3)`` in Å from the corner of the tomogram.
        radius
            Of a particle, in Å.
        name
            Of the tomogram.
        """
        remove_layers(self.viewer, [*self._surfaces.values(), self._points, self._marks])
        self._surfaces, self._chunks = {}, {}
        self._radius = radius
        self._points = self.viewer.add_points(
            positions_zyx,
            name=f"particles {name}",
            size=_POINT * radius,
            border_width=0.0,
            canvas_size_limits=(0, 10000),
            shading="spherical",
            projection_mode="rescale_spherical",  # discs, as a section cuts spheres
            units=("angstrom",) * 3,
            visible=self._visible,
        )
        self._points.editable = False
        self._marks = self.viewer.add_points(
            np.zeros((2, 3)),
            name="marks",
            size=0.0,
            symbol="disc",
            face_color="transparent",
            border_color=list(_MARKS),
            border_width=0.03,
            canvas_size_limits=(0, 10000),
            projection_mode="all",
            blending="translucent_no_depth",
            units=("angstrom",) * 3,
            visible=self._visible,
        )
        self._marks.editable = False
        self._activate()

    def show_chunk(self, number: int, chunk: Chunk, look: TomogramDisplay) -> None:
        """Show or replace one merged surface."""
        empty = not len(chunk.faces)
        self._chunks[number] = chunk
        layer = self._surfaces.get(number)
        if layer is not None and layer not in self.viewer.layers:
            layer = None
        if empty:
            self._remove(number)
            return
        data = (chunk.vertices, chunk.faces, chunk.values)
        if layer is None:
            layer = self._surfaces[number] = self.viewer.add_surface(
                data,
                name="particles in place" + (f" {number + 1}" if number else ""),
                colormap=self._palette(chunk),
                contrast_limits=(-0.5, _entries(chunk) - 0.5),
                shading="smooth",
                scale=_SCALE,
                units=("angstrom",) * 3,
                visible=self._visible,
            )
            self._clip_one(layer, look)
            self._activate()
        else:
            layer.data = data
            limits = (-0.5, _entries(chunk) - 0.5)
            layer.contrast_limits_range, layer.contrast_limits = limits, limits
            layer.colormap = self._palette(chunk)

    def keep_chunks(self, count: int) -> None:
        """Take away all merged surfaces past the first ``count``."""
        beyond = [number for number in self._surfaces if number >= count]
        remove_layers(self.viewer, [self._surfaces.pop(number) for number in beyond])
        for number in beyond:
            self._chunks.pop(number, None)

    def forget_deleted(self) -> bool:
        """Forget the merged surfaces that the user deleted; whether there are any."""
        there = self.viewer.layers
        deleted = [number for number, layer in self._surfaces.items() if layer not in there]
        for number in deleted:
            self._remove(number)
        return bool(deleted)

    def _remove(self, number: int) -> None:
        self._chunks.pop(number, None)
        remove_layers(self.viewer, [self._surfaces.pop(number, None)])

    def paint(self, colors: ByteArray) -> None:
        """Recolour all particles: three bytes a row of the poses."""
        self._colors = colors
        for number, chunk in self._chunks.items():
            if number in self._surfaces:
                self._surfaces[number].colormap = self._palette(chunk)
        if self._points is not None and len(self._points.data) == len(colors):
            self._points.face_color = colors / np.float32(255)

    def size_points(self, shown: NDArray[np.bool_]) -> None:
        """Show points where ``shown`` ``(particle,)`` is true and no surface stands.

        In a flat section discs of all that it goes through: of surfaces napari draws scraps there.
        """
        self._shown = shown
        if self._points is None or len(self._points.data) != len(shown):
            return
        smallest, flat = _SMALLEST_PX / self.viewer.scene.camera.zoom, self._is_flat
        sizes = np.where(shown, max((2.0 if flat else _POINT) * self._radius, smallest), 0.0)
        if not flat:
            sizes[self.surfaced] = 0.0
        for surface in self._surfaces.values():
            surface.opacity = 0.0 if flat else 1.0
        self._points.opacity = _FLAT_OPACITY if flat else 1.0  # what is below is to be judged
        self._points.size = sizes

    @property
    def _is_flat(self) -> bool:
        return bool(self.viewer.dims.ndisplay == 2)

    def _on_ndisplay(self, _event: object = None) -> None:
        if self._points is None or self._points not in self.viewer.layers:
            return
        dims, reach = self.viewer.dims, self._radius if self._is_flat else 0.0
        dims.margin_left = dims.margin_right = (reach, *(0.0,) * (dims.ndim - 1))
        self.size_points(self._shown)

    def mark(
        self, focused: NDArray[np.float64] | None, hovered: NDArray[np.float64] | None
    ) -> None:
        """Ring the particles at two places (zyx in Å, or None)."""
        if self._marks is None or self._marks not in self.viewer.layers:
            return
        places = [np.zeros(3) if one is None else np.asarray(one) for one in (focused, hovered)]
        self._marks.data = np.stack(places)
        # Without a point that is shown napari draws the last one of them.
        known = np.array([focused is not None, hovered is not None])
        self._marks.size = np.where(known, _MARK * self._radius, 0.0)

    def _palette(self, chunk: Chunk) -> Colormap:
        count = _entries(chunk)
        colors = np.zeros((count, 4), np.float32)
        colors[:, 3] = 1.0
        if len(self._colors) > (chunk.rows.max() if len(chunk.rows) else 0):
            colors[: len(chunk.rows), :3] = self._colors[chunk.rows] / np.float32(255)
        steps = np.linspace(0, 1, count + 1)
        return Colormap(colors, controls=steps, interpolation="zero", name="particles")

    def _activate(self) -> None:
        """Points are asked what is under the pointer: of surfaces napari asks every triangle."""
        if self._points is not None and self._points in self.viewer.layers:
            self.viewer.layers.selection.active = self._points

    # -- the camera ---------------------------------------------------------------------------

    def look_at_all(self, low_zyx: NDArray[np.float64], high_zyx: NDArray[np.float64]) -> None:
        """Look from above, the hand as in `layers`, so that all of a box is seen.

        ``low_zyx`` and ``high_zyx`` are two corners ``(3,)`` in Å. The title is above it, and as
        much is left below: the box turns about its middle.
        """
        viewer = self.viewer
        viewer.dims.ndisplay = 3
        camera = viewer.scene.camera
        camera.orientation = ORIENTATION
        viewer.canvas.overlays.scale_bar.visible = True
        camera.angles = (0.0, 0.0, 0.0)
        camera.center = tuple(float(part) for part in (low_zyx + high_zyx) / 2)
        height, width = viewer.canvas.size
        _, rows, columns = np.maximum(high_zyx - low_zyx, 1.0)
        title = bottom_of_corner(viewer, TITLE_NAME) or bottom_of_lines(1)
        camera.zoom = min((height - 2 * title) / rows, 0.92 * width / columns)
        self.aim_lamp()

    def look_at(self, place_zyx: NDArray[np.float64], radius: float) -> None:
        """Go to a place ``(3,)``, zyx in Å, and near to it; the direction of view stays."""
        camera = self.viewer.scene.camera
        camera.center = tuple(float(part) for part in place_zyx)
        camera.zoom = max(camera.zoom, 0.12 * min(self.viewer.canvas.size) / radius)

    def aim_lamp(self) -> None:
        """Aim napari's lamp anew."""
        nudge(self.viewer.scene.camera)


def _entries(chunk: Chunk) -> int:
    """Colours of its palette: a power of two, which divides the texture's 1,024 evenly."""
    return 1 << max(4, (len(chunk.rows) - 1).bit_length())
