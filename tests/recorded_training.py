"""Trainings as they were: their events with the seconds since the start, and what is said of them.

120 and 200 particles of 21 tilts, box 32, default settings but 10 and 6 epochs, on two cores beside
other work. Then an encoder was taught before the first epoch: those events, and what they took, are
left out; and that all particles are embedded was not counted: steps are numbered as they are now.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.learn.runtime.events import (
    EpochDone,
    Event,
    Finished,
    Losses,
    Progress,
    Started,
    WorkProgress,
)
from napari_tomodrgn.learn.training.progress import Outlook, WholeProgress

_FOLDER = Path(__file__).parent / "learn" / "training" / "recorded"
LOSSES = Losses(1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Recorded:
    """A training that was: its events with the seconds since its start."""

    config: RunConfig
    particles: int
    events: list[tuple[float, Event]]

    @property
    def seconds(self) -> float:
        return self.events[-1][0]

    def time_of(self, kind: type, which: int) -> float:
        return [seconds for seconds, event in self.events if isinstance(event, kind)][which]

    def forecast(self, factor: float) -> dict[str, object]:
        """What it took, times a factor, as it is forecast: once the images are read."""
        begun = next(t for t, e in self.events if getattr(e, "what", "") == "Averaging particles")
        started, trained = self.time_of(Started, 0), self.time_of(EpochDone, -1)
        epochs = self.config.train.epochs
        return {
            "first_look_seconds": factor * (started - begun),
            "seconds_per_epoch": factor * (trained - started) / epochs,
            "refining_seconds": factor * (self.seconds - trained),
            "seconds": factor * (self.seconds - begun),
        }

    def outlooks(self, forecast: dict[str, object] | None = None) -> list[tuple[float, Outlook]]:
        """What is said at each event, and once a second between them."""
        progress = WholeProgress(self.config, self.particles, forecast)
        told = []
        for number, (seconds, event) in enumerate(self.events):
            told.append((seconds, progress.tell(event, seconds)))
            later = self.events[number + 1][0] if number + 1 < len(self.events) else seconds
            for tick in range(int(seconds) + 1, int(later) + 1):
                told.append((float(tick), progress.at(float(tick))))
        return told


def read(name: str, config: dict[str, object]) -> Recorded:
    """A training from the table of its events."""
    particles = int(name.split("_")[1])
    with (_FOLDER / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    events = [(float(row["seconds"]), event_of(row, particles)) for row in rows]
    return Recorded(RunConfig.model_validate(config), particles, events)


def event_of(row: dict[str, str], particles: int) -> Event:
    kind, done, total = row["event"], int(row["done"]), float(row["total"] or 0)
    if kind == "WorkProgress":
        return WorkProgress(done, int(total), row["what"], row["part"])
    if kind == "Started":
        return Started(Path("run"), particles, 21 * particles, done, int(total), "cpu")
    if kind == "Progress":
        return Progress(done, round(total * particles), particles, LOSSES)
    if kind == "EpochDone":
        return EpochDone(done, 1.0, LOSSES, None)
    return Finished("completed", done)
