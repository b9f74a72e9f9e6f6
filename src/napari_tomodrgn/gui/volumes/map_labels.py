"""Writes beneath each of several maps whose it is, in a layer of words alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from napari.layers import Points
    from napari.viewer import Viewer
    from numpy.typing import NDArray

LABELS_NAME = "map labels"
_FONT_PX = 9


class MapLabels:
    """A layer of points that nobody sees, with words at them; there while there are words."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layer: Points | None = None
        self._shown: tuple[str | float, ...] = ()

    @property
    def layer(self) -> Points | None:
        """The layer on show, or None (none is needed, or the user removed it)."""
        if self._layer is not None and self._layer not in self._viewer.layers:
            self._layer, self._shown = None, ()
        return self._layer

    def show(self, words: list[str], places_zyx: NDArray[np.float64]) -> None:
        """Write these words at these places (word, zyx) in Å; none removes the layer."""
        wanted: tuple[str | float, ...] = (*words, *places_zyx.ravel().tolist())
        if wanted == self._shown and (self.layer is not None or not words):
            return
        if self.layer is not None:
            self._viewer.layers.remove(self._layer)
        self._layer, self._shown = None, wanted
        if words:
            chosen = set(self._viewer.layers.selection)
            self._layer = self._viewer.add_points(
                places_zyx,
                name=LABELS_NAME,
                size=0,
                features={"words": words},
                text={"string": "{words}", "size": _FONT_PX, "color": "white", "anchor": "center"},
                units=("angstrom",) * 3,
            )
            self._viewer.layers.selection = chosen
