"""The layer of projections: images of some particles side by side, in Å."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.utils.theme import get_theme

from napari_tomodrgn.gui.widgets.viewer_layers import remove_layers

if TYPE_CHECKING:
    from napari.layers import Image, Layer, Points
    from napari.viewer import Viewer

    from napari_tomodrgn.analysis.overview import Montage

NAME, LABELS_NAME = "projections", "projections, labels"
_FONT_PX = 9
_ROOM = 0.8  # of the canvas, for the pictures
_TITLE_PX = 58  # what the title of the canvas and the tilts take above them
_CLIPPED = (0.5, 99.5)  # percentiles of the grey values


class MontageLayers:
    """The projections in a viewer; made when first asked for."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layer: Image | None = None
        self._labels: Points | None = None
        self._others: list[Layer] = []  # what was visible before, and how it was looked at
        self._view: dict[str, object] = {}
        self._had_axes: bool | None = None  # None while no projections are on show

    @property
    def layer(self) -> Image | None:
        """The layer on show, or None (not made yet, or removed by the user)."""
        if self._layer is not None and self._layer not in self._viewer.layers:
            self._layer = None
        return self._layer

    def show(self, montage: Montage) -> None:
        """Show these images with one grey scale, in two dimensions."""
        picture = montage.picture
        lowest, highest = np.nanpercentile(picture, _CLIPPED)
        limits = float(lowest), float(max(highest, lowest + 1e-9))
        filled = np.nan_to_num(picture, nan=float(np.nanmin(picture)))
        layer = self.layer
        if layer is None:
            layer = self._layer = self._viewer.add_image(
                filled,
                name=NAME,
                colormap="gray",
                contrast_limits=limits,
                scale=(montage.pixel_size_angstrom,) * 2,
                units=("angstrom",) * 2,
                interpolation2d="nearest",
            )
        else:
            layer.data = filled
            layer.scale = (montage.pixel_size_angstrom,) * 2
            layer.contrast_limits_range = layer.contrast_limits = limits
        layer.metadata["particle_ids"] = list(montage.particle_ids)
        layer.metadata["stage_tilt_deg"] = montage.stage_tilt_deg.tolist()
        layer.visible = True
        self._label(montage)
        ours = (self._layer, self._labels)
        self._others += [one for one in self._viewer.layers if one.visible and one not in ours]
        for other in self._others:
            other.visible = False
        camera = self._viewer.scene.camera
        if self._viewer.dims.ndisplay == 3:
            self._view = {name: getattr(camera, name) for name in ("center", "zoom", "angles")}
        self._viewer.dims.ndisplay = 2
        overlays = self._viewer.canvas.overlays
        overlays.scale_bar.visible = True
        if self._had_axes is None:
            self._had_axes = overlays.axes.visible
        overlays.axes.visible = False  # they would lie on the names of the particles
        self._viewer.reset_view()
        # The title is above the tilts, not on them, however low the canvas is.
        high = max(60.0, self._viewer.canvas.size[0] - 2 * _TITLE_PX)
        camera.zoom = min(_ROOM * camera.zoom, high / _height_angstrom(montage))

    def leave(self) -> None:
        """Make way for a volume: the layer stays, out of sight."""
        if self.layer is not None and self.layer.visible:
            for layer in (self._layer, self._labels):
                if layer is not None and layer in self._viewer.layers:
                    layer.visible = False
            self._viewer.dims.ndisplay = 3
            if self._show_others():  # else what comes is the first, and looked at anew
                for name, value in self._view.items():
                    setattr(self._viewer.scene.camera, name, value)

    def remove(self) -> None:
        """Take the layers away: their particles are no longer open."""
        remove_layers(self._viewer, [self._layer, self._labels])
        self._layer = self._labels = None
        self._show_others()

    def _show_others(self) -> bool:
        """Show what was on show before; whether there was anything."""
        if self._had_axes:  # else whatever was shown since then has set them
            self._viewer.canvas.overlays.axes.visible = True
        self._had_axes = None
        others = [layer for layer in self._others if layer in self._viewer.layers]
        self._others = []
        for layer in others:
            layer.visible = True
        return bool(others)

    def _label(self, montage: Montage) -> None:
        """Write the particle beside each row and the tilt above each column."""
        tilts, ids = montage.stage_tilt_deg, montage.particle_ids
        height = _height_angstrom(montage)
        width = montage.picture.shape[1] * montage.pixel_size_angstrom
        row, column = height / len(ids), width / len(tilts)
        up = self._viewer.scene.camera.orientation[1] == "up"  # as maps are shown
        top = height + 0.2 * row if up else -0.2 * row
        above = [(top, (place + 0.45) * column) for place in range(len(tilts))]
        beside = [((place + 0.45) * row, -0.3 * column) for place in range(len(ids))]
        words = [f"{round(tilt):d}°" for tilt in tilts] + [name.split("/")[-1] for name in ids]
        places = np.array(above + beside)
        # They stand on the canvas, which is light in a light theme.
        ink = get_theme(self._viewer.theme).text.as_hex(format="long")
        remove_layers(self._viewer, [self._labels])
        self._labels = self._viewer.add_points(
            places,
            name=LABELS_NAME,
            size=0,
            face_color="transparent",  # of no size they would be a pixel, within the letters
            border_color="transparent",
            features={"words": words},
            text={"string": "{words}", "size": _FONT_PX, "color": ink, "anchor": "center"},
            units=("angstrom",) * 2,
        )
        self._viewer.layers.selection = {self._layer}


def _height_angstrom(montage: Montage) -> float:
    return float(montage.picture.shape[0] * montage.pixel_size_angstrom)
