"""Which epoch of a training that goes on is looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_tomodrgn.learn.run import tables
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK

NOTHING_KNOWN = float("nan")


@pytest.mark.parametrize(
    ("gains", "shown"),
    [
        ([-2.6], FIRST_LOOK),
        ([-2.6, -2.1, 1.1], 3),
        # It would go back and forth between epochs and the first look, map and points with it.
        ([-2.6, 0.2, -1.4], 2),
        ([-2.6, 0.2, -1.4, -0.9], 4),
        ([NOTHING_KNOWN, NOTHING_KNOWN], 2),
    ],
)
def test_a_good_epoch_stays_on_show_until_another_one_follows(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch, gains: list[float], shown: int
) -> None:
    run = Run.open(tiny_run)
    run = replace(run, info=run.info.model_copy(update={"chosen_epoch": None}))
    monkeypatch.setattr(Run, "has_first_look", True)
    monkeypatch.setattr(Run, "epochs", lambda _: list(range(1, len(gains) + 1)))
    monkeypatch.setattr(tables, "gain_over_first_look", lambda _, epoch: gains[epoch - 1])
    assert run.epoch_to_show() == shown
