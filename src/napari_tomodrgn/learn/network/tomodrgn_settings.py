"""What a run says of a network that tomoDRGN trained; its weights stand in the run's checkpoints.

Without torch, as ``run.json`` is read before torch is there.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class TomodrgnNetwork(BaseModel):
    """Shape and conventions of a network of tomoDRGN, beyond what its tensors show.

    Attributes
    ----------
    box_size_px
        Box of the images, even; tomoDRGN's own lattice has one point more.
    extent
        Frequency at the rim of its lattice, in its own units; 0.5 is cycles per pixel.
    activation
        Between layers.
    pooling
        How the encoder joins the images of a particle.
    window_inner, window_outer
        Radii of the real-space window, fractions of half the box.
    without_encoder
        Why new images cannot be embedded; empty where they can.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    box_size_px: int
    extent: float = 0.5
    activation: Literal["relu", "leaky_relu"] = "relu"
    pooling: Literal["mean", "max", "median", ""] = ""
    window_inner: float = 0.8
    window_outer: float = 0.9
    without_encoder: str = ""
