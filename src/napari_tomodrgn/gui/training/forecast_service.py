"""What a training will take, worked out in a thread for whatever stands in the form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_tomodrgn.gui.background.error_message import error_message
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.work_status import duration

if TYPE_CHECKING:
    from napari_tomodrgn.config import RunConfig
    from napari_tomodrgn.session import Session


_NAMES = {"cpu": "the CPU", "cuda": "the GPU", "mps": "the Apple GPU"}


class ForecastService(Service):
    """Asks `learn.training.forecast` and puts the answer into the session."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session, parent)
        self.queue = self.latest_task(self._on_forecast, computes=True)
        self._later: RunConfig | None = None
        self.listen(self._on_preflight_status, "preflight_status")
        self.listen(self._on_training, "training")

    def request(self, config: RunConfig) -> None:
        """Forecast this configuration on the particles that are open."""
        particles = self.session.particles
        if particles is None or self.session.training.busy:
            return  # while it trains, a timing here would be wrong and in the way
        if self.session.preflight_status.busy:  # the same holds
            self._later = config
            return

        self.session.forecast = {}  # that of other settings says nothing about these

        def steps() -> Iterator[dict[str, Any] | None]:
            from napari_tomodrgn.learn.runtime.device import pick_device
            from napari_tomodrgn.learn.training.forecast import forecast_steps

            device = _NAMES[pick_device(config.train.device).type]
            for known in forecast_steps(particles, config):
                yield known and _in_all(known, config.train.epochs) | {"device": device}

        self.queue.request(steps)

    def _on_training(self, *_: object) -> None:
        if self.session.training.busy:
            self.queue.cancel()  # it would be in the way
            known = self.session.forecast
            if "ram_gb" in known and "seconds" not in known:  # half of one says nothing
                self.session.forecast = {}

    def _on_preflight_status(self, *_: object) -> None:
        if self._later is not None and not self.session.preflight_status.busy:
            config, self._later = self._later, None
            self.request(config)

    def _on_forecast(self, found: dict[str, Any]) -> None:
        self.session.forecast = found

    def on_failed(self, error: Exception) -> None:
        """Tell beside the form why there is no forecast."""
        self.session.forecast = {"problem": error_message(error, "estimating time and memory")}


def _in_all(known: dict[str, float], epochs: int) -> dict[str, Any]:
    """With ``seconds`` of the whole training, once all of its stages are known."""
    if "first_look_seconds" not in known:
        return known
    around = known["first_look_seconds"] + known["refining_seconds"]
    return known | {"seconds": around + epochs * known["seconds_per_epoch"]}


def forecast_words(found: dict[str, Any]) -> str:
    """What a training will take, for a person."""
    if "problem" in found:
        return str(found["problem"])
    if not found:
        return ""
    words = [f"{found['ram_gb']:.1f} GB of memory"]
    if found.get("gpu_gb"):
        words.append(f"{found['gpu_gb']:.1f} GB on the graphics card")
    where = f", on {found['device']}" if "device" in found else ""
    takes = f"Takes {', '.join(words)}{where}"
    if "seconds" not in found:
        return f"{takes}. Time: being measured …"
    whole = duration(found["seconds"])
    if not found["seconds_per_epoch"]:
        return f"{takes}. About {whole} once the images are read."
    # With the first look; where a training has none, with the first epoch.
    first = duration(found["first_look_seconds"] + found["seconds_per_epoch"])
    return f"{takes}. First points within {first}, about {whole} in all."
