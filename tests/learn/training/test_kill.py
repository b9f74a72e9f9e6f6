"""Killed at random moments and resumed: bit for bit what an uninterrupted training leaves.

Fifty kills, and what they hit, are counted by ``benchmarks/kill.py``.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import random
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from napari_tomodrgn.cli import main
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.events import Event
from napari_tomodrgn.learn.training.epochs import EpochLoop

# Images in a file, a state saved after every other step, steps enough to be hit.
SETTINGS = """
seed = 3
[data]
memory_gb = 1e-6
[model]
latent_dim = 2
decoder_dim = 32
image_encoder_dim = 32
linear_start = false
[train]
epochs = 20
points_per_particle = 64
save_seconds = 0.02
device = "cpu"
"""


def _written(process: multiprocessing.process.BaseProcess, run: Path, until: float) -> None:
    """Wait until a run has written so many files, or is at its end.

    On a clock, be it the processor's, a busy machine would finish before its time, or be hit
    before it began.
    """
    seen: set[tuple[str, int]] = set()
    while process.is_alive():
        with contextlib.suppress(FileNotFoundError):
            for file in run.rglob("*"):
                seen.add((file.name, file.stat().st_mtime_ns))
        if len(seen) >= until:
            return
        process.join(0.002)


@pytest.mark.slow
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
    simulated: Path, tmp_path: Path
) -> None:
    (tmp_path / "settings.toml").write_text(SETTINGS)
    star = simulated / "warptools" / "particles_optimisation_set.star"
    words = ["train", str(star), "--config", str(tmp_path / "settings.toml"), "--out"]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["napari_tomodrgn.cli.commands.train"])

    def start(out: str) -> multiprocessing.process.BaseProcess:
        resume = ["--resume"] if (tmp_path / out / "run.json").exists() else []
        process = context.Process(target=main, args=([*words, str(tmp_path / out), *resume],))
        process.start()
        return process

    start("whole").join()
    kills, chance, one = 0, random.Random(0), tmp_path / "killed"
    while True:
        process, before = start("killed"), len([*one.rglob("*")])
        _written(process, one, before + chance.uniform(1, 40) if kills < 3 else math.inf)
        process.join(chance.uniform(0.0, 0.02))  # in the middle of a step as well
        if not process.is_alive():
            break
        process.kill()
        process.join()
        kills += 1
        if (one / "run.json").exists():  # as a window sees it that follows the run
            run = Run.open(one)
            assert run.metrics()["epoch"].is_unique
            assert not run.epochs() or len(run.latents()) == 24
            if run.info.chosen_epoch is not None:
                break  # it was over: to resume it would mean to go on
    assert kills >= 2
    killed, whole = Run.open(one), Run.open(tmp_path / "whole")
    assert killed.epochs() == whole.epochs()
    for folder in ("checkpoints", "latents"):
        for file in (whole.path / folder).iterdir():
            assert (one / folder / file.name).read_bytes() == file.read_bytes(), file.name
    losses = ["epoch", "reconstruction", "kl", "total", "held_out"]
    pd.testing.assert_frame_equal(
        killed.metrics()[losses], whole.metrics()[losses], check_exact=True
    )
    assert not [file for file in one.rglob(".*") if file.is_file()]  # nothing half written


def test_a_run_killed_while_its_last_epoch_was_written_ends_with_that_epoch(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has been decided that this epoch is the last, and nothing of it is there yet."""
    (tmp_path / "settings.toml").write_text(SETTINGS)
    star = simulated / "warptools" / "particles_optimisation_set.star"
    words = ["train", str(star), "--config", str(tmp_path / "settings.toml"), "--out"]
    assert main([*words, str(tmp_path / "whole")]) == 0
    whole = Run.open(tmp_path / "whole")
    assert whole.epochs()[-1] < 20, "stopped early"
    close, killed = EpochLoop._close_epoch, tmp_path / "killed"

    def close_or_die(self: EpochLoop, *arguments: Any) -> Generator[Event, None, None]:
        if self.stopping.should_stop(self.trainer.config.train.patience):
            raise KeyboardInterrupt
        yield from close(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(EpochLoop, "_close_epoch", close_or_die)
        with contextlib.suppress(KeyboardInterrupt):
            main([*words, str(killed)])
    assert Run.open(killed).epochs() == whole.epochs()[:-1]
    assert main([*words, str(killed), "--resume"]) == 0
    assert Run.open(killed).epochs() == whole.epochs()
    pd.testing.assert_frame_equal(Run.open(killed).latents(), whole.latents(), check_exact=True)


def test_what_killed_writers_left_is_removed_on_resume_and_nothing_else(
    simulated: Path, tmp_path: Path
) -> None:
    star = simulated / "warptools" / "particles_optimisation_set.star"
    (tmp_path / "settings.toml").write_text(SETTINGS.replace("epochs = 20", "epochs = 1"))
    words = ["train", str(star), "--config", str(tmp_path / "settings.toml")]
    words += ["--out", str(tmp_path / "run")]
    assert main(words) == 0
    left = [".metrics.csv.abcd1234.csv", "checkpoints/.resume.safetensors.zz_9aaaa.safetensors"]
    left += ["analysis/.quality.json.0123_abc.json"]
    kept = [".note", "analysis/.mine.csv.abcd1234.csv", "checkpoints/.hidden.safetensors"]
    for name in left + kept:
        (tmp_path / "run" / name).write_text("")
    assert main([*words, "--resume"]) == 0
    assert not any((tmp_path / "run" / name).exists() for name in left)
    assert all((tmp_path / "run" / name).exists() for name in kept)
