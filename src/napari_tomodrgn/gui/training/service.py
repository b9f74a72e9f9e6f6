"""Training in a thread: start, pause, stop, go on; what it tells goes into the session."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.folders_in_use import folder_gone
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.background.workers import Stop
from napari_tomodrgn.gui.particles.load import make_ready, metrics_of, quality_of, run_folder
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK, epoch_unit
from napari_tomodrgn.learn.run.lock import TRAINED
from napari_tomodrgn.learn.runtime.events import (
    EpochDone,
    Finished,
    LatentsReady,
    Notice,
    Progress,
    Started,
)
from napari_tomodrgn.session import Session
from napari_tomodrgn.session.actions import Action, file_name
from napari_tomodrgn.work_status import TrainingStatus, finished_words

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.learn.run.directory import Run
    from napari_tomodrgn.learn.training.progress import Outlook, WholeProgress

# Epochs of small sets take less than the eye needs; the last is always shown.
_SECONDS_BETWEEN_LATENTS = 1.0
_SECONDS_BETWEEN_LOOKS = 0.05
# What is left to do is counted down also where a part of the work says nothing for long.
_MILLISECONDS_BETWEEN_COUNTS = 1000


@dataclass(frozen=True, eq=False)
class LatentsRead:
    """Latents of an epoch and the losses so far, already read from disk."""

    run: Run
    table: pd.DataFrame
    epoch: int
    metrics: pd.DataFrame | None = None


@dataclass(frozen=True, eq=False)
class MetricsRead:
    """The losses so far, after an epoch that left no latents."""

    table: pd.DataFrame | None
    folder: Path  # of the run


@dataclass(frozen=True, eq=False)
class QualityRead:
    """What was measured when the training ended."""

    quality: dict[str, Any]
    folder: Path  # of the run


class TrainingService(Service):
    """The training of a window, one at a time."""

    doing = "training"

    ended = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.job = self.long_task(
            "tomoDRGN training (it is saved when it is stopped)", self._on_event
        )
        self.job.ended.connect(self._on_ended)
        self._held = threading.Event()
        self._began = self._paused = 0.0
        self._progress: WholeProgress | None = None
        self._started_with = RunConfig(), 0, False  # on how many particles, whether to go on
        self.timer = self.repeat(_MILLISECONDS_BETWEEN_COUNTS, self._count_down)
        self._trained: Path | None = None  # into which folder
        self._asked: Action | None = None  # what was asked for, until it is recorded
        self._final_notice = ""  # what is to be read when the training is over

    @property
    def running(self) -> bool:
        """Whether a training thread is alive, be it paused."""
        return self.job.is_busy

    def start(self, config: RunConfig, out: str | Path, *, resume: bool = False) -> None:
        """Train on the particles that are open, into the folder ``out``."""
        particles = self.session.particles
        if particles is None:
            self.session.show_message(
                "Open a star file first: there is nothing to train on.",
                "warning",
                lambda: self.session.particles is not None,
            )
            return
        if self.running:
            return
        self.session.message = None
        unit = epoch_unit(config)
        folder = Path(out).expanduser()
        self.session.training = TrainingStatus(
            "preparing", epochs=config.train.epochs, unit=unit, run_name=folder.name
        )
        self._held.clear()
        run, self._final_notice, self._trained = self.session.run, "", folder
        # A run that was stopped in its first look begins with it again.
        goes_on = resume and run is not None and run.resume_file.exists()
        self._progress, self._started_with = None, (config, len(particles), goes_on)
        self._began = time.monotonic()
        self.timer.start()
        held = self._held.is_set
        self._asked = _action(config, folder, resume=resume)
        self.job.start(lambda stop: _steps(particles, config, (folder, resume), stop, held))

    def resume_run(self, config: RunConfig) -> None:
        """Go on with the run that is open, up to the epochs of the configuration."""
        run = self.session.run
        if run is not None:
            self.start(config, run.path, resume=True)

    def pause(self) -> None:
        """Hold the training where it is, its images kept in memory."""
        status = self.session.training
        if self.running and status.is_at_work:
            self._held.set()
            self._paused = time.monotonic()
            self.session.training = replace(status, phase="paused", seconds_left=None)

    def resume(self) -> None:
        """End the pause."""
        if self._held.is_set() and self.session.training.phase == "paused":
            self._began += time.monotonic() - self._paused
            self.session.training = replace(self.session.training, phase="training")
            self._held.clear()

    def stop(self) -> None:
        """Ask the training to save and stop, also while it is paused."""
        if self.running:
            self.session.training = replace(self.session.training, phase="stopping")
            self.job.stop()

    def _follow(self, event: Any) -> Outlook:
        """Work out how far the training is after an event."""
        if self._progress is None:
            # Not as it is started: the thread has read by now what this would be waited for.
            from napari_tomodrgn.learn.training.progress import WholeProgress

            config, particles, resume = self._started_with
            self._progress = WholeProgress(config, particles, self.session.forecast, resume=resume)
        return self._progress.tell(event, time.monotonic() - self._began)

    def _count_down(self) -> None:
        status = self.session.training
        if self._progress is not None and status.is_at_work:
            outlook = self._progress.at(time.monotonic() - self._began)
            self.session.training = advanced(status, outlook)

    def _on_event(self, event: Any) -> None:
        session = self.session
        if isinstance(event, LatentsRead):
            self._leave_other_run(event.run.path)
            session.show_latents(event.run, event.table, event.epoch, event.metrics)
        elif isinstance(event, MetricsRead | QualityRead):
            if not self._another_is_on_show(event.folder):
                if isinstance(event, MetricsRead):
                    session.metrics = event.table
                else:
                    session.quality = event.quality
        elif isinstance(event, Started):
            self._start_over(event)
        elif isinstance(event, Finished):
            self._tell_end(event)
        elif isinstance(event, Notice):
            self._final_notice = event.text if event.lasting else self._final_notice
            session.show_message(event.text)
        else:
            outlook = self._follow(event)
            if session.training.phase not in ("stopping", "paused"):
                session.training = advanced(session.training, outlook, event)

    def _tell_end(self, event: Finished) -> None:
        status, run = self.session.training, self.session.run
        words = finished_words(event, status.epochs, status.unit)
        if (
            run is not None
            and self._trained is not None
            and self._another_is_on_show(self._trained)
        ):
            words += f" Still on show: {run.path.name}."
        elif run is not None:
            words += f" Saved in {run.path.name}."
            words += why_on_show(run, event.epoch) if event.reason != "stopped" else ""
        self.session.show_message(f"{words} {self._final_notice}".rstrip())

    def _start_over(self, event: Started) -> None:
        session = self.session
        self._final_notice = ""
        phase = session.training.phase
        phase = phase if phase in ("stopping", "paused") else "training"
        first = event.first_epoch
        before = session.training
        status = replace(
            TrainingStatus(phase, first, event.epochs, first_epoch=first),
            unit=before.unit,
            run_name=before.run_name,
        )
        status = advanced(status, self._follow(event))
        # Another run stays on show until there is something of this one to be seen in its place.
        if not self._another_is_on_show(event.run):
            self._leave_other_run(event.run)
        session.training = status

    def _another_is_on_show(self, trained: Path) -> bool:
        session = self.session
        if session.run is None or session.latents is None:
            return False
        return session.run.path.resolve() != trained.resolve()

    def _leave_other_run(self, trained: Path) -> None:
        """Record what was asked for, and forget the run that was open, if it is another one."""
        session, asked = self.session, self._asked
        self._asked = None
        if asked is not None:
            session.record(asked)
        if session.run is None or session.run.path.resolve() != trained.resolve():
            session.start_run(session.training)

    def _on_ended(self) -> None:
        self.timer.stop()
        self.session.training = TrainingStatus()
        self.ended.emit()


def _action(config: RunConfig, folder: Path, *, resume: bool) -> Action:
    """The training as it is recorded, with the settings that are not the defaults."""
    settings = config.model_dump(mode="json", exclude_defaults=True)
    if resume:
        return Action.of("go_on", settings)
    return Action.of("train", file_name(folder), settings)


def why_on_show(run: Run, last: int) -> str:
    """Why a run that is over shows another epoch than its last; empty where it shows that."""
    chosen = run.info.chosen_epoch
    if chosen is None or chosen == last:
        return ""
    if chosen == FIRST_LOOK:
        return " The first look stays: it explains held-out images better."
    return f" On show is epoch {chosen}: of all epochs it explains held-out images best."


def advanced(status: TrainingStatus, outlook: Outlook, event: Any = None) -> TrainingStatus:
    """The status once this is known of the whole training, after an event or as time goes by."""
    known = replace(
        status,
        fraction=outlook.fraction,
        seconds_left=outlook.seconds_left,
        at_most=outlook.at_most,
        what=outlook.what,
    )
    if isinstance(event, Progress | EpochDone):
        return replace(known, phase="training", epoch=event.epoch, losses=event.losses)
    return known


def _steps(
    particles: ParticleSet,
    config: RunConfig,
    where: tuple[Path, bool],
    stop: Stop,
    held: Callable[[], bool],
) -> Iterator[object]:
    """The events of a training, latents read from disk here so that the window need not wait."""
    from napari_tomodrgn.learn.training.train import train

    out, resume = where
    newest, read = -1, LatestRead(out)
    for event in train(particles, config, out, resume=resume, stop=stop):
        if isinstance(event, LatentsReady):
            again = event.epoch <= newest  # the first look at a finer radius, or refined latents
            newest = event.epoch
            yield from read.news(anew=again)
            if event.epoch == FIRST_LOOK:
                yield _quality_of(out)
            continue
        if isinstance(event, Finished) and read.some:
            # Also where they were read already: only now the run says how it ended.
            yield from read.news(anew=True)
        if isinstance(event, Finished):
            yield _quality_of(out)
        yield event
        if isinstance(event, EpochDone) and event.checkpoint is None:
            yield _metrics_of(out)
        while held() and not stop():
            time.sleep(_SECONDS_BETWEEN_LOOKS)


class LatestRead:
    """Reads what a run has to show by now, no more often than the eye needs.

    Attributes
    ----------
    some
        Whether there was anything to read.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._when = 0.0
        self._epoch: int | None = None
        self.some = False

    def news(self, *, anew: bool) -> Iterator[LatentsRead | MetricsRead]:
        """The latents to show; the losses alone where those are on show, unless asked ``anew``."""
        self.some = True
        now = time.monotonic()
        if not anew and now - self._when <= _SECONDS_BETWEEN_LATENTS:
            return
        self._when = now
        run = _run_in_training(self._out)
        epoch = run.epoch_to_show()
        if epoch is None:
            return
        if epoch == self._epoch and not anew:
            yield MetricsRead(metrics_of(run), run.path)
            return
        self._epoch = epoch
        table = run.latents(epoch)
        make_ready(table)
        yield LatentsRead(run, table, epoch, metrics_of(run))


def _run_in_training(out: Path) -> Run:
    """The run as it stands, which has begun: where there is none it was taken away."""
    from napari_tomodrgn.learn.run.directory import Run

    try:
        return Run.open(out)
    except BadInputError as error:
        if error.code != "not-a-run":
            raise
        raise folder_gone(out, TRAINED) from error


def _metrics_of(out: Path) -> MetricsRead:
    run = _run_in_training(out)
    return MetricsRead(metrics_of(run), run.path)


def _quality_of(out: Path) -> QualityRead:
    from napari_tomodrgn.learn.run.directory import Run

    return QualityRead(quality_of(Run.open(out)) if run_folder(out) else {}, out.resolve())
