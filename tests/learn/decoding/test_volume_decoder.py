"""Decoding against an object whose transform is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder

BOX, SIGMA = 32, 2.0
CENTRE = (4.0, -3.0, 2.0)  # xyz, px


def gaussian(
    frequencies: torch.Tensor, z: torch.Tensor, particle_index: torch.Tensor
) -> torch.Tensor:
    """Transform of a Gaussian of height z₀ at CENTRE."""
    size = (2 * math.pi) ** 1.5 * SIGMA**3
    envelope = size * torch.exp(-2 * (math.pi * SIGMA * frequencies.norm(dim=-1)) ** 2)
    phase = -2 * math.pi * (frequencies @ torch.tensor(CENTRE))
    return torch.polar(envelope * z[particle_index, 0], phase)


def decoder() -> VolumeDecoder:
    return VolumeDecoder(gaussian, box_size_px=BOX, pixel_size_angstrom=4.0, latent_dim=1)


@pytest.mark.parametrize("box", [24, 32, 48])
def test_any_box_shows_the_same_object(box: int) -> None:
    """Height, place, width and solvent level in Å, whatever the box."""
    volume = decoder().decode([2.0], box_size_px=box)
    assert volume.voxel_size_angstrom == pytest.approx(4.0 * BOX / box)
    axis = (np.arange(box) - box // 2) * BOX / box
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    r2 = (x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2 + (z - CENTRE[2]) ** 2
    expected = 2.0 * np.exp(-r2 / (2 * SIGMA**2))
    assert np.abs(volume.data - expected).max() < 0.02


def test_low_pass_removes_what_is_finer() -> None:
    fine = decoder().decode([1.0]).data
    coarse = decoder().decode([1.0], lowpass_angstrom=40.0).data
    power = np.abs(np.fft.fftn(coarse)) ** 2
    k = np.fft.fftfreq(BOX)
    radius = np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + k[None, None, :] ** 2)
    beyond = radius > 4.0 / 40.0 + 2 / BOX
    assert power[beyond].sum() < 1e-6 * power.sum()
    assert coarse.max() < 0.9 * fine.max()


def test_differences_from_the_middle_are_filtered_by_shell() -> None:
    """Shell by shell the map of latent 0 plus so much of the difference; the middle stays."""
    calls = []

    def offset(
        frequencies: torch.Tensor, z: torch.Tensor, particle_index: torch.Tensor
    ) -> torch.Tensor:
        """A Gaussian of height 3 + z₀."""
        calls.append(float(z[0, 0]))
        return gaussian(frequencies, 3 + z, particle_index)

    factors = np.linspace(1, 0, BOX // 2 + 1)
    options = {"box_size_px": BOX, "pixel_size_angstrom": 4.0, "latent_dim": 1}
    plain = VolumeDecoder(offset, **options)
    filtered = plain.with_shell_filter(factors.tolist())
    middle, end = plain.decode([0.0]), plain.decode([2.0])
    k = np.fft.fftfreq(BOX)
    radius = np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + k[None, None, :] ** 2)
    by_voxel = np.clip(1 - 2 * radius, 0, 1)  # the same straight line
    difference = np.fft.fftn(end.data - middle.data) * by_voxel
    expected = np.fft.ifftn(difference).real
    calls.clear()
    found = filtered.decode([2.0]).data - middle.data
    # But for the level of the solvent, which is made 0.
    assert np.ptp(found - expected) < 1e-4 * np.ptp(expected)
    assert np.ptp(filtered.decode([0.0]).data - middle.data) < 1e-5 * np.ptp(middle.data)
    parts = calls.count(2.0)
    assert calls == [*[2.0, 0.0] * parts, *[0.0] * parts], "the middle is computed once a box"
    ones = plain.with_shell_filter([1.0] * (BOX // 2 + 1))
    assert np.allclose(ones.decode([2.0]).data, end.data, atol=1e-5)


def test_progressive_ends_with_the_full_map() -> None:
    big = VolumeDecoder(gaussian, box_size_px=48, pixel_size_angstrom=4.0, latent_dim=1)
    volumes = [volume for volume in big.progressive([1.0]) if volume is not None]
    assert [volume.box_size_px for volume in volumes] == [32, 48]
    assert np.array_equal(volumes[-1].data, big.decode([1.0]).data)


def test_wrong_latent_is_refused() -> None:
    with pytest.raises(ValueError, match="a latent has 1 numbers"):
        decoder().decode([1.0, 2.0])
