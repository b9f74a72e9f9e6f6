"""The epochs of a training: steps, then what an epoch leaves on disk and tells."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import replace

from napari_tomodrgn.learn.inference.held_out import EarlyStopping
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.run.checkpoint import Position, save_state, save_weights
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.events import (
    EpochDone,
    Event,
    LatentsReady,
    Losses,
    Notice,
    Progress,
)
from napari_tomodrgn.learn.runtime.steps import Cancelled
from napari_tomodrgn.learn.training.trainer import Trainer
from napari_tomodrgn.learn.training.whole_set import embed_all, held_out_errors

# Each is read from the device and, in a window, has all of it put together again.
_SECONDS_BETWEEN_PROGRESS = 0.5


class Interval:
    """A clock that says when so many seconds have gone by since it last said so."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last = time.perf_counter()

    def is_due(self, share: float = 1.0) -> bool:
        """Whether they have, or a share of them."""
        now = time.perf_counter()
        if now - self._last <= self.seconds * share:
            return False
        self._last = now
        return True


class EpochLoop:
    """Trains epoch by epoch, from a position on.

    Attributes
    ----------
    run, trainer
        Where to write, and what makes the steps.
    stopping
        Held-out errors so far; they say when to stop.
    position
        Epoch and step that come next.
    """

    def __init__(
        self, run: Run, trainer: Trainer, stopping: EarlyStopping, position: Position
    ) -> None:
        self.run, self.trainer = run, trainer
        self.stopping, self.position = stopping, position
        self._progress = Interval(_SECONDS_BETWEEN_PROGRESS)

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or held-out images have not improved for long enough."""
        train = self.trainer.config.train
        # A run killed while an epoch was written has seen that epoch, but not left it behind.
        is_written = self.stopping.seen < self.position.epoch
        stops = is_written and self.stopping.should_stop(train.patience)
        return self.position.epoch > train.epochs or stops

    def run_epoch(self) -> Generator[Event, None, None]:
        """Run the rest of an epoch, measure held-out images, embed all particles, save."""
        trainer = self.trainer
        try:
            yield from self._steps()
            errors = held_out_errors(trainer)
            posterior = embed_all(trainer)
        except (Cancelled, GeneratorExit):
            # A step that was cut short has not touched the weights: the position is still theirs.
            self.position = trainer.read_losses(self.position)
            self._save(self.position)
            raise
        done = self.position
        self.stopping = self.stopping.updated(
            done.epoch, errors, has_checkpoint=self._has_checkpoint(done.epoch)
        )
        losses = replace(done.losses, held_out=float(errors.nanmean()))
        gain = self.stopping.gain_over_first_look(errors)
        if trainer.context.is_first:
            self.stopping.save(self.run.early_stopping_file)
            yield from self._close_epoch(losses, gain, posterior)
        self.position = Position(epoch=done.epoch + 1, step=0)

    def _steps(self) -> Generator[Event, None, None]:
        trainer, before, started = self.trainer, self.position.seconds, time.perf_counter()
        save = Interval(trainer.config.train.save_seconds)
        order = trainer.order(self.position.epoch)
        while self.position.step < trainer.steps:
            after = trainer.step(self.position, order)
            self.position = replace(after, seconds=before + time.perf_counter() - started)
            if save.is_due():
                self.position = trainer.read_losses(self.position)
                self._save(self.position)
            if self._progress.is_due():
                self.position = trainer.read_losses(self.position)
                done, total = self.position, trainer.data.particle_count
                yield Progress(done.epoch, done.particles, total, done.losses)
            yield from self._notices()
        self.position = trainer.read_losses(self.position)
        if save.is_due(0.1):
            # What follows takes long for large sets, too.
            self._save(self.position)

    def _close_epoch(
        self, losses: Losses, gain: float, posterior: Posterior
    ) -> Generator[Event, None, None]:
        """Write what an epoch leaves, then tell of it."""
        run, trainer, position = self.run, self.trainer, self.position
        epoch = position.epoch
        checkpoint = run.weights_file(epoch) if self._has_checkpoint(epoch) else None
        rate = float(trainer.optimiser.param_groups[0]["lr"])
        beta = trainer.beta(position)
        done = EpochDone(epoch, position.seconds, losses, checkpoint, beta, rate, gain)
        run.append_metrics(done.row)
        if checkpoint is not None:
            save_weights(checkpoint, trainer.model)
            table = run.save_latents(epoch, trainer.data.particles, posterior)
        self._save(Position(epoch=epoch + 1, step=0))
        yield done
        if checkpoint is not None:
            yield LatentsReady(epoch, table)

    def _has_checkpoint(self, epoch: int) -> bool:
        """Whether weights and latents of an epoch are kept."""
        train = self.trainer.config.train
        return epoch % train.checkpoint_every == 0 or epoch == train.epochs

    def _save(self, position: Position) -> None:
        """Write what resuming needs; one process does it for all."""
        trainer = self.trainer
        if trainer.context.is_first:
            save_state(self.run.resume_file, trainer.model, trainer.optimiser, position)

    def _notices(self) -> Iterator[Notice]:
        """What has happened to memory since it was last asked."""
        messages = self.trainer.chunk_sizes.messages
        while messages:
            yield Notice(messages.pop(0))
