"""The map that a run is opened with: kept in the run, so that it is there before the network is.

Importing torch and reading the network takes a second or two; reading one map takes none of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.background.workers import LatestTask
from napari_tomodrgn.gui.volumes.isosurfaces import make_isosurface
from napari_tomodrgn.particle_columns import typical_particle
from napari_tomodrgn.session import Decoded, Session

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from napari_tomodrgn.learn.run.directory import Run

_log = logging.getLogger(__name__)
# Drawing the scatter comes first.
_MILLISECONDS_FOR_THE_SCATTER = 60
_LARGEST_BOX = 128  # px: 8 MB


class StoredFirstMap(Service):
    """Chooses the first particle of a run, shows its stored map, and stores it once decoded."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.reading, self.writing = LatestTask(self), LatestTask(self)
        self.reading.item.connect(lambda found: self._focus_first(found[0]))
        self.reading.failed.connect(self._on_unreadable)
        self.writing.failed.connect(lambda error: _log.debug("A first map is not kept: %s", error))
        self._kept: Path | None = None
        self._drawn = self.delay(_MILLISECONDS_FOR_THE_SCATTER, self._request)
        self.listen(self._on_latents, "latents")
        self.listen(self._keep, "decoded")

    @property
    def is_busy(self) -> bool:
        """Whether the first particle is still to be chosen, or its map to be written."""
        return super().is_busy or self._drawn.isActive()

    def _on_latents(self, latents: pd.DataFrame | None, _old: object = None) -> None:
        self.reading.cancel()
        if latents is not None and self.session.focused is None:
            self._drawn.start()

    def _request(self) -> None:
        """Choose a first particle, once the scatter is drawn: importing torch leaves no time."""
        session, run = self.session, self.session.run
        if session.latents is None or session.focused is not None:
            return
        if run is None or session.training.busy:
            self._focus_first(None)
            return
        identity, epoch, sigma = typical_particle(session.latents), session.epoch, session.sigma
        filtered = session.shell_filter

        def work() -> Iterator[tuple[Decoded | None]]:
            yield (_read(run, epoch, identity, sigma) if filtered else None,)

        self.reading.request(work)

    def _focus_first(self, stored: Decoded | None) -> None:
        """Show the map that the run kept, until the particle is decoded anew."""
        session = self.session
        if session.focused is not None or session.latents is None:
            return
        typical = typical_particle(session.latents)
        if stored is not None and (stored.particle_id, stored.epoch) == (typical, session.epoch):
            session.decoded = stored
        session.focused = typical

    def _on_unreadable(self, error: Exception) -> None:
        _log.debug("A first map is damaged: %s", error)
        self._focus_first(None)

    def _keep(self, decoded: Decoded | None) -> None:
        session, run = self.session, self.session.run
        if decoded is None or not decoded.complete or decoded.particle_id is None or run is None:
            return
        if decoded.effective_particles is not None or not session.shell_filter:
            return  # a run keeps what its network makes, as it is opened
        if session.training.busy or session.latents is None or decoded.epoch != session.epoch:
            return
        file, volume = run.analysis.first_map_file(decoded.epoch), decoded.volume
        typical = decoded.particle_id == typical_particle(session.latents)
        if not typical or file == self._kept or volume.box_size_px > _LARGEST_BOX:
            return
        self._kept = file

        def work() -> Iterator[object]:
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
    surface = make_isosurface(volume, sigma)
    shell_filtered = run.shell_filter(epoch) is not None
    return Decoded(
        volume, identity, epoch, complete=False, shell_filtered=shell_filtered, mesh=surface
    )
