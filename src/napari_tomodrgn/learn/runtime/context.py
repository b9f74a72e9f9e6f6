"""What every stage of a run shares: whether it may go on, and which processes train together."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TypeVar

from napari_tomodrgn.learn.runtime.distributed import ProcessGroup
from napari_tomodrgn.learn.runtime.events import Event, WorkProgress
from napari_tomodrgn.learn.runtime.steps import Cancelled, Stop, never

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class RunContext:
    """The surroundings of a run, made once and handed to its stages.

    Attributes
    ----------
    stop
        Asked often; once it answers True, the stage at work raises `Cancelled`.
    processes
        The processes that train one model together; a single one unless more were started.
    """

    stop: Stop = never
    processes: ProcessGroup = field(default_factory=ProcessGroup)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that prepares, writes and reports."""
        return self.processes.is_first

    def raise_if_stopped(self) -> None:
        """Raise `Cancelled` if someone asked this process to stop."""
        if self.stop():
            raise Cancelled

    def raise_if_any_stopped(self) -> None:
        """Raise `Cancelled` on all processes if someone asked any of them to stop."""
        if self.processes.any_true(self.stop()):
            raise Cancelled

    def run_steps(
        self, steps: Generator[int, None, T], total: int, what: str, part: str = ""
    ) -> Generator[Event, None, T]:
        """Run steps that yield how many of ``total`` are done, report them; return their result.

        That they begin is reported, too: the first of them may take long.

        Raises
        ------
        Cancelled
            After the step in which ``stop`` came to answer True.
        """
        yield WorkProgress(0, total, what, part)
        while True:
            try:
                done = next(steps)
            except StopIteration as finished:
                value: T = finished.value
                return value
            yield WorkProgress(min(done, total), total, what, part)
            self.raise_if_stopped()

    def run_on_first(self, steps: Generator[Event, None, T]) -> Generator[Event, None, T]:
        """Run what the first process does alone; see `ProcessGroup.run_on_first`."""
        return (yield from self.processes.run_on_first(steps, self.stop))

    def wait_for_first(self) -> None:
        """Wait for what the first process does alone; see `ProcessGroup.wait_for_first`."""
        self.processes.wait_for_first(self.stop)
