"""Previews against the decoder that they stand for."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from napari_tomodrgn.config import ModelConfig
from napari_tomodrgn.learn.decoding.preview_basis import PreviewBasis, fit_preview
from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder
from napari_tomodrgn.learn.linear.decoder import LinearDecoder
from napari_tomodrgn.learn.network.model import Vae

BOX = 16


def fitted(decoder: VolumeDecoder, latents: np.ndarray, **options: int) -> PreviewBasis:
    *waiting, basis = fit_preview(decoder, latents, **options)
    assert all(step is None for step in waiting) and basis is not None
    return basis


def network(latent_dim: int) -> VolumeDecoder:
    config = ModelConfig(latent_dim=latent_dim, decoder_dim=32, mean_map=False)
    model = Vae(config, BOX, n_samples=8, n_tilts=1, seed=1)
    return VolumeDecoder(
        model.decoder, box_size_px=BOX, pixel_size_angstrom=4.0, latent_dim=latent_dim
    )


def test_a_linear_decoder_is_previewed_exactly_anywhere() -> None:
    maps = torch.randn((3, BOX, BOX, BOX), generator=torch.Generator().manual_seed(0))
    decoder = VolumeDecoder(
        LinearDecoder(maps, 6.0, BOX), box_size_px=BOX, pixel_size_angstrom=4.0, latent_dim=2
    )
    basis = fitted(decoder, np.random.default_rng(0).normal(size=(40, 2)))
    assert len(basis.maps) == 3 and basis.error < 1e-5
    z = [7.0, -11.0]  # far outside of what was given
    truth = decoder.decode(z).data
    assert np.abs(basis.volume(z).data - truth).max() < 1e-5 * np.abs(truth).max()


def test_a_network_is_previewed_at_latents_that_were_not_fitted() -> None:
    decoder, latents = network(2), np.random.default_rng(0).normal(size=(120, 2))
    basis = fitted(decoder, latents, maps=40)
    assert len(basis.maps) == 40
    fresh = np.random.default_rng(1).uniform(-1, 1, size=(10, 2))
    truth = np.stack([decoder.decode(z).data for z in fresh])
    found = np.stack([basis.volume(z).data for z in fresh])
    wrong = np.sqrt(np.mean((found - truth) ** 2) / np.mean((truth - basis.maps.mean(0)) ** 2))
    assert wrong < 0.1
    assert basis.error < 0.1 and basis.error_of_map < basis.error * 1.5
    assert basis.volume(fresh[0]).voxel_size_angstrom == pytest.approx(4.0)


def test_a_decoded_map_is_given_back_and_weights_add_up() -> None:
    basis = fitted(network(2), np.random.default_rng(2).normal(size=(60, 2)), maps=30)
    given = basis.volume(basis.nodes[7]).data
    assert np.abs(given - basis.maps[7]).max() < 0.02 * np.abs(basis.maps[7]).max()
    assert basis.weights([0.3, -0.4]).sum() == pytest.approx(1.0, abs=2e-3)


def test_few_and_equal_latents_do_and_coarse_maps_are_coarse() -> None:
    """One particle alone, or all at one place: a preview of that place, no error to state."""
    decoder = network(4)
    basis = fitted(decoder, np.ones((5, 4)), box_size_px=8)
    assert basis.maps.shape == (1, 8, 8, 8) and np.isnan(basis.error)
    assert basis.volume(np.ones(4)).voxel_size_angstrom == pytest.approx(8.0)
    assert np.allclose(basis.volume(np.ones(4)).data, basis.maps[0], atol=1e-2)
    with pytest.raises(ValueError, match="a latent has 4 numbers"):
        basis.volume([1.0])


def test_a_preview_takes_five_milliseconds() -> None:
    basis = fitted(network(8), np.random.default_rng(0).normal(size=(90, 8)))
    big = np.broadcast_to(basis.maps[:, :1, :1, :1], (len(basis.maps), 32, 32, 32)).copy()
    basis = PreviewBasis(
        big, basis.nodes, 4.0, basis.error, basis.error_of_map, basis.kernel, basis.inverse
    )
    times = []
    for _ in range(20):
        started = time.process_time()
        basis.volume(np.zeros(8))
        times.append(time.process_time() - started)
    assert min(times) < 0.005
