"""How much memory and time a run will take, from the set's size and a short timing here."""

from __future__ import annotations

import time

import torch

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.learn.device import autocast, pick_device
from napari_tomodrgn.learn.model import Vae
from napari_tomodrgn.physics.lattice import half_plane

# Points of the timed step: enough for the matrix products to be busy.
_POINTS = 8192
_BASE_GB = 0.6  # torch, pandas and this program, before any image
_BYTES_PER_POINT = 4 * 2 * 256 * 5  # activations and their gradients of the default decoder


def forecast(particles: ParticleSet, config: RunConfig) -> dict[str, float]:
    """``ram_gb``, ``gpu_gb`` and ``seconds_per_epoch`` of training on this machine.

    The time is that of the decoder on as many Fourier samples as an epoch evaluates, measured
    with a step of 8,192; the encoder, reading and latents come on top, some tens of percent.
    """
    lattice = half_plane(particles.optics.box_size_px)
    images = len(particles.images)
    sample_gb = images * len(lattice) * 8 / 1e9
    per_particle = images / len(particles) * len(lattice)
    if config.train.points_per_particle:
        per_particle = min(per_particle, config.train.points_per_particle)
    device = pick_device(config.train.device)
    seconds = _seconds_per_point(config, particles.optics.box_size_px, device)
    step_gb = min(per_particle * config.train.batch_size, 1 << 20) * _BYTES_PER_POINT / 1e9
    return {
        "ram_gb": round(_BASE_GB + min(sample_gb, config.data.memory_gb), 2),
        "gpu_gb": round(step_gb, 2) if device.type == "cuda" else 0.0,
        "seconds_per_epoch": round(seconds * per_particle * len(particles), 2),
    }


def _seconds_per_point(config: RunConfig, box_size_px: int, device: torch.device) -> float:
    decoder = Vae(config.model, box_size_px, points=8, slots=1).decoder.to(device)
    frequencies = torch.rand((_POINTS, 3), device=device) - 0.5
    z = torch.zeros((1, config.model.latent_dim), device=device)
    owner = torch.zeros(_POINTS, dtype=torch.int64, device=device)
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        with autocast(config.train.precision, device):
            amplitudes = decoder(frequencies, z, owner)
        loss = torch.view_as_real(amplitudes).square().mean()
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return best / _POINTS
