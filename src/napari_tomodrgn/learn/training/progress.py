"""How far a whole training is, and how long it still takes: worked out from its events alone.

A training is a list of parts, each with the time that it is expected to take: by the forecast of
the set where there is one, else by what parts cost on small sets, one against the other. As parts
end, what they took corrects what is expected of those to come. So there is one bar from the first
image to the last comparison; it never goes back, and is full only when all is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.learn.linear.engine import FIRST_RADIUS, FIT_STEPS, MIN_PARTICLES, RADIUS_STEP
from napari_tomodrgn.learn.linear.second_look import looks_twice
from napari_tomodrgn.learn.runtime.events import (
    EpochDone,
    Event,
    Finished,
    Progress,
    Started,
    WorkProgress,
)
from napari_tomodrgn.learn.training.forecast_stages import compared, embedded_twice

Stage = Literal["reading", "first look", "epochs", "finishing"]
_PREFIX = {"first look": "First look: ", "finishing": "Finishing: "}
_EPOCHS, _COMPONENTS, _SECOND = "epochs", "Finding components", "Looking for smaller differences"
# Radii that are fitted, one that brings nothing among them: as many as on the sets below. The time
# of a radius grows with it, to the power of 0.9 with 120 particles, 1.6 with 200.
_RADII, _GROWTH = 4, 1.5
# A forecast counts as much as this share of it would, seen.
_TRUST = 0.1
# Without one, nothing is said of the time left before so much of all was seen.
_LEAST_SEEN = 0.03
# A part is reckoned by its own pace once so much of it is done.
_OWN_PACE = 0.25
# What was seen in the stages before counts so much less: machines become slower and faster.
_FORGETTING = 0.5
# Of what is overdue, nobody knows how long it takes: the longer it has taken, the longer.
_OVERDUE = 0.25
_NEARLY, _A_MOMENT_S = 0.995, 0.5  # no more, and no less left, before the end


@dataclass(frozen=True)
class Part:
    """A part of a training, known by the ``part`` of its events or else by their words.

    ``expected`` is what it takes: in seconds, or in a unit that the pace will tell.
    """

    key: str
    stage: Stage
    expected: float


@dataclass(frozen=True)
class _UsualPart:
    """What a part usually costs, against what a particle costs in an epoch.

    ``fixed`` whatever the size of the set, ``each`` for every one of ``number(particles)``.
    """

    key: str
    stage: Stage
    fixed: float
    each: float
    number: Callable[[int], int] = int
    needs: Callable[[RunConfig, int], bool] | None = None

    def cost(self, particles: int) -> float:
        """What it costs a set of so many."""
        return self.fixed + self.each * self.number(particles)


def _is_vae(config: RunConfig, particles: int) -> bool:
    return config.method != "linear"


def _is_linear(config: RunConfig, particles: int) -> bool:
    return config.method == "linear"


def _has_mean(config: RunConfig, particles: int) -> bool:
    return config.method != "linear" and config.model.mean_map


def _has_components(config: RunConfig, particles: int) -> bool:
    starts = _has_mean(config, particles) and config.model.linear_start
    return starts and particles >= MIN_PARTICLES


def _if_large(needs: Callable[[RunConfig, int], bool]) -> Callable[[RunConfig, int], bool]:
    return lambda config, particles: needs(config, particles) and looks_twice(particles)


def _refines(config: RunConfig, particles: int) -> bool:
    return config.method != "linear" and config.train.refine and particles > 1


# Measured with 120, 200 and 600 particles of 21 tilts, box 32, on two cores beside other work; a
# second look with 6,000 of 41 tilts, box 48 (`docs/benchmarks.md`).
_PARTS = (
    _UsualPart("Checking image files", "reading", 1, 0),
    _UsualPart("Determining contrast", "reading", 35, 0),
    _UsualPart("Reading images", "reading", 0, 0.5),
    _UsualPart("Averaging particles", "first look", 0, 0.35, needs=_has_mean),
    _UsualPart(_COMPONENTS, "first look", 440, 4.3, needs=_has_components),
    _UsualPart(_SECOND, "first look", 0, 6, needs=_if_large(_has_components)),
    _UsualPart("Comparing held-out images", "first look", 0, 0.12, compared, _has_components),
    _UsualPart("Refining components", "first look", 45, 1.3, needs=_has_components),
    _UsualPart(_EPOCHS, "epochs", 0, 1),
    _UsualPart("encoder latents", "finishing", 0, 0.04, compared, _is_vae),
    _UsualPart("encoder errors", "finishing", 0, 0.16, compared, _is_vae),
    _UsualPart("encoder halves", "finishing", 0, 0.034, embedded_twice, _is_vae),
    _UsualPart("guess", "finishing", 0, 0.045, needs=_refines),
    _UsualPart("basis", "finishing", 100, 0, needs=_refines),
    _UsualPart("refined latents", "finishing", 0, 0.46, compared, _refines),
    _UsualPart("refined errors", "finishing", 0, 0.14, compared, _refines),
    _UsualPart("refined halves", "finishing", 0, 0.35, embedded_twice, _refines),
    _UsualPart("rescaled latents", "finishing", 0, 0.46, compared, _refines),
    _UsualPart("rescaled errors", "finishing", 0, 0.14, compared, _refines),
    _UsualPart("rescaled halves", "finishing", 0, 0.35, embedded_twice, _refines),
    # Only where refined latents explain less: not expected.
    _UsualPart("one map", "finishing", 0, 0, needs=_refines),
    _UsualPart("filter", "finishing", 0, 2.2, compared, _is_vae),
    _UsualPart("all latents", "finishing", 0, 0.42, needs=_refines),
    _UsualPart("linear latents", "finishing", 0, 0.09, compared, _has_components),
    _UsualPart("linear errors", "finishing", 0, 0.025, compared, _has_components),
    _UsualPart("linear halves", "finishing", 0, 0.05, embedded_twice, _has_components),
    _UsualPart("linear filter", "finishing", 0, 0.15, compared, _has_components),
    _UsualPart(_SECOND, "finishing", 0, 6, needs=_if_large(_is_linear)),
    _UsualPart("Averaging particles", "finishing", 0, 0.35, needs=_is_linear),
    _UsualPart("Refining components", "finishing", 60, 1.55, needs=_is_linear),
    _UsualPart("Comparing held-out images", "finishing", 0, 0.12, compared, _is_linear),
)


@dataclass(frozen=True)
class Outlook:
    """How far a training is.

    Attributes
    ----------
    fraction
        Of its whole time, 0 to 1; 1 only when it is over.
    what
        Words for what it is at.
    seconds_left
        Until all is done; None while nothing is known of it.
    at_most
        Whether it may well be less: training may stop before the last epoch.
    """

    fraction: float = 0.0
    what: str = "Reading images"
    seconds_left: float | None = None
    at_most: bool = False


class WholeProgress:
    """Follows the events of a training; times are seconds since it began, pauses left out.

    Parameters
    ----------
    config, particles
        What is trained, on how many.
    forecast
        What was said of it: times of `learn.training.forecast`, and ``seconds`` of all of it.
    resume
        Whether it goes on with a run.
    """

    def __init__(
        self,
        config: RunConfig,
        particles: int,
        forecast: Mapping[str, object] | None = None,
        *,
        resume: bool = False,
    ) -> None:
        self.config = config
        self._parts, self._is_forecast = expected_parts(
            config, particles, forecast or {}, resume=resume
        )
        self._number = 0  # of the part that is at work
        self._share = 0.0  # of it that is done
        self._began = self._told = self._moved = 0.0  # when it began, was heard of, was shown last
        self._first, self._last = 1, config.train.epochs
        whole = sum(part.expected for part in self._parts)
        # What was seen so far, in seconds, and what was expected of the same work.
        self._took = self._expected = _TRUST * whole if self._is_forecast else 0.0
        self._outlook = Outlook(seconds_left=whole if self._is_forecast else None)

    def tell(self, event: Event, seconds: float) -> Outlook:
        """Take in an event that came after so many seconds; return how far training is."""
        if isinstance(event, WorkProgress):
            self._on_work(event, seconds)
        elif isinstance(event, Started):
            self._on_start(event, seconds)
        elif isinstance(event, Progress):
            self._on_epochs(event.epoch, event.seen / max(event.total, 1), seconds)
        elif isinstance(event, EpochDone):
            self._on_epochs(event.epoch, 1.0, seconds)
        elif isinstance(event, Finished):
            self._outlook = replace(self._outlook, fraction=1.0, seconds_left=0.0)
            return self._outlook
        return self.at(seconds)

    def at(self, seconds: float) -> Outlook:
        """How far training is after so many seconds, be there news or not."""
        left, fraction = self._seconds_left(seconds), self._outlook.fraction
        if left is None:
            fraction = max(fraction, self._share_of_work())
        else:
            # As fast as brings it to the end in time; further where less is left than was thought.
            since = max(seconds - self._moved, 0.0)
            fraction += (1 - fraction) * since / (since + left)
            fraction = max(fraction, seconds / (seconds + left))
        self._moved = max(seconds, self._moved)
        self._outlook = replace(
            self._outlook,
            fraction=max(self._outlook.fraction, min(fraction, _NEARLY)),
            seconds_left=left,
            at_most=self._may_stop_early(),
        )
        return self._outlook

    @property
    def _part(self) -> Part:
        return self._parts[self._number]

    def _on_work(self, event: WorkProgress, seconds: float) -> None:
        key, share = event.part or event.what, event.done / max(event.total, 1)
        if key == _COMPONENTS:
            share = share_of_radii(event.done / FIT_STEPS, event.total // FIT_STEPS)
            if self._part.key == _EPOCHS:  # of the linear method, each radius is one
                self._move_to(self._number, share, seconds)
                self._say_epoch(event.done // FIT_STEPS + 1)
                return
        ahead = [n for n, part in enumerate(self._parts) if part.key == key and n >= self._number]
        if ahead:
            self._move_to(ahead[0], share, seconds)
        prefix, what = _PREFIX.get(self._part.stage, ""), event.what
        what = f"{prefix}{what[:1].lower()}{what[1:]}" if prefix else what
        self._outlook = replace(self._outlook, what=what)

    def _on_start(self, event: Started, seconds: float) -> None:
        self._first, self._last = event.first_epoch, event.epochs
        number = next(n for n, part in enumerate(self._parts) if part.key == _EPOCHS)
        if self.config.method != "linear":
            share = max(event.epochs - event.first_epoch + 1, 0) / self.config.train.epochs
            epochs = replace(self._parts[number], expected=share * self._parts[number].expected)
            self._parts = (*self._parts[:number], epochs, *self._parts[number + 1 :])
        self._move_to(number, 0.0, seconds)
        self._say_epoch(min(event.first_epoch, event.epochs))

    def _on_epochs(self, epoch: int, of_epoch: float, seconds: float) -> None:
        done = epoch - self._first + of_epoch
        if self.config.method == "linear":
            share = share_of_radii(int(done), self._last)
        else:
            share = done / max(self._last - self._first + 1, 1)
        self._say_epoch(epoch)
        self._move_to(self._number, share, seconds)

    def _move_to(self, number: int, share: float, seconds: float) -> None:
        """Be at a part: those between come no more, and what the last one took is known."""
        if number > self._number:
            self._took, self._expected = self._seen(seconds, ended=True)
            if self._parts[number].stage != self._part.stage:
                self._took *= _FORGETTING
                self._expected *= _FORGETTING
            self._number, self._began, self._share = number, seconds, 0.0
        self._share = min(share, 1.0)
        self._told = seconds

    def _seen(self, seconds: float, *, ended: bool = False) -> tuple[float, float]:
        """Seconds taken so far, and those that were expected of the same work.

        How fast images are read says nothing about what is computed.
        """
        part = self._part
        if part.stage == "reading" or not part.expected:
            return self._took, self._expected
        # Epochs may be fewer; other parts are over when the next begins.
        share = 1.0 if ended and part.key != _EPOCHS else self._share
        return self._took + seconds - self._began, self._expected + share * part.expected

    def _pace(self) -> float | None:
        """Seconds for one expected; None while too little was seen."""
        took, expected = self._seen(self._told)
        ahead = sum(part.expected for part in self._parts[self._number :])
        too_little = not self._is_forecast and expected < _LEAST_SEEN * (self._expected + ahead)
        if too_little or not expected:
            return None
        return took / expected

    def _seconds_left(self, seconds: float) -> float | None:
        pace = self._pace()
        if pace is None:
            return None
        whole, spent = pace * self._part.expected, self._told - self._began
        if self._share > 0:
            # By its own pace the more, the more of it is done.
            own = min(self._share / _OWN_PACE, 1.0)
            whole = own * spent / self._share + (1 - own) * whole
        left = (1 - self._share) * whole
        waited = max(seconds - self._told, 0.0)
        left = max(left - waited, _OVERDUE * waited)
        left += pace * sum(part.expected for part in self._parts[self._number + 1 :])
        return max(left, _A_MOMENT_S)

    def _share_of_work(self) -> float:
        done = sum(part.expected for part in self._parts[: self._number])
        return (done + self._share * self._part.expected) / sum(p.expected for p in self._parts)

    def _may_stop_early(self) -> bool:
        ahead = {part.key for part in self._parts[self._number :]}
        train = self.config.train
        return self.config.method != "linear" and train.patience > 0 and _EPOCHS in ahead

    def _say_epoch(self, epoch: int) -> None:
        linear = self.config.method == "linear"
        what = f"Iteration {epoch} of at most" if linear else f"Epoch {epoch} of"
        self._outlook = replace(self._outlook, what=f"{what} {self._last}")


def share_of_radii(done: float, possible: int) -> float:
    """What share of the time of all radii those done took: of as many as usual, or of one more.

    It falls where one more is fitted than was thought.
    """
    usual = min(max(_RADII, int(done) + 1), max(possible, 1))
    costs: list[float] = [(FIRST_RADIUS + RADIUS_STEP * n) ** _GROWTH for n in range(usual)]
    whole = int(done)
    of_next = (done - whole) * costs[whole] if whole < usual else 0.0
    return (sum(costs[:whole]) + of_next) / sum(costs)


def expected_parts(
    config: RunConfig, particles: int, forecast: Mapping[str, object], *, resume: bool = False
) -> tuple[tuple[Part, ...], bool]:
    """The parts of a training in their order, and whether their times are those of a forecast.

    Of a run to be gone on with, nothing is expected before its epochs but that images are read.
    """
    parts = [
        Part(part.key, part.stage, part.cost(particles))
        for part in _PARTS
        if not part.needs or part.needs(config, particles)
    ]
    if resume:
        parts = [replace(p, expected=0.0) if p.stage == "first look" else p for p in parts]
    wanted = _RADII if config.method == "linear" else config.train.epochs
    parts = [replace(p, expected=wanted * p.expected) if p.key == _EPOCHS else p for p in parts]
    factors = _factors(config, parts, forecast)
    if not factors:
        return tuple(parts), False
    # What a forecast leaves out, such as reading images, costs as much against epochs as elsewhere.
    rest = factors["epochs"]
    return tuple(replace(p, expected=p.expected * factors.get(p.stage, rest)) for p in parts), True


def finishing_in_epochs(config: RunConfig, particles: int) -> float:
    """How many epochs' time is usually taken after the last one, by a set of so many particles."""
    parts, _ = expected_parts(config, particles, {})
    epochs, after = (
        sum(part.expected for part in parts if part.stage == stage)
        for stage in ("epochs", "finishing")
    )
    return config.train.epochs * after / epochs if epochs else 0.0


def _factors(
    config: RunConfig, parts: list[Part], forecast: Mapping[str, object]
) -> dict[str, float]:
    """Seconds of a forecast for what is expected, stage by stage; empty where there is none."""
    if "seconds" not in forecast:
        return {}
    before, epoch, after = (
        float(str(forecast[name]))
        for name in ("first_look_seconds", "seconds_per_epoch", "refining_seconds")
    )
    linear = config.method == "linear"
    seconds = {
        "first look": 0.0 if linear else before,
        "epochs": before if linear else config.train.epochs * epoch,
        "finishing": after,
    }
    found = {}
    for stage, of_stage in seconds.items():
        expected = sum(part.expected for part in parts if part.stage == stage)
        if of_stage and expected:
            found[stage] = of_stage / expected
    return found if "epochs" in found else {}
