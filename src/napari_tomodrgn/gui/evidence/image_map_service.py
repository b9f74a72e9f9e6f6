"""The map at the point on show from the images of the particles around, instead of decoded.

The decoded map is there at once and stays until the other is made; the next click gives that up.
What all such maps share is gathered once (`evidence_service`), and never given up by a click.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.evidence.evidence_service import EvidenceService
from napari_tomodrgn.gui.volumes.decoding_service import VolumeStyle, dressed
from napari_tomodrgn.learn.runtime.events import WorkProgress
from napari_tomodrgn.particle_columns import latent_matrix
from napari_tomodrgn.session import Decoded, DecodedMap, LatentPoint, Session
from napari_tomodrgn.work_status import WorkStatus

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.analysis.evidence.session import Evidence
    from napari_tomodrgn.data.volume import Volume
    from napari_tomodrgn.learn.run.directory import Run

_NAME = "image map"
_MOST_KEPT = 32
_FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a map is made: at a particle, or at a free point of the latents of an epoch."""

    run: Run
    epoch: int
    identity: str | None
    point: LatentPoint | None
    latents: pd.DataFrame

    @property
    def key(self) -> tuple[Any, ...]:
        """Of two places where one map is made: a particle's is the same in each epoch."""
        epoch = self.epoch if self.point is not None else 0
        return str(self.run.path), epoch, self.identity, self.point


class ImageMapService(Service):
    """Puts maps from images into ``session.decoded`` while ``session.map_source`` asks for them."""

    doing = "making a map from images"

    def __init__(
        self, session: Session, evidence: EvidenceService, parent: QObject | None = None
    ) -> None:
        super().__init__(session, parent)
        self._evidence = evidence
        self.queue = self.latest_task(self._on_item, computes=True)
        self.queue.busy.connect(self._on_busy)
        self._finished: OrderedDict[tuple[Any, ...], DecodedMap] = OrderedDict()
        evidence.ready.connect(self._on_evidence)
        evidence.progress.connect(self._on_reading)
        evidence.refused.connect(self._on_refused)
        self.listen(self.refresh, "map_source", "focused", "free_point")
        self.listen(self.refresh, "sigma", "lowpass", "style", "pinned")
        self.listen(self._on_run, "run")

    def refresh(self, *_: Any) -> None:
        """Make the map of what is chosen now, or give up what is under way."""
        session = self.session
        self.queue.cancel()
        if session.map_source != "images":
            self._evidence.release(_NAME)
            session.image_map_status = WorkStatus()
        elif self._place() is not None:
            self._evidence.request(_NAME)

    def _place(self) -> _Place | None:
        session = self.session
        if session.run is None or session.latents is None:
            return None
        identity = session.focused if session.free_point is None else None
        if identity is None and session.free_point is None:
            return None
        return _Place(session.run, session.epoch, identity, session.free_point, session.latents)

    def _on_evidence(self, evidence: Evidence) -> None:
        place = self._place()
        if self.session.map_source != "images" or place is None:
            return
        if place.identity is not None and place.identity not in evidence.ids:
            return  # of another table than the run was trained on
        known, look = self._finished.get(place.key), VolumeStyle.of(self.session)
        self.queue.request(lambda: _steps(place, evidence, known, look))

    def _on_reading(self, event: WorkProgress) -> None:
        if self.session.map_source == "images":
            self._show(event)

    def _show(self, event: WorkProgress) -> None:
        fraction = event.done / max(1, event.total)
        self.session.image_map_status = WorkStatus(True, fraction, event.what)

    def _on_item(self, item: Any) -> None:
        session = self.session
        if isinstance(item, WorkProgress):
            self._show(item)
        elif item.place.run is session.run and session.map_source == "images":
            self._finished[item.place.key] = item.made
            while len(self._finished) > _MOST_KEPT:
                self._finished.popitem(last=False)
            session.decoded = item.drawn

    def _on_busy(self, busy: bool) -> None:
        if not busy:
            self.session.image_map_status = WorkStatus()

    def _on_refused(self) -> None:
        if self.session.map_source == "images":
            self.session.map_source = "decoded"

    def _on_run(self, *_: Any) -> None:
        self.queue.cancel()
        self._finished.clear()
        self.session.image_map_status = WorkStatus()


@dataclass(frozen=True, eq=False)
class _Made:
    place: _Place
    made: DecodedMap
    drawn: Decoded


def _steps(
    place: _Place, evidence: Evidence, known: DecodedMap | None, look: VolumeStyle
) -> Iterator[Any]:
    from napari_tomodrgn.analysis.evidence.kernel_map import kernel_map

    if known is None:
        found = yield from kernel_map(evidence, _points(place, evidence))
        known = DecodedMap(
            found.volume,
            place.identity,
            place.epoch,
            complete=True,
            point=place.point,
            effective_particles=found.effective_particles,
            resolution_angstrom=found.fsc.resolution_angstrom(),
        )
    other = (yield from _other(evidence, look.against)) if look.difference else None
    yield _Made(place, known, dressed(known, look, other))


def _other(evidence: Evidence, identity: str) -> Generator[WorkProgress, None, Volume]:
    """What a map is compared with: the map of all particles, or that at one of them."""
    from napari_tomodrgn.analysis.evidence.kernel_map import kernel_map, mean_volume

    if identity not in evidence.ids:
        return mean_volume(evidence)
    row = evidence.ids.index(identity)
    points = evidence.latents[0][row], evidence.latents[1][row]
    return (yield from kernel_map(evidence, points)).volume


def _points(place: _Place, evidence: Evidence) -> tuple[_FloatArray, _FloatArray]:
    """The place in the latents of each tilt half."""
    from napari_tomodrgn.analysis.evidence.kernel_map import carry_point

    if place.point is None:
        row = evidence.ids.index(str(place.identity))
        return evidence.latents[0][row], evidence.latents[1][row]
    table = latent_matrix(place.latents.loc[evidence.ids])
    return carry_point(table.astype(np.float64), evidence.latents, np.array(place.point.z))
