"""The map itself as an image, in place of its surface: projected, or slice by slice.

Of a closed surface napari draws nothing in two dimensions, and the canvas is dark without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.gui.widgets.viewer_layers import remove_layers

if TYPE_CHECKING:
    from napari.layers import Image, Surface
    from napari.viewer import Viewer


class MapImage:
    """The image layer of one map in a viewer; there while it is asked for."""

    def __init__(self, viewer: Viewer, on_seen: Callable[[object], None]) -> None:
        self._viewer, self._on_seen = viewer, on_seen
        self._layer: Image | None = None
        self._drawn: tuple[Volume, bool] | None = None
        self._named = ""
        self._volume: Volume | None = None  # whose surface is on show
        self._projected = False
        self.source = "decoded"  # what the map is made of, for the name of the layer

    @property
    def layer(self) -> Image | None:
        """The layer on show, or None (not asked for, or removed by the user)."""
        if self._layer is not None and self._layer not in self._viewer.layers:
            self._layer = None
        return self._layer

    def keep(self, volume: Volume, *, projected: bool) -> None:
        """Keep a map, to be shown in place of its surface: ``projected``, or in two dimensions."""
        self._volume, self._projected = volume, projected
        if self.layer is not None and not self._is_wanted:
            self.layer.visible = True  # so that the surface is, which it stood in for

    @property
    def _is_wanted(self) -> bool:
        return self._projected or self._viewer.dims.ndisplay == 2

    def stand_in_for(self, surface: Surface | None) -> None:
        """Show the map as its surface or as an image, never both; what the user hid stays so."""
        if self._is_wanted and self._volume is not None:
            swapped = surface is not None and surface.visible
            if swapped or self.layer is not None:
                self._show(self._volume)
            if surface is not None and swapped:
                look_at_middle(self._viewer)
                surface.visible = False
        elif self.layer is not None and self.layer.visible and not self._is_wanted:
            self._remove()
            if surface is not None:
                surface.visible = True

    def clear(self) -> None:
        """Keep no map any more."""
        self._remove()
        self._volume = None

    def _show(self, volume: Volume) -> None:
        flat = self._viewer.dims.ndisplay == 2
        layer = self.layer
        if layer is None:
            layer, self._named = self._added(volume), ""
            self._layer = layer
        elif self._drawn is None or self._drawn[0] is not volume:
            layer.data = volume.data
            layer.scale, layer.translate = _place(volume)
        name = f"{self.source}, {'slice' if flat else 'projection'}"
        if name != self._named:  # else it may be the user's
            layer.name = self._named = name
        if self._drawn != (volume, flat):  # else limits are the user's
            # A projection is of what stands out of solvent; a slice shows what is below it as well.
            lowest = float(volume.data.min()) if flat else 0.0
            limits = (lowest, max(float(volume.data.max()), lowest + 1e-6))
            layer.contrast_limits_range = layer.contrast_limits = limits
        self._drawn = (volume, flat)

    def _remove(self) -> None:
        remove_layers(self._viewer, [self.layer])
        self._layer, self._drawn, self._named = None, None, ""

    def _added(self, volume: Volume) -> Image:
        scale, translate = _place(volume)
        layer = self._viewer.add_image(
            volume.data,
            rendering="mip",
            colormap="gray",
            interpolation2d="linear",
            scale=scale,
            translate=translate,
            units=("angstrom",) * 3,
        )
        layer.events.visible.connect(self._on_seen)
        return layer

    def step_by_voxel(self) -> None:
        """Let the slider go from slice to slice: napari takes the finest step of all layers.

        Not while napari tells of two dimensions: what is set meanwhile is told afterwards, and the
        slider takes the old place for one beyond its fewer steps.
        """
        dims = self._viewer.dims
        if self.layer is None or self._drawn is None or dims.ndisplay != 2:
            return
        axis, at, step = dims.ndim - 3, dims.point[-3], self._drawn[0].voxel_size_angstrom
        start, stop, before = dims.range[axis]
        if before != step:
            dims.set_range(axis, (start, stop, step))
            dims.set_point(axis, at)


def _place(volume: Volume) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scale and place of a map about the origin: a preview has other voxels than what follows."""
    voxel = volume.voxel_size_angstrom
    return (voxel,) * 3, (-voxel * (volume.box_size_px // 2),) * 3


def look_at_middle(viewer: Viewer) -> None:
    """Put slices, and what the camera turns about, to the depth that maps stand at.

    napari carries the depth over between two and three dimensions: maps would turn about the
    slice that was looked at last, and slices begin wherever the camera was moved to.
    """
    dims, camera = viewer.dims, viewer.scene.camera
    if dims.ndisplay == 2:
        dims.set_point(dims.ndim - 3, 0.0)
    else:
        camera.center = (0.0, *camera.center[-2:])
