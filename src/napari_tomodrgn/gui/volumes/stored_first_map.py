"""The map that a run is opened with: kept in the run, so that it is there before the network is.

Importing torch and reading the network takes a second or two; reading one map takes none of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.workers import LatestTask
from napari_tomodrgn.gui.volumes.isosurfaces import contour
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.session import Decoded, Session, typical_particle

if TYPE_CHECKING:
    from pathlib import Path

    from napari_tomodrgn.learn.run.directory import Run

_log = logging.getLogger(__name__)
_LARGEST_BOX = 128  # px: 8 MB


class StoredFirstMap(QObject):
    """Reads the map of a run's typical particle, and keeps it when it was decoded."""

    answered = Signal(object)  # Decoded; None where the run has none

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.reading, self.writing = LatestTask(self), LatestTask(self)
        self.reading.item.connect(lambda found: self.answered.emit(found[0]))
        self.reading.failed.connect(self._unreadable)
        self.writing.failed.connect(lambda error: _log.debug("A first map is not kept: %s", error))
        self._kept: Path | None = None
        session.events.decoded.connect(self._keep)

    @property
    def queues(self) -> tuple[LatestTask, ...]:
        """What may be under way."""
        return self.reading, self.writing

    def ask(self, run: Run, epoch: int, identity: str) -> None:
        """Look for the map of this particle, the typical one of an epoch."""
        sigma = self.session.sigma

        def work() -> Iterator[tuple[Decoded | None]]:
            yield (_read(run, epoch, identity, sigma),)

        self.reading.request(work)

    def _unreadable(self, error: Exception) -> None:
        _log.debug("A first map is damaged: %s", error)
        self.answered.emit(None)

    def _keep(self, decoded: Decoded | None) -> None:
        session, run = self.session, self.session.run
        if decoded is None or not decoded.complete or decoded.particle_id is None or run is None:
            return
        if session.training.busy or session.latents is None or decoded.epoch != session.epoch:
            return
        file, volume = run.analysis.first_map_file(decoded.epoch), decoded.volume
        typical = decoded.particle_id == typical_particle(session.latents)
        if not typical or file == self._kept or volume.box_size_px > _LARGEST_BOX:
            return
        self._kept = file

        def work() -> Iterator[Any]:
            from napari_tomodrgn.data.volume import write_volume

            if not file.exists():
                file.parent.mkdir(exist_ok=True)
                write_volume(file, volume)
            yield None

        self.writing.request(work)


def _read(run: Run, epoch: int, identity: str, sigma: float) -> Decoded | None:
    from napari_tomodrgn.data.volume import read_volume

    file = run.analysis.first_map_file(epoch)
    if not file.is_file():
        return None
    volume = read_volume(file)
    return Decoded(volume, contour(volume, sigma), identity, epoch, complete=False)
