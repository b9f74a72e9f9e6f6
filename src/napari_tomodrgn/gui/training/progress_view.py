"""How far a training is and how its losses fall."""

from __future__ import annotations

import math

import numpy as np
from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_tomodrgn.gui.charts.line_plot import Curve, LinePlot
from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.training.service import why_on_show
from napari_tomodrgn.gui.widgets.qt import make_label
from napari_tomodrgn.gui.widgets.steady_label import SteadyLabel
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK
from napari_tomodrgn.session import Session
from napari_tomodrgn.work_status import TrainingStatus

_TRAINED, _HELD_OUT, _KL = "#56b4e9", "#e69f00", "#2fb894"
_KL_TIP = (
    "Kullback-Leibler divergence of a particle's latent from the prior, in nats: how much the "
    "network says about a particle. Near 0 it has learnt to say nothing."
)


class TrainingProgress(QWidget):
    """Bar of the whole training with the time left, the last losses, curves over the epochs."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(10)
        self.status, self._longest = SteadyLabel(), ""
        self.losses = make_label(tip="Of the last report, averaged over the particles seen")
        self.shown = make_label(
            tip="The better of the two is on show. Latents of the encoder come once they explain "
            "images that were kept from training as well as the first look does"
        )
        self.plot = LinePlot("Epoch", "Loss", whole=True)
        self.plot.setToolTip(
            "Weighted squared error per Fourier sample. Held-out images are never trained on: when "
            "their curve rises while the other falls, the network learns noise."
        )
        self.divergence = LinePlot("Epoch", "KL, nats", whole=True)
        self.divergence.setToolTip(_KL_TIP)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        words = (self.status, self.losses, self.shown)
        for widget in (self.bar, *words, self.plot, self.divergence):
            layout.addWidget(widget)
        events = session.events
        events.metrics.connect(self._draw)
        for name in ("training", "particles", "metrics", "epoch", "run"):
            getattr(events, name).connect(self.refresh)
        self._draw()
        self.refresh()

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self.plot.set_theme(theme)
        self.divergence.set_theme(theme)

    def refresh(self, *_: object) -> None:
        """Show how far the training is."""
        status = self._session.training
        ready = self._session.particles is not None
        self.bar.setVisible(status.phase != "idle")
        self.bar.setValue(round(1000 * status.fraction))
        for label, words in (
            (self.status, status_words(status, ready=ready) or why_ended(self._session)),
            (self.losses, loss_words(status)),
            (self.shown, "" if self._is_of_another else why_first_look(self._session)),
        ):
            label.setText(words)
            label.setVisible(bool(words))
        self._longest = max(self._longest, self.status.text(), key=len)
        self.status.keep_room_for(self._longest)  # what is below stays where it is
        table = self._session.metrics
        some = table is not None and len(table) > 0 and not self._is_of_another
        self.plot.setVisible(some)
        self.divergence.setVisible(some)

    @property
    def _is_of_another(self) -> bool:
        """Whether a run is trained while another one is still on show, with its losses."""
        status, run = self._session.training, self._session.run
        return status.busy and run is not None and status.run_name not in ("", run.path.name)

    def _draw(self, *_: object) -> None:
        table = self._session.metrics
        if table is None or not len(table):
            return
        run = self._session.run
        linear = run is not None and run.config.method == "linear"
        for plot in (self.plot, self.divergence):
            plot.set_x_name("Iteration" if linear else "Epoch")
        columns = {
            name: table[name].to_numpy(np.float64)
            for name in ("epoch", "reconstruction", "held_out", "kl")
        }
        epochs = columns["epoch"]
        self.plot.set_curves(
            [
                Curve("training", epochs, columns["reconstruction"], _TRAINED),
                Curve("held out", epochs, columns["held_out"], _HELD_OUT),
            ]
        )
        self.divergence.set_curves([Curve("KL", epochs, columns["kl"], _KL)])


def status_words(status: TrainingStatus, *, ready: bool) -> str:
    """Where the training is, for a person."""
    if status.is_at_work:
        return status.words
    if status.phase == "paused":
        at = f"at {status.unit} {status.epoch} of {status.epochs}" if status.epoch else "before any"
        at = at if status.epoch else f"{at} {status.unit}"
        return f"Paused {at}; images stay in memory. Stop saves a checkpoint and frees the memory."
    if status.phase == "stopping":
        return "Stopping: a checkpoint is being saved …"
    if status.phase == "idle":
        return "" if ready else "Open a star file first (step Particles)."
    total = f" of {status.epochs}" if status.epochs else ""
    at = f"{status.unit} {status.epoch}{total}"
    return f"Following {status.what}, trained elsewhere: {at}{status.left}"


def why_ended(session: Session) -> str:
    """Why a training ended before the epochs that it was asked for; empty where it did not."""
    run = session.run
    if run is None or run.info.chosen_epoch is None or run.config.method == "linear":
        return ""
    done, train = session.last_epoch_trained, run.config.train
    if not 0 < done < train.epochs:
        return ""
    ended = (
        f"Ended after epoch {done} of {train.epochs}: for {train.patience} epochs held-out images "
        "were explained no better."
    )
    last = f" Epoch {done} is on show: no earlier one is surely better."
    return ended + (why_on_show(run, done) or last)


def why_first_look(session: Session) -> str:
    """Why epochs are trained and the first look stays on show; empty where it does not."""
    metrics = session.metrics
    stays = session.latents is not None and session.epoch == FIRST_LOOK
    if not stays or metrics is None or not len(metrics):
        return ""
    from napari_tomodrgn.learn.run.tables import gain_over_first_look

    epoch = int(metrics["epoch"].iloc[-1])
    behind = -gain_over_first_look(metrics, epoch)
    over = session.training.phase == "idle"
    which = f"Epoch {epoch}, the last one, explains" if over else f"Epoch {epoch} still explains"
    return f"On show: the first look. {which} held-out images worse ({behind:.1f} σ)."


def loss_words(status: TrainingStatus) -> str:
    """The losses of the last report."""
    losses = status.losses
    if losses is None:
        return ""
    words = f"Reconstruction {losses.reconstruction:.4g}   KL {losses.kl:.3g} nats"
    return words if math.isnan(losses.held_out) else f"{words}   held out {losses.held_out:.4g}"
