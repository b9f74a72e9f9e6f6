"""Back-projection of a selection, or of a sample of all, beside the decoded map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.background.workers import Stop
from napari_tomodrgn.gui.volumes.isosurfaces import make_isosurface
from napari_tomodrgn.learn.runtime.events import WorkProgress
from napari_tomodrgn.session import Session, Validation
from napari_tomodrgn.session.actions import Action
from napari_tomodrgn.work_status import WorkStatus

if TYPE_CHECKING:
    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.learn.run.directory import Run


class ReconstructionService(Service):
    """Reconstructs particles in a thread and puts the result into the session."""

    doing = "reconstructing"

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.job = self.long_task("tomoDRGN reconstruction", self._on_event)
        self.job.ended.connect(self._on_ended)
        self._done: tuple[list[str], Action] = ([], Action(""))
        self.contouring = self.latest_task(self._on_contoured, computes=True)
        self.listen(self._on_particles, "particles")
        self.listen(self._contour, "sigma", "canvas_mode")

    def start(self) -> None:
        """Reconstruct the selection."""
        session = self.session
        if self.job.is_busy:
            return
        if session.particles is None:
            session.show_message(
                "The particles of this run cannot be read, so not reconstructed.", "error"
            )
            return
        if len(session.selection) < 2:
            session.show_message(
                "Select at least two particles: the halves need one each.",
                "warning",
                lambda: len(session.selection) >= 2,
            )
            return
        name = name_of_selection(session)
        how = Action.of("reconstruct", name)
        self._start((name, sorted(session.selection)), session.run, how)

    def start_sample(self) -> None:
        """Reconstruct some particles spread over the set; kept nowhere."""
        particles = self.session.particles
        if particles is None or self.job.is_busy:
            return
        from napari_tomodrgn.analysis.reconstruct import spread_sample

        how = Action.of("reconstruct_sample")
        self._start(("quick reconstruction", spread_sample(particles)), None, how)

    def _start(self, wanted: tuple[str, list[str]], keep: Run | None, how: Action) -> None:
        session, particles = self.session, self.session.particles
        assert particles is not None
        session.message = None
        session.reconstruction_status = WorkStatus(True)
        run = session.run
        # As trained, or as it would be.
        config = RunConfig(data=session.import_options.data) if run is None else run.config
        name, ids = wanted
        self._done = (ids, how)
        asked = _ReconstructionRequest(name, config, session.sigma, keep)
        self.job.start(lambda stop: _steps(particles.select(ids), asked, stop))

    def stop(self) -> None:
        """Give the reconstruction up."""
        self.job.stop()

    def _on_event(self, item: Any) -> None:
        if isinstance(item, Validation):
            # A slow one may end after something else was opened.
            if self.session.particles is not None:
                self.session.validation = item
                self._record()
        elif isinstance(item, WorkProgress):
            self.session.reconstruction_status = WorkStatus(True, item.done / max(1, item.total))

    def _contour(self, *_: object) -> None:
        """Contour the map on show anew, where it is in sight."""
        found, sigma = self.session.validation, self.session.sigma
        if found is None or self.session.canvas_mode != "particle" or found.mesh.sigma == sigma:
            return
        self.contouring.request(lambda: _contoured(found, sigma))

    def _on_contoured(self, item: tuple[Validation, Validation]) -> None:
        before, now = item
        if self.session.validation is before:  # else another was made meanwhile
            self.session.validation = now

    def _record(self) -> None:
        """Note it once it is done: one that was given up has left nothing."""
        ids, how = self._done
        if how.arguments and ids != sorted(self.session.selection):
            how = Action.of(how.verb, *how.arguments, particles=ids)  # selected since: another set
        self.session.record(how)

    def _on_ended(self) -> None:
        self.session.reconstruction_status = WorkStatus()

    def _on_particles(self, *_: object) -> None:
        self.job.stop()
        self.session.validation = None


def _contoured(found: Validation, sigma: float) -> Iterator[tuple[Validation, Validation]]:
    yield found, replace(found, mesh=make_isosurface(found.volume, sigma))


def name_of_selection(session: Session) -> str:
    """The name under which the selection is kept, else ``selection``."""
    now = session.selection
    same = (one.name for one in session.selections if frozenset(one.particles) == now)
    return next(same, "selection")


@dataclass(frozen=True)
class _ReconstructionRequest:
    """What to call the map, how to make it, where it is contoured, and the run that keeps it."""

    name: str
    config: RunConfig
    sigma: float
    keep: Run | None


def _steps(chosen: ParticleSet, asked: _ReconstructionRequest, stop: Stop) -> Iterator[object]:
    from napari_tomodrgn.analysis.reconstruct import reconstruct_steps

    steps = reconstruct_steps(chosen, data=asked.config.data, weight=asked.config.weight)
    while True:
        try:
            event = next(steps)
        except StopIteration as finished:
            result = finished.value
            break
        yield event
        if stop():
            return
    folder, failure = None, None
    if asked.keep is not None:
        folder = asked.keep.path / "analysis" / "reconstructions" / asked.name
        try:
            _save(result, folder)
        except BadInputError as error:  # the map can be looked at nevertheless
            folder, failure = None, error
    yield Validation(
        name=asked.name,
        particles=result.particles,
        resolution_angstrom=result.resolution_angstrom,
        frequency=np.asarray(result.fsc.frequency_per_angstrom, np.float64),
        correlation=np.asarray(result.fsc.correlation, np.float64),
        volume=result.filtered,
        mesh=make_isosurface(result.filtered, asked.sigma),
        folder=folder,
    )
    if failure is not None:
        raise failure


def _save(result: Any, folder: Path) -> None:
    try:
        result.save(folder)
    except OSError as error:
        raise BadInputError(f"{folder}: cannot be written ({error.strerror}).") from error
