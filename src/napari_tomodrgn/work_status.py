"""What long work of a window is doing, as small frozen values of the session. No Qt here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_tomodrgn.learn.runtime.events import Losses

TrainingPhase = Literal["idle", "preparing", "training", "paused", "stopping", "following"]


@dataclass(frozen=True)
class WorkStatus:
    """Whether a piece of work is under way, how far (0…1), and what it is at."""

    busy: bool = False
    fraction: float = 0.0
    what: str = ""


@dataclass(frozen=True)
class TrainingStatus:
    """How far a training is.

    The phase ``following`` is a training that another process does, seen through its folder.
    """

    phase: TrainingPhase = "idle"
    epoch: int = 0
    epochs: int = 0
    first_epoch: int = 1
    fraction: float = 0.0  # of the phase, 0…1
    losses: Losses | None = None
    seconds_left: float | None = None
    what: str = ""  # what is being prepared
    unit: Literal["epoch", "iteration"] = "epoch"  # iterations are those of the linear model

    @property
    def busy(self) -> bool:
        """Whether a training thread of this window is alive."""
        return self.phase not in ("idle", "following")
