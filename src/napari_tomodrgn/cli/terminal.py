"""Progress on a terminal: a bar where there is one, plain lines in a log file."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from tqdm import tqdm

from napari_tomodrgn.learn.run.epoch_files import epoch_unit
from napari_tomodrgn.learn.runtime.events import (
    EpochDone,
    Event,
    Finished,
    Notice,
    Progress,
    Started,
    WorkProgress,
)
from napari_tomodrgn.work_status import finished_words, left_words, percent, training_words

if TYPE_CHECKING:
    from napari_tomodrgn.learn.training.progress import WholeProgress

# Lines of progress in a log file are at least this far apart.
_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_REFRESHES = 0.1  # of a bar, as tqdm does it
_STEPS = 1000  # of the bar of a whole training
T = TypeVar("T")


def say(text: str) -> None:
    """One line on stderr, above a bar if there is one."""
    tqdm.write(text, file=sys.stderr)


@contextmanager
def stop_on_interrupt(*, aloud: bool = True) -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, or SIGTERM, so that work ends where it can be saved.

    A second Ctrl-C breaks; not one within a second of the first signal, as launchers pass on what
    the terminal has sent already.
    """
    asked, first = threading.Event(), [0.0]

    def handle(number: int, frame: FrameType | None) -> None:
        if not asked.is_set():
            asked.set()
            first[0] = time.monotonic()
            if aloud:
                say("Stopping; everything is being saved …")
        elif number == signal.SIGINT and time.monotonic() - first[0] > 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    # SIGTERM is how a cluster says that the time is up, and how launchers pass on Ctrl-C.
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Bar:
    """A bar with an ETA on a terminal; a line every ten seconds elsewhere."""

    def __init__(self, text: str, unit: str) -> None:
        self.text = text
        self.unit = unit
        self._bar: tqdm[object] | None = None
        self._first: tuple[float, int] | None = None  # when, and how many were done by then
        self._said = time.monotonic()

    def show(self, done: int, total: int, note: str = "") -> None:
        """Show that ``done`` of ``total`` are over."""
        now = time.monotonic()
        self._first = self._first or (now, done)
        if sys.stderr.isatty():
            if self._bar is None:
                self._bar = tqdm(total=total, desc=self.text, unit=self.unit, leave=False)
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)
            return
        begun, before = self._first
        if now - self._said >= _SECONDS_BETWEEN_LINES and done > before:
            self._said = now
            left = (now - begun) / (done - before) * (total - done)
            words = f"{done}/{total} {self.unit}".rstrip()
            say(f"{self.text}: {words}, {left:.0f} s left {note}".rstrip())

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def watch(steps: Generator[WorkProgress, None, T], text: str = "") -> T:
    """Run a generator of `WorkProgress` events to its end with a bar; its result is returned.

    With ``text`` the events are of images and the bar bears it; without, the bar says what is done.
    """
    bar = Bar(text, "images" if text else "")
    try:
        while True:
            try:
                event = next(steps)
            except StopIteration as done:
                value: T = done.value
                return value
            bar = bar if text else _bar_of(event, bar)
            bar.show(event.done, event.total)
    finally:
        bar.close()


def last_of(events: Iterator[Event]) -> Event | None:
    """Run to the end without a word; the last event is returned."""
    last = None
    for event in events:
        last = event
    return last


class TrainingBar:
    """One bar for a whole training on a terminal; a line every ten seconds elsewhere."""

    def __init__(self, progress: WholeProgress) -> None:
        self._progress = progress
        self._bar: tqdm[object] | None = None
        self._began = self._said = time.monotonic()

    def show(self, event: Event) -> None:
        """Show how far training is after an event."""
        now = time.monotonic()
        outlook = self._progress.tell(event, now - self._began)
        left = left_words(outlook.seconds_left, at_most=outlook.at_most)
        loss = f"loss {event.losses.reconstruction:.4f}" if isinstance(event, Progress) else ""
        if sys.stderr.isatty():
            words = f"{outlook.what} {percent(outlook.fraction)}"
            if self._bar is None:
                shape = "{desc}|{bar}|{postfix}"
                self._bar = tqdm(total=_STEPS, desc=words, leave=False, bar_format=shape)
            self._bar.set_description_str(words, refresh=False)
            self._bar.set_postfix_str(f"{left.removeprefix(', ')} {loss}".strip(), refresh=False)
            self._bar.n = int(_STEPS * outlook.fraction)
            if now - self._said >= _SECONDS_BETWEEN_REFRESHES:
                self._said = now
                self._bar.refresh()
        elif now - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = now
            say(f"{training_words(outlook.what, outlook.fraction, left)} {loss}".rstrip())

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def tell(events: Iterator[Event], progress: WholeProgress) -> Finished | None:
    """Show the events of a run and how far it is; the last one is returned."""
    bar, unit = TrainingBar(progress), epoch_unit(progress.config)
    finished, epochs = None, 0
    try:
        for event in events:
            if isinstance(event, Started):
                epochs = event.epochs
                say(
                    f"{event.particles} particles, {event.images} images, "
                    f"{unit}s {event.first_epoch} to {event.epochs} on {event.device} → {event.run}"
                )
            elif isinstance(event, EpochDone):
                say(_epoch_line(event, epochs, unit))
            elif isinstance(event, Notice):
                say(event.text)
            elif isinstance(event, Finished):
                finished = event
            bar.show(event)
    finally:
        bar.close()
    if finished is not None and finished.reason != "stopped":  # of which the command says more
        say(finished_words(finished, epochs, unit))
    return finished


def _bar_of(event: WorkProgress, bar: Bar) -> Bar:
    """The bar for this kind of work: a new one where another kind begins."""
    if bar.text == event.what:
        return bar
    bar.close()
    return Bar(event.what, "")


def _epoch_line(event: EpochDone, epochs: int, unit: str) -> str:
    losses = event.losses
    held_out = "" if losses.held_out != losses.held_out else f"  held out {losses.held_out:.4f}"
    return (
        f"{unit} {event.epoch}/{epochs}  {event.seconds:.1f} s  "
        f"reconstruction {losses.reconstruction:.4f}{held_out}  KL {losses.kl:.2f}"
    )
