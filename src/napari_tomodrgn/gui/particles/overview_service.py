"""A look at the data: distributions and projections, worked out in threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.workers import LatestTask
from napari_tomodrgn.gui.particles.load import sentence
from napari_tomodrgn.gui.particles.montage_layer import MontageLayers
from napari_tomodrgn.session import Session


class OverviewService(QObject):
    """Puts an overview into the session, and projections into the viewer."""

    def __init__(self, session: Session, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self._layers = MontageLayers(viewer)
        self.overviews, self.montages = LatestTask(self), LatestTask(self)
        self.overviews.item.connect(self._take_overview)
        self.montages.item.connect(self._layers.show)
        for queue in (self.overviews, self.montages):
            queue.failed.connect(self._failed)
        session.events.particles.connect(self._forget)

    @property
    def queues(self) -> tuple[LatestTask, ...]:
        """What may be under way."""
        return self.overviews, self.montages

    def ask(self) -> None:
        """Work the overview out, where it is not there yet."""
        particles = self.session.particles
        if particles is None or self.session.overview is not None:
            return

        def steps() -> Iterator[Any]:
            from napari_tomodrgn.analysis.overview import overview

            yield overview(particles)

        self.overviews.request(steps)

    def show_projections(self, lowpass_angstrom: float) -> None:
        """Show some particles at some tilts in the viewer."""
        particles = self.session.particles
        if particles is None:
            return
        invert = self.session.reading.data.contrast == "invert"

        def steps() -> Iterator[Any]:
            from napari_tomodrgn.analysis.overview import montage

            yield montage(particles, lowpass_angstrom=lowpass_angstrom, invert=invert)

        self.montages.request(steps)

    def _take_overview(self, found: Any) -> None:
        self.session.overview = found

    def _forget(self, *_: Any) -> None:
        for queue in self.queues:
            queue.cancel()
        self.session.overview = None
        self._layers.remove()

    def _failed(self, error: Exception) -> None:
        self.session.say(sentence(error, "looking at the images"), "error")
