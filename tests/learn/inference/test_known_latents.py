"""The first latents of an autoencoder are what the images say along the linear engine's axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from images_in_memory import load_all

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.inference.known_latents import KnownLatents
from napari_tomodrgn.learn.linear.decoder import read_linear_model
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.embed import embed_set, guess_latents, known_latents
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.physics.lattice import half_plane

SETTINGS = {
    "model": {"latent_dim": 3, "decoder_dim": 32, "image_encoder_dim": 32},
    "train": {"epochs": 1, "points_per_particle": 256, "device": "cpu", "refine": False},
    "linear": {"radius_px": 6},
}


def posterior(count: int, latents: int, seed: int) -> Posterior:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn((count, latents, latents), generator=generator, dtype=torch.float64)
    mu = torch.randn((count, latents), generator=generator, dtype=torch.float64)
    return Posterior.of(mu, root @ root.mT + torch.eye(latents))


def test_they_stand_before_those_of_the_encoder() -> None:
    known = KnownLatents.of(posterior(5, 3, 0), posterior(5, 3, 1), 2)
    guess = Posterior(torch.zeros((2, 4)), torch.zeros((2, 4)))
    rows = torch.tensor([4, 5])  # the last particle, and what fills a batch
    for training_only, table in ((True, known.training), (False, known.everything)):
        filled = known.fill(guess, rows, training_only=training_only)
        assert torch.equal(filled.mu[0, :2], table.mu[4]) and not filled.mu[:, 2:].any()
        assert not filled.mu[1].any() and not filled.logvar[1].any(), "the prior"


def test_covariances_come_along_where_they_are_known() -> None:
    first, guess = posterior(3, 2, 2), Posterior(torch.zeros((3, 3)), torch.zeros((3, 3)))
    both = guess.beginning_with(first)
    assert both.covariance is not None and first.covariance is not None
    assert torch.equal(both.covariance[:, :2, :2], first.covariance.float())
    assert torch.equal(both.covariance[:, 2], torch.tensor([0.0, 0.0, 1.0]).expand(3, 3))


def test_a_file_keeps_them_to_the_bit(tmp_path: Path) -> None:
    known = KnownLatents.of(posterior(7, 2, 3), posterior(7, 2, 4), 2)
    known.save(tmp_path / "known.safetensors")
    again = KnownLatents.read(tmp_path / "known.safetensors")
    for one, other in ((known.training, again.training), (known.everything, again.everything)):
        assert torch.equal(one.mu, other.mu)
        assert one.covariance is not None and other.covariance is not None
        assert torch.equal(one.covariance, other.covariance)


@pytest.fixture(scope="module")
def run(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    from napari_tomodrgn.config import RunConfig
    from napari_tomodrgn.data.dialects import read_particles

    out = tmp_path_factory.mktemp("known") / "run"
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    list(train(particles, RunConfig.model_validate(SETTINGS), out))
    return Run.open(out)


def test_a_run_has_them_in_its_latents_and_infers_them_for_others(run: Run) -> None:
    count = run.info.known_latents
    known = known_latents(run, "cpu")
    assert known is not None and 0 < count <= 3
    names = [f"mu_{axis}" for axis in range(count)]
    table = run.latents(1)
    assert np.allclose(table[names], known.everything.mu[:-1], atol=1e-6)
    assert "cov_0_0" in table
    few = run.particles().select(table.index[[5, 2]])
    alone = run_to_end(embed_set(run, few, 1))
    assert np.allclose(alone[names], table.loc[alone.index, names], atol=1e-3)


def test_tables_hold_what_the_closed_form_gives(run: Run) -> None:
    particles, known = run.particles(), known_latents(run, "cpu")
    config, lattice = run.config, half_plane(particles.optics.box_size_px)
    data = load_all(particles, config.data, config.weight, sign=run.info.sign, lattice=lattice)
    data.hold_out(config.data.held_out_fraction, config.seed)
    model, rows = run.model(1), torch.arange(4)
    for images in (data.training, torch.ones_like(data.training)):
        looked_up = guess_latents(run, model.encoder, data, known)(rows, images)
        inferred = guess_latents(run, model.encoder, data)(rows, images)
        assert torch.allclose(looked_up.mu, inferred.mu, atol=2e-3)
        assert looked_up.covariance is not None and inferred.covariance is not None
        assert torch.allclose(looked_up.covariance, inferred.covariance, atol=2e-3)
    assert read_linear_model(run.components_file).components >= run.info.known_latents


def test_a_run_whose_file_is_gone_says_so(run: Run, tmp_path: Path) -> None:
    run.known_latents_file.rename(tmp_path / "elsewhere")
    try:
        with pytest.raises(BadInputError, match=r"known\.safetensors"):
            known_latents(run, "cpu")
        assert isinstance(run.latents(1), pd.DataFrame), "what is written can be read"
    finally:
        (tmp_path / "elsewhere").rename(run.known_latents_file)
