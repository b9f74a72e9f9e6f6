"""Configuration: one frozen, validated object, saved as JSON, which also draws the form.

Field titles, descriptions and bounds are what the window shows; the command line and a TOML file
fill the same fields.
"""

from napari_tomodrgn.config.data import DataConfig, Overrides, Settings, unrolled
from napari_tomodrgn.config.run import (
    LinearConfig,
    ModelConfig,
    Pooling,
    ReadingConfig,
    RunConfig,
    TrainConfig,
    WeightConfig,
)
from napari_tomodrgn.config.settings import read_config, resumed, validated

__all__ = [
    "DataConfig",
    "LinearConfig",
    "ModelConfig",
    "Overrides",
    "Pooling",
    "ReadingConfig",
    "RunConfig",
    "Settings",
    "TrainConfig",
    "WeightConfig",
    "read_config",
    "resumed",
    "unrolled",
    "validated",
]
