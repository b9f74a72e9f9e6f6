"""Computes distributions and projections of the particles in threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.particles.montage_layer import MontageLayers
from napari_tomodrgn.session import Decoded, LatentPoint, Session

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_tomodrgn.analysis.overview import Overview


class OverviewService(Service):
    """Puts an overview into the session, and projections into the viewer."""

    doing = "looking at the images"

    def __init__(self, session: Session, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self._layers = MontageLayers(viewer)
        self.overviews = self.latest_task(self._on_overview)
        self.montages = self.latest_task(self._layers.show)
        self.listen(self._on_particles, "particles")
        self.listen(self._on_focused, "focused")
        self.listen(self._on_point, "free_point")
        self.listen(self._on_decoded, "decoded")

    def request(self) -> None:
        """Compute the overview, where it is not there yet."""
        particles = self.session.particles
        if particles is None or self.session.overview is not None:
            return

        def steps() -> Iterator[object]:
            from napari_tomodrgn.analysis.overview import overview

            yield overview(particles)

        self.overviews.request(steps)

    def show_projections(self, lowpass_angstrom: float) -> None:
        """Show some particles at some tilts in the viewer."""
        particles = self.session.particles
        if particles is None:
            return
        invert = self.session.import_options.data.contrast == "invert"

        def steps() -> Iterator[object]:
            from napari_tomodrgn.analysis.overview import montage

            yield montage(particles, lowpass_angstrom=lowpass_angstrom, invert=invert)

        self.montages.request(steps)

    def _on_focused(self, _now: object, before: str | None) -> None:
        if before is not None:  # else it is the first particle, which nobody clicked
            self._layers.leave()

    def _on_point(self, point: LatentPoint | None, _before: object = None) -> None:
        if point is not None:
            self._layers.leave()

    def _on_decoded(self, now: Decoded | None, before: Decoded | None) -> None:
        if now is not None and before is None:  # the first map, of a training for instance
            self._layers.leave()

    def _on_overview(self, found: Overview) -> None:
        self.session.overview = found

    def _on_particles(self, *_: object) -> None:
        self.overviews.cancel()
        self.montages.cancel()
        self.session.overview = None
        self._layers.remove()
