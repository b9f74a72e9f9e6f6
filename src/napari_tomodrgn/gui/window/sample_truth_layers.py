"""The layers of a sample's true structures, which come in when there is time for them."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_tomodrgn.session import Session

# napari takes a sixth of a second for each; between them the window answers.
_MS_BETWEEN = 250


class SampleTruthLayers(QObject):
    """Adds hidden layers under those that are there, one by one, once a first map is on show."""

    def __init__(self, session: Session, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: list[tuple[Any, ...]] = []
        self._timer = QTimer(self)
        self._timer.setInterval(_MS_BETWEEN)
        self._timer.timeout.connect(self._add)
        self._session = session

    def add_later(self, layers: list[tuple[Any, ...]]) -> None:
        """Add these, in napari's form of (data, settings, kind), where they are not there yet."""
        known = {layer.name for layer in self._viewer.layers}
        self._layers = [one for one in layers if one[1]["name"] not in known]
        self._timer.start()

    @property
    def is_busy(self) -> bool:
        """Whether some are still to come."""
        return self._timer.isActive()

    def stop(self) -> None:
        """Add no more."""
        self._timer.stop()

    def _add(self) -> None:
        from napari.layers import Layer

        session = self._session
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
