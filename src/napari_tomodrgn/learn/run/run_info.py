"""What ``run.json`` says of a run: everything that is needed to repeat it."""

from __future__ import annotations

import hashlib
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from napari_tomodrgn.config import Overrides, RunConfig
from napari_tomodrgn.data.optics import Optics, OpticsGroup
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.learn.decoding.class_filter import ClassFilter
from napari_tomodrgn.learn.network.tomodrgn_settings import TomodrgnNetwork
from napari_tomodrgn.version import installed_version

if TYPE_CHECKING:
    import torch

    from napari_tomodrgn.data.tilt_data import TiltData

FORMAT = 1  # of `run.json`; a run of a later one is refused


class RunInfo(BaseModel):
    """What ``run.json`` holds: everything needed to repeat the run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = FORMAT
    config: RunConfig
    source: str
    source_sha256: str
    dialect: str
    sign: int
    scale: float
    mean_power: float | None = None
    points: int
    slots: int
    optics: dict[str, Any]
    overrides: Overrides = Overrides()
    versions: dict[str, str]
    device: str
    command: list[str]
    created: str
    chosen_epoch: int | None = None  # the one that the run ended with; None while it trains
    first_look_radius_px: int | None = None  # Fourier pixels that maps of its linear engine reach
    # Of the chosen epoch, by Fourier shell: what differences of its maps from that of latent 0 are
    # multiplied with (`learn.inference.shrinkage`).
    shell_filter: list[float] | None = None
    class_filters: list[ClassFilter] = []  # the same for classes, where one for all is worse
    shrinkage: float = 1.0  # of runs before there was such a filter: factor of latents
    # So many first latents are those of the linear engine (`learn.inference.known_latents`).
    known_latents: int = 0
    # Shape class → product or convolution, so that a resumed run computes to the same bits.
    products: dict[str, str] = {}
    imported_from: str = ""  # folder of another program's result
    network: TomodrgnNetwork | None = None  # of that program, where its weights came along

    @model_validator(mode="before")
    @classmethod
    def _as_it_was_trained(cls, values: object) -> object:
        """Fill in what runs did from before there were settings for it.

        Dose and tilt were in the weights (``weight.in_model``), and the window stood in the middle
        of the box (``data.window_center``).
        """
        if isinstance(values, dict) and isinstance(values.get("config"), dict):
            config = values["config"]
            weight = {"in_model": False, **config.get("weight", {})}
            data = {"window_center": "box", **config.get("data", {})}
            values = {**values, "config": {**config, "weight": weight, "data": data}}
        return values

    def to_optics(self) -> Optics:
        """The optics that the images were taken to have."""
        groups = (OpticsGroup(**group) for group in self.optics.get("other_groups", ()))
        return Optics(**{**self.optics, "other_groups": tuple(groups)})


def describe(
    particles: ParticleSet, data: TiltData, config: RunConfig, sign: int, device: torch.device
) -> RunInfo:
    """What ``run.json`` is to say of a run that starts now."""
    import torch

    source = particles.source.path
    return RunInfo(
        config=config,
        source=str(source.resolve()),
        source_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
        dialect=particles.source.dialect,
        sign=sign,
        scale=data.images.scale,
        mean_power=data.mean_power,
        points=len(data.lattice),
        slots=data.tilts,
        optics=asdict(particles.optics),
        overrides=particles.source.overrides,
        versions={
            "napari-tomodrgn": installed_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        device=device_name(device),
        command=sys.argv,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def device_name(device: torch.device) -> str:
    """A device in words, as results on it are comparable only with itself."""
    if device.type == "cuda":
        import torch

        return f"cuda: {torch.cuda.get_device_name(device)}"
    return f"{device.type}: {platform.processor() or platform.machine()}"
