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
from napari_tomodrgn.gui.charts.vispy_patches import patch_vispy
from napari_tomodrgn.gui.volumes.arrangement import (
    RECONSTRUCTION,
    MapGrid,
    aim_at_one,
    keep_in_angstrom,
)
from napari_tomodrgn.gui.volumes.map_image import MapImage, look_at_middle
from napari_tomodrgn.gui.volumes.map_labels import (
    MapLabels,
    bottom_of_corner,
    bottom_of_lines,
    how_far_below,
    label_of,
    of_slices,
    write_in_corner,
)
from napari_tomodrgn.gui.volumes.surface_layers import (
    COLOR,
    add_surface,
    drawable,
    legend,
    nudge,
    paint,
)
from napari_tomodrgn.gui.widgets.viewer_layers import remove_layers
from napari_tomodrgn.palette import LESS, MORE
from napari_tomodrgn.session import Isosurface, PinLayout

if TYPE_CHECKING:
    from napari.layers import Layer, Surface
    from napari.viewer import Viewer

ORIENTATION = ("towards", "up", "right")
# Of the map on show, until it is told that it is of images.
LAYER_NAME, FROM_IMAGES = "decoded", "from images"
# Of an overlay of our own: the words in napari's text overlay are the user's.
CAPTION_NAME = "tomodrgn_caption"
_CAPTION_LINES = 2  # that there is room for above a map
_BEHIND = "#a7adb5"
MORE_NAME, LESS_NAME = "difference, more", "difference, less"
_DIFFERENCES = {MORE_NAME: MORE, LESS_NAME: LESS}
# Opacity of the map on show over its difference, and over pinned maps in the same place.
_OVER_DIFFERENCE, _OVER_PINS = 0.3, 0.5
_BESIDE = "maps beside it are seen in 3-D"
_AXES_PX = 70  # as napari is told


class VolumeLayers:
    """The decoded volume in a viewer, which is napari's or its public proxy."""

    def __init__(self, viewer: Viewer) -> None:
        patch_vispy()
        keep_in_angstrom(viewer)
        self.viewer = viewer
        self._layer: Surface | None = None
        self._companions: dict[str, Surface] = {}
        self._words_of: dict[str, str] = {}  # what each companion is labelled
        self.labels = MapLabels(viewer)
        self._drawn: dict[str, Isosurface] = {}  # what each of them shows
        self.image = MapImage(viewer, self._on_seen)
        self._against: dict[str, Surface] = {}
        self._arranged: tuple[int, PinLayout] = (1, "grid")  # what the camera was last set for
        self._layout: PinLayout = "grid"
        self._opacity, self._color = 1.0, COLOR
        self._box = 0.0
        # What the user hid, while something else is on show.
        self._hidden: list[Layer] | None = None
        self._words = ""
        self._needs_view = False
        # After napari, which looks at its layers and moves slider and camera first.
        viewer.dims.events.ndisplay.connect(self._on_ndisplay, position="last")

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
            self.image.layer,
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
        for layer in self.layers:
            if layer not in (self._hidden or []):  # one that the user has shown meanwhile stays
                layer.visible = True
        self._hidden = None  # only now: words follow all layers at once
        self._on_seen()
        if self._needs_view:
            self._set_up_view(self._box, alone=True)

    def bring_back(self) -> None:
        """Show the map again if it was hidden by its eye; not while something else is on show."""
        shown = self.image.layer or self.layer
        if shown is not None and self._hidden is None and not self._seen(LAYER_NAME):
            shown.visible = True

    def _on_seen(self, _event: object = None) -> None:
        """Words follow what is seen: a map that is hidden by its eye is not named any more."""
        if self._hidden is None:
            self.image.stand_in_for(self.layer)
            self._label_all()
            self.write_caption()

    def _stay_hidden(self) -> None:
        if self._hidden is not None:
            for layer in self.layers:
                layer.visible = False

    def show_mesh(
        self,
        mesh: Isosurface,
        box_angstrom: float,
        caption: str = "",
        color: str | None = None,
        source: str = LAYER_NAME,
    ) -> None:
        """Show a contoured map in Å, its box centred on the origin, and words in the corner.

        The mesh replaces the data of the layer, never the layer: the user's settings and camera
        stay. The edge of the box sets the zoom when the layer is made. ``color``: ``#rrggbb``.
        ``source`` names the layer after what the map is made of.
        """
        self._box = box_angstrom
        made = self.layer is None
        alone = not any(layer.visible for layer in self.viewer.layers)
        self._layer = self._put(LAYER_NAME, self.layer, mesh)
        if made or source != self.image.source:  # else its name may be the user's
            self._layer.name = self.image.source = source
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
            self.write_caption()

    def show_map(self, volume: Volume, *, projected: bool) -> None:
        """Keep the map of the surface, which is shown in its place: ``projected``, or in 2-D."""
        self.image.keep(volume, projected=projected)
        if self._hidden is None:
            self.image.stand_in_for(self.layer)

    @property
    def _flat(self) -> bool:
        return self.viewer.dims.ndisplay == 2

    def _on_ndisplay(self, _event: object = None) -> None:
        """Follow napari's button between two and three dimensions."""
        if self._hidden is None and self._seen(LAYER_NAME):
            look_at_middle(self.viewer)
        self._on_seen()

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
        opacity = _OVER_DIFFERENCE if self._against else _OVER_PINS if self._pile else 1.0
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
        self.image.clear()
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
        self._box = self._box or box_angstrom
        made = name not in self.companions
        alone = not any(layer.visible for layer in self.viewer.layers)
        self._words_of[name] = label or name
        layer = self._companions[name] = self._put(name, self._companions.get(name), mesh)
        if made and self.layer is None:
            self._set_up_view(self._box, alone=alone)
        paint(layer, color or COLOR)
        self._arrange()
        if made:
            self._see_through()
        self._stay_hidden()
        return layer

    def remove_companions(self, *names: str) -> None:
        """Take maps away that stand beside the decoded one."""
        remove_layers(self.viewer, [self.companions.get(name) for name in names])
        for known in (self._companions, self._drawn, self._words_of):
            for name in names:
                known.pop(name, None)
        if names:
            self._arrange()
            self._see_through()

    @property
    def companions(self) -> dict[str, Surface]:
        """Layers beside the decoded one, by name, without those that the user removed."""
        there, found = self.viewer.layers, self._companions
        self._companions = {name: layer for name, layer in found.items() if layer in there}
        return dict(self._companions)

    def follow_removed(self) -> None:
        """Lay out what is left where the user deleted maps: no words where there is none."""
        if len(self._companions) != len(self.companions):
            self._arrange()

    @property
    def _pile(self) -> dict[str, Surface]:
        """Pinned maps in the place of the one on show; what nobody pinned stands beside it."""
        beside = self._companions.items() if self._layout == "overlay" else ()
        return {name: one for name, one in beside if not name.startswith(RECONSTRUCTION)}

    def _arrange(self) -> None:
        """Lay all maps out in a grid in reading order, the decoded one first, or in one place."""
        pile = self._pile
        apart = [layer for name, layer in self._companions.items() if name not in pile]
        # A reconstruction may be there before any decoded map.
        taken = int(self.layer is not None or bool(pile))
        grid = MapGrid(max(1, taken + len(apart)))
        for layer in pile.values():
            layer.translate = (0.0, 0.0, 0.0)
        for number, layer in enumerate(apart, start=taken):
            layer.translate = grid.place(number, self._box)
        self._on_seen()
        if (grid.count, self._layout) == self._arranged or self._hidden is not None:
            return  # the camera is the user's
        self._arranged = (grid.count, self._layout)
        grid.aim(self.viewer, self._box)

    def _label_all(self) -> None:
        """Say beneath each map whose it is, as soon as there are several."""
        self._words_of[LAYER_NAME] = label_of(self._words) or LAYER_NAME
        pile = self._pile  # which has a legend instead
        named = {LAYER_NAME: self.layer} if self.layer and self._companions and not pile else {}
        named |= {name: one for name, one in self._companions.items() if name not in pile}
        middles = np.array([layer.translate for layer in named.values()]).reshape(-1, 3)
        # No words beneath what is hidden; the layer of words stays, to go and come takes 0.3 s.
        seen = {name for name in named if self._seen(name) and not self._flat}
        words = [self._words_of.get(name, name) if name in seen else "" for name in named]
        self.labels.show(words, middles, how_far_below(middles, self._box))

    def _put(self, name: str, layer: Surface | None, mesh: Isosurface) -> Surface:
        """The layer with the surface of a map; made where there is none any more."""
        if layer is None or layer not in self.viewer.layers:
            layer = add_surface(self.viewer, drawable(mesh, self._box), name, self._on_seen)
        elif self._drawn.get(name) is not mesh:  # else another colour is all that was asked for
            layer.data = drawable(mesh, self._box)
        self._drawn[name] = mesh
        return layer

    def _set_up_view(self, box_angstrom: float, *, alone: bool) -> None:
        """Three dimensions, the right hand, a scale bar; the zoom if nothing else is on show."""
        viewer, self._needs_view = self.viewer, self._hidden is not None
        if self._needs_view:
            return
        viewer.dims.ndisplay = 3
        viewer.scene.camera.orientation = ORIENTATION
        viewer.canvas.overlays.scale_bar.visible = True
        viewer.dims.axis_labels = ("z", "y", "x")
        self.show_axes(True)
        if alone:
            # The next particle's words may take two lines.
            below = max(bottom_of_corner(viewer, CAPTION_NAME), bottom_of_lines(_CAPTION_LINES))
            aim_at_one(viewer, box_angstrom, below)
        nudge(viewer.scene.camera)

    def set_caption(self, words: str) -> None:
        """Replace the words in the corner, and what they say of the map among others."""
        before, self._words = self._words, words
        if label_of(before) != label_of(words):
            self._label_all()
        self.write_caption()

    def write_caption(self) -> None:
        """Write the caption, in lines that the canvas has room for by now."""
        if self._hidden is None:
            unseen = self.layer is not None and not self._seen(LAYER_NAME)
            sliced = self._flat and self.image.layer is not None
            words = of_slices(self._words) if sliced else self._words
            lines = ["" if unseen else words, *self._legend()]
            write_in_corner(self.viewer, CAPTION_NAME, "\n".join(one for one in lines if one))

    def _seen(self, name: str) -> bool:
        """Whether a map is seen, or would be if maps had the canvas."""
        ours = [self._layer, self.image.layer, *self._against.values()]
        layers = ours if name == LAYER_NAME else [self._companions[name]]
        there, hidden = [one for one in layers if one in self.viewer.layers], self._hidden
        return any(
            one.visible or (hidden is not None and one not in hidden) for one in there if one
        )

    def _legend(self) -> list[str]:
        """Say in which colour each of several maps in one place is drawn."""
        if self._flat:
            return [_BESIDE] if any(map(self._seen, self.companions)) else []
        pile = {LAYER_NAME: self.layer, **self._pile} if self._pile else {}
        seen = {name: one for name, one in pile.items() if one is not None and self._seen(name)}
        focus = (label_of(self._words) or LAYER_NAME).splitlines()[0]
        return legend(seen, {**self._words_of, LAYER_NAME: f"{focus} (in focus)"})
