"""What a terminal, or a log file, is told of a training: one progress from its start to its end."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING

from recorded_training import read

from napari_tomodrgn.cli import terminal
from napari_tomodrgn.learn.runtime.events import Event, Finished
from napari_tomodrgn.learn.training.progress import WholeProgress

if TYPE_CHECKING:
    import pytest

RECORDED = ("autoencoder_120", {"train": {"epochs": 10}})


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """All that is written to stderr of a training, at the times when it was."""
    recorded, now = read(*RECORDED), [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(terminal, "time", clock)

    def events() -> Iterator[Event]:
        for seconds, event in recorded.events:
            now[0] = seconds
            yield event

    finished = terminal.tell(events(), WholeProgress(recorded.config, recorded.particles))
    assert isinstance(finished, Finished) and finished.epoch == 10
    return capsys.readouterr().err


def test_a_log_file_says_every_ten_seconds_how_far_all_of_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = told(monkeypatch, capsys).splitlines()
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert len(epochs) == 10 and epochs[-1].startswith("epoch 10/10  1.0 s  reconstruction 1.0000")
    progress = [line for line in lines if "of the training" in line]
    assert 5 <= len(progress) <= 9
    shares = [int(re.findall(r"(\d+)% of the training", line)[0]) for line in progress]
    assert shares == sorted(shares) and shares[-1] < 100
    assert progress[0].startswith("First look: finding components … ")
    assert progress[-1].startswith("Finishing: ") and " at most" not in progress[-1]
    trained = next(line for line in progress if line.startswith("Epoch "))
    assert re.fullmatch(
        r"Epoch \d+ of 10 … \d+% of the training, about \d+ s left at most loss 1\.0000", trained
    )


def test_the_linear_method_goes_through_iterations(capsys: pytest.CaptureFixture[str]) -> None:
    recorded = read("linear_200", {"method": "linear"})
    events = (event for _, event in recorded.events)
    terminal.tell(events, WholeProgress(recorded.config, recorded.particles))
    lines = capsys.readouterr().err.splitlines()
    assert any("iterations 1 to 6 on" in line for line in lines)
    assert len([line for line in lines if line.startswith("iteration ")]) == 4
    why = "finer detail hardly helps any more to tell apart particles that were left out of the fit"
    assert lines[-1] == f"Done after iteration 4 of at most 6: {why}.", "as the window says it"


def test_a_terminal_has_one_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bars = told(monkeypatch, capsys).split("\r")
    shown = [bar for bar in bars if "|" in bar]
    shares = [int(re.findall(r" (\d+)%", bar)[0]) for bar in shown]
    assert shares == sorted(shares) and len(set(shares)) > 30
    assert any("Finishing: refining latents" in bar and "s left" in bar for bar in shown)
