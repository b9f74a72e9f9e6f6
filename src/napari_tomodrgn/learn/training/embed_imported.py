"""Images → latents by an encoder of tomoDRGN, from the very pixels that it was trained on.

tomoDRGN works on the Hartley transform H = Re F − Im F of windowed images on a square lattice of
(D + 1)² points, frequencies −½ … ½ cycles per pixel, both rims included (the last row and column
repeat the first). Then, in this order: sign, division by the scale of its data, shift of the
content by +t, H'(k) = cos(2πk·t) H(k) + sin(2πk·t) H(−k), and the CTF's phases undone.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from napari_tomodrgn.data.fourier_images import soft_window
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.stack import ImageStacks
from napari_tomodrgn.data.tilt_data import ctf_parameters
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.network.tomodrgn import read_encoder
from napari_tomodrgn.learn.network.tomodrgn_settings import TomodrgnNetwork
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.tables import latent_table
from napari_tomodrgn.learn.runtime.events import WorkProgress
from napari_tomodrgn.physics.ctf import ctf

_PARTICLES_AT_A_TIME = 16  # in one pass through the encoder


def embed_imported(
    run: Run, particles: ParticleSet, epoch: int | None = None
) -> Generator[WorkProgress, None, pd.DataFrame]:
    """Latents of particles by the encoder of an imported run, as `Run.latents` gives them.

    Raises
    ------
    BadInputError
        If the network came without an encoder that can be asked.
    """
    network = run.info.network
    assert network is not None
    if network.without_encoder:
        raise BadInputError(
            f"{run.path}: {network.without_encoder}, so new images cannot be embedded.",
            remedy="Train a run on its particles.star.",
            code="no-encoder",
        )
    encoder = read_encoder(run.weights_file(run.last_epoch(epoch)), network)
    tables = []
    for start in range(0, len(particles), _PARTICLES_AT_A_TIME):
        rows = np.zeros(len(particles), dtype=bool)
        rows[start : start + _PARTICLES_AT_A_TIME] = True
        part = particles.take(rows)
        pixels = hartley_pixels(part, network, encoder.mask) * (run.info.sign / run.info.scale)
        with torch.inference_mode():
            posterior = encoder(pixels, part.particles["tilts"].astype(int).tolist())
        tables.append(latent_table(part, posterior))
        yield WorkProgress(start + len(part), len(particles))
    return pd.concat(tables)


def hartley_pixels(particles: ParticleSet, network: TomodrgnNetwork, mask: Tensor) -> Tensor:
    """What tomoDRGN's encoder sees of all images of a set, but for sign and scale.

    Parameters
    ----------
    particles
        The set.
    network
        Box and window.
    mask
        ``((D + 1)²,)`` which points of the lattice are wanted, rows of y from −½ to ½, x fastest.

    Returns
    -------
    ``(image, point)`` float32.
    """
    table, box = particles.images, network.box_size_px
    stacks = ImageStacks([str(name) for name in table["stack"].cat.categories], box_size_px=box)
    images = torch.from_numpy(
        stacks.read(table["stack"].cat.codes.to_numpy(), table["stack_index"].to_numpy(np.int64))
    )
    window = soft_window(box, network.window_inner, network.window_outer)
    spectrum = torch.fft.fftshift(
        torch.fft.fft2(torch.fft.ifftshift(images * window, dim=(-2, -1))), dim=(-2, -1)
    )
    hartley = spectrum.real - spectrum.imag
    hartley = torch.cat([hartley, hartley[:, :1]], dim=1)
    hartley = torch.cat([hartley, hartley[:, :, :1]], dim=2).flatten(1)
    opposite = hartley.flip(1)  # −k, as the lattice is symmetric
    axis = torch.linspace(-0.5, 0.5, box + 1)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    frequencies = torch.stack([x.flatten(), y.flatten()], dim=-1)[mask]
    shifts = torch.tensor(table[["shift_x_px", "shift_y_px"]].to_numpy(np.float32).tolist())
    angle = 2 * torch.pi * shifts @ frequencies.T
    pixels = angle.cos() * hartley[:, mask] + angle.sin() * opposite[:, mask]
    if not particles.optics.ctf_premultiplied:
        pixels = pixels * ctf(frequencies, ctf_parameters(particles)).sign()
    return pixels
