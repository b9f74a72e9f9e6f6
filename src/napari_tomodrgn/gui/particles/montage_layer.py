"""The layer of projections: images of some particles side by side, in Å."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.overview import Montage

NAME = "projections"
_CLIPPED = (0.5, 99.5)  # percentiles of the grey values


class MontageLayers:
    """The projections in a viewer; made when first asked for."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Any = None

    @property
    def layer(self) -> Any:
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
        if self.layer is None:
            self._layer = self._viewer.add_image(
                filled,
                name=NAME,
                colormap="gray",
                contrast_limits=limits,
                scale=(montage.pixel_size_angstrom,) * 2,
                units=("angstrom",) * 2,
                interpolation2d="nearest",
            )
        else:
            self._layer.data = filled
            self._layer.scale = (montage.pixel_size_angstrom,) * 2
            self._layer.contrast_limits_range = self._layer.contrast_limits = limits
        self._layer.metadata["particle_ids"] = list(montage.particle_ids)
        self._layer.metadata["stage_tilt_deg"] = montage.stage_tilt_deg.tolist()
        self._layer.visible = True
        self._viewer.dims.ndisplay = 2
        self._viewer.canvas.overlays.scale_bar.visible = True
        self._viewer.reset_view()

    def remove(self) -> None:
        """Take the layer away: its particles are no longer open."""
        if self.layer is not None:
            self._viewer.layers.remove(self._layer)
        self._layer = None
