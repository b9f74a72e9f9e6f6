"""Losses of an epoch survive that a run is killed between its last step and its end."""

from __future__ import annotations

from dataclasses import replace

import torch

from napari_tomodrgn.learn.run.checkpoint import Position
from napari_tomodrgn.learn.training.step.loss_record import LossRecord


def record() -> LossRecord:
    weight = torch.nn.Parameter(torch.zeros(1))
    return LossRecord(torch.optim.AdamW([weight], fused=True), torch.device("cpu"))


def add(to: LossRecord, position: Position, value: float) -> Position:
    to.begin_at(position)
    to.add(*(torch.tensor(value * factor, dtype=torch.float64) for factor in (1, 2, 3)))
    return to.read(replace(position, step=position.step + 1))


def test_a_run_resumed_after_the_last_step_keeps_its_losses() -> None:
    saved = Position(
        epoch=4, step=6, particles=24, reconstruction=3.0, kl=0.5, total=3.5, seconds=1.0
    )
    assert record().read(saved) == saved  # no step is left, none is made


def test_a_run_resumed_before_it_goes_on_from_its_losses() -> None:
    whole = record()
    first = add(whole, Position(epoch=4, step=0), 1.0)
    second = add(whole, first, 2.0)
    assert (second.reconstruction, second.kl) == (3.0, 6.0)
    assert add(record(), first, 2.0) == second


def test_a_new_epoch_that_is_stopped_before_its_first_step_has_no_losses() -> None:
    losses = record()
    add(losses, Position(epoch=4, step=0), 1.0)
    begun = Position(epoch=5, step=0)
    assert losses.read(begun) == begun
