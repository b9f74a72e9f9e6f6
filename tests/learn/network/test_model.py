"""The autoencoder's properties: order, number of tilts, symmetry, determinism."""

from __future__ import annotations

import pytest
import torch

from napari_tomodrgn.config import ModelConfig
from napari_tomodrgn.learn.network.model import Vae

POINTS, SLOTS = 20, 5
COUNTS = [5, 3, 1]  # images of three particles


def vae(**settings: object) -> Vae:
    small = {
        "latent_dim": 3,
        "image_encoder_dim": 16,
        "image_features": 8,
        "particle_encoder_dim": 16,
        "decoder_dim": 16,
    }
    config = ModelConfig.model_validate({**small, **settings})
    return Vae(config, box_size_px=16, n_samples=POINTS, n_tilts=SLOTS, seed=1).eval()


def ragged() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    particle_index = torch.repeat_interleave(torch.arange(3), torch.tensor(COUNTS))
    tilt_index = torch.cat([torch.arange(count) for count in COUNTS])
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn((len(particle_index), POINTS), dtype=torch.complex64, generator=generator)
    return samples, particle_index, tilt_index


@pytest.mark.parametrize("pooling", ["concatenate", "max", "mean", "median", "set"])
def test_a_particle_does_not_depend_on_who_is_in_the_batch(pooling: str) -> None:
    """Unequal numbers of tilts, padded together, give what each particle gives alone."""
    encoder = vae(pooling=pooling).encoder
    samples, particle_index, tilt_index = ragged()
    with torch.no_grad():
        together = encoder(samples, particle_index, tilt_index, 3)
        for particle in range(3):
            own = particle_index == particle
            alone = encoder(
                samples[own], torch.zeros(own.sum(), dtype=torch.int64), tilt_index[own], 1
            )
            assert torch.allclose(together.mu[particle], alone.mu[0], atol=1e-5)
            assert torch.allclose(together.logvar[particle], alone.logvar[0], atol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "mean", "median", "set"])
def test_order_of_tilts_does_not_matter(pooling: str) -> None:
    encoder = vae(pooling=pooling).encoder
    samples, _, tilt_index = ragged()
    zeros = torch.zeros(5, dtype=torch.int64)
    with torch.no_grad():
        forward = encoder(samples[:5], zeros, tilt_index[:5], 1)
        backward = encoder(samples[:5].flip(0), zeros, tilt_index[:5], 1)
    assert torch.allclose(forward.mu, backward.mu, atol=1e-5)


def test_concatenate_knows_which_tilt_is_missing() -> None:
    encoder = vae(pooling="concatenate").encoder
    samples, _, _ = ragged()
    zeros = torch.zeros(2, dtype=torch.int64)
    with torch.no_grad():
        early = encoder(samples[:2], zeros, torch.tensor([0, 1]), 1)
        late = encoder(samples[:2], zeros, torch.tensor([0, 4]), 1)
        beyond = encoder(samples[:2], zeros, torch.tensor([0, 7]), 1)
    assert not torch.allclose(early.mu, late.mu)
    assert torch.isfinite(beyond.mu).all()


@pytest.mark.parametrize(
    "encoding",
    ["gaussian", "geometric", "geometric_full", "geometric_low", "geometric_no_high", "none"],
)
def test_decoder_is_the_transform_of_a_real_map(encoding: str) -> None:
    """F(−k) = conj F(k), for every encoding, and each particle has its own F."""
    decoder = vae(encoding=encoding, mean_map=False).decoder
    generator = torch.Generator().manual_seed(2)
    k = torch.rand((50, 3), generator=generator) - 0.5
    z = torch.randn((2, 3), generator=generator)
    with torch.no_grad():
        there = decoder(k, z, torch.zeros(50, dtype=torch.int64))
        mirrored = decoder(-k, z, torch.zeros(50, dtype=torch.int64))
        other = decoder(k, z, torch.ones(50, dtype=torch.int64))
    assert torch.allclose(mirrored, there.conj(), atol=1e-6)
    assert not torch.allclose(other, there, atol=1e-3)


def test_the_seed_decides_the_weights_and_nobody_elses_draws() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, second = vae(), vae()
    assert torch.equal(torch.rand(3), expected)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
