"""The least tilted image of a tomogram, and where its particles are predicted in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_tomodrgn.extract.survey import Predicted

IMAGE_NAME, POINTS_NAME = "tilt image", "predicted particles"
_CLIPPED = (1.0, 99.0)  # percentiles of the grey values


class PredictedLayers:
    """The two layers in a viewer, made anew for each tomogram."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layers: list[Any] = []

    def show(self, predicted: Predicted) -> None:
        """Show an image in Å with a ring around each place where a box would be cut."""
        self.remove()
        pixel = predicted.pixel_size_angstrom
        low, high = np.percentile(predicted.image, _CLIPPED)
        image = self._viewer.add_image(
            predicted.image,
            name=f"{IMAGE_NAME}, {predicted.name}",
            colormap="gray",
            contrast_limits=(float(low), float(max(high, low + 1e-6))),
            scale=(pixel, pixel),
            units=("angstrom",) * 2,
        )
        points = self._viewer.add_points(
            predicted.yx_angstrom,
            name=f"{POINTS_NAME}, {predicted.name}",
            size=predicted.box_angstrom,
            face_color="transparent",
            border_color="#ffb000",
            border_width=0.03,
            symbol="disc",
            features={"particle": list(predicted.names)},
            units=("angstrom",) * 2,
        )
        self._layers = [image, points]
        self._viewer.dims.ndisplay = 2
        self._viewer.reset_view()

    def remove(self) -> None:
        """Take the layers away, if the user did not."""
        for layer in self._layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._layers = []
