"""Named starting points for a training; what differs from them stays in the form."""

from __future__ import annotations

from napari_tomodrgn.config import RunConfig

PRESET_TIPS = {
    "First look": "Fast linear model (PCA-like): points, maps, and whether particles differ",
    "Standard": "An autoencoder that starts from the linear first look; suits most sets",
    "Thorough": "Twice the epochs and a wider decoder, for a set that is worth the wait",
}


def name_of_preset(config: RunConfig) -> str:
    """Return the preset that a configuration started from, as far as it shows."""
    if config.method == "linear":
        return "First look"
    standard = RunConfig().model.decoder_dim
    return "Thorough" if config.model.decoder_dim >= 2 * standard else "Standard"


def preset(name: str) -> RunConfig:
    """Return the configuration of a preset."""
    standard = RunConfig()
    if name == "First look":
        return RunConfig(method="linear")
    if name == "Thorough":
        model = {"decoder_dim": 2 * standard.model.decoder_dim}
        return RunConfig.model_validate(
            {"train": {"epochs": 2 * standard.train.epochs}, "model": model}
        )
    return standard
