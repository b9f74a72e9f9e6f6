"""Timings choose between two products of the same numbers, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.learn.network import fast_linear
from napari_tomodrgn.learn.network.fast_linear import CONVOLUTION, PRODUCT
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.training.train import train

CONVOLVES, MULTIPLIES = (2.0, 1.0), (1.0, 2.0)


@pytest.fixture
def particles(simulated: Path) -> ParticleSet:
    return read_particles(simulated / "warptools" / "particles_optimisation_set.star")


def config(epochs: int) -> RunConfig:
    narrow = {"latent_dim": 2, "decoder_dim": 64, "image_encoder_dim": 64, "linear_start": False}
    training = {"epochs": epochs, "points_per_particle": 512, "device": "cpu", "refine": False}
    return RunConfig.model_validate({"model": narrow, "train": training})


def measured(monkeypatch: pytest.MonkeyPatch, cache: Path, seconds: tuple[float, float]) -> None:
    """On a machine with this cache, these are the timings from now on."""
    monkeypatch.setenv("NAPARI_TOMODRGN_CACHE", str(cache))
    monkeypatch.setattr(fast_linear, "time_products", lambda *_: seconds)


def trained(particles: ParticleSet, out: Path, epochs: int = 2, *, resume: bool = False) -> Run:
    for _ in train(particles, config(epochs), out, resume=resume):
        pass
    return Run.open(out)


def test_a_machine_trains_to_the_same_bits_whatever_is_timed(
    particles: ParticleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(monkeypatch, tmp_path / "machine", CONVOLVES)
    first = trained(particles, tmp_path / "first")
    assert set(first.info.products.values()) == {CONVOLUTION}
    measured(monkeypatch, tmp_path / "machine", MULTIPLIES)
    again = trained(particles, tmp_path / "again")
    assert again.info.products == first.info.products
    assert again.weights_file(2).read_bytes() == first.weights_file(2).read_bytes()
    pd.testing.assert_frame_equal(again.latents(), first.latents(), check_exact=True)


def test_a_run_resumes_with_what_it_was_trained_with(
    particles: ParticleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the machine has forgotten, and would now choose otherwise."""
    measured(monkeypatch, tmp_path / "machine", CONVOLVES)
    whole = trained(particles, tmp_path / "whole")
    trained(particles, tmp_path / "pieces", epochs=1)
    measured(monkeypatch, tmp_path / "another", MULTIPLIES)
    pieces = trained(particles, tmp_path / "pieces", resume=True)
    assert pieces.weights_file(2).read_bytes() == whole.weights_file(2).read_bytes()
    # Another machine, left to itself, takes the other product and comes to the same but rounding.
    other = trained(particles, tmp_path / "other")
    assert set(other.info.products.values()) == {PRODUCT}
    losses = ["reconstruction", "held_out"]
    np.testing.assert_allclose(other.metrics()[losses], whole.metrics()[losses], rtol=1e-3)
    # In nats, of all latents; the encoder's own begin anywhere, and rounding grows in them.
    np.testing.assert_allclose(other.metrics()["kl"], whole.metrics()["kl"], atol=2e-3)
