"""The training dock: start, pause, stop, resume, extend; what moves meanwhile; how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari._qt.widgets.qt_progress_bar import QtLabeledProgressBar
from napari.utils import progress
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.checks import Check
from napari_tomodrgn.gui.background.close_guard import CloseGuard
from napari_tomodrgn.gui.reconstruction.panel import ValidationPanel
from napari_tomodrgn.gui.training.panel import TrainingPanel, next_folder
from napari_tomodrgn.gui.training.presets import PRESET_TIPS, preset
from napari_tomodrgn.gui.training.progress_view import status_words, why_ended
from napari_tomodrgn.gui.training.service import TrainingService, advanced
from napari_tomodrgn.gui.widgets.config_form import ConfigForm
from napari_tomodrgn.gui.window.header import state_of
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.events import Finished, Losses, Progress, WorkProgress
from napari_tomodrgn.learn.training.progress import Outlook
from napari_tomodrgn.particle_columns import latent_matrix
from napari_tomodrgn.session import Session
from napari_tomodrgn.work_status import TrainingStatus, finished_words

LONG = 60_000
pytestmark = pytest.mark.usefixtures("checked_once")


@pytest.fixture
def endless(tiny_config: Any) -> Any:
    """The quick configuration, with more epochs than anyone waits for."""
    train = tiny_config.train.model_copy(update={"epochs": 5000})
    return tiny_config.model_copy(update={"train": train})


@pytest.fixture
def unrefined(tiny_config: Any) -> Any:
    """The quick configuration, where what comes after the epochs is not looked at."""
    train = tiny_config.train.model_copy(update={"refine": False})
    return tiny_config.model_copy(update={"train": train})


@pytest.fixture
def started(
    widget: Any, qtbot: Any, opened: Callable[[Path], Any], tiny_star: Path, tmp_path: Path
) -> Callable[[Any], Any]:
    """Starts a training, waits for its third epoch, gives the session."""

    def started(config: Any) -> Any:
        session = opened(tiny_star)
        widget.controller.training.start(config, tmp_path / "run")
        qtbot.waitUntil(lambda: session.epoch >= 3 and session.decoded is not None, timeout=LONG)
        return session

    return started


def _stop(widget: Any, qtbot: Any) -> None:
    with qtbot.waitSignal(widget.controller.training.ended):
        QTest.mouseClick(widget.training.stop, Qt.MouseButton.LeftButton)


def test_stop_saves_resume_goes_on(
    widget: Any, qtbot: Any, started: Callable[[Any], Any], endless: Any, tmp_path: Path
) -> None:
    session, panel = started(endless), widget.training
    assert session.training.phase == "training"
    assert "of 5000" in panel.progress.status.text()
    began = time.process_time()  # of all threads: others may have the processor meanwhile
    _stop(widget, qtbot)
    assert time.process_time() - began < 1.0
    assert not session.training.busy
    assert "stopped" in widget.banner.text
    run = Run.open(tmp_path / "run")
    assert len(run.epochs()) >= 3
    assert run.resume_file.is_file()
    assert [curve.name for curve in panel.progress.plot.curves] == ["training", "held out"]
    kl = panel.progress.divergence.curves[0]
    np.testing.assert_allclose(kl.y, run.metrics()["kl"].to_numpy()[: len(kl.y)])
    stopped = session.epoch
    assert panel.resume.text() == f"Resume after epoch {stopped}"
    panel.resume.click()
    qtbot.waitUntil(lambda: session.epoch > stopped, timeout=LONG)
    assert session.training.first_epoch >= stopped
    _stop(widget, qtbot)


class _Looked(threading.Event):
    """Counts how often it was found set: a training that is held looks again and again."""

    looks = 0

    def is_set(self) -> bool:
        found = super().is_set()
        self.looks += found
        return found


def test_a_pause_holds_the_epoch_and_continue_goes_on(
    widget: Any, qtbot: Any, started: Callable[[Any], Any], endless: Any
) -> None:
    held = widget.controller.training._held = _Looked()
    session, panel = started(endless), widget.training
    QTest.mouseClick(panel.button, Qt.MouseButton.LeftButton)
    assert session.training.phase == "paused"
    assert panel.button.text() == "Continue"
    qtbot.waitUntil(lambda: held.looks > 1)  # what was on its way has arrived
    file = session.run.path / "metrics.csv"
    before = file.read_text()
    qtbot.wait(200)  # some epochs' worth
    assert file.read_text() == before
    assert session.training.phase == "paused"
    QTest.mouseClick(panel.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: file.read_text() != before, timeout=LONG)
    qtbot.waitUntil(lambda: session.training.phase == "training", timeout=LONG)
    panel.button.click()
    _stop(widget, qtbot)  # a paused training can be stopped as well
    assert session.run.resume_file.is_file()


@pytest.mark.slow
def test_a_finished_run_is_extended(
    widget: Any,
    qtbot: Any,
    opened: Callable[[Path], Any],
    tiny_star: Path,
    unrefined: Any,
    tmp_path: Path,
) -> None:
    session, panel = opened(tiny_star), widget.training
    with qtbot.waitSignal(widget.controller.training.ended, timeout=LONG):
        widget.controller.training.start(unrefined, tmp_path / "run")
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=LONG)
    assert (panel.resume.text(), panel.resume.isEnabled()) == ("Extend", False)
    panel.form.set_value("train.epochs", 5)
    assert (panel.resume.text(), panel.resume.isEnabled()) == ("Extend to 5 epochs", True)
    with qtbot.waitSignal(widget.controller.training.ended, timeout=LONG):
        panel.resume.click()
    assert session.epoch == 5
    assert Run.open(tmp_path / "run").config.train.epochs == 5


def _wait_for_a_later_epoch(widget: Any, qtbot: Any, clicked: str) -> None:
    """Until what was clicked and what is pinned show an epoch later than now."""
    session, pins, epoch = widget.session, widget.controller.pinned, widget.session.epoch

    def later() -> bool:
        shown = session.decoded
        return (
            shown.particle_id == clicked
            and shown.epoch > epoch
            and any(key[1] > epoch for key in pins._maps)
        )

    qtbot.waitUntil(later, timeout=LONG)


@pytest.mark.slow
def test_a_click_and_a_pin_follow_the_epochs(
    widget: Any, qtbot: Any, started: Callable[[Any], Any], endless: Any
) -> None:
    session = started(endless)
    pinned, clicked = (str(name) for name in session.latents.index[[2, 7]])
    widget.controller.pinned.toggle(pinned)
    session.focused = clicked
    qtbot.waitUntil(lambda: session.decoded.particle_id == clicked, timeout=LONG)
    qtbot.waitUntil(lambda: session.decoded.complete, timeout=LONG)
    coarse: list[int] = []
    session.events.decoded.connect(lambda one: one.complete or coarse.append(one.epoch))
    for _ in range(2):
        _wait_for_a_later_epoch(widget, qtbot, clicked)
    assert not coarse, "a volume that is watched does not blur at each epoch"
    assert session.training.phase == "training"
    epoch = session.decoded.epoch
    z = session.run.latents(epoch).loc[clicked, ["mu_0", "mu_1", "mu_2"]].to_numpy(np.float32)
    truth = session.run.decoder(epoch).decode(z.copy())
    _stop(widget, qtbot)
    if session.decoded.epoch == epoch and session.decoded.complete:
        np.testing.assert_allclose(session.decoded.volume.data, truth.data, atol=1e-5)


def test_napari_shows_the_progress_too(
    viewer: Any, widget: Any, qtbot: Any, started: Callable[[Any], Any], endless: Any
) -> None:
    started(endless)

    def told() -> bool:
        return [bar.desc.startswith("tomoDRGN: Epoch") for bar in bars] == [True]

    bars = progress._all_instances
    qtbot.waitUntil(told, timeout=LONG)
    # Each turn of its wheel has the whole window put together again.
    wheels = [label.movie() for label in viewer.window._qt_window.findChildren(QLabel)]
    delays_ms = [movie.nextFrameDelay() for movie in wheels if movie is not None]
    assert delays_ms and min(delays_ms) > 200
    _stop(widget, qtbot)
    qtbot.waitUntil(lambda: not bars, timeout=LONG)


@pytest.mark.parametrize("answer", ["cancel", "close"])
def test_closing_the_viewer_while_training_asks_then_saves(
    viewer: Any,
    widget: Any,
    qtbot: Any,
    started: Callable[[Any], Any],
    endless: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    answer: str,
) -> None:
    from qtpy.QtGui import QCloseEvent

    started(endless)
    asked: list[list[str]] = []

    def ask(_guard: Any, names: list[str]) -> bool:
        asked.append(names)
        return answer == "close"

    monkeypatch.setattr(CloseGuard, "ask", ask)
    monkeypatch.setattr(QCloseEvent, "spontaneous", lambda _self: not asked)
    window = viewer.window._qt_window
    window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)  # the fixture deletes it
    if answer == "cancel":
        window.close()
        assert widget.controller.training.running
        assert window.isVisible()
        _stop(widget, qtbot)
    else:
        with qtbot.waitSignal(widget.controller.training.ended):
            window.close()
        assert Run.open(tmp_path / "run").resume_file.is_file()
    assert len(asked) == 1 and "training (it is saved" in asked[0][0]


def test_presets_and_forecast(
    widget: Any, qtbot: Any, opened: Callable[[Path], Any], tiny_star: Path
) -> None:
    session, panel = opened(tiny_star), widget.training
    assert not session.forecast  # nobody looks at it yet
    widget.tabs.setCurrentWidget(panel)
    qtbot.waitUntil(lambda: "memory" in panel.forecast.text(), timeout=LONG)
    qtbot.waitUntil(lambda: "seconds" in session.forecast, timeout=LONG)
    found, epochs = session.forecast, panel.config().train.epochs
    around = found["first_look_seconds"] + found["refining_seconds"]
    assert found["seconds"] == pytest.approx(around + epochs * found["seconds_per_epoch"])
    assert "First points within" in panel.forecast.text()
    for name, method in (("First look", "linear"), ("Thorough", "vae")):
        panel.preset.setCurrentText(name)
        panel.preset.activated.emit(panel.preset.currentIndex())
        assert panel.config().method == method
        if method == "linear":
            said = "once the images are read"
            qtbot.waitUntil(lambda said=said: said in panel.forecast.text(), timeout=LONG)
            assert session.forecast["seconds_per_epoch"] == 0
    assert panel.config().train.epochs > type(panel.config())().train.epochs
    panel.form.set_value("train.device", "mps")  # no Linux machine has one
    qtbot.waitUntil(lambda: "No mps device" in panel.forecast.text(), timeout=LONG)


@pytest.mark.slow
def test_a_small_learning_rate_survives_form_run_and_form(
    widget: Any,
    qtbot: Any,
    opened: Callable[[Path], Any],
    tiny_star: Path,
    tmp_path: Path,
    unrefined: Any,
) -> None:
    opened(tiny_star)
    panel = widget.training
    panel._show(unrefined)
    panel.form.set_value("train.epochs", 1)
    panel.more.set_value("train.learning_rate", "1e-4")
    panel.folder.set_folder(str(tmp_path / "run"))
    with qtbot.waitSignal(widget.controller.training.ended, timeout=LONG):
        panel.button.click()
    assert Run.open(tmp_path / "run").config.train.learning_rate == 1e-4
    assert panel.more.value("train.learning_rate") == "0.0001"
    assert panel.config().train.learning_rate == 1e-4


@pytest.mark.slow
def test_some_particles_are_trained_on_at_a_coarser_pixel(
    widget: Any, qtbot: Any, opened: Callable[[Path], Any], tiny_star: Path, tmp_path: Path
) -> None:
    session, panel = opened(tiny_star), widget.training
    tomogram = session.particles.particles["tomogram"].iloc[0]
    wanted = session.particles.particles["tomogram"].eq(tomogram).sum()
    assert 0 < wanted < len(session.particles)
    pixel = session.particles.optics.pixel_size_angstrom
    widget.tabs.setCurrentWidget(panel)
    qtbot.waitUntil(lambda: "ram_gb" in session.forecast, timeout=LONG)
    panel.choice.set_value("data.tomograms", tomogram)
    panel.choice.set_value("data.max_tilts", "7")
    panel.choice.set_value("data.exclude_tilts", "0, 2-3")
    panel.choice.set_value("data.pixel_size_target_angstrom", str(1.5 * pixel))
    # A preset, and what is said anew of the images, leave that as it is.
    panel.preset.setCurrentText("First look")
    panel.preset.activated.emit(panel.preset.currentIndex())
    session.import_options = session.import_options.model_copy(
        update={"data": session.import_options.data.model_copy(update={"contrast": "keep"})}
    )
    data = panel.config().data
    assert data.tomograms == (tomogram,) and data.exclude_tilts == (0, 2, 3)
    assert data.max_tilts == 7 and data.contrast == "keep"
    panel.folder.set_folder(str(tmp_path / "run"))
    with qtbot.waitSignal(widget.controller.training.ended, timeout=LONG):
        panel.button.click()
    run = Run.open(tmp_path / "run")
    assert run.config.data == data and len(run.latents()) == wanted
    box = session.particles.optics.box_size_px
    assert run.decoder(run.epochs()[-1]).decode(latent_matrix(run.latents())[0]).box_size_px < box
    panel.folder.set_folder(str(tmp_path / "other"))
    panel.choice.set_value("data.min_tilts", "none")
    panel.button.click()
    assert "Least tilts" in widget.banner.text


def test_training_into_a_folder_with_a_run_is_one_sentence(
    widget: Any,
    qtbot: Any,
    opened: Callable[[Path], Any],
    tiny_star: Path,
    tiny_run: Path,
    tiny_config: Any,
) -> None:
    opened(tiny_star)
    widget.controller.training.start(tiny_config, tiny_run)
    qtbot.waitUntil(lambda: widget.banner.text != "", timeout=LONG)
    assert "holds a run already" in widget.banner.text
    qtbot.waitUntil(lambda: widget.training.button.text() == "Train", timeout=LONG)


def test_bounds_stand_in_the_tooltips(qtbot: Any) -> None:
    form = ConfigForm(RunConfig(), ("train.learning_rate", "train.epochs"))
    qtbot.addWidget(form)
    tips = {child.toolTip() for child in form.findChildren(type(form).__mro__[1])}
    assert "Learning rate. (above 0, at most 1)" in tips
    assert "Epochs. (at least 1, at most 100,000)" in tips


def test_one_sentence_says_part_progress_and_time_left_wherever_it_stands(
    viewer: Any, widget: Any, qtbot: Any
) -> None:
    """Panel, header and napari's bar tell of one progress, that of the whole training."""
    session = widget.session
    outlook = Outlook(0.237, "First look: comparing held-out images", 172.0, at_most=True)
    session.training = advanced(TrainingStatus("preparing"), outlook)
    words = "First look: comparing held-out images … 23% of the training, about 3 min left at most"
    assert widget.training.progress.status.text() == words
    assert session.training.words == words
    assert state_of(session) == "23%, ≤ 3 min left"
    assert widget.training.progress.bar.value() == 237
    bars = progress._all_instances
    qtbot.waitUntil(lambda: [bar.n for bar in bars] == [237], timeout=LONG)
    # napari would write a time of its own beside the bar, reckoned from how fast this moves.
    beside = [
        bar.eta_label.text()
        for bar in viewer.window._qt_window.findChildren(QtLabeledProgressBar)
        if bar.description_label.text().startswith("tomoDRGN")
    ]
    assert beside == ["about 3 min left at most"]
    assert next(iter(bars)).desc.startswith("tomoDRGN: First look: comparing held-out images")
    nearly = advanced(session.training, Outlook(0.995, "Finishing: refining latents", 0.5))
    assert nearly.words == "Finishing: refining latents … 99% of the training, about 1 s left"
    unknown = advanced(nearly, Outlook(0.02, "Reading images"))
    assert unknown.words == "Reading images … 2% of the training"
    session.training = TrainingStatus()


def test_an_epoch_moves_the_status_and_what_follows_does_not_begin_it_anew() -> None:
    status = TrainingStatus("training", 5, 10, first_epoch=5)
    event = Progress(6, 50, 100, Losses(1, 1, 1))
    status = advanced(status, Outlook(0.55, "Epoch 6 of 10", 90.0), event)
    assert (status.phase, status.epoch, status.losses) == ("training", 6, event.losses)
    last = advanced(status, Outlook(0.9, "Finishing: refining latents", 9.0), WorkProgress(0, 4))
    assert (last.phase, last.epoch, last.fraction) == ("training", 6, 0.9)


def test_a_training_is_one_progress_from_reading_to_the_end(
    widget: Any,
    qtbot: Any,
    opened: Callable[[Path], Any],
    tiny_star: Path,
    tiny_config: Any,
    tmp_path: Path,
) -> None:
    session = opened(tiny_star)
    seen: list[TrainingStatus] = []
    session.events.training.connect(lambda status: seen.append(status))
    with qtbot.waitSignal(widget.controller.training.ended, timeout=LONG):
        widget.controller.training.start(tiny_config, tmp_path / "run")
    assert not widget.controller.training.timer.isActive()
    busy = [status for status in seen if status.phase in ("preparing", "training")]
    fractions = [status.fraction for status in busy]
    assert fractions == sorted(fractions) and 0.3 < fractions[-1] < 1
    heads = list(dict.fromkeys(status.what.split(":")[0].split(" ")[0] for status in busy))
    assert [head for head in heads if head in ("Reading", "First", "Epoch", "Finishing")] == [
        *("Reading", "First", "Epoch", "Finishing"),
    ]
    assert {status.phase for status in busy if status.what[:9] == "Finishing"} == {"training"}


def test_time_is_counted_down_where_the_training_says_nothing(qtbot: Any) -> None:
    """Also through a pause: it is not of the training's time."""
    session = Session()
    service = TrainingService(session)
    forecast = {"first_look_seconds": 60.0, "seconds_per_epoch": 2.0, "refining_seconds": 30.0}
    session.forecast = forecast | {"seconds": 150.0}
    service._started_with = RunConfig(), 100, False
    service._began = time.monotonic()
    session.training = TrainingStatus("preparing")
    service._on_event(WorkProgress(0, 7, "Finding components"))
    first = session.training
    service._began -= 3.0  # so much later
    service._count_down()
    later = session.training
    assert first.seconds_left is not None and later.seconds_left is not None
    assert later.seconds_left == pytest.approx(first.seconds_left - 3.0, abs=0.7)
    assert later.fraction > first.fraction + 0.01
    session.training = replace(later, phase="paused", seconds_left=None)
    service._began -= 3.0
    service._count_down()
    assert session.training.fraction == later.fraction and session.training.phase == "paused"


def test_a_training_that_was_enough_is_not_resumed_but_trained_on(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path
) -> None:
    session, panel = opened(tiny_run), widget.training
    run = session.run
    train = run.config.train.model_copy(update={"epochs": session.epoch + 10})
    config = run.config.model_copy(update={"train": train})
    for chosen, word in ((None, "Resume"), (session.epoch, "Train on")):
        info = run.info.model_copy(update={"config": config, "chosen_epoch": chosen})
        session.run = Run(run.path, info)
        assert panel.resume.text() == f"{word} after epoch {session.epoch}"
        assert ("gain no more" in panel.resume.toolTip()) == (chosen is not None)


@pytest.mark.parametrize(
    ("reason", "epoch", "words"),
    [
        ("completed", 6, "Training finished after epoch 6."),
        ("completed", 3, "Done after epoch 3 of 6: held-out images gain no more."),
        ("stopped", 10, "Training stopped in epoch 10. Epoch 9 is the last complete one."),
        ("stopped", 0, "Training stopped before its first epoch was complete."),
    ],
)
def test_the_end_of_a_training_has_a_reason(reason: str, epoch: int, words: str) -> None:
    assert finished_words(Finished(reason, epoch), 6).startswith(words)


def test_the_linear_method_ends_for_another_reason_than_held_out_losses() -> None:
    words = finished_words(Finished("completed", 4), 10, "iteration")
    assert words.startswith("Done after iteration 4 of at most 10: finer detail hardly helps")
    assert "held-out" not in words


@pytest.mark.parametrize("name", list(PRESET_TIPS))
def test_a_run_shows_the_preset_it_was_trained_with(qtbot: Any, name: str) -> None:
    session = Session()
    panel = TrainingPanel(session)
    qtbot.addWidget(panel)
    info = SimpleNamespace(chosen_epoch=None)
    run: Any = SimpleNamespace(config=preset(name), path=Path("run"), info=info)
    session.run = run
    assert panel.preset.currentText() == name
    assert panel.explained.text().startswith(PRESET_TIPS[name])


def test_the_form_asks_what_the_method_takes(qtbot: Any) -> None:
    """No learning rate of what has none; components, radius and mask of the linear method."""
    panel = TrainingPanel(Session())
    qtbot.addWidget(panel)
    shown = {}
    for name in ("Standard", "First look"):
        panel.preset.setCurrentText(name)
        panel._choose_preset(panel.preset.currentIndex())
        forms = {**panel.form._editors, **panel.more._editors}
        shown[name] = {path for path, editor in forms.items() if not editor.native.isHidden()}
    assert {"train.epochs", "train.learning_rate", "model.pooling"} <= shown["Standard"]
    linear = {"linear.components", "linear.radius_px", "linear.focus_mask"}
    assert linear <= shown["First look"] and not linear & shown["Standard"]
    assert not {path for path in shown["First look"] if path.startswith("model.")}
    assert {"train.device", "seed"} <= shown["First look"] & shown["Standard"]
    assert "train.learning_rate" not in shown["First look"]


def test_settings_of_a_run_do_not_outlive_it(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path, tiny_star: Path
) -> None:
    panel, standard = widget.training, preset("Standard")
    opened(tiny_run)
    assert panel.form.value("train.epochs") != standard.train.epochs
    opened(tiny_star)
    assert panel.preset.currentText() == "Standard"
    assert panel.config().train == standard.train and panel.config().model == standard.model


def test_a_folder_with_a_run_is_refused_at_once(qtbot: Any, tmp_path: Path) -> None:
    session = Session()
    panel = TrainingPanel(session)
    qtbot.addWidget(panel)
    (tmp_path / "run.json").write_text("{}")
    panel.folder.set_folder(str(tmp_path))
    asked: list[Any] = []
    panel.train_requested.connect(lambda *given: asked.append(given))
    panel._press()
    assert asked == []
    assert "already holds a run" in session.message.text
    panel.folder.set_folder(str(tmp_path / "new"))
    panel._press()
    assert len(asked) == 1


def test_the_next_training_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    names = [next_folder(tmp_path / "run").name]
    for taken in ("run", "set_run01", "set_run02"):
        (tmp_path / taken).mkdir()
        names.append(next_folder(tmp_path / taken).name)
    assert names == ["run", "run_02", "set_run02", "set_run03"]


def test_save_in_names_a_folder_that_is_free(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path, tiny_star: Path, qtbot: Any
) -> None:
    """Also after a training that was stopped before it had anything to show; where it trains."""
    session, panel = opened(tiny_run), widget.training
    first = tiny_run.with_name("run_02")
    qtbot.waitUntil(lambda: panel.folder.folder == str(first))
    first.mkdir()
    panel.refresh()
    assert panel.folder.folder == str(first), "an empty folder is none that was trained in"
    (first / "run.json").write_text("{}")
    panel.refresh()
    assert panel.folder.folder == str(tiny_run.with_name("run_03"))
    panel.resume_run_requested.disconnect()
    panel._resume()
    assert panel.folder.folder == str(tiny_run)
    session.training = TrainingStatus("training", run_name="run")
    assert panel.folder.folder == str(tiny_run)
    session.training = TrainingStatus()
    assert panel.folder.folder == str(tiny_run.with_name("run_03"))
    panel.folder.set_folder(str(first))
    panel.refresh()
    assert panel.folder.folder == str(first), "what was typed is refused when it is pressed"


def test_save_in_is_beside_the_run_that_is_open_not_beside_what_was_open_before(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path, tiny_star: Path, qtbot: Any
) -> None:
    panel, _ = widget.training, opened(tiny_star)
    assert Path(panel.folder.folder).parent == tiny_star.parent
    opened(tiny_run)
    assert Path(panel.folder.folder) == tiny_run.with_name("run_02")


def test_a_linear_run_that_was_stopped_can_be_finished(
    widget: Any, opened: Callable[[Path], Any], tiny_run: Path
) -> None:
    """A first look that went with the window had no button, and nothing said that it lacked."""
    panel, session = widget.training, opened(tiny_run)
    config = session.run.config.model_copy(update={"method": "linear"})
    for chosen, offered in ((None, True), (1, False)):
        info = session.run.info.model_copy(update={"config": config, "chosen_epoch": chosen})
        session.run = replace(session.run, info=info)
        panel.refresh()
        assert panel.resume.isVisibleTo(panel) is offered
        assert not offered or panel.resume.text() == "Finish this run"


def test_without_images_there_is_nothing_to_train_on(qtbot: Any) -> None:
    class Set(SimpleNamespace):
        def __len__(self) -> int:
            return 2

    table = pd.DataFrame({"tomogram": ["TS", "TS"]}, index=["TS/1", "TS/2"])
    particles: Any = Set(particles=table, ids=tuple(table.index))
    missing = Check("unreadable-stack", "info", "The images are not there.")
    session = Session(particles=particles, checks=(missing,))
    panel, validation = TrainingPanel(session), ValidationPanel(session, sample=True)
    for widget in (panel, validation):
        qtbot.addWidget(widget)
        assert not widget.button.isEnabled()
        assert "images are not on this computer" in widget.button.toolTip()
    session.checks = ()
    assert panel.button.isEnabled() and validation.button.isEnabled()


def test_a_forecast_goes_when_other_settings_are_asked_for(
    widget: Any, opened: Callable[[Path], Any], tiny_star: Path, tiny_config: Any
) -> None:
    session = opened(tiny_star)
    session.forecast = {"ram_gb": 1.0}
    widget.controller.forecast.request(tiny_config)
    assert session.forecast == {}


def test_why_a_training_ended_before_its_epochs_is_said(tiny_run: Path) -> None:
    """As long as the run is open; not of one that had all of them, or has not ended."""
    session = Session()
    run = Run.open(tiny_run)
    train = run.config.train.model_copy(update={"epochs": 30, "patience": 4})
    config = run.config.model_copy(update={"train": train})
    session.metrics = run.metrics()
    for chosen, asked, said in (
        (3, config, "Ended after epoch 3 of 30: for 4 epochs held-out images were explained"),
        (3, run.config, ""),
        (None, config, ""),
    ):
        info = run.info.model_copy(update={"chosen_epoch": chosen, "config": asked})
        session.run = replace(run, info=info)
        assert why_ended(session).startswith(said) and bool(why_ended(session)) == bool(said)


def test_a_pause_before_the_first_epoch_counts_none() -> None:
    paused = TrainingStatus("paused", 0, 30)
    assert status_words(paused, ready=True).startswith("Paused before any epoch; images stay")
    later = TrainingStatus("paused", 7, 30)
    assert status_words(later, ready=True).startswith("Paused at epoch 7 of 30; images stay")
