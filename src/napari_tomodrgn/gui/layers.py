"""The one file that creates or updates napari layers.

Axes: an MRC map is indexed zyx in a right-handed xyz frame. napari's default camera (z towards the
viewer, y *down*, x to the right) is left-handed in xyz and would show every map as its mirror
image. The camera is therefore set to z towards, y up, x to the right: what ChimeraX shows at start,
and IMOD for sections.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.utils.colormaps import Colormap

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.gui.palette import rgb

ORIENTATION = ("towards", "up", "right")
LAYER_NAME = "decoded"
_COLOUR = "#9fc3e6"
# The viewer's lamp adds ambient, diffuse and specular light: full colours would be burnt out.
_DARKENED = 0.72
# The particle fills about this part of its box.
_FILLED = 0.7


def contour_level(volume: Volume, sigma: float = 3.0) -> float:
    """Density at ``sigma`` standard deviations above solvent, held inside the map's range."""
    highest = float(volume.data.max())
    level = sigma * float(volume.data.std())
    return min(level, 0.8 * highest) if highest > 0 else 1.0


class VolumeLayers:
    """The decoded volume in a viewer.

    Parameters
    ----------
    viewer
        The napari viewer, or its public proxy.
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.sigma = 3.0
        self._layer: Any = None

    @property
    def layer(self) -> Any:
        """The layer on show, or None (not made yet, or removed by the user)."""
        if self._layer is not None and self._layer not in self.viewer.layers:
            self._layer = None
        return self._layer

    def show_volume(self, volume: Volume, caption: str = "", colour: str | None = None) -> None:
        """Show a map as an iso-surface in Å, its box centred on the origin.

        Parameters
        ----------
        volume
            Shown at `sigma` standard deviations. The data of the layer are replaced, never the
            layer: the user's rendering settings and camera stay.
        caption
            Words in the corner of the canvas.
        colour
            Of the surface, as ``#rrggbb``.
        """
        placement = _placement(volume)
        layer = self.layer
        if layer is None:
            layer = self._make_layer(volume, placement)
        else:
            layer.data = volume.data
            if tuple(layer.scale) != placement["scale"]:
                layer.scale, layer.translate = placement["scale"], placement["translate"]
        self._set_level(layer, volume)
        if colour:
            layer.colormap = surface_colours(colour)
        self._caption(caption)

    def _make_layer(self, volume: Volume, placement: dict[str, Any]) -> Any:
        self.viewer.dims.ndisplay = 3
        self.viewer.scene.camera.orientation = ORIENTATION
        layer = self.viewer.add_image(
            volume.data,
            name=LAYER_NAME,
            rendering="iso",
            colormap=surface_colours(_COLOUR),
            interpolation3d="linear",
            units=("angstrom",) * 3,
            **placement,
        )
        layer.events.rendering.connect(self._on_rendering)
        self._layer = layer
        self.viewer.canvas.overlays.scale_bar.visible = True
        self.viewer.canvas.overlays.text.position = "top_left"
        self.viewer.fit_to_view(margin=0.0)
        self.viewer.scene.camera.zoom /= _FILLED
        self.viewer.scene.camera.center = (0.0, 0.0, 0.0)  # the particle's, not the box's corners'
        return layer

    def _set_level(self, layer: Any, volume: Volume) -> None:
        level = contour_level(volume, self.sigma)
        layer.iso_threshold = level
        self._set_contrast(layer, level)

    def _on_rendering(self, event: Any = None) -> None:
        if self.layer is not None:
            self._set_contrast(self.layer, self.layer.iso_threshold)

    @staticmethod
    def _set_contrast(layer: Any, level: float) -> None:
        """Contrast that suits the rendering mode.

        On a surface every value is about the contour level: unless the contrast ends there, the
        map is drawn in the dark end of its colours.
        """
        low, high = float(layer.data.min()), float(layer.data.max())
        top = level if str(layer.rendering) == "iso" else high
        layer.contrast_limits_range = (min(low, 0.0), max(high, level, 1e-12))
        layer.contrast_limits = (0.0, max(top, 1e-12))

    def _caption(self, words: str) -> None:
        text = self.viewer.canvas.overlays.text
        text.text = words
        text.visible = bool(words)


def surface_colours(colour: str) -> Any:
    """A colour map from black to one colour: for surfaces lit by the viewer's lamp."""
    top = [_DARKENED * part / 255 for part in rgb(colour)]
    return Colormap([[0.0, 0.0, 0.0, 1.0], [*top, 1.0]], name=f"surface {colour}")


def _placement(volume: Volume) -> dict[str, Any]:
    """Scale and shift that put the voxel of the box centre (n // 2) at the origin.

    Previews and full maps of one particle then lie exactly over each other.
    """
    voxel = volume.voxel_size_angstrom
    centre = np.array(volume.data.shape) // 2
    return {"scale": (voxel,) * 3, "translate": tuple(-voxel * centre)}
