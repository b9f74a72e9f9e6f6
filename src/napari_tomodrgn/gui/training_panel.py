"""Starting, watching and stopping a training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.chart import ChartColours
from napari_tomodrgn.gui.config_form import ConfigForm
from napari_tomodrgn.gui.curves import Curve, CurvePlot
from napari_tomodrgn.gui.presets import EXPLAINED, preset
from napari_tomodrgn.gui.qt import Signal, make_button, make_label, make_tool_button
from napari_tomodrgn.session import Session, TrainingStatus

_BASIC = ("train.epochs", "model.latent_dim", "train.batch_size")
_ADVANCED = (
    "train.learning_rate",
    "train.points_per_particle",
    "train.beta",
    "model.pooling",
    "model.decoder_dim",
    "data.contrast",
    "data.held_out_fraction",
    "train.device",
    "seed",
)


_TRAINED, _HELD_OUT = "#56b4e9", "#e69f00"


class TrainingPanel(QWidget):
    """Form, folder, one button, progress."""

    train_requested = Signal(object, str)  # RunConfig, folder
    resume_requested = Signal(object)  # RunConfig
    forecast_requested = Signal(object)  # RunConfig
    stop_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.preset = QComboBox()
        for name, tip in EXPLAINED.items():
            self.preset.addItem(name)
            self.preset.setItemData(self.preset.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.preset.setCurrentText("Standard")
        self._base = preset("Standard")
        self.form = ConfigForm(RunConfig(), _BASIC)
        self.more = ConfigForm(RunConfig(), _ADVANCED)
        fold = QCollapsible("More settings")
        fold.addWidget(self.more)
        self.folder = QLineEdit()
        self.folder.setToolTip("Everything of the run is written into this folder")
        self.folder.setPlaceholderText("Folder for the run")
        self.button = make_button("Train", "", self._press)
        self.resume = make_button("Resume", "", self._resume)
        self.forecast = make_label(tip="Estimated by timing a short step on this machine")
        self.plot = CurvePlot("Epoch", "Loss")
        self.plot.setToolTip(
            "Weighted squared error per Fourier sample. Held-out images are never trained on: when "
            "their curve rises while the other falls, the network learns noise."
        )
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(10)
        self.status = make_label()
        self.losses = make_label()
        self.explained = make_label(EXPLAINED["Standard"] + ".")
        self._lay_out(fold)
        self._asked = QTimer(self)
        self._asked.setSingleShot(True)
        self._asked.setInterval(400)
        self._asked.timeout.connect(self._ask_forecast)
        self._connect()
        self._new_particles()

    def set_theme(self, theme: ChartColours) -> None:
        """Take the colours of the theme."""
        self.plot.set_theme(theme)

    def _lay_out(self, fold: QWidget) -> None:
        layout = QVBoxLayout(self)
        row = QHBoxLayout()
        row.addWidget(QLabel("Preset"))
        row.addWidget(self.preset, 1)
        layout.addLayout(row)
        layout.addWidget(self.explained)
        layout.addWidget(self.form)
        layout.addWidget(fold)
        layout.addLayout(self._folder_row())
        below: list[QWidget] = [self.forecast, self.button, self.resume]
        below += [self.bar, self.status, self.losses, self.plot]
        for widget in below:
            layout.addWidget(widget)
        layout.addStretch(1)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)

    def _connect(self) -> None:
        events = self._session.events
        events.training.connect(self.refresh)
        events.metrics.connect(self._draw)
        events.forecast.connect(self._tell_forecast)
        events.run.connect(self._take_run)
        events.particles.connect(self._new_particles)
        self.preset.activated.connect(self._choose_preset)
        self.form.changed.connect(self._asked.start)
        self.more.changed.connect(self._asked.start)

    def config(self) -> RunConfig:
        """The configuration that stands in the form.

        Raises
        ------
        BadInputError
            If a value is out of bounds.
        """
        basic = self.form.config().model_dump()
        more = self.more.config().model_dump()
        for path in _BASIC:
            group, name = path.split(".")
            more[group][name] = basic[group][name]
        # The forms show some fields; what a preset or a run says of the others stays.
        rest = {"method": self._base.method, "linear": self._base.linear.model_dump()}
        return RunConfig.model_validate({**more, **rest})

    def refresh(self, *_: Any) -> None:
        """Show how far the training is."""
        status = self._session.training
        ready = self._session.particles is not None
        for widget in (self.form, self.more, self.folder, self.preset):
            widget.setEnabled(not status.busy)
        self.resume.setVisible(not status.busy and ready and self._session.run is not None)
        self.button.setEnabled(status.phase != "stopping" and (status.busy or ready))
        self.button.setText("Pause" if status.busy else "Train")
        self.button.setToolTip(
            "Saves a checkpoint and stops; Resume goes on from there, now or another day"
            if status.busy
            else "Train on the particles that are open"
            if ready
            else "Open a star file first"
        )
        self.bar.setVisible(status.busy)
        self.bar.setValue(round(1000 * status.fraction))
        self.status.setText(status_words(status, ready=ready))
        self.losses.setText(loss_words(status))

    def _new_particles(self, *_: Any) -> None:
        source = self._session.source
        if source is not None and self._session.run is None and source.suffix == ".star":
            self.folder.setText(str(free_folder(source)))
        self._asked.start()
        self.refresh()

    def _take_run(self, *_: Any) -> None:
        """The form shows how the open run was trained; more epochs extend it."""
        run = self._session.run
        if run is not None and not self._session.training.busy:
            self._show(run.config)
            done, wanted = self._session.epoch, run.config.train.epochs
            self.resume.setText("Resume" if done < wanted else "Train more epochs")
            self.resume.setToolTip(f"Go on in {run.path}; set more epochs to extend it")
        self.refresh()

    def _choose_preset(self, _row: int) -> None:
        name = self.preset.currentText()
        self.explained.setText(EXPLAINED[name] + ".")
        self._show(preset(name))

    def _show(self, config: RunConfig) -> None:
        self._base = config
        self.form.set_config(config)
        self.more.set_config(config)
        self.form.setVisible(config.method != "linear")  # none of these is of that model
        self._asked.start()

    def _ask_forecast(self) -> None:
        try:
            self.forecast_requested.emit(self.config())
        except BadInputError:
            self.forecast.setText("")  # being typed; the button says what is wrong

    def _tell_forecast(self, *_: Any) -> None:
        self.forecast.setText(forecast_words(self._session.forecast))

    def _draw(self, *_: Any) -> None:
        table = self._session.metrics
        self.plot.setVisible(table is not None and len(table) > 0)
        if table is None or not len(table):
            return
        epochs = table["epoch"].to_numpy(np.float64)
        self.plot.set_curves(
            [
                Curve("training", epochs, table["reconstruction"].to_numpy(np.float64), _TRAINED),
                Curve("held out", epochs, table["held_out"].to_numpy(np.float64), _HELD_OUT),
            ]
        )

    def _resume(self) -> None:
        try:
            self.resume_requested.emit(self.config())
        except BadInputError as error:
            self._session.say(str(error), "error")

    def _press(self) -> None:
        if self._session.training.busy:
            self.stop_requested.emit()
            return
        folder = self.folder.text().strip()
        if not folder:
            self._session.say("Choose a folder for the run.", "warning")
            return
        try:
            self.train_requested.emit(self.config(), folder)
        except BadInputError as error:
            self._session.say(str(error), "error")

    def _folder_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(QLabel("Save in"))
        row.addWidget(self.folder, 1)
        row.addWidget(make_tool_button("…", "Choose a folder", self._browse))
        return row

    def _browse(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder for the run", self.folder.text())
        if name:
            self.folder.setText(name)


def forecast_words(found: dict[str, float]) -> str:
    """What a training will take, for a person."""
    if not found:
        return ""
    words = [f"{found['ram_gb']:.1f} GB of memory"]
    if found.get("gpu_gb"):
        words.append(f"{found['gpu_gb']:.1f} GB on the graphics card")
    seconds = found.get("seconds")
    time = "" if seconds is None else f"about {duration(seconds)}, "
    return f"Takes {time}{', '.join(words)}."


def free_folder(source: Path) -> Path:
    """A folder beside the star file that holds no run yet."""
    number = 1
    while (folder := source.parent / f"{source.stem}_run{number:02d}").exists():
        number += 1
    return folder


def status_words(status: TrainingStatus, *, ready: bool) -> str:
    """Where the training is, for a person."""
    if status.phase == "preparing":
        return f"Reading and transforming images … {status.fraction:.0%}"
    if status.phase == "stopping":
        return "Stopping: a checkpoint is being saved …"
    if status.phase == "training":
        left = (
            "" if status.seconds_left is None else f", about {duration(status.seconds_left)} left"
        )
        return f"Epoch {status.epoch} of {status.epochs}{left}"
    return "" if ready else "Open a star file first (tab Particles)."


def loss_words(status: TrainingStatus) -> str:
    """The losses of the last report."""
    losses = status.losses
    if losses is None:
        return ""
    words = f"Reconstruction {losses.reconstruction:.4g}   KL {losses.kl:.3g} nats"
    return words if math.isnan(losses.held_out) else f"{words}   held out {losses.held_out:.4g}"


def duration(seconds: float) -> str:
    """``40 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
