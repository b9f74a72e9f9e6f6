"""Settings of a training with what it will take, and the buttons that start and stop it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from napari_tomodrgn.config import DataConfig, RunConfig
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.training.forecast_service import forecast_words
from napari_tomodrgn.gui.training.presets import PRESET_TIPS, name_of_preset, preset
from napari_tomodrgn.gui.training.progress_view import TrainingProgress
from napari_tomodrgn.gui.widgets.collapsible import CollapsibleSection
from napari_tomodrgn.gui.widgets.config_form import ConfigForm
from napari_tomodrgn.gui.widgets.folder_edit import FolderEdit
from napari_tomodrgn.gui.widgets.letter_size import LetterSize
from napari_tomodrgn.gui.widgets.qt import (
    Signal,
    labelled,
    make_button,
    make_label,
    scrolled,
    set_next,
)
from napari_tomodrgn.gui.widgets.stored_settings import load_setting, save_setting
from napari_tomodrgn.session import Session

_FORECAST_LINES = 4
_DEVICE = "train.device"
_BASIC = ("train.epochs", "model.latent_dim", "train.batch_size", _DEVICE)
_OF_NETWORK = (
    "train.learning_rate",
    "train.points_per_particle",
    "train.beta",
    "model.pooling",
    "model.decoder_dim",
)
_OF_LINEAR = ("linear.components", "linear.radius_px", "linear.focus_mask")
_OF_BOTH = ("data.contrast", "data.held_out_fraction", "data.memory_gb", "seed")
# What is trained on: which particles and tilt images, and how fine.
_CHOICE = (
    "data.pixel_size_target_angstrom",
    "data.box_target_px",
    "data.tomograms",
    "data.particles",
    "data.min_tilts",
    "data.max_tilts",
    "data.max_dose_e_per_angstrom2",
    "data.exclude_tilts",
)
_NO_IMAGES = "The tilt images are not on this computer: there is nothing to train on"
_DONE = "This training is done: held-out images gain no more"
_PAUSE = "Holds the training where it is; its images stay in memory"
_STOP = "Saves a checkpoint and ends the training; it can be resumed, now or another day"


class TrainingPanel(QWidget):
    """Form, folder, buttons, progress."""

    train_requested = Signal(object, str)  # RunConfig, folder
    resume_run_requested = Signal(object)  # RunConfig
    forecast_requested = Signal(object)  # RunConfig
    pause_requested = Signal()
    resume_requested = Signal()
    stop_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        before, self._of_run = _preset_before(), False
        self._source: Path | None = None  # whose particles the form chooses from
        self._proposed = ""  # as the folder, by this form
        self._beside: Path | None = None  # the run that it was proposed beside
        self.preset = _preset_box(before)
        self._base = preset(before)
        self.form = ConfigForm(self._base, _BASIC)
        self.more = ConfigForm(self._base, (*_OF_NETWORK, *_OF_LINEAR, *_OF_BOTH))
        self.section = CollapsibleSection(
            "More settings", self.more, "What rarely has to be changed"
        )
        self.choice = ConfigForm(self._base, _CHOICE)
        self.choice_section = CollapsibleSection(
            "Particles, tilts and pixel size",
            self.choice,
            "Which of the particles and tilt images to train on, and how fine; empty: all, as "
            "they are",
        )
        tip = "Everything of the run is written into this folder"
        self.folder = FolderEdit(tip, "a new folder", "Folder for the run")
        self.button = make_button("Train", "", self._press)
        self.button.setMinimumWidth(80)
        self.stop = make_button("Stop", _STOP, self.stop_requested.emit)
        self.resume = make_button("Resume", "", self._resume)
        self.forecast = make_label(tip="Estimated by timing each part on a few particles here")
        LetterSize(self.forecast, self._keep_room)  # what is below stays as its words come
        self.explained = make_label(PRESET_TIPS[before] + ".")
        self.progress = TrainingProgress(session)
        self._lay_out()
        self._show_fields()
        self._unasked = False
        self._asked = QTimer(self)
        self._asked.setSingleShot(True)
        self._asked.setInterval(400)
        self._asked.timeout.connect(self._ask_forecast)
        self._connect()
        self._on_particles()

    def _keep_room(self) -> None:
        self.forecast.setMinimumHeight(_FORECAST_LINES * self.forecast.fontMetrics().lineSpacing())

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self.progress.set_theme(theme)

    def _lay_out(self) -> None:
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 6, 0)
        layout.addLayout(labelled(QLabel("Preset"), self.preset))
        layout.addWidget(self.explained)
        layout.addWidget(self.form)
        layout.addWidget(self.choice_section)
        layout.addWidget(self.section)
        layout.addLayout(labelled(QLabel("Save in"), self.folder))
        layout.addLayout(labelled(self.button, self.forecast, self.stop))
        layout.addWidget(self.resume)
        layout.addWidget(self.progress)
        layout.addStretch(1)
        outer = QVBoxLayout(self)
        outer.addWidget(scrolled(page))

    def _connect(self) -> None:
        events = self._session.events
        events.training.connect(self.refresh)
        events.forecast.connect(self._on_forecast)
        events.run.connect(self._on_run)
        events.epoch.connect(lambda _epoch: self._refresh_resume())
        events.particles.connect(self._on_particles)
        events.checks.connect(self.refresh)
        events.import_options.connect(self._on_import_options)
        self.preset.activated.connect(self._choose_preset)
        for form in (self.form, self.more, self.choice):
            form.changed.connect(self._asked.start)
            form.changed.connect(self.refresh)

    def config(self) -> RunConfig:
        """The configuration that stands in the form.

        Raises
        ------
        BadInputError
            If a value is out of bounds.
        """
        more = self.more.config().model_dump()
        for form, paths in ((self.form, _BASIC), (self.choice, _CHOICE)):
            typed = form.config().model_dump()
            for path in paths:
                group, name = path.split(".")
                more[group][name] = typed[group][name]
        # The forms show some fields; what a preset or a run says of the others stays.
        rest = {"method": self._base.method, "linear": self._base.linear.model_dump()}
        return RunConfig.model_validate({**more, **rest})

    def refresh(self, *_: object) -> None:
        """Show what can be done now."""
        status = self._session.training
        ready = self._session.has_images
        for widget in (self.form, self.more, self.choice, self.folder, self.preset):
            widget.setEnabled(not status.busy)
        self.stop.setVisible(status.busy)
        self.stop.setEnabled(status.phase != "stopping")
        self.forecast.setVisible(not status.busy)
        self.button.setEnabled(status.phase != "stopping" and (status.busy or ready))
        self.button.setText(
            "Continue" if status.phase == "paused" else "Pause" if status.busy else "Train"
        )
        self.button.setToolTip(
            _PAUSE
            if status.busy
            else "Train on the particles that are open, into the folder above"
            if ready
            else _NO_IMAGES
            if self._session.particles is not None
            else "Open a star file first"
        )
        set_next(self.button, not status.busy and self._session.run is None)
        self._propose_folder()
        self._refresh_resume()

    def _propose_folder(self) -> None:
        """Once there is a run in its folder, the next training gets one of its own.

        Also where it was stopped before there was anything to show; what was typed is left alone.
        """
        session, run, named = self._session, self._session.run, self.folder.folder
        if session.training.busy or not session.has_images:
            return
        here = Path(named).expanduser() if named else None
        of_another = named == self._proposed and run is not None and self._beside != run.path
        if run is not None and (here in (None, run.path) or of_another):
            self._propose(next_folder(run.path))
            self._beside = run.path
        elif here is not None and named == self._proposed and (here / "run.json").is_file():
            self._propose(next_folder(here))

    def _propose(self, folder: Path) -> None:
        self._proposed = str(folder)
        self.folder.set_folder(self._proposed)

    def _refresh_resume(self) -> None:
        """A run that is open can go on: to its end, or beyond it where the form says so."""
        session, run = self._session, self._session.run
        possible = session.training.phase == "idle" and session.has_images
        linear = run is not None and run.config.method == "linear"
        ended = run is not None and run.info.chosen_epoch is not None
        self.resume.setVisible(possible and run is not None and not (linear and ended))
        if run is None:
            return
        if linear:
            self.resume.setEnabled(True)
            self.resume.setText("Finish this run")
            self.resume.setToolTip(f"It was stopped: fit it from the start again, in {run.path}")
            return
        done, wanted = session.last_epoch_trained, run.config.train.epochs
        asked = self.form.value("train.epochs")
        more = asked > done or done < wanted
        self.resume.setEnabled(more)
        if done < wanted and run.info.chosen_epoch is not None:
            self.resume.setText(f"Train on after epoch {done}")
            self.resume.setToolTip(f"{_DONE}. Trains on in {run.path} all the same")
        elif done < wanted:
            self.resume.setText(f"Resume after epoch {done}")
            self.resume.setToolTip(f"Go on in {run.path}")
        else:
            self.resume.setText(f"Extend to {asked} epochs" if more else "Extend")
            self.resume.setToolTip(f"Go on in {run.path}: set Epochs above {done}")

    def _on_particles(self, *_: object) -> None:
        source = self._session.source
        if source is not None and self._session.run is None and source.suffix == ".star":
            self._propose(free_folder(source))
            if source != self._source:
                self._forget(source)
        self._asked.start()
        self.refresh()

    def _forget(self, source: Path) -> None:
        """Of another data set: neither settings of a run nor a choice of particles stay."""
        self._source, data = source, self._session.import_options.data
        if self._of_run:
            self._take_preset(_preset_before(), data)
        else:
            self.choice.set_config(self._base.model_copy(update={"data": data}))

    def _on_import_options(self, *_: object) -> None:
        """What was said of the images holds for the training, too."""
        config = self._base.model_copy(update={"data": self._data()})
        self._base = config
        self.more.set_config(config)
        self.choice.set_config(config)

    def _data(self) -> DataConfig:
        """What was said of the images when they were read, and which of them to train on.

        No preset knows better.
        """
        said = self._session.import_options.data
        try:
            typed = self.choice.config().data
        except BadInputError:  # told when it is asked for
            return said
        names = [path.split(".")[1] for path in _CHOICE]
        return said.model_copy(update={name: getattr(typed, name) for name in names})

    def _on_run(self, *_: object) -> None:
        """The form shows how the open run is, or was, trained; more epochs extend it."""
        run = self._session.run
        if run is not None and run.config != self._base:
            self._show_preset(name_of_preset(run.config))
            self._show(run.config)
            self._of_run = True
        self.refresh()

    def _choose_preset(self, _row: int) -> None:
        name = self.preset.currentText()
        save_setting("preset", None, name)
        self._take_preset(name, self._data())

    def _take_preset(self, name: str, data: DataConfig) -> None:
        self._of_run = False
        self._show_preset(name)
        self._show(preset(name).model_copy(update={"data": data}))

    def _show_preset(self, name: str) -> None:
        self.preset.setCurrentText(name)
        self.explained.setText(PRESET_TIPS[name] + ".")

    def _show(self, config: RunConfig) -> None:
        self._base = config
        for form in (self.form, self.more, self.choice):
            form.set_config(config)
        self._show_fields()
        self._asked.start()

    def _show_fields(self) -> None:
        """Those of the method that is trained: no other does anything."""
        linear = self._base.method == "linear"
        self.form.show_only((_DEVICE,) if linear else _BASIC)
        self.more.show_only((*(_OF_LINEAR if linear else _OF_NETWORK), *_OF_BOTH))

    def showEvent(self, event: Any) -> None:
        """Ask what a training will take, for whoever comes to look."""
        super().showEvent(event)
        if self._unasked:
            self._asked.start()

    def _ask_forecast(self) -> None:
        # It takes the processor for seconds: not beside the checks of a set just opened.
        self._unasked = not self.isVisible()
        if self._unasked:
            return
        try:
            self.forecast_requested.emit(self.config())
        except BadInputError as error:
            self.forecast.setText(str(error))

    def _on_forecast(self, *_: object) -> None:
        self.forecast.setText(forecast_words(self._session.forecast))

    def _resume(self) -> None:
        if (run := self._session.run) is not None:
            self._propose(run.path)  # for as long as it trains it says where
        self._emit(self.resume_run_requested.emit)

    def _press(self) -> None:
        phase = self._session.training.phase
        if self._session.training.busy:
            (self.resume_requested if phase == "paused" else self.pause_requested).emit()
            return
        folder = self.folder.folder
        if not folder:
            self._session.show_message(
                "Choose a folder for the run.", "warning", lambda: bool(self.folder.folder)
            )
            return
        if (Path(folder).expanduser() / "run.json").is_file():
            self._session.show_message(
                f"{folder} already holds a run: choose another folder, or open that run and press "
                "Resume.",
                "warning",
                lambda: self.folder.folder != folder or self._session.training.busy,
            )
            return
        self._emit(lambda config: self.train_requested.emit(config, folder))

    def _emit(self, ask: Callable[[RunConfig], None]) -> None:
        try:
            ask(self.config())
        except BadInputError as error:
            self._session.show_message(str(error), "error")


def _preset_before() -> str:
    """The preset that was chosen last."""
    before = load_setting("preset", None)
    return before if before in PRESET_TIPS else "Standard"


def _preset_box(shown: str) -> QComboBox:
    box = QComboBox()
    for name, tip in PRESET_TIPS.items():
        box.addItem(name)
        box.setItemData(box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
    box.setCurrentText(shown)
    box.setToolTip("Settings to begin with; what you change below is kept")
    return box


def free_folder(source: Path) -> Path:
    """A folder beside the star file that holds no run yet."""
    return next_folder(source.parent / f"{source.stem}_run01")


def next_folder(folder: Path) -> Path:
    """This folder where there is none yet, else the first that is free of those numbered alike."""
    stem = folder.name.rstrip("0123456789")
    number = int(folder.name[len(stem) :] or 1)
    stem = stem if stem != folder.name else f"{stem}_"
    while folder.exists():
        number += 1
        folder = folder.with_name(f"{stem}{number:02d}")
    return folder
