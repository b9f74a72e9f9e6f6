"""What a second look finds beside known components, and that it finds nothing where nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from images_in_memory import load_all

from napari_tomodrgn.analysis.latents.clusters import agreement, k_means
from napari_tomodrgn.config import DataConfig, RunConfig, WeightConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.learn.linear import second_look as module
from napari_tomodrgn.learn.linear.engine import Fit, LinearEngine
from napari_tomodrgn.learn.linear.second_look import SECOND_LOOK_STEPS, looks_twice, second_look
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.events import Notice, WorkProgress
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.progress import expected_parts
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.physics.lattice import half_plane
from napari_tomodrgn.synthetic import SimulationConfig, simulate


def engine_of(folder: Path, structures: tuple[str, ...]) -> tuple[LinearEngine, np.ndarray]:
    """The engine of a simulated set, and the true states, in the order of the set."""
    settings = SimulationConfig(
        particles=90, tilts=13, box_size_px=32, snr=0.5, structures=structures, seed=3
    )
    for _ in simulate(folder, settings):
        pass
    particles = read_particles(folder / "warptools" / "particles_optimisation_set.star")
    lattice = half_plane(particles.optics.box_size_px)
    data = load_all(particles, DataConfig(), WeightConfig(), sign=1, lattice=lattice)
    config = RunConfig()
    data.hold_out(config.data.held_out_fraction, config.seed)
    truth = pd.read_csv(folder / "truth.csv")["state"].to_numpy()
    return LinearEngine.of(data, config, RunContext()), truth


def first_only(fit: Fit) -> Fit:
    """The fit as it would be if halves had confirmed one component."""
    return replace(
        fit,
        model=fit.model.first(1),
        mu=fit.mu[:, :1],
        covariance=fit.covariance[:, :1, :1],
        training_mu=fit.training_mu[:, :1],
        training_covariance=fit.training_covariance[:, :1, :1],
        gains=fit.gains[:1],
    )


def test_a_smaller_difference_is_found_beside_a_known_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large subunits with and without the 5S RNP, small against a small subunit or none."""
    engine, truth = engine_of(tmp_path, ("80S", "60S", "60S_without_5S_RNP"))
    fit = first_only(engine.fit(8))
    assert agreement(k_means(fit.mu.numpy(), 3), truth) < 0.95
    assert run_to_end(second_look(engine, fit)) is None, "halves of a small set are all of it"
    monkeypatch.setattr(module, "half_size", lambda _: 10)
    steps, seen = second_look(engine, fit), []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as finished:
            found = finished.value
            break
    assert seen == sorted(seen) and seen[-1] < SECOND_LOOK_STEPS
    assert found.model.components == found.mu.shape[1] == 2, "and no axis of noise"
    assert agreement(k_means(found.mu.numpy(), 3), truth) > 0.99
    assert abs(np.corrcoef(found.mu[:, 0], fit.mu[:, 0])[0, 1]) > 0.9
    again = run_to_end(second_look(engine, fit))
    assert torch.equal(again.mu, found.mu), "the same each time"
    for kept in (0, 40):  # of 90 in memory, the others read anew
        monkeypatch.setattr(module, "what_is_held", lambda *_, kept=kept: (90, kept))
        streamed = run_to_end(second_look(engine, fit))
        assert float((streamed.mu - found.mu).abs().max()) < 1e-3
    engine.data.training[:] = True
    assert run_to_end(second_look(engine, fit)) is None, "no image is left to judge by"


@pytest.mark.parametrize("structures", [("80S",), ("60S", "80S")])
def test_what_is_not_there_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, structures: tuple[str, ...]
) -> None:
    engine, _ = engine_of(tmp_path, structures)
    monkeypatch.setattr(module, "half_size", lambda _: 10)
    fit = first_only(engine.fit(8))
    judged: list[module._Judgement] = []
    judge = module._judge

    def noted(*asked: object) -> module._Judgement:
        judged.append(judge(*asked))
        return judged[-1]

    monkeypatch.setattr(module, "_judge", noted)
    assert run_to_end(second_look(engine, fit)) is None
    real = len(structures) - 1
    assert int(judged[0].there.sum()) == real
    assert float(judged[0].along.sort().values[: 5 - real].max()) < 3
    assert float(judged[0].likelier.sort().values[: 5 - real].max()) < 2


def test_a_faint_axis_is_there_and_one_that_images_are_surely_less_likely_for_is_not() -> None:
    """As 6,000 particles have it: known axes, what goes with views, Lso2, noise."""
    along = torch.tensor([65.6, 110.8, 47.1, 4.9, 13.3, 0.1])
    likelier = torch.tensor([64.3, 99.7, 38.2, -6.4, -0.2, -11.0])
    there = module._Judgement(along, likelier, likelier * 0).there
    assert there.tolist() == [True, True, True, False, True, False]


def test_small_sets_are_not_looked_at_twice() -> None:
    """Of up to 600 particles the halves are all."""
    assert [looks_twice(count) for count in (8, 150, 600, 601, 1000, 6000)] == [
        *(False, False, False),
        *(True, True, True),
    ]


@pytest.mark.parametrize("method", ["linear", "vae"])
def test_a_run_on_a_large_set_looks_twice_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """What it finds has its epoch, or is the first look; progress knows of it."""
    engine, truth = engine_of(tmp_path, ("80S", "60S", "60S_without_5S_RNP"))
    particles = engine.data.particles
    monkeypatch.setattr(module, "half_size", lambda _: 10)
    monkeypatch.setattr(LinearEngine, "fits_and_steps", one_component)
    small = {"latent_dim": 2, "decoder_dim": 32, "image_encoder_dim": 32}
    train_config = {"epochs": 1, "points_per_particle": 256, "device": "cpu", "refine": False}
    config = RunConfig.model_validate({"method": method, "model": small, "train": train_config})
    parts = {part.key for part in expected_parts(config, len(particles), {})[0]}
    events = list(train(particles, config, tmp_path / "run"))
    words = [one.what for one in events if isinstance(one, WorkProgress)]
    assert words.count("Looking for smaller differences") > 8
    assert "Looking for smaller differences" in parts
    said = [one.text for one in events if isinstance(one, Notice)]
    assert "A second look at the particles found 1 smaller difference." in said
    run = Run.open(tmp_path / "run")
    latents = run.latents(2 if method == "linear" else 0)[["mu_0", "mu_1"]].to_numpy()
    assert agreement(k_means(latents, 3), truth) > 0.99


def one_component(engine: LinearEngine, radii: object = None) -> Iterator[Fit]:
    yield first_only(engine.fit(8))
