"""Starting, watching and stopping a training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
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
from napari_tomodrgn.gui.config_form import ConfigForm
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


class TrainingPanel(QWidget):
    """Form, folder, one button, progress."""

    train_requested = Signal(object, str)  # RunConfig, folder
    stop_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.form = ConfigForm(RunConfig(), _BASIC)
        self.more = ConfigForm(RunConfig(), _ADVANCED)
        fold = QCollapsible("More settings")
        fold.addWidget(self.more)
        self.folder = QLineEdit()
        self.folder.setToolTip("Everything of the run is written into this folder")
        self.folder.setPlaceholderText("Folder for the run")
        self.button = make_button("Train", "", self._press)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(10)
        self.status = make_label()
        self.losses = make_label()
        layout = QVBoxLayout(self)
        layout.addWidget(self.form)
        layout.addWidget(fold)
        layout.addLayout(self._folder_row())
        layout.addWidget(self.button)
        for widget in (self.bar, self.status, self.losses):
            layout.addWidget(widget)
        layout.addStretch(1)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        session.events.training.connect(self.refresh)
        session.events.particles.connect(self._new_particles)
        self._new_particles()

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
        return RunConfig.model_validate(more)

    def refresh(self, *_: Any) -> None:
        """Show how far the training is."""
        status = self._session.training
        ready = self._session.particles is not None
        for widget in (self.form, self.more, self.folder):
            widget.setEnabled(not status.busy)
        self.button.setEnabled(status.phase != "stopping" and (status.busy or ready))
        self.button.setText("Stop and save" if status.busy else "Train")
        self.button.setToolTip(
            "Saves a checkpoint, then stops; the training can be resumed"
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
        self.refresh()

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
