"""Settings of a run: weights, model, training, and how its set is read.

Field titles, descriptions and bounds are what the window shows; the command line and a TOML file
fill the same fields.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_tomodrgn.config.data import DataConfig, Overrides, Settings

Pooling = Literal["concatenate", "max", "mean", "median", "set"]


class WeightConfig(Settings):
    """What dose and tilt leave of the signal."""

    dose: bool = Field(
        True,
        title="Dose weighting",
        description="Detail fades with the electron dose: it counts less, and maps are made up "
        "for it.",
    )
    tilt: bool = Field(
        True,
        title="Tilt weighting",
        description="The signal fades with the scale factor of an image, about the cosine of its "
        "tilt.",
    )
    dose_mask: bool = Field(
        True,
        title="Dose mask",
        description="Leave out frequencies beyond 2.51 times the critical dose.",
    )
    in_model: bool = Field(
        True,
        title="In the model",
        description="Dose and tilt fade the signal in the model; if not, they weigh its errors, as "
        "tomoDRGN does.",
    )


class ModelConfig(Settings):
    """Shape of the variational autoencoder."""

    latent_dim: int = Field(
        8, ge=1, le=512, title="Latent dimensions", description="Numbers that describe a particle."
    )
    image_encoder_layers: int = Field(3, ge=0, le=16, title="Image encoder layers")
    image_encoder_dim: int = Field(256, ge=8, le=4096, title="Image encoder width")
    image_features: int = Field(
        128, ge=4, le=4096, title="Features per image", description="Output of the image encoder."
    )
    particle_encoder_layers: int = Field(3, ge=0, le=16, title="Particle encoder layers")
    particle_encoder_dim: int = Field(256, ge=8, le=4096, title="Particle encoder width")
    pooling: Pooling = Field(
        "mean",
        title="Pooling over tilts",
        description="How the images of one particle are joined; all modes take unequal tilts.",
    )
    decoder_layers: int = Field(3, ge=0, le=16, title="Decoder layers")
    decoder_dim: int = Field(256, ge=8, le=4096, title="Decoder width")
    encoding: Literal[
        "gaussian",
        "geometric",
        "geometric_full",
        "geometric_low",
        "geometric_no_high",
        "none",
    ] = Field(
        "gaussian", title="Positional encoding", description="How a frequency enters the decoder."
    )
    encoding_features: int | None = Field(
        None,
        ge=2,
        le=1024,
        title="Encoding features",
        description="Frequencies per axis; empty: half the box.",
    )
    encoding_sigma: float = Field(
        1.0,
        gt=0.0,
        le=10.0,
        title="Encoding bandwidth",
        description="Standard deviation of the random frequencies, in units of half the box.",
    )
    mean_map: bool = Field(
        True,
        title="Start from the mean map",
        description="The decoder learns what differs from the back-projection of all particles.",
    )
    linear_start: bool = Field(
        True,
        title="Start from the linear engine",
        description="Components and latents found in closed form, in seconds, are where the "
        "autoencoder starts; only with the mean map, and from 8 particles on.",
    )
    activation: Literal["relu", "leaky_relu", "silu"] = Field("relu", title="Activation")


class TrainConfig(Settings):
    """How the autoencoder learns."""

    epochs: int = Field(30, ge=1, le=100_000, title="Epochs")
    patience: int = Field(
        10,
        ge=0,
        title="Patience (epochs)",
        description="Training stops when held-out images have not been explained better for so "
        "many epochs; 0 never stops it.",
    )
    refine: bool = Field(
        True,
        title="Refine latents",
        description="When training ends, each latent goes from the encoder's guess to where the "
        "particle's images are most likely, and its width is that of the likelihood.",
    )
    batch_size: int = Field(4, ge=1, le=4096, title="Batch size", description="Particles per step.")
    learning_rate: float = Field(1e-3, gt=0.0, le=1.0, title="Learning rate")
    weight_decay: float = Field(0.0, ge=0.0, le=1.0, title="Weight decay")
    points_per_particle: int = Field(
        512,
        ge=0,
        title="Fourier samples per particle and step",
        description="Drawn at random in each step; 0 uses all of them.",
    )
    beta: float = Field(
        1.0,
        ge=0.0,
        title="Beta",
        description="Weight of the KL divergence; 1 is the evidence lower bound.",
    )
    beta_schedule: Literal["constant", "linear", "cyclic"] = Field(
        "constant",
        title="Beta schedule",
        description="linear rises over the first half of the run; cyclic rises four times.",
    )
    capacity: float | None = Field(
        None,
        gt=0.0,
        title="Controlled capacity",
        description="Strength that holds the KL divergence at beta instead of weighing it.",
    )
    checkpoint_every: int = Field(
        1, ge=1, title="Checkpoint interval", description="Epochs between checkpoints."
    )
    save_seconds: float = Field(
        120.0,
        gt=0.0,
        title="Saving interval (s)",
        description="Time between saved states: as much work is lost if the run is killed.",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", title="Precision", description="auto: bfloat16 where the GPU has it, else float32."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", title="Device")
    reference: bool = Field(
        False,
        title="As the reference does",
        description="Train as tomoDRGN does, from random weights and with every Fourier sample of "
        "one particle a step. Slow: for comparison only.",
    )


class LinearConfig(Settings):
    """Shape of the linear model; what is empty is decided on halves of the set."""

    components: int | None = Field(
        None,
        ge=1,
        le=64,
        title="Components",
        description="Latent dimensions; empty: as many as particles not fitted confirm.",
    )
    radius_px: int | None = Field(
        None,
        ge=4,
        title="Largest radius (Fourier px)",
        description="Finest detail that is used; empty: as far as it helps particles not fitted.",
    )
    focus_mask: str | None = Field(
        None,
        title="Focus on a mask",
        description="MRC file, 1 inside a region and 0 outside: latents are of what differs "
        "inside, whatever differs outside; empty: of the whole particle.",
        json_schema_extra={"empty": "none"},
    )
    outside_components: int = Field(
        6,
        ge=1,
        le=32,
        title="Components outside the mask",
        description="What differs outside is fitted along so many, and left out of the latents.",
    )


class ReadingConfig(Settings):
    """How a star file is to be read where it is wrong, silent or has been moved."""

    images: str | None = Field(
        None,
        title="Images folder",
        description="Where the image stacks are; empty: where the star file says, and around it.",
    )
    dialect: (
        Literal[
            "relion5",
            "relion4",
            "warptools",
            "tomodrgn",
            "warp",
            "cryosrpnt",
            "nextpyp",
            "cistem",
            "relion-matrices",
            "relion5-images",
        ]
        | None
    ) = Field(
        None,
        title="Format",
        description="Program whose conventions are followed; automatic: recognised by the columns.",
    )
    overrides: Overrides = Field(default_factory=Overrides)
    data: DataConfig = Field(default_factory=DataConfig)


class RunConfig(Settings):
    """Everything that decides what a run computes."""

    method: Literal["vae", "linear"] = Field("vae", title="Method")
    seed: int = Field(0, ge=0, title="Seed", description="Same seed, same device: same result.")
    data: DataConfig = Field(default_factory=DataConfig)
    weight: WeightConfig = Field(default_factory=WeightConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    linear: LinearConfig = Field(default_factory=LinearConfig)

    def as_trained(self) -> RunConfig:
        """The configuration that holds: what ``train.reference`` replaces is replaced."""
        if not self.train.reference:
            return self
        model = {"mean_map": False, "linear_start": False, "pooling": "concatenate"}
        # tomoDRGN 1.0: 1e-4, doubled as images are drawn at random; β one over the latent's length.
        train = {
            "batch_size": 1,
            "points_per_particle": 0,
            "learning_rate": 2e-4,
            "beta": 1 / self.model.latent_dim,
            "patience": 0,
            "refine": False,
        }
        return self.model_copy(
            update={
                "model": self.model.model_copy(update=model),
                "train": self.train.model_copy(update=train),
                "weight": self.weight.model_copy(update={"in_model": False}),
                "data": self.data.model_copy(update={"window_center": "box"}),
            }
        )
