"""A run that another process writes is followed through its folder."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.training.run_monitor import RunMonitor, patience_s
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.lock import LOCK_NAME
from napari_tomodrgn.learn.training.progress import finishing_in_epochs
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.session import Session

LONG = 60_000


class Elsewhere:
    """Another process: puts the epochs of a finished run into a folder, one by one."""

    def __init__(self, finished: Path, folder: Path) -> None:
        self.finished, self.run = Run.open(finished), folder
        shutil.copytree(finished, folder)
        Run(folder, self.finished.info.model_copy(update={"chosen_epoch": None})).save_info()
        for epoch in (1, 2, 3):
            for file in self._files(epoch):
                file.unlink()
        self._metrics(0)
        (folder / LOCK_NAME).write_text("{}")

    def stop(self) -> None:
        """It lets go of the run."""
        (self.run / LOCK_NAME).unlink()

    def _files(self, epoch: int) -> list[Path]:
        run = Run(self.run, self.finished.info)
        return [run.weights_file(epoch), run.latents_file(epoch)]

    def _metrics(self, epochs: int) -> None:
        lines = (self.finished.path / "metrics.csv").read_text().splitlines()
        (self.run / "new.csv").write_text("\n".join(lines[: 1 + epochs]) + "\n")
        os.replace(self.run / "new.csv", self.run / "metrics.csv")

    def write(self, epoch: int) -> None:
        """What the end of an epoch leaves."""
        self._metrics(epoch)
        for file in self._files(epoch):
            shutil.copy(self.finished.path / file.relative_to(self.run), file)

    def end(self) -> None:
        """What the end of a run leaves: latents of its last epoch anew, and that it is over."""
        self.write(3)
        shutil.copy(self.finished.path / "run.json", self.run / "run.json")

    def guess(self, epoch: int) -> None:
        """The end of an epoch with latents that are written anew at the end of the run."""
        self._metrics(epoch)
        weights, latents = self._files(epoch)
        shutil.copy(self.finished.path / weights.relative_to(self.run), weights)
        table = pd.read_parquet(self.finished.path / latents.relative_to(self.run))
        table["mu_0"] *= 2
        table.to_parquet(latents, index=False)

    def damage(self, epoch: int) -> None:
        """Latents of which half is there."""
        self.write(epoch)
        latents = self._files(epoch)[1]
        latents.write_bytes(latents.read_bytes()[:500])


@pytest.fixture
def elsewhere(tiny_run: Path, tmp_path: Path) -> Elsewhere:
    return Elsewhere(tiny_run, tmp_path / "shared")


@pytest.fixture
def follow(widget: Any, qtbot: Any, elsewhere: Elsewhere) -> Any:
    """Opens the run of the other process, looked at ten times a second; gives the session."""
    widget.controller.run_monitor.timer.setInterval(100)
    widget.open(elsewhere.run)
    qtbot.waitUntil(lambda: widget.session.training.phase == "following", timeout=LONG)
    return widget.session


def test_its_epochs_arrive_until_the_last(
    widget: Any, qtbot: Any, follow: Any, elsewhere: Elsewhere
) -> None:
    session, panel = follow, widget.training
    words = panel.progress.status
    assert "Following shared" in words.text()
    assert not panel.resume.isVisibleTo(panel), "two writers would spoil the run"
    moved: list[int] = []
    session.events.latents.connect(lambda _table: moved.append(session.epoch))
    for epoch in (1, 2):
        elsewhere.write(epoch)
        qtbot.waitUntil(lambda epoch=epoch: session.epoch == epoch, timeout=LONG)
        qtbot.waitUntil(
            lambda epoch=epoch: session.decoded is not None and session.decoded.epoch == epoch,
            timeout=LONG,
        )
        qtbot.waitUntil(lambda epoch=epoch: f"epoch {epoch} of 3" in words.text(), timeout=LONG)
    metrics = pd.read_csv(elsewhere.run / "metrics.csv")
    epoch_s = metrics["seconds"].mean()
    after = finishing_in_epochs(elsewhere.finished.config, len(session.latents))
    assert after > 0.5, "what comes after the last epoch counts as well"
    assert session.training.seconds_left == pytest.approx(epoch_s * (1 + after), rel=1e-6)
    assert session.training.fraction == pytest.approx(2 / (3 + after))
    assert list(panel.progress.plot.curves[0].x) == [1.0, 2.0]
    elsewhere.guess(3)
    qtbot.waitUntil(lambda: session.epoch == 3, timeout=LONG)
    qtbot.wait(300)
    assert session.training.phase == "following", "latents of the last epoch are still refined"
    assert session.training.fraction < 1
    elsewhere.end()
    qtbot.waitUntil(lambda: "complete, epoch 3" in widget.banner.text, timeout=LONG)
    assert "threshold 3 σ" in widget.banner.text, "whether particles differ"
    assert moved == [1, 2, 3, 3]
    assert session.training.phase == "idle"
    assert not widget.controller.run_monitor.timer.isActive()
    expected = elsewhere.finished.latents(3)
    pd.testing.assert_frame_equal(session.latents, expected)


def test_a_damaged_epoch_is_one_sentence_and_the_next_is_shown(
    widget: Any, qtbot: Any, follow: Any, elsewhere: Elsewhere
) -> None:
    elsewhere.damage(1)
    qtbot.waitUntil(lambda: "damaged" in widget.banner.text, timeout=LONG)
    follow.message = None
    qtbot.wait(300)
    assert follow.message is None, "told once"
    elsewhere.write(2)
    qtbot.waitUntil(lambda: follow.epoch == 2, timeout=LONG)


def test_silence_ends_it_and_news_begin_it_again(
    widget: Any, qtbot: Any, follow: Any, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere.write(1)
    qtbot.waitUntil(lambda: follow.epoch == 1, timeout=LONG)
    later = time.time() + 3600.0
    monkeypatch.setattr(time, "time", lambda: later)
    widget.controller.run_monitor._changed -= 3600.0
    qtbot.waitUntil(lambda: follow.training.phase == "idle", timeout=LONG)
    qtbot.waitUntil(lambda: widget.training.resume.isVisibleTo(widget.training), timeout=LONG)
    elsewhere.write(2)  # by a disk whose clock is an hour behind
    qtbot.waitUntil(lambda: follow.training.phase == "following", timeout=LONG)


def test_another_file_leaves_it(
    widget: Any, qtbot: Any, follow: Any, elsewhere: Elsewhere, tiny_run: Path
) -> None:
    widget.open(tiny_run)
    qtbot.waitUntil(lambda: follow.run is not None and follow.run.path == tiny_run, timeout=LONG)
    elsewhere.write(1)
    qtbot.wait(300)
    assert follow.epoch == 3
    assert follow.training.phase == "idle"
    assert not widget.controller.run_monitor.timer.isActive()


def test_a_finished_run_is_not_followed(
    widget: Any, tiny_run: Path, opened: Callable[[Path], Any]
) -> None:
    opened(tiny_run)
    assert not widget.controller.run_monitor.timer.isActive()


def test_a_run_that_stopped_early_is_not_followed(
    widget: Any, tiny_run: Path, opened: Callable[[Path], Any], tmp_path: Path
) -> None:
    """As held-out images asked for: three epochs of twenty, and over."""
    run = Run.open(shutil.copytree(tiny_run, tmp_path / "early"))
    train_config = run.config.train.model_copy(update={"epochs": 20})
    config = run.config.model_copy(update={"train": train_config})
    Run(run.path, run.info.model_copy(update={"config": config})).save_info()
    opened(run.path)
    assert widget.session.epoch == 3
    assert not widget.controller.run_monitor.timer.isActive()


def test_a_real_training_is_followed_from_its_first_file(
    widget: Any, qtbot: Any, tiny_star: Path, tiny_config: Any, tmp_path: Path
) -> None:
    """The folder as a training leaves it between two of its events, not as a test writes it."""
    from napari_tomodrgn.data.dialects import read_particles
    from napari_tomodrgn.learn.runtime.events import EpochDone, Started

    widget.controller.run_monitor.timer.setInterval(100)
    session, folder = widget.session, tmp_path / "run"
    for event in train(read_particles(tiny_star), tiny_config, folder):
        if isinstance(event, Started):
            widget.open(folder)
            qtbot.waitUntil(lambda: session.training.phase == "following", timeout=LONG)
            assert "nothing to show" in widget.banner.text
        elif isinstance(event, EpochDone) and event.epoch < 3:
            done = event.epoch
            qtbot.waitUntil(lambda done=done: session.epoch == done, timeout=LONG)
    qtbot.waitUntil(lambda: session.epoch == 3, timeout=LONG)
    qtbot.waitUntil(lambda: session.training.phase == "idle", timeout=LONG)


def test_patience_grows_with_the_epochs() -> None:
    def after(seconds: float) -> float:
        return patience_s(pd.DataFrame({"seconds": [1.0, seconds]}))

    assert (after(1.0), after(60.0), after(7200.0)) == (30.0, 180.0, 300.0)
    assert patience_s(None) == 300.0


def test_a_run_that_was_stopped_a_moment_ago_is_followed_by_nobody(
    widget: Any, qtbot: Any, opened: Any, elsewhere: Elsewhere
) -> None:
    """Its folder was written to just now, and still nothing trains."""
    elsewhere.write(1)
    elsewhere.stop()
    session = opened(elsewhere.run)
    widget.controller.run_monitor.timer.setInterval(100)
    phases: list[str] = []
    session.events.training.connect(lambda status: phases.append(status.phase))
    qtbot.wait(1500)
    assert session.training.phase == "idle" and "following" not in phases
    assert not widget.training.progress.status.text().startswith("Following")


def test_a_run_deleted_while_it_is_open_is_not_made_again_by_what_is_kept_in_it(
    tiny_run: Path,
) -> None:
    session = Session()
    monitor = RunMonitor(session)
    session.run = run = Run.open(tiny_run)
    columns = run.latents()[["mu_0"]]
    run.save_extras(columns)
    shutil.rmtree(tiny_run)
    with pytest.raises(BadInputError, match="was deleted or moved while it was open"):
        run.save_extras(columns)
    assert not tiny_run.exists()
    session.run = None
    run.save_extras(columns)
    monitor.close()
