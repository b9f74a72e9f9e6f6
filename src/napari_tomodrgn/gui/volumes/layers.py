"""The one file that creates or updates napari layers.

Axes: an MRC map is indexed zyx in a right-handed xyz frame. napari's default camera (z towards the
viewer, y *down*, x to the right) is left-handed in xyz and would show every map as its mirror
image. The camera is therefore set to z towards, y up, x to the right: what ChimeraX shows at start,
and IMOD for sections.

Light: napari's lamp is wrong for such a camera (napari 0.9: "not working well with axis flip"); it
shines from behind, because mirroring turns front faces into back faces. Surfaces are therefore
stored with y negated and drawn with a scale of -1 along y. In the world they are where they belong;
only the normals, which are worked out before the scale, come out turned round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.gui.volumes.map_labels import (
    MapLabels,
    bottom_of_corner,
    label_of,
    places_below,
    write_in_corner,
)
from napari_tomodrgn.gui.volumes.scale_bar import keep_in_angstrom
from napari_tomodrgn.gui.volumes.surface_layers import (
    COLOR,
    SCALE,
    SurfaceData,
    drawable,
    nudge,
    paint,
    surface_colors,
)
from napari_tomodrgn.gui.volumes.vispy_patches import patch_vispy
from napari_tomodrgn.gui.widgets.viewer_layers import remove_layers
from napari_tomodrgn.palette import MORE_IN_A, MORE_IN_B
from napari_tomodrgn.session import Isosurface, PinLayout

if TYPE_CHECKING:
    from napari.layers import Image, Layer, Surface
    from napari.viewer import Viewer

ORIENTATION = ("towards", "up", "right")
LAYER_NAME = "decoded"
# Of an overlay of our own: the words in napari's text overlay are the user's.
CAPTION_NAME = "tomodrgn_caption"
PROJECTION_NAME = "decoded, projection"
_RAISED = 0.06  # in boxes
_BEHIND = "#a7adb5"
MORE_NAME, LESS_NAME = "difference, more", "difference, less"
_DIFFERENCES = {MORE_NAME: MORE_IN_A, LESS_NAME: MORE_IN_B}
# Opacity of the map on show over its difference, and over pinned maps in the same place.
_OVER_DIFFERENCE, _OVER_PINS = 0.3, 0.5
_AXES_PX, _BESIDE_AXES_PX = 70, 150  # as napari is told, and what labels leave them in the corner

# Distance of neighbours in boxes: particles rarely fill theirs.
_PITCH = 0.8


class VolumeLayers:
    """The decoded volume in a viewer.

    Parameters
    ----------
    viewer
        The napari viewer, or its public proxy.
    """

    def __init__(self, viewer: Viewer) -> None:
        patch_vispy()
        keep_in_angstrom(viewer)
        self.viewer = viewer
        self._layer: Surface | None = None
        self._companions: dict[str, Surface] = {}
        self._words_of: dict[str, str] = {}  # what each companion is labelled
        self.labels = MapLabels(viewer)
        self._drawn: dict[str, Isosurface] = {}  # what each of them shows
        self._projection: Image | None = None
        self._against: dict[str, Surface] = {}
        self._arranged: tuple[int, PinLayout] = (1, "grid")  # what the camera was last set for
        self._layout: PinLayout = "grid"
        self._opacity, self._color = 1.0, COLOR
        self._box = 0.0
        # What the user hid, while something else is on show.
        self._hidden: list[Layer] | None = None
        self._words = ""
        self._needs_view = False

    @property
    def layer(self) -> Surface | None:
        """The layer on show, or None (not made yet, or removed by the user)."""
        if self._layer is not None and self._layer not in self.viewer.layers:
            self._layer = None
        return self._layer

    @property
    def layers(self) -> list[Layer]:
        """All layers of decoded volumes that there are."""
        ours = [
            self._layer,
            self._projection,
            *self._against.values(),
            *self._companions.values(),
            self.labels.layer,
        ]
        return [one for one in ours if one is not None and one in self.viewer.layers]

    def suspend(self) -> None:
        """Make way for something else: volumes are kept up to date, but out of sight."""
        if self._hidden is None:
            self._hidden = [layer for layer in self.layers if not layer.visible]
            self._stay_hidden()
            write_in_corner(self.viewer, CAPTION_NAME, "")

    def restore(self) -> None:
        """Show the volumes again; the camera is the caller's, unless it was never set."""
        hidden, self._hidden = self._hidden or [], None
        for layer in self.layers:
            if layer not in hidden:  # one that the user has shown meanwhile stays as well
                layer.visible = True
        if self._projection in self.layers and self.layer is not None:
            self.layer.visible = False
        self.set_caption(self._words)
        if self._needs_view:
            self._set_up_view(self._box, alone=True)

    def _stay_hidden(self) -> None:
        if self._hidden is not None:
            for layer in self.layers:
                layer.visible = False

    def show_mesh(
        self, mesh: Isosurface, box_angstrom: float, caption: str = "", color: str | None = None
    ) -> None:
        """Show a contoured map in Å, its box centred on the origin.

        Parameters
        ----------
        mesh
            Replaces the data of the layer, never the layer: the user's settings and camera stay.
        box_angstrom
            Edge of the map's box, which sets the zoom when the layer is made.
        caption
            Words in the corner of the canvas.
        color
            Of the surface, as ``#rrggbb``.
        """
        self._box = box_angstrom
        made = self.layer is None
        alone = not any(layer.visible for layer in self.viewer.layers)
        self._layer = self._put(LAYER_NAME, self.layer, mesh)
        self.set_caption(caption)  # which the view leaves room for
        if made:
            self._opacity = self._layer.opacity
            self._set_up_view(box_angstrom, alone=alone)
            if self._companions:
                self._arrange()
                self._see_through()
        self._color = color or COLOR
        self._paint()
        self._stay_hidden()

    def _paint(self) -> None:
        """The map on show in its colour; in none of a group's behind a difference, which is two."""
        if self.layer is not None:
            paint(self.layer, _BEHIND if self._against else self._color)

    def show_projection(self, volume: Volume) -> None:
        """Show the map itself, as its maximum intensity along the line of sight."""
        voxel = volume.voxel_size_angstrom
        half = -voxel * (volume.box_size_px // 2)
        limits = (0.0, max(float(volume.data.max()), 1e-6))
        layer = self._projection
        if layer is None or layer not in self.viewer.layers:
            layer = self._projection = self.viewer.add_image(
                volume.data,
                name=PROJECTION_NAME,
                rendering="mip",
                colormap="gray",
                contrast_limits=limits,
                units=("angstrom",) * 3,
            )
        else:
            layer.data = volume.data
            layer.contrast_limits_range = layer.contrast_limits = limits
        layer.scale, layer.translate = (voxel,) * 3, (half,) * 3
        layer.visible = True
        if self.layer is not None:
            self.layer.visible = False
        self._stay_hidden()

    def hide_projection(self) -> None:
        """Back to the surface."""
        if self._projection is not None and self._projection in self.viewer.layers:
            remove_layers(self.viewer, [self._projection])
            if self.layer is not None:
                self.layer.visible = True
        self._projection = None
        self._stay_hidden()

    def show_difference(self, more: Isosurface, less: Isosurface) -> None:
        """Show where the decoded map has more and less than another, itself faint behind."""
        for (name, color), mesh in zip(_DIFFERENCES.items(), (more, less), strict=True):
            self._against[name] = self._put(name, self._against.get(name), mesh)
            paint(self._against[name], color)
        self._paint()
        self._see_through()
        self._stay_hidden()

    def hide_difference(self) -> None:
        """Take the difference away."""
        if self._against:
            remove_layers(self.viewer, self._against.values())
            self._against.clear()
            self._paint()
            self._see_through()

    def set_layout(self, layout: PinLayout) -> None:
        """Lay maps out side by side (``grid``), or over each other (``overlay``)."""
        self._layout = layout
        self._arrange()
        self._see_through()

    def _see_through(self) -> None:
        """Make the map on show as translucent as what is drawn in its place asks for."""
        layer, layers = self.layer, self.viewer.layers
        if layer is None:
            return
        covers = bool(self._companions) and self._layout == "overlay"
        opacity = _OVER_DIFFERENCE if self._against else _OVER_PINS if covers else 1.0
        if layer.opacity == self._opacity:  # else it is the user's
            layer.opacity = self._opacity = opacity
        if opacity < 1:
            # What is translucent has to be drawn after what is to be seen through it.
            layers.move(layers.index(layer), len(layers))

    def show_axes(self, shown: bool) -> None:
        """Show x, y and z as arrows, or not."""
        axes = self.viewer.canvas.overlays.axes
        axes.size, axes.box = _AXES_PX, False
        axes.visible = shown

    def set_up_canvas(self) -> None:
        """Make the canvas three-dimensional before there is a volume in it."""
        if self._hidden is None:
            self.viewer.dims.ndisplay = 3

    def clear(self) -> None:
        """Remove the decoded volume and all that belongs to it; companions stay."""
        self.hide_projection()
        self.hide_difference()
        remove_layers(self.viewer, [self._layer])
        self._layer, self._needs_view, self._opacity = None, False, 1.0
        self._drawn.pop(LAYER_NAME, None)
        self._arranged = (1, self._layout)
        self._box = self._box if self._companions else 0.0
        self._arrange()
        self.set_caption("")

    def show_companion(
        self,
        name: str,
        mesh: Isosurface,
        box_angstrom: float,
        color: str | None = None,
        label: str = "",
    ) -> Surface:
        """Show another contoured map beside the decoded one, or replace the one of this name.

        ``label`` says beneath it whose map it is.
        """
        self._prune()
        self._box = self._box or box_angstrom
        made = name not in self._companions
        alone = not any(layer.visible for layer in self.viewer.layers)
        layer = self._companions[name] = self._put(name, self._companions.get(name), mesh)
        if made and self.layer is None:
            self._set_up_view(self._box, alone=alone)
        paint(layer, color or COLOR)
        self._words_of[name] = label or name
        self._arrange()
        if made:
            self._see_through()
        self._stay_hidden()
        return layer

    def remove_companions(self, *names: str) -> None:
        """Take maps away that stand beside the decoded one."""
        if not names:
            return
        self._prune()
        remove_layers(self.viewer, [self._companions.pop(name, None) for name in names])
        for name in names:
            self._drawn.pop(name, None)
            self._words_of.pop(name, None)
        self._arrange()
        self._see_through()

    @property
    def companions(self) -> dict[str, Surface]:
        """Layers beside the decoded one, by name, without those that the user removed."""
        self._prune()
        return dict(self._companions)

    def _prune(self) -> None:
        there = self.viewer.layers
        self._companions = {
            name: layer for name, layer in self._companions.items() if layer in there
        }

    def _arrange(self) -> None:
        """Lay all maps out in a grid in reading order, the decoded one first, or in one place."""
        layers = list(self._companions.values())
        taken = int(self.layer is not None)  # a reconstruction may be there before any decoded map
        count = 1 if self._layout == "overlay" else max(1, len(layers) + taken)
        columns = int(np.ceil(np.sqrt(count)))
        rows = -(-count // columns)
        step = _PITCH * self._box
        for place, layer in enumerate(layers, start=taken):
            row, col = divmod(place, columns) if count > 1 else (0, 0)
            layer.translate = (0.0, -row * step, col * step)
        self._label_all()
        if (count, self._layout) == self._arranged or self._hidden is not None:
            return  # the camera is the user's
        self._arranged = (count, self._layout)
        camera, (height, width) = self.viewer.scene.camera, self.viewer.canvas.size
        # A row of maps stands higher and to the right: its labels are off scale bar and axes.
        in_row = rows == 1 and count > 1
        raised, beside = (_RAISED * self._box, _BESIDE_AXES_PX) if in_row else (0.0, 0)
        across, down = (1 + _PITCH * (number - 1) for number in (columns, rows))
        margin = 1.2 if count == 1 else 0.85 if in_row else 0.98
        camera.zoom = margin * min((width - beside) / across, height / down) / max(self._box, 1.0)
        middle = (columns - 1) / 2 * step - beside / 2 / camera.zoom
        camera.center = (0.0, -(rows - 1) / 2 * step - raised, middle)

    def _label_all(self) -> None:
        """Say beneath each map whose it is, as soon as there are several."""
        named = {LAYER_NAME: self.layer} if self.layer is not None and self._companions else {}
        named |= self._companions
        middles = np.array([layer.translate for layer in named.values()]).reshape(-1, 3)
        self._words_of[LAYER_NAME] = label_of(self._words) or LAYER_NAME
        places = places_below(middles, self._box, stacked=self._layout == "overlay")
        self.labels.show([self._words_of.get(name, name) for name in named], places)

    def _put(self, name: str, layer: Surface | None, mesh: Isosurface) -> Surface:
        """The layer with the surface of a map; made where there is none any more."""
        if layer is None or layer not in self.viewer.layers:
            layer = self._add_surface(drawable(mesh, self._box), name)
        elif self._drawn.get(name) is not mesh:  # else another colour is all that was asked for
            layer.data = drawable(mesh, self._box)
        self._drawn[name] = mesh
        return layer

    def _add_surface(self, data: SurfaceData, name: str) -> Surface:
        return self.viewer.add_surface(
            data,
            name=name,
            colormap=surface_colors(COLOR),
            contrast_limits=(0.0, 1.0),
            shading="smooth",
            scale=SCALE,
            units=("angstrom",) * 3,
        )

    def _set_up_view(self, box_angstrom: float, *, alone: bool) -> None:
        """Three dimensions, the right hand, a scale bar; the zoom if nothing else is on show."""
        viewer, self._needs_view = self.viewer, self._hidden is not None
        if self._needs_view:
            return
        viewer.dims.ndisplay = 3
        camera, overlays = viewer.scene.camera, viewer.canvas.overlays
        camera.orientation = ORIENTATION
        overlays.scale_bar.visible = True
        viewer.dims.axis_labels = ("z", "y", "x")
        self.show_axes(True)
        if alone:
            # The particle's centre, and a zoom that stays right for other particles, however they
            # are turned: as much is left below as the caption takes above.
            camera.center = (0.0, 0.0, 0.0)
            height, width = viewer.canvas.size
            room = height - 2 * bottom_of_corner(viewer, CAPTION_NAME)
            camera.zoom = 1.2 * max(60.0, min(room, width)) / box_angstrom
        nudge(camera)

    def set_caption(self, words: str) -> None:
        """Replace the words in the corner, and what they say of the map among others."""
        before, self._words = self._words, words
        if label_of(before) != label_of(words):
            self._label_all()
        self.write_caption()

    def write_caption(self) -> None:
        """Write the caption, in lines that the canvas has room for by now."""
        if self._hidden is None:
            write_in_corner(self.viewer, CAPTION_NAME, self._words)
