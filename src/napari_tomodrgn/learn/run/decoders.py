"""From the files of a run to what decodes its latents, whichever method made them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tomodrgn.learn.decoding.volume_decoder import FourierModel, VolumeDecoder
from napari_tomodrgn.learn.linear.decoder import LinearDecoder
from napari_tomodrgn.learn.network.tomodrgn import read_decoder
from napari_tomodrgn.learn.run.run_info import RunInfo

if TYPE_CHECKING:
    import torch


def read_volume_decoder(
    info: RunInfo,
    weights: Path,
    autoencoder: Callable[[], FourierModel] | None,
    shell_filter: Sequence[float] | None,
    device: torch.device | str,
) -> VolumeDecoder:
    """Latents → maps, with the weights of a file.

    ``autoencoder`` reads them where they are those of one, None: they are of the linear engine.
    ``shell_filter`` has the factors ``(shell,)`` of `VolumeDecoder.with_shell_filter`, None: maps
    as they were learnt. Those of classes are in ``info``.

    Raises
    ------
    BadInputError
        If the file is absent, damaged or of another method.
    """
    optics, latent_dim = info.to_optics(), info.config.model.latent_dim
    decoder: FourierModel
    if info.network is not None:
        decoder = read_decoder(weights, info.network).to(device)
    elif autoencoder is None:
        linear = LinearDecoder.read(weights).to(device)
        decoder, latent_dim = linear, linear.components
    else:
        decoder = autoencoder()
    made = VolumeDecoder(
        decoder,
        box_size_px=optics.box_size_px,
        pixel_size_angstrom=optics.pixel_size_angstrom,
        latent_dim=latent_dim,
        scale=info.scale,
        device=device,
    )
    if shell_filter is None:
        return made
    return made.with_shell_filter(shell_filter, info.class_filters)
