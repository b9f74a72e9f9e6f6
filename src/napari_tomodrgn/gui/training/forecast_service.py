"""What a training will take, worked out in a thread for whatever stands in the form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.workers import LatestTask
from napari_tomodrgn.gui.particles.load import sentence

if TYPE_CHECKING:
    from napari_tomodrgn.config import RunConfig
    from napari_tomodrgn.session import Session


_NAMES = {"cpu": "the processor", "cuda": "the graphics card", "mps": "the graphics chip"}


class ForecastService(QObject):
    """Asks `learn.training.forecast` and puts the answer into the session."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.queue = LatestTask(self, computes=True)
        self.queue.item.connect(self._take)
        self.queue.failed.connect(self._failed)
        self._later: RunConfig | None = None
        session.events.checking.connect(self._after_checks)

    def request(self, config: RunConfig) -> None:
        """Forecast this configuration on the particles that are open."""
        particles = self.session.particles
        if particles is None or self.session.training.busy:
            return  # while it trains, a timing here would be wrong and in the way
        if self.session.checking.busy:  # the same holds
            self._later = config
            return

        def steps() -> Iterator[dict[str, Any]]:
            from napari_tomodrgn.learn.runtime.device import pick_device
            from napari_tomodrgn.learn.training.forecast import forecast

            device = pick_device(config.train.device).type
            found: dict[str, Any] = {**forecast(particles, config), "device": _NAMES[device]}
            if config.method == "linear":
                # What is timed is the network's decoder, which the linear model has not.
                found.pop("seconds_per_epoch", None)
            else:
                found["seconds"] = found["seconds_per_epoch"] * config.train.epochs
            yield found

        self.queue.request(steps)

    def _after_checks(self, *_: Any) -> None:
        if self._later is not None and not self.session.checking.busy:
            config, self._later = self._later, None
            self.request(config)

    def _take(self, found: dict[str, Any]) -> None:
        self.session.forecast = found

    def _failed(self, error: Exception) -> None:
        self.session.forecast = {"problem": sentence(error, "estimating time and memory")}
