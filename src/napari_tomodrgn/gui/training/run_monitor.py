"""A run that another process trains, seen through its folder: looked at every two seconds.

Nothing tells that a training was killed. A run counts as being trained while its lock is there and
its folder was written to of late, by the clock of the disk; or, where that goes wrong, because a
change was seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_tomodrgn.folders_in_use import FolderInUse, release_folder, use_folder
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.gui.particles.load import make_ready, metrics_of, quality_of
from napari_tomodrgn.gui.training.service import why_on_show
from napari_tomodrgn.learn.run.epoch_files import epoch_unit
from napari_tomodrgn.learn.run.lock import LOCK_NAME
from napari_tomodrgn.learn.runtime.events import Losses
from napari_tomodrgn.session import Session
from napari_tomodrgn.session.verdict import Verdict
from napari_tomodrgn.work_status import TrainingStatus

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.learn.run.directory import Run
    from napari_tomodrgn.learn.run.run_info import RunInfo

_MILLISECONDS = 2000
# While it trains, something is saved every two minutes; short epochs say more.
_LONGEST_SILENCE_S = 300.0
_SHORTEST_SILENCE_S = 30.0
_EPOCHS_FOR_ETA = 5
_NEARLY = 0.995  # no more before the end


@dataclass(frozen=True, eq=False)
class RunSnapshot:
    """A run as it stood on the disk; ``latents`` are None where they were known before."""

    run: Run
    epoch: int
    latents: pd.DataFrame | None
    metrics: pd.DataFrame | None
    quality: dict[str, Any]
    written: float  # seconds since 1970, of the last write
    finishing_epochs: float = 0.0  # how many epochs' time is taken after the last one
    locked: bool = True  # whether a process says that it trains into the folder


class RunMonitor(Service):
    """Keeps the session in step with the run that is open, while it is unfinished.

    A run that is deleted while it is open is not made again by what the window keeps in it.
    """

    doing = "following a run"
    failure_severity = "warning"

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.queue = self.latest_task(self._on_snapshot)
        self.timer = self.repeat(_MILLISECONDS, self._request)
        self._written = 0.0
        self._changed = float("-inf")  # when a change was seen, on the clock of this process
        self._last_message = ""
        self._used: FolderInUse | None = None
        self.listen(self._use, "run")

    def start(self) -> None:
        """Follow the run that is open; nothing happens where there is none, or it is complete."""
        self.stop()
        run = self.session.run
        if run is None or _complete(run, self.session.epoch):
            return
        self._written, self._changed, self._last_message = 0.0, float("-inf"), ""
        self.timer.start()
        self._request()

    def close(self) -> None:
        """Look no more."""
        self.stop()
        self._use(None)
        super().close()

    def stop(self) -> None:
        """Look no more."""
        self.timer.stop()
        self.queue.cancel()
        if self.session.training.phase == "following":
            self.session.training = TrainingStatus()

    def _use(self, run: Run | None) -> None:
        if self._used is not None:
            release_folder(self._used)
        self._used = None if run is None else use_folder(run.path, ("run.json",), "open")

    def _request(self) -> None:
        run = self.session.run
        if run is None or self.session.training.busy:
            self.stop()  # what is trained here needs no looking at
        elif not self.queue.is_busy:
            # What an epoch left is written anew when the run ends with it, and the first look
            # at each finer radius: `run.json` tells of both.
            table = self.session.latents
            known = (None if table is None else self.session.epoch, run.info)
            particles = 0 if table is None else len(table)
            self.queue.request(lambda: _read_snapshot(run.path, known, particles))

    def _on_snapshot(self, seen: RunSnapshot) -> None:
        session, run = self.session, self.session.run
        if run is None or run.path != seen.run.path or session.training.busy:
            return
        if self._written and seen.written != self._written:
            self._changed = time.monotonic()
        self._written = seen.written
        self._last_message = ""
        if seen.latents is not None:
            session.show_latents(seen.run, seen.latents, seen.epoch, seen.metrics)
        if seen.quality != session.quality:  # that of the first look, then of the run
            session.quality = seen.quality
        if not _same(session.metrics, seen.metrics):
            session.metrics = seen.metrics
        if _complete(seen.run, session.epoch):
            was = session.training.phase == "following"
            self.stop()
            if was:
                words = f"Training of {run.path.name} is complete, {session.epoch_words}."
                words += why_on_show(seen.run, session.last_epoch_trained)
                session.show_message(f"{words} {Verdict.of(seen.quality).sentence}")
        else:
            self._set_status(seen)

    def _set_status(self, seen: RunSnapshot) -> None:
        """Say that it is being trained, or, after too long a silence, that it is not."""
        silence = time.monotonic() - self._changed
        if seen.locked:  # a training that was stopped has let go of it
            silence = min(silence, time.time() - seen.written)
        alive = silence < patience_s(seen.metrics)
        status = status_of(seen) if alive else TrainingStatus()
        if status != self.session.training:
            self.session.training = status

    def on_failed(self, error: Exception) -> None:
        """Tell what went wrong: once, not every two seconds."""
        if str(error) != self._last_message:
            self._last_message = str(error)
            super().on_failed(error)


def _read_snapshot(
    folder: Path, known: tuple[int | None, RunInfo], particles: int
) -> Iterator[RunSnapshot]:
    from napari_tomodrgn.learn.run.directory import Run
    from napari_tomodrgn.learn.training.progress import finishing_in_epochs

    run = Run.open(folder)
    epoch = run.epoch_to_show()
    news = (epoch, run.info) != known
    latents = run.latents(epoch) if news and epoch is not None else None
    if latents is not None:
        make_ready(latents)
    state = (latents, metrics_of(run), quality_of(run), _written(run))
    after, locked = finishing_in_epochs(run.config, particles), (folder / LOCK_NAME).exists()
    yield RunSnapshot(run, epoch or 0, *state, after, locked)


def _written(run: Run) -> float:
    """When the last file was put in place: renaming it there changes its folder."""
    folders = (run.path, run.resume_file.parent, run.latents_file(0).parent)
    return max(folder.stat().st_mtime for folder in folders)


def patience_s(metrics: pd.DataFrame | None) -> float:
    """How long a run may write nothing and still count as being trained."""
    if metrics is None or not len(metrics):
        return _LONGEST_SILENCE_S
    seconds = 3 * float(metrics["seconds"].iloc[-1])
    return min(max(seconds, _SHORTEST_SILENCE_S), _LONGEST_SILENCE_S)


def status_of(seen: RunSnapshot) -> TrainingStatus:
    """Epoch, losses and time left of a run that is being trained elsewhere.

    What comes after the last epoch is reckoned by how long epochs take here.
    """
    metrics, wanted = seen.metrics, _wanted(seen.run)
    if metrics is None or not len(metrics):
        return TrainingStatus("following", 0, wanted, what=seen.run.path.name)
    last = metrics.iloc[-1]
    done = int(last["epoch"])
    pace = float(metrics["seconds"].tail(_EPOCHS_FOR_ETA).mean())
    after = seen.finishing_epochs if wanted else 0.0
    since = max(0.0, time.time() - seen.written) / pace if done >= wanted and pace else 0.0
    left = max(wanted - done + after - since, 0.0)
    return TrainingStatus(
        "following",
        done,
        wanted,
        fraction=min(_NEARLY, 1 - left / (wanted + after)) if wanted else 0.0,
        losses=Losses(*(float(last[name]) for name in Losses.__dataclass_fields__)),
        seconds_left=pace * left if wanted else None,
        at_most=bool(wanted) and seen.run.config.train.patience > 0 and done < wanted,
        what=seen.run.path.name,
        unit=epoch_unit(seen.run.config),
    )


def _wanted(run: Run) -> int:
    """Epochs that the run is to have; 0 for the linear model, which decides that itself."""
    return 0 if run.config.method == "linear" else run.config.train.epochs


def _complete(run: Run, epoch: int) -> bool:
    """Whether the run is over, and the epoch that it ended with has been read."""
    return bool(run.info.imported_from) or run.info.chosen_epoch == epoch


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return bool(one.equals(other))
