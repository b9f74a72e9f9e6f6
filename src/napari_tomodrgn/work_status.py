"""What long work of a window is doing, as small values of the session. No Qt here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_tomodrgn.learn.runtime.events import Finished, Losses, WorkProgress

Unit = Literal["epoch", "iteration"]  # iterations are those of the linear model
TrainingPhase = Literal["idle", "preparing", "training", "paused", "stopping", "following"]
# What ends the linear method: not the held-out losses, which fall on as more detail is counted.
_FINE_ENOUGH = (
    "finer detail hardly helps any more to tell apart particles that were left out of the fit"
)
# What parts of a comparison take, one against the other: means of 120, 200 and 600 particles of 21
# tilts, box 32, on two cores (26, 34 and 90 s). Of a second comparison only the last two come.
_COMPARISON_PARTS = {
    "Reading images": 1.0,
    "Fitting tilt halves": 74.0,
    "Adding up images": 10.0,
    "Comparing": 10.0,
    "Reconstructing": 5.0,
}
# Nothing is said of the time left before so much of all was seen.
_LEAST_SEEN = 0.05
# Nor before so many seconds: of a second comparison a quarter is there at once.
_LEAST_SECONDS = 3.0
_NEARLY = 0.99  # no more before the end


@dataclass(frozen=True)
class WorkStatus:
    """Whether a piece of work is under way, how far (0…1), what it is at, and how long still.

    ``stopped``: the user ended it, so that part of what it was to find is not known.
    """

    busy: bool = False
    fraction: float = 0.0
    what: str = ""
    seconds_left: float | None = None  # None while it is not known
    stopped: bool = False

    @property
    def left(self) -> str:
        """How long it still takes, the same wherever it is said; nothing while it is not known."""
        return left_words(self.seconds_left)


@dataclass(frozen=True)
class TrainingStatus:
    """How far a training is.

    The phase ``following`` is a training that another process does, seen through its folder.
    """

    phase: TrainingPhase = "idle"
    epoch: int = 0
    epochs: int = 0
    first_epoch: int = 1  # above 1 where a run goes on
    fraction: float = 0.0  # of the time of the whole training, 0…1
    losses: Losses | None = None
    seconds_left: float | None = None  # until all is done
    at_most: bool = False  # it may be less: training may stop before its last epoch
    what: str = ""  # what it is at, or of one that is followed, its name
    unit: Unit = "epoch"
    run_name: str = ""  # of the run that this window trains

    @property
    def busy(self) -> bool:
        """Whether a training thread of this window is alive."""
        return self.phase not in ("idle", "following")

    @property
    def is_at_work(self) -> bool:
        """Whether it is neither held nor about to end."""
        return self.phase in ("preparing", "training")

    @property
    def part(self) -> str:
        """What it is at."""
        begun = f"{self.unit.capitalize()} {self.epoch} of {self.epochs}"
        return self.what or (begun if self.epoch else "Reading images")

    @property
    def left(self) -> str:
        """How long it still takes, the same wherever it is said; nothing while it is not known."""
        return left_words(self.seconds_left, at_most=self.at_most)

    @property
    def words(self) -> str:
        """What it is at, how far in all, and how long it still takes."""
        whole = "the training" if self.first_epoch == 1 else "what is left"
        return training_words(self.part, self.fraction, self.left, whole)

    @property
    def short_words(self) -> str:
        """The same in 20 letters: ``23%, ≤ 3 min left``, and what it is at until that is known."""
        if self.seconds_left is None:
            part = self.part.split(":")[0].split(" of ")[0]
            return f"{part} … {percent(self.fraction)}"
        sign = "≤ " if self.at_most else ""
        return f"{percent(self.fraction)}, {sign}{duration(self.seconds_left)} left"


def finished_words(event: Finished, wanted: int, unit: Unit = "epoch") -> str:
    """Say after which epoch a training ended, and why it did not do all that were asked for."""
    done = event.epoch
    if event.reason == "stopped":
        if done < 1:
            return f"Training stopped before its first {unit} was complete."
        before = f" {unit.capitalize()} {done - 1} is the last complete one." if done > 1 else ""
        again = " To finish it, all of them are fitted again." if unit == "iteration" else ""
        return f"Training stopped in {unit} {done}.{before}{again}"
    if 0 < done < wanted and unit == "iteration":
        return f"Done after iteration {done} of at most {wanted}: {_FINE_ENOUGH}."
    if 0 < done < wanted:
        return f"Done after {unit} {done} of {wanted}: held-out images gain no more."
    return f"Training finished after {unit} {done}."


def training_words(what: str, fraction: float, left: str, whole: str = "the training") -> str:
    """``Epoch 3 of 30 … 23% of the training, about 3 min left``."""
    return f"{what} … {percent(fraction)} of {whole}{left}"


def percent(fraction: float) -> str:
    """``23%``; 100 only where all is done."""
    return f"{int(100 * fraction + 1e-9)}%"


def left_words(seconds: float | None, *, at_most: bool = False) -> str:
    """``, about 3 min left``, or nothing while nothing is known of it."""
    if seconds is None:
        return ""
    return f", about {duration(seconds)} left{' at most' if at_most else ''}"


def duration(seconds: float) -> str:
    """``40 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class ComparisonProgress:
    """How far a comparison is as a whole, and how long it still takes: from its events alone.

    A part that does not come, because the run or the window has kept it, counts nothing.

    Attributes
    ----------
    fraction
        Of the whole, 0 to 1; it never falls.
    seconds_left
        Until there is a result; None while too little was seen.
    """

    def __init__(self) -> None:
        self.fraction = 0.0
        self.seconds_left: float | None = None
        self._part, self._done = "", 0.0

    def tell(self, event: WorkProgress, seconds: float) -> None:
        """Take in an event that came so many seconds after the comparison was asked for."""
        part, share = event.what, event.done / max(event.total, 1)
        if part not in _COMPARISON_PARTS:
            return
        if part != self._part:
            self._done += _COMPARISON_PARTS.get(self._part, 0.0)
            self._part = part
        order = list(_COMPARISON_PARTS)
        later = sum(_COMPARISON_PARTS[one] for one in order[order.index(part) + 1 :])
        done = self._done + share * _COMPARISON_PARTS[part]
        ahead = (1 - share) * _COMPARISON_PARTS[part] + later
        seen = done / (done + ahead)
        self.fraction = max(self.fraction, min(seen, _NEARLY))
        known = seen >= _LEAST_SEEN and seconds >= _LEAST_SECONDS
        self.seconds_left = seconds * (1 - seen) / seen if known else None
