"""What happens in a run, told as frozen events: thread, terminal and test read the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Losses:
    """Losses averaged over the particles seen; ``held_out`` is NaN where no images are held out.

    ``reconstruction`` is the weighted mean squared error per Fourier sample in units of the data's
    variance, ``kl`` the divergence per particle in nats, ``total`` what was minimised.
    """

    reconstruction: float
    kl: float
    total: float
    held_out: float = float("nan")


@dataclass(frozen=True)
class WorkProgress:
    """Work before the first epoch or after the last: ``done`` of ``total`` pieces are ready.

    ``what`` is for a person. ``part`` tells apart what bears the same words in one training; see
    `learn.training.progress`.
    """

    done: int
    total: int
    what: str = "Reading images"
    part: str = ""


@dataclass(frozen=True)
class Started:
    """Training begins, or goes on, at ``first_epoch`` (1-based).

    ``earlier`` are the rows of ``metrics.csv`` that a resumed run has already: with the `row` of
    each `EpochDone` appended, they are the loss curve, and no file has to be read for it.
    """

    run: Path
    particles: int
    images: int
    first_epoch: int
    epochs: int
    device: str
    earlier: tuple[dict[str, float], ...] = ()


@dataclass(frozen=True)
class Progress:
    """``seen`` of ``total`` particles of ``epoch`` are done; sent at most ten times a second."""

    epoch: int
    seen: int
    total: int
    losses: Losses


@dataclass(frozen=True)
class EpochDone:
    """An epoch is over. Whatever it left on disk is already there.

    Held-out images are explained better than by the linear engine that training started from by
    ``gain_over_first_look_sigma`` standard errors; NaN where there is nothing to compare.
    """

    epoch: int
    seconds: float
    losses: Losses
    checkpoint: Path | None
    beta: float = 1.0
    learning_rate: float = 0.0
    gain_over_first_look_sigma: float = float("nan")

    @property
    def row(self) -> dict[str, float]:
        """The epoch's row of ``metrics.csv``."""
        return {
            "epoch": self.epoch,
            "seconds": round(self.seconds, 3),
            "reconstruction": self.losses.reconstruction,
            "kl": self.losses.kl,
            "total": self.losses.total,
            "beta": self.beta,
            "lr": self.learning_rate,
            "held_out": self.losses.held_out,
            "gain_over_first_look_sigma": self.gain_over_first_look_sigma,
        }


@dataclass(frozen=True)
class LatentsReady:
    """The latents of all particles after ``epoch`` can be read from ``table``.

    Epoch 0 is the first look: those of the linear engine that an autoencoder starts from.
    """

    epoch: int
    table: Path


@dataclass(frozen=True)
class Notice:
    """Something the user should know, in one sentence; the run goes on.

    A ``lasting`` one is to be on show when the run is over.
    """

    text: str
    lasting: bool = False


@dataclass(frozen=True)
class Finished:
    """The run is over: ``reason`` is ``completed`` or ``stopped``; everything is saved."""

    reason: str
    epoch: int


Event = WorkProgress | Started | Progress | EpochDone | LatentsReady | Notice | Finished
