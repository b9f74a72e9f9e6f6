"""The least tilted image of a tomogram, and where its particles are predicted, there and in 3-D."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.gui.widgets.viewer_layers import remove_layers

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_tomodrgn.extract.survey import Predicted, PredictedVolume

IMAGE_NAME, POINTS_NAME = "tilt image", "predicted particles"
VOLUME_NAME, PLACES_NAME = "tomogram", "listed particles"
_CLIPPED = (1.0, 99.0)  # percentiles of the grey values
_GAP = 0.04  # between image and tomogram, of the image's width


class PredictedLayers:
    """Image and tomogram side by side in a viewer, made anew for each tomogram."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layers: list[Any] = []
        self._others: list[Any] = []  # what was visible before, and how it was looked at
        self._view: dict[str, object] = {}

    def show(self, predicted: Predicted) -> None:
        """Show an image in Å with a ring around each place where a box would be cut.

        The tomogram is beside it, with the places of the list in the section that is shown.
        """
        self._remove()
        self._hide_others()
        name = predicted.name
        rings = {"size": predicted.box_angstrom, "features": {"particle": list(predicted.names)}}
        self._add_image(predicted.image, predicted.pixel_size_angstrom, f"{IMAGE_NAME}, {name}")
        self._add_rings(predicted.yx_angstrom, f"{POINTS_NAME}, {name}", **rings)
        if predicted.volume is not None:
            width = predicted.image.shape[1] * predicted.pixel_size_angstrom
            self._show_volume(predicted.volume, name, width * (1 + _GAP), rings)
        self._viewer.dims.ndisplay = 2
        self._viewer.reset_view()

    def _show_volume(
        self, volume: PredictedVolume, name: str, right: float, rings: dict[str, Any]
    ) -> None:
        voxel, beside = volume.voxel_size_angstrom, (0.0, 0.0, right)
        middle = float(np.median(volume.zyx_angstrom[:, 0]))
        section = int(np.clip(round(middle / voxel), 0, len(volume.voxels) - 1))
        self._add_image(
            volume.voxels, voxel, f"{VOLUME_NAME}, {name}", section=section, translate=beside
        )
        self._add_rings(
            volume.zyx_angstrom,
            f"{PLACES_NAME}, {name}",
            translate=beside,
            projection_mode="all",
            **rings,
        )
        self._viewer.dims.set_point(0, section * voxel)
        # Rings of all particles whose boxes the section goes through; the image stays a section.
        self._set_margin(rings["size"] / 2)

    def _set_margin(self, depth_angstrom: float) -> None:
        dims = self._viewer.dims
        margins = (depth_angstrom, *(0.0,) * (dims.ndim - 1))
        dims.margin_left = dims.margin_right = margins

    def _add_image(
        self,
        data: NDArray[Any],
        pixel_size_angstrom: float,
        name: str,
        section: int | None = None,
        **more: Any,
    ) -> None:
        seen = data if section is None else np.asarray(data[section], dtype=np.float32)
        low, high = np.percentile(seen, _CLIPPED)
        layer = self._viewer.add_image(
            data,
            name=name,
            colormap="gray",
            contrast_limits=(float(low), float(max(high, low + 1e-6))),
            scale=(pixel_size_angstrom,) * data.ndim,
            units=("angstrom",) * data.ndim,
            **more,
        )
        self._layers.append(layer)

    def _add_rings(self, places: NDArray[np.float64], name: str, **more: Any) -> None:
        layer = self._viewer.add_points(
            places,
            name=name,
            face_color="transparent",
            border_color="#ffb000",
            border_width=0.03,
            symbol="disc",
            units=("angstrom",) * places.shape[1],
            **more,
        )
        self._layers.append(layer)

    def _hide_others(self) -> None:
        """What else is on show would lie over the images, in other places."""
        viewer = self._viewer
        if viewer.dims.ndisplay == 3:
            camera = viewer.scene.camera
            self._view = {name: getattr(camera, name) for name in ("center", "zoom", "angles")}
        seen = [layer for layer in viewer.layers if layer.visible]
        self._others += seen
        for layer in seen:
            layer.visible = False

    def leave(self) -> None:
        """Make way: take the layers away, and show what was on show before."""
        if not self._layers:
            return
        self._remove()
        others = [layer for layer in self._others if layer in self._viewer.layers]
        self._others = []
        for layer in others:
            layer.visible = True
        if others and self._view:
            self._viewer.dims.ndisplay = 3
            for name, value in self._view.items():
                setattr(self._viewer.scene.camera, name, value)
        self._view = {}

    def _remove(self) -> None:
        """Take the layers away, if the user did not."""
        if self._layers:
            self._set_margin(0.0)
        remove_layers(self._viewer, self._layers)
        self._layers = []
