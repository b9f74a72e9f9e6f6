"""What a check says: its verdict, its figure, why it is asked, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError

Severity = Literal["error", "warning", "info"]
Verdict = Literal["ok", "info", "warning", "error"]


@dataclass(frozen=True)
class Problem:
    """One finding: how bad, a short stable code, what was found, and what to do about it."""

    severity: Severity
    code: str
    message: str
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """One question that was asked of the data, and the answer, also where all is well.

    Attributes
    ----------
    code
        Short and stable; that of the problem where there is one.
    verdict
        ``ok``, or how bad it is. What so little data cannot decide is ``info``, never an alarm.
    message
        What was found, a sentence.
    number
        The figure behind the verdict; of a problem, usually how many it concerns.
    why
        What goes wrong if this is wrong.
    remedy
        What to do about it.
    """

    code: str
    verdict: Verdict
    message: str
    number: float | None = None
    why: str = ""
    remedy: str = ""

    @property
    def problem(self) -> Problem | None:
        """The check as a problem; None if all is well."""
        if self.verdict == "ok":
            return None
        return Problem(self.verdict, self.code, self.message, self.remedy)


@dataclass(frozen=True)
class CheckResult:
    """What a question found wrong; `CheckSpec` adds why it was asked."""

    severity: Severity
    code: str
    message: str
    remedy: str = ""
    number: float | None = None

    @classmethod
    def of_error(cls, error: BadInputError, number: float, more: str = "") -> CheckResult:
        """The error that reading would stop at; ``more`` ends its sentence."""
        message = error.message.removesuffix(".") + more + "."
        return cls("error", error.code, message, error.remedy, number)


@dataclass(frozen=True)
class CheckSpec:
    """A question to a set.

    Attributes
    ----------
    ask
        Yields what is wrong.
    code
        Of the check if all is well.
    passed
        What is then said, of any set or of this one.
    figure
        The number that is then shown.
    why
        What goes wrong if this is wrong.
    """

    ask: Callable[[ParticleSet], Iterator[CheckResult]]
    code: str
    passed: str | Callable[[ParticleSet], str]
    figure: Callable[[ParticleSet], float]
    why: str

    def checks(self, particles: ParticleSet) -> Iterator[Check]:
        """The answer: one check for each finding, or one that all is well."""
        all_well = True
        for each in self.ask(particles):
            all_well = False
            yield Check(each.code, each.severity, each.message, each.number, self.why, each.remedy)
        if all_well:
            words = self.passed if isinstance(self.passed, str) else self.passed(particles)
            yield Check(self.code, "ok", words, self.figure(particles), self.why)


def problems_of(checks: Iterable[Check]) -> list[Problem]:
    """What of the checks is not well, worst first."""
    problems = [check.problem for check in checks if check.problem is not None]
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(problems, key=lambda problem: order[problem.severity])
