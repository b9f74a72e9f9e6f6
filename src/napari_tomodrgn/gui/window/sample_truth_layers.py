"""Adds the layers of a sample's true structures when there is time, and removes them with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.widgets.viewer_layers import remove_layers
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    from napari.types import FullLayerData
    from napari.viewer import Viewer

# Folder of the sample that a layer belongs to, in its metadata.
SAMPLE = "napari-tomodrgn sample"
# napari takes a sixth of a second for each; between them the window answers.
_MS_BETWEEN = 250


class SampleTruthLayers(Service):
    """Adds hidden layers under those that are there, one by one, once a first map is on show."""

    def __init__(self, session: Session, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self._viewer = viewer
        self._layers: list[FullLayerData] = []
        self._timer = self.repeat(_MS_BETWEEN, self._add)
        self.listen(self._on_source, "source")

    def add_later(self, layers: list[FullLayerData]) -> None:
        """Add these, in napari's form of (data, settings, kind), where they are not there yet."""
        known = {layer.name for layer in self._viewer.layers}
        self._layers = [one for one in layers if one[1]["name"] not in known]
        self._timer.start()

    @property
    def is_busy(self) -> bool:
        """Whether some are still to come."""
        return self._timer.isActive()

    def _on_source(self, source: Path | None, _old: object = None) -> None:
        """Remove the structures of a sample that is no longer open."""
        self._layers = [one for one in self._layers if belongs_to(one[1], source)]
        structures = [layer for layer in self._viewer.layers if SAMPLE in layer.metadata]
        gone = [one for one in structures if not belongs_to({"metadata": one.metadata}, source)]
        remove_layers(self._viewer, gone)

    def _add(self) -> None:
        from napari.layers import Layer

        session = self.session
        failed = session.message is not None and session.message.severity == "error"
        if self._layers and session.decoded is None and not failed:
            return  # the sample is still on its way
        if not self._layers:
            self._timer.stop()
            return
        layers = self._viewer.layers
        chosen = set(layers.selection)
        layers.insert(0, Layer.create(*self._layers.pop(0)))
        layers.selection = chosen


def belongs_to(settings: dict[str, Any], source: Path | None) -> bool:
    """Whether the sample of a layer is what is open."""
    folder = Path(settings["metadata"][SAMPLE])
    return source is not None and (source == folder or folder in source.parents)
