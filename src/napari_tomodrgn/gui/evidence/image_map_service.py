"""The map at the point on show from the images of the particles around, instead of decoded.

The decoded map is there at once and stays until the other is made; the next click gives that up.
What all such maps share is gathered once (`evidence_service`), and never given up by a click; while
the images of all particles are added up, a coarse map of the nearest ones comes first.
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
from napari_tomodrgn.session import Decoded, DecodedMap, LatentPoint, Session, same_run
from napari_tomodrgn.work_status import WorkStatus

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.analysis.evidence.kernel_map import KernelMap
    from napari_tomodrgn.analysis.evidence.session import Evidence, TiltHalves
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
        self._around_alone = False  # the set is too large for sums of all in full detail
        evidence.halves_ready.connect(self._on_halves)
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

    def _on_halves(self, halves: TiltHalves) -> None:
        from napari_tomodrgn.analysis.evidence.kernel_map import are_sums_fine

        place = self._place_in(halves)
        if place is None:
            return
        self._around_alone = not are_sums_fine(halves)
        known, look = self._finished.get(place.key), VolumeStyle.of(self.session)
        if known is None:
            # Alone, it is there in half the time; what all images give then takes its place.
            self._evidence.hold(_NAME)
            self.queue.request(lambda: _steps_around(place, halves, look))
        elif not look.difference:
            self.queue.request(lambda: iter([_Made(place, known, dressed(known, look))]))

    def _on_evidence(self, evidence: Evidence) -> None:
        place = self._place_in(evidence)
        if place is None:  # nothing is chosen any more, or what the run does not know
            self.session.image_map_status = WorkStatus()
        else:
            known, look = self._finished.get(place.key), VolumeStyle.of(self.session)
            self.queue.request(lambda: _steps(place, evidence, known, look))

    def _place_in(self, halves: TiltHalves) -> _Place | None:
        """Where a map is wanted; None also for a particle of another table than the run's."""
        place = self._place()
        if self.session.map_source != "images" or place is None:
            return None
        known = place.identity is None or place.identity in halves.ids
        return place if known else None

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
        elif same_run(item.place.run, session.run) and session.map_source == "images":
            if item.lasts:
                self._finished[item.place.key] = item.made
            while len(self._finished) > _MOST_KEPT:
                self._finished.popitem(last=False)
            session.decoded = item.drawn

    def _on_busy(self, busy: bool) -> None:
        if not busy:
            self._on_idle()
        if not busy and not self._evidence.is_awaited(_NAME):
            self.session.image_map_status = WorkStatus()

    def _on_idle(self) -> None:
        """Let images of all be added up, for the next places, where that gives as fine maps."""
        if self._around_alone and not VolumeStyle.of(self.session).difference:
            self._evidence.release(_NAME)
        else:
            self._evidence.go_on(_NAME)

    def _on_refused(self) -> None:
        if self.session.map_source == "images":
            self.session.map_source = "decoded"

    def _on_run(self, run: Run | None, old: Run | None = None) -> None:
        if same_run(run, old):
            return  # at another epoch: the map of its images is still wanted, and still the same
        self.queue.cancel()
        self._finished.clear()
        self.session.image_map_status = WorkStatus()


@dataclass(frozen=True, eq=False)
class _Made:
    place: _Place
    made: DecodedMap
    drawn: Decoded
    lasts: bool = True  # no better one is under way


def _steps(
    place: _Place, evidence: Evidence, known: DecodedMap | None, look: VolumeStyle
) -> Iterator[Any]:
    from napari_tomodrgn.analysis.evidence.kernel_map import (
        are_sums_fine,
        kernel_map,
        neighborhood_map,
    )

    if known is None:
        fine = are_sums_fine(evidence) or look.difference
        make = kernel_map if fine else neighborhood_map
        known = _found_at(place, (yield from make(evidence, _points(place, evidence))))
    other = (yield from _other(evidence, look.against)) if look.difference else None
    yield _Made(place, known, dressed(known, look, other))


def _steps_around(place: _Place, halves: TiltHalves, look: VolumeStyle) -> Iterator[Any]:
    """Coarse of the nearest particles, then of more at full detail where the set is large."""
    from napari_tomodrgn.analysis.evidence.kernel_map import (
        are_sums_fine,
        coarse_map,
        has_neighborhood,
        neighborhood_map,
    )

    points = _points(place, halves)
    coarse = _found_at(place, (yield from coarse_map(halves, points)), complete=False)
    yield _Made(place, coarse, dressed(coarse, look), lasts=False)
    # A difference is to the map of all particles, or to another place: that takes all images.
    alone = not are_sums_fine(halves)
    if (has_neighborhood(len(halves.ids)) or alone) and not look.difference:
        fine = _found_at(place, (yield from neighborhood_map(halves, points)))
        yield _Made(place, fine, dressed(fine, look), lasts=alone)


def _found_at(place: _Place, found: KernelMap, complete: bool = True) -> DecodedMap:
    return DecodedMap(
        found.volume,
        place.identity,
        place.epoch,
        complete,
        point=place.point,
        effective_particles=found.effective_particles,
        resolution_angstrom=found.fsc.resolution_angstrom(),
    )


def _other(evidence: Evidence, identity: str) -> Generator[WorkProgress, None, Volume]:
    """What a map is compared with: the map of all particles, or that at one of them."""
    from napari_tomodrgn.analysis.evidence.kernel_map import kernel_map, mean_volume

    if identity not in evidence.ids:
        return mean_volume(evidence)
    row = evidence.ids.index(identity)
    points = evidence.latents[0][row], evidence.latents[1][row]
    return (yield from kernel_map(evidence, points)).volume


def _points(place: _Place, halves: TiltHalves) -> tuple[_FloatArray, _FloatArray]:
    """The place in the latents of each tilt half."""
    from napari_tomodrgn.analysis.evidence.kernel_map import carry_point

    if place.point is None:
        row = halves.ids.index(str(place.identity))
        return halves.latents[0][row], halves.latents[1][row]
    table = latent_matrix(place.latents.loc[halves.ids])
    return carry_point(table.astype(np.float64), halves.latents, np.array(place.point.z))
