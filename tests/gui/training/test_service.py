"""What a training tells the window: the first look at once, later epochs when they are as good."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.training import service
from napari_tomodrgn.gui.training.progress_view import TrainingProgress
from napari_tomodrgn.gui.training.run_monitor import _read_snapshot
from napari_tomodrgn.gui.training.service import (
    LatentsRead,
    MetricsRead,
    QualityRead,
    TrainingService,
)
from napari_tomodrgn.gui.window.header import Header
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK
from napari_tomodrgn.learn.runtime.events import Finished, Started
from napari_tomodrgn.session import Session
from napari_tomodrgn.work_status import TrainingStatus

CONFIG = RunConfig.model_validate(
    {
        "model": {"latent_dim": 2, "decoder_dim": 64, "image_encoder_dim": 64},
        "train": {"epochs": 2, "points_per_particle": 256, "device": "cpu"},
    }
)


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("told") / "run"


@pytest.fixture(scope="module")
def told(simulated: Path, out: Path) -> list[Any]:
    """All that a small training tells a window."""
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "_SECONDS_BETWEEN_LATENTS", 0.0)
        return list(service._steps(particles, CONFIG, (out, False), never, never))


def test_the_first_look_comes_before_the_first_epoch(told: list[Any], qtbot: Any) -> None:
    kinds = [type(event) for event in told]
    first = kinds.index(LatentsRead)
    judged = next(n for n, one in enumerate(told) if isinstance(one, QualityRead) and one.quality)
    assert told[first].epoch == FIRST_LOOK and first < judged < kinds.index(Started)
    assert told[judged].quality["epoch"] == FIRST_LOOK
    session = Session()
    training, header = TrainingService(session), Header(session)
    qtbot.addWidget(header)
    for event in told[: judged + 1]:
        training._on_event(event)
        if session.latents is not None:
            assert len(session.latents) == 24 and header.title.text() == "run  ·  first look"
    assert "first look: " in header.chip.text()
    for event in told[judged + 1 :]:
        training._on_event(event)
    run = Run.open(session.run.path)
    assert session.epoch == run.info.chosen_epoch == 2
    assert header.title.text() == "run  ·  epoch 2" and "variation: " in header.chip.text()
    training.close()


def test_a_run_deleted_while_it_is_trained_is_told_as_that(simulated: Path, tmp_path: Path) -> None:
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    quick = {"train": CONFIG.train.model_dump(), "model": {"latent_dim": 2, "linear_start": False}}
    steps = service._steps(
        particles, RunConfig.model_validate(quick), (tmp_path / "run", False), never, never
    )
    with pytest.raises(BadInputError, match="was deleted or moved while it was trained") as told:
        for event in steps:
            if isinstance(event, Started):
                shutil.rmtree(tmp_path / "run")
    assert "not a run directory" not in str(told.value)
    assert not list(tmp_path.iterdir()), "nor is half of it made again"


def test_an_epoch_that_is_worse_gives_its_losses_alone(
    told: list[Any], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_SECONDS_BETWEEN_LATENTS", 0.0)
    run = Run.open(out)
    reading = service.LatestRead(run.path)
    running = run.info.model_copy(update={"chosen_epoch": None})
    Run(run.path, running).save_info()
    table = run.metrics()
    for gain, kind, epoch in ((-5.0, LatentsRead, 0), (-4.0, MetricsRead, 0), (1, LatentsRead, 2)):
        table["gain_over_first_look_sigma"] = gain
        table.to_csv(run.path / "metrics.csv", index=False)
        (news,) = reading.news(anew=False)
        assert type(news) is kind and getattr(news, "epoch", 0) == epoch
    assert isinstance(told[-1], Finished)


def test_a_run_that_ends_with_the_first_look_says_so(
    told: list[Any], out: Path, tmp_path: Path, qtbot: Any
) -> None:
    run = Run.open(shutil.copytree(out, tmp_path / "run"))  # the others go on with theirs
    Run(run.path, run.info.model_copy(update={"chosen_epoch": FIRST_LOOK})).save_info()
    session = Session()
    training = TrainingService(session)
    reading = service.LatestRead(run.path)
    for event in (*reading.news(anew=True), told[-1]):
        training._on_event(event)
    assert session.epoch == FIRST_LOOK
    assert "The first look stays: it explains held-out images better." in session.message.text
    training.close()


def test_a_new_training_forgets_the_run_that_was_open(
    told: list[Any], tiny_run: Path, qtbot: Any
) -> None:
    session = Session(run=Run.open(tiny_run), pinned=("1/2",), epoch=3)
    training = TrainingService(session)
    training._on_event(next(event for event in told if isinstance(event, LatentsRead)))
    assert session.run.path.name == "run" and session.epoch == FIRST_LOOK
    assert session.pinned == ()
    training.close()


def test_the_run_on_show_stays_until_another_has_its_first_points(
    told: list[Any], tiny_run: Path, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where these come after the training has begun, as those of the linear method do."""
    shown = Run.open(tiny_run)
    session = Session(particles=read_particles(shown.info.source))
    session.update(run=shown, latents=shown.latents(3), epoch=3, pinned=("1/2",))
    session.quality = {"told_apart_standard_errors": 5.0}
    training, header = TrainingService(session), Header(session)
    qtbot.addWidget(header)
    monkeypatch.setattr(training.job, "start", lambda work: None)
    training.start(RunConfig(method="linear"), tmp_path / "second")
    training._on_event(Started(tmp_path / "second", 24, 120, 1, 10, "cpu"))
    training._on_event(MetricsRead(None, tmp_path / "second"))
    training._on_event(QualityRead({}, tmp_path / "second"))
    assert session.run is shown and session.pinned == ("1/2",)
    assert session.metrics is None and session.quality
    assert header.title.text() == "second  ·  still on show: run  ·  epoch 3"
    training._on_event(Finished("stopped", 0))
    assert session.message.text.endswith("iteration was complete. Still on show: run.")
    training._on_event(next(event for event in told if isinstance(event, LatentsRead)))
    assert session.run is not shown and session.pinned == () and not session.quality
    training.close()


def test_why_another_epoch_than_the_last_is_on_show_is_said(tiny_run: Path) -> None:
    run = Run.open(tiny_run)
    run = replace(run, info=run.info.model_copy(update={"chosen_epoch": 2}))
    assert service.why_on_show(run, 2) == ""
    words = service.why_on_show(run, 5)
    assert words == " On show is epoch 2: of all epochs it explains held-out images best."


def test_a_followed_run_is_read_anew_at_each_finer_radius(told: list[Any], out: Path) -> None:
    """Its epoch stays 0 meanwhile; what it is of stands in ``run.json``."""
    run = Run.open(out)
    shown = run.epoch_to_show()
    coarser = run.info.model_copy(update={"first_look_radius_px": 3})
    for known, news in (((None, run.info), True), ((shown, run.info), False)):
        (seen,) = _read_snapshot(out, known, 24)
        assert (seen.latents is not None) == news
    (seen,) = _read_snapshot(out, (shown, coarser), 24)
    assert seen.latents is not None and seen.quality["epoch"] == 2


def test_a_training_stopped_in_its_first_look_says_nothing_of_the_one_before(
    told: list[Any], simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    session = Session(particles=particles)
    training = TrainingService(session)
    monkeypatch.setattr(training.job, "start", lambda work: None)
    for event in told:
        training._on_event(event)
    assert "eterogeneity" in session.message.text
    training.start(CONFIG, tmp_path / "second")
    training._on_event(Finished("stopped", 0))
    assert session.message.text.startswith("Training stopped before its first epoch")
    assert "eterogeneity" not in session.message.text
    training.close()


def test_what_is_left_of_a_resumed_training_is_called_so() -> None:
    status = TrainingStatus("training", 5, 30, first_epoch=5, fraction=0.03, what="Epoch 5 of 30")
    assert status.words == "Epoch 5 of 30 … 3% of what is left"
    assert replace(status, first_epoch=1).words == "Epoch 5 of 30 … 3% of the training"


def test_why_the_first_look_stays_is_said(told: list[Any], out: Path, qtbot: Any) -> None:
    run = Run.open(out)
    metrics = run.metrics().assign(gain_over_first_look_sigma=-3.7)
    session = Session()
    progress = TrainingProgress(session)
    qtbot.addWidget(progress)
    session.update(run=run, latents=run.latents(FIRST_LOOK), epoch=FIRST_LOOK)
    assert progress.shown.text() == "", "no epoch is trained yet"
    session.metrics = metrics
    said = "On show: the first look. Epoch 2, the last one, explains held-out images worse (3.7 σ)."
    assert progress.shown.text() == said, "nothing trains any more"
    session.training = TrainingStatus("training", 2, 30)
    said = "On show: the first look. Epoch 2 still explains held-out images worse (3.7 σ)."
    assert progress.shown.text() == said
    session.show_latents(run, run.latents(2), 2, metrics)
    assert progress.shown.text() == ""


def test_losses_of_another_run_are_not_shown_below_the_progress_of_a_new_one(
    out: Path, told: list[Any], qtbot: Any
) -> None:
    run = Run.open(out)
    session = Session()
    progress = TrainingProgress(session)
    qtbot.addWidget(progress)
    session.update(run=run, latents=run.latents(2), epoch=2, metrics=run.metrics())
    assert not progress.plot.isHidden()
    session.training = TrainingStatus("preparing", run_name="run02")
    assert progress.plot.isHidden() and progress.divergence.isHidden()
    session.training = TrainingStatus("training", 1, 2, run_name=out.name)
    assert not progress.plot.isHidden(), "its own"
