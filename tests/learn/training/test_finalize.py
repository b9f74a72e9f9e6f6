"""How a run ends: refined latents, how wide they are, which epoch, against the linear engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from images_in_memory import load_all
from safetensors.torch import save_file

from napari_tomodrgn.analysis.latents.clusters import agreement, k_means
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.learn.inference.calibration import compare_halves
from napari_tomodrgn.learn.inference.held_out import EarlyStopping, comparison_rows
from napari_tomodrgn.learn.inference.refinement import (
    Refinement,
    fit_refinement,
    maximize_posterior,
)
from napari_tomodrgn.learn.linear.full_resolution import local_weights
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.events import EpochDone, Finished, Notice
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.runtime.tensors import load_tensors
from napari_tomodrgn.learn.training import finalize
from napari_tomodrgn.learn.training.embed import embed_set
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.physics.lattice import half_plane
from napari_tomodrgn.session.verdict import Verdict
from napari_tomodrgn.synthetic import SimulationConfig, simulate

STATES = ("60S", "60S_without_5S_RNP")


@pytest.fixture(scope="module")
def two_states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two like states (maps correlate 0.974), same dose and noise for both."""
    out = tmp_path_factory.mktemp("two_states")
    settings = SimulationConfig(particles=80, tilts=10, box_size_px=32, snr=0.08, structures=STATES)
    for _ in simulate(out, settings):
        pass
    return out


@pytest.fixture(scope="module")
def run(two_states: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list]:
    particles = read_particles(two_states / "warptools" / "particles_optimisation_set.star")
    out = tmp_path_factory.mktemp("quality") / "run"
    settings = RunConfig.model_validate(
        {"train": {"epochs": 2, "device": "cpu"}, "linear": {"radius_px": 8}}
    )
    events = list(train(particles, settings, out))
    return Run.open(out), events


def test_refined_latents_tell_the_states_apart_and_are_as_wide_as_they_say(
    run: tuple, two_states: Path
) -> None:
    opened = run[0]
    table, quality = opened.latents(), opened.quality()
    truth = pd.read_csv(two_states / "truth.csv").set_index("particle_id").loc[table.index]
    assert agreement(k_means(table.filter(like="mu_").to_numpy(), 2), truth["state"]) >= 0.9
    assert np.allclose(np.exp(table["logvar_0"]), table["cov_0_0"], rtol=1e-4)
    found = quality["calibration"]["refined"]
    assert abs(found["ratio"] - 1) < 4 * found["standard_error"]
    # The encoder claims to know what it only has learnt by heart; what is known without it is not.
    beyond = quality["calibration"]["encoder"]["ratio_by_dimension"][opened.info.known_latents :]
    assert max(beyond) < 0.5
    known = quality["calibration"]["encoder"]
    assert abs(known["ratio"] - 1) < 4 * known["standard_error"]


def test_the_run_says_how_it_compares_with_the_linear_engine(run: tuple) -> None:
    opened, events = run
    held_out = opened.quality()["held_out"]
    gain = opened.quality()["better_than_linear"]
    apart = opened.quality()["better_than_one_map"]
    assert apart["mean"] > 2 * apart["standard_error"] > 0, "two states, not one"
    assert opened.quality()["told_apart_standard_errors"] > 3
    assert held_out["linear"] - held_out["refined"] == pytest.approx(gain["mean"], abs=1e-6)
    assert gain["mean"] > -2 * gain["standard_error"]
    said = [event.text for event in events if isinstance(event, Notice)]
    assert any("no worse than by the linear engine" in text for text in said)
    assert any("halves of the tilts" in text for text in said)
    lasting = [event.text for event in events if isinstance(event, Notice) and event.lasting]
    assert len(lasting) == 1 and lasting[0].startswith("Heterogeneity is supported")
    assert len(opened.latents(FIRST_LOOK)) == len(opened.latents())
    json.loads(opened.quality_file.read_text())


def test_any_particles_are_embedded_as_the_run_embedded_its_own(run: tuple) -> None:
    """Refined, from all tilts, the same whoever is embedded beside."""
    opened = run[0]
    stored = opened.latents()
    axes = [name for name in stored if name.startswith(("mu_", "cov_"))]
    few = opened.particles().select(stored.index[[40, 3, 77]])
    alone = run_to_end(embed_set(opened, few))
    assert np.allclose(alone[axes], stored.loc[alone.index, axes], atol=1e-3)
    again = run_to_end(embed_set(opened, few))
    pd.testing.assert_frame_equal(alone, again, check_exact=True)


def test_noise_of_a_wide_box_is_measured_where_it_is_seen(two_states: Path) -> None:
    """The CTF of pre-multiplied images leaves its first shells empty; these maps differ there."""
    whole = read_particles(two_states / "warptools" / "particles_optimisation_set.star")
    wide = whole.with_optics(pixel_size_angstrom=2 * whole.optics.pixel_size_angstrom)
    config, lattice = RunConfig(), half_plane(32)
    data = load_all(wide, config.data, config.weight, sign=1, lattice=lattice)

    def decoder(
        frequencies: torch.Tensor, z: torch.Tensor, particle_index: torch.Tensor
    ) -> torch.Tensor:
        fine = torch.exp(-((frequencies.norm(dim=-1) * 32 / 2) ** 2))
        return (fine * (1 + z[particle_index, 0])).to(torch.complex64)

    z = torch.randn((80, 2), generator=torch.Generator().manual_seed(0))
    refinement = fit_refinement(decoder, data, config, Posterior(z, torch.full_like(z, -4.0)))
    assert refinement.radius_px == 9
    assert bool((refinement.noise > 0).all())


@pytest.mark.slow
def test_a_run_that_was_concluded_is_concluded_the_same_again(run: tuple) -> None:
    opened = run[0]
    before = opened.latents()
    events = list(train(opened.particles(), opened.config, opened.path, resume=True))
    assert not [event for event in events if isinstance(event, EpochDone)]
    pd.testing.assert_frame_equal(Run.open(opened.path).latents(), before, check_exact=True)


def test_a_run_ends_with_the_first_look_where_that_explains_more(
    run: tuple, tmp_path: Path
) -> None:
    """Latents, maps, embedding, verdict and what is said are of epoch 0; the epoch is kept."""
    lost = Run.open(shutil.copytree(run[0].path, tmp_path / "run"))
    weights, _ = load_tensors(lost.weights_file(2))
    forgotten = {name: torch.zeros_like(value) for name, value in weights.items()}
    save_file(forgotten, lost.weights_file(2))  # as of one that learnt nothing
    events = list(train(lost.particles(), lost.config, lost.path, resume=True))
    ended = Run.open(lost.path)
    quality = ended.quality()
    gain, held_out = quality["better_than_linear"], quality["held_out"]
    assert gain["mean"] < -2 * gain["standard_error"]
    assert (quality["latents"], quality["epoch"], ended.last_epoch()) == ("linear", FIRST_LOOK, 0)
    assert ended.epoch_to_show() == FIRST_LOOK
    assert held_out["linear"] < min(held_out["refined"], held_out["encoder"])
    pd.testing.assert_frame_equal(ended.latents(), ended.latents(FIRST_LOOK), check_exact=True)
    few = ended.particles().select(ended.latents().index[[7, 3]])
    alone, axes = run_to_end(embed_set(ended, few)), [*ended.latents().filter(like="mu_")]
    assert np.allclose(alone[axes], ended.latents().loc[alone.index, axes], atol=1e-3)
    one = ended.latents()[axes].to_numpy()[0]
    shown = ended.decoder().decode(one).data
    learnt = ended.with_shell_filter(on=False).decoder(FIRST_LOOK).decode(one).data
    assert ended.info.shell_filter is not None and not np.allclose(shown, learnt)
    assert len(ended.latents(2)) == len(ended.latents()), "kept"
    said = [event.text for event in events if isinstance(event, Notice)]
    assert any(
        "ends with the first look (epoch 0" in one and "epoch 2 explains" in one for one in said
    )
    assert said[-1] == quality["verdict"]
    assert Verdict.of(quality).words.startswith("first look: ")
    again = list(train(ended.particles(), ended.config, ended.path, resume=True))
    assert [one.text for one in again if isinstance(one, Notice)] == said


def test_latents_climb_to_the_closed_form_of_a_linear_decoder() -> None:
    """c(z) = M z: the maximum and the covariance are those of a Gaussian posterior."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn((4, 2), generator=generator)
    sites = torch.randn((4, 3), generator=generator)

    def decoder(
        frequencies: torch.Tensor, z: torch.Tensor, particle_index: torch.Tensor
    ) -> torch.Tensor:
        site = torch.arange(len(frequencies)) % 4
        return ((mixing @ z.T).T[particle_index, site]).to(torch.complex64)

    solve = torch.zeros((4, 8))
    solve[torch.arange(4), 2 * torch.arange(4)] = 1
    empty = torch.zeros(0)
    refinement = Refinement(empty, 4, 32, sites, solve, torch.zeros(8), empty, 1.0, beta=1.0)
    root = torch.randn((5, 4, 4), generator=generator).double()
    quadratic, linear = root @ root.mT, torch.randn((5, 4), generator=generator).double()
    start = torch.randn((5, 2), generator=generator)
    mu, covariance = maximize_posterior(refinement, decoder, (quadratic, linear), start)
    slope = mixing.double()
    precision = torch.eye(2).double() + 2 * slope.T @ quadratic @ slope
    right = (2 * slope.T @ linear[..., None])[..., 0]
    expected = torch.linalg.solve(precision, right[..., None])[..., 0]
    assert torch.allclose(mu.double(), expected, atol=1e-3)
    assert torch.allclose(covariance, torch.linalg.inv(precision), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("stated", "ratio"), [(1.0, 1.0), (0.25, 4.0)])
def test_widths_are_judged_by_halves(stated: float, ratio: float) -> None:
    """Posteriors of known noise: right ones give 1, those that state a quarter of it 4."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn((4000, 2), generator=generator).double()
    noise = torch.tensor([0.02, 0.05]).double()

    def half() -> Posterior:
        seen = z + noise.sqrt() * torch.randn(z.shape, generator=generator).double()
        width = noise * stated / (1 + noise * stated)
        covariance = torch.diag_embed(width.expand_as(z))
        return Posterior.of(seen * width / (noise * stated), covariance)

    found = compare_halves(half(), half())
    assert found.ratio == pytest.approx(ratio, rel=0.1)
    assert found.miscalibrated == (ratio != 1.0)


def test_latents_of_which_images_say_nothing_are_rightly_wide() -> None:
    flat = Posterior.of(torch.zeros((100, 2)), torch.eye(2).expand(100, 2, 2))
    informed = torch.diag(torch.tensor([0.5, 1.0])).expand(100, 2, 2)
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn((100, 2), generator=generator) * torch.tensor([0.5, 0.0])
    found = compare_halves(Posterior.of(spread, informed), Posterior.of(-spread, informed))
    assert found.ratio == pytest.approx(2.0, rel=0.3)  # anticorrelated: twice as far apart
    assert compare_halves(flat, flat).known_by_dimension == pytest.approx([0.0, 0.0])


def test_the_best_epoch_is_found_within_the_noise_of_images() -> None:
    """Noise of images is shared by epochs: a gain of a hundredth of it is seen."""
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.normal(1, 0.1, 300))

    def errors(mean: float) -> torch.Tensor:
        return noise + mean + torch.from_numpy(rng.normal(0, 0.002, 300))

    stopping = EarlyStopping()
    for epoch, mean in enumerate([0.01, 0.005, 0.0, 0.0, 0.004, 0.004], start=1):
        stopping = stopping.updated(epoch, errors(mean), has_checkpoint=True)
    assert stopping.best == 3 and stopping.chosen == 3 and stopping.waited == 3
    assert stopping.should_stop(3) and not stopping.should_stop(4) and not stopping.should_stop(0)
    assert stopping.updated(6, errors(-1.0), has_checkpoint=True) is stopping
    later = stopping.updated(7, errors(0.0), has_checkpoint=True)
    assert later.chosen == 7, "no worse than the best: the last one"


def test_training_stops_when_held_out_images_gain_nothing(two_states: Path, tmp_path: Path) -> None:
    particles = read_particles(two_states / "warptools" / "particles_optimisation_set.star")
    settings = RunConfig.model_validate(
        {
            "model": {"linear_start": False, "latent_dim": 2, "decoder_dim": 64},
            # A rate at which the network soon learns noise.
            "train": {
                "epochs": 40,
                "patience": 2,
                "device": "cpu",
                "learning_rate": 0.01,
                "refine": False,
            },
        }
    )
    events = list(train(particles.take(np.arange(80) < 24), settings, tmp_path / "run"))
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.reason == "completed"
    assert finished.epoch < 40
    said = [event.text for event in events if isinstance(event, Notice)]
    assert any(text.startswith(f"Epoch {finished.epoch} is the last") for text in said)
    opened = Run.open(tmp_path / "run")
    assert opened.last_epoch() == opened.quality()["epoch"]
    # One who wants it to go on gets what was asked for.
    longer = RunConfig.model_validate({"train": {"epochs": 41}})
    more = list(train(particles.take(np.arange(80) < 24), longer, tmp_path / "run", resume=True))
    assert [event for event in more if isinstance(event, EpochDone)]


def test_without_held_out_images_nothing_is_said_of_them(two_states: Path, tmp_path: Path) -> None:
    particles = read_particles(two_states / "warptools" / "particles_optimisation_set.star")
    settings = RunConfig.model_validate(
        {
            "data": {"held_out_fraction": 0.0},
            "model": {"latent_dim": 2, "decoder_dim": 32},
            "train": {"epochs": 1, "device": "cpu"},
            "linear": {"radius_px": 6},
        }
    )
    few = particles.take(np.arange(80) < 24)
    said = [
        event.text for event in train(few, settings, tmp_path / "run") if isinstance(event, Notice)
    ]
    assert said[-1].startswith("Heterogeneity is untested: no images were held out")
    assert not any("nan" in text or "linear engine" in text for text in said)


def test_places_where_halves_agree_are_kept() -> None:
    """A blob in both halves stays, noise of the same power elsewhere goes."""
    rng = np.random.default_rng(0)
    axis = np.arange(32) - 16
    distance = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2)
    blob = np.where(distance < 5, 3.0, 0.0)
    one, two = ((blob + rng.normal(0, 1, blob.shape)).astype(np.float32) for _ in range(2))
    weights = local_weights(one, two)
    assert weights[distance < 3].mean() > 0.85
    assert weights[distance > 9].mean() < 0.25
    has_checkpoint = (one + two) / 2 * weights
    before = np.corrcoef(((one + two) / 2).ravel(), blob.ravel())[0, 1]
    assert np.corrcoef(has_checkpoint.ravel(), blob.ravel())[0, 1] > before + 0.1


def test_a_component_that_is_nowhere_weighs_nothing() -> None:
    nothing = np.zeros((8, 8, 8), np.float32)
    assert not local_weights(nothing, nothing).any()


def test_ways_are_compared_on_blocks_spread_over_a_large_set() -> None:
    small, large = (comparison_rows(count) for count in (100, 100_003))
    assert small.tolist() == list(range(100))
    assert len(large) <= 2048 and large[0] == 0 and large[-1] == 100_002
    assert (large.diff() > 0).all() and (large[:32].diff() == 1).all()


@pytest.mark.parametrize(
    ("worse", "known", "turned_down"),
    [(-0.1, 0, False), (0.02, 0, False), (0.2, 0, True), (-0.1, 1, False), (0.02, 1, True)],
)
def test_refined_latents_may_lose_a_little_of_what_is_explained(
    run: tuple,
    two_states: Path,
    monkeypatch: pytest.MonkeyPatch,
    worse: float,
    known: int,
    turned_down: bool,
) -> None:
    """In shares of what maps of one's own explain: that little tells no faint difference.

    Of latents that an encoder guesses: those known in closed form are not to get worse.
    """
    spread = torch.linspace(-1e-6, 1e-6, 80, dtype=torch.float64)
    errors = {"encoder": 0.9 + 0 * spread, "refined": 0.9 + 0.1 * worse + spread}

    def one_map(*_: object) -> Generator[int, None, torch.Tensor]:
        yield 0
        return torch.full((80,), 1.0, dtype=torch.float64)

    monkeypatch.setattr(finalize, "error_steps", one_map)
    particles = read_particles(two_states / "warptools" / "particles_optimisation_set.star")
    config = run[0].config
    data = load_all(particles, config.data, config.weight, sign=run[0].info.sign)
    info = run[0].info.model_copy(update={"known_latents": known})
    final = finalize._FinalPass(replace(run[0], info=info), data, RunContext())
    estimates = {
        name: finalize.LatentEstimate(None, None, None, torch.zeros((80, 2)), held_out)  # type: ignore[arg-type]
        for name, held_out in errors.items()
    }
    steps = final.loses_much(estimates["refined"], estimates["encoder"])
    assert run_to_end(steps) is turned_down
