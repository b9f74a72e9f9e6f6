"""Heterogeneity of cryo-ET subtomograms: training, analysis and a napari plugin.

The public names are looked up when first used, so that importing the package costs nothing:
napari reads the manifest, and the command line prints its help, without waiting for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
    from napari_tomodrgn.analysis.reconstruct import reconstruct
    from napari_tomodrgn.config import DataConfig, Overrides, RunConfig
    from napari_tomodrgn.data.dialects import read_particles
    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.data.volume import Volume
    from napari_tomodrgn.learn.run.directory import Run
    from napari_tomodrgn.learn.training.train import train
    from napari_tomodrgn.session.workspace import Workspace
    from napari_tomodrgn.synthetic import simulate

__all__ = [
    "DataConfig",
    "Overrides",
    "ParticleSet",
    "Run",
    "RunConfig",
    "Volume",
    "Workspace",
    "__version__",
    "read_particles",
    "reconstruct",
    "simulate",
    "train",
]

_HOME = {
    "DataConfig": "config",
    "Overrides": "config",
    "ParticleSet": "data.particles",
    "Run": "learn.run.directory",
    "RunConfig": "config",
    "Volume": "data.volume",
    "Workspace": "session.workspace",
    "read_particles": "data.dialects",
    "reconstruct": "analysis.reconstruct",
    "simulate": "synthetic",
    "train": "learn.training.train",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = import_module(f"{__name__}.version").installed_version()
    elif name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
