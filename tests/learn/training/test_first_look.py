"""The first look: what the linear engine found is there, and can be asked for, before epoch 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from napari_tomodrgn.analysis.latents.clusters import agreement, k_means
from napari_tomodrgn.analysis.report.page import _verdict
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.inference.held_out import EarlyStopping
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK
from napari_tomodrgn.learn.run.tables import GAIN
from napari_tomodrgn.learn.runtime.events import EpochDone, LatentsReady, Started
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.embed import embed_set
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.session.verdict import Verdict

CONFIG = RunConfig.model_validate(
    {
        "model": {"latent_dim": 2, "decoder_dim": 64, "image_encoder_dim": 64},
        "train": {"epochs": 2, "points_per_particle": 256, "device": "cpu"},
    }
)


@pytest.fixture(scope="module")
def star(simulated: Path) -> Path:
    return simulated / "warptools" / "particles_optimisation_set.star"


@pytest.fixture(scope="module")
def looked(star: Path, made_once: Callable[..., Path]) -> Path:
    """A run that stopped as soon as its first look had its verdict."""

    def make(out: Path) -> None:
        for event in train(read_particles(star), CONFIG, out):
            if isinstance(event, LatentsReady):
                assert event.epoch == FIRST_LOOK, "before anything else"
                if Run.open(out).quality():
                    return

    return made_once("first-look", make)


def test_a_run_with_its_first_look_alone_can_be_explored(looked: Path, simulated: Path) -> None:
    run = Run.open(looked)
    assert run.epochs() == [] and run.epoch_to_show() == run.last_epoch() == FIRST_LOOK
    table = run.latents()
    pd.testing.assert_frame_equal(table, run.latents(FIRST_LOOK))
    truth = pd.read_csv(simulated / "truth.csv").set_index("particle_id").loc[table.index, "state"]
    latents = table.filter(like="mu_").to_numpy()
    states = k_means(latents[:, :1], 2)
    assert agreement(states, truth.to_numpy()) > 0.8
    maps = run.decoder().decode_many(latents[[states.argmin(), states.argmax()]])
    one, other = (volume.data for volume in maps)
    assert np.abs(one - other).max() > 0.05 * np.abs(one).max(), "two maps, not one"
    verdict = Verdict.of(run.quality())
    assert verdict.words.startswith("first look: ") and "First look: " in verdict.sentence
    assert "First look, before the training has ended: " in _verdict(run), "in the report, too"


def test_others_are_embedded_as_its_own_were(looked: Path, star: Path) -> None:
    run = Run.open(looked)
    stored = run.latents()
    axes = [name for name in stored if name.startswith("mu_")]
    few = read_particles(star).select(stored.index[[3, 20, 7]])
    alone = run_to_end(embed_set(run, few))
    assert np.allclose(alone[axes], stored.loc[alone.index, axes], atol=1e-3)


def test_it_has_no_network(looked: Path) -> None:
    with pytest.raises(BadInputError, match="first look"):
        Run.open(looked).model()


def test_a_run_without_a_linear_start_has_none(tiny_run: Path) -> None:
    run = Run.open(tiny_run)
    assert not run.has_first_look and run.epoch_to_show() == run.last_epoch()
    with pytest.raises(BadInputError, match="no first look"):
        run.latents(FIRST_LOOK)


def test_it_comes_before_the_start_and_each_epoch_is_measured_against_it(
    star: Path, tmp_path: Path
) -> None:
    seen = []
    for event in train(read_particles(star), CONFIG, tmp_path / "run"):
        seen.append(event)
        if isinstance(event, EpochDone):
            assert np.isfinite(event.gain_over_first_look_sigma)
    places = {type(event): number for number, event in reversed(list(enumerate(seen)))}
    assert places[LatentsReady] < places[Started] < places[EpochDone]
    run = Run.open(tmp_path / "run")
    assert run.metrics()[GAIN].notna().all()
    assert run.epoch_to_show() == run.info.chosen_epoch, "a run that is over shows its end"
    assert run.quality()["epoch"] == run.info.chosen_epoch


@pytest.mark.parametrize(
    ("gain", "shown"), [(-3.0, FIRST_LOOK), (-0.5, 2), (2.0, 2), (float("nan"), 2), (None, 2)]
)
def test_it_stays_on_show_while_an_epoch_is_worse(
    looked: Path, tmp_path: Path, gain: float | None, shown: int
) -> None:
    run = replace(Run.open(looked), path=tmp_path)
    for room in ("latents", "checkpoints"):
        (tmp_path / room).symlink_to(looked / room)
    files = [run.latents_file(2), run.weights_file(2)]
    try:
        for file in files:
            file.touch()
        row = dict.fromkeys(
            ("seconds", "reconstruction", "kl", "total", "beta", "lr", "held_out"), 1.0
        )
        run.append_metrics({"epoch": 2, **row, GAIN: gain if gain is not None else float("nan")})
        if gain is None:  # a table of an earlier version
            table = run.metrics().drop(columns=GAIN)
            table.to_csv(tmp_path / "metrics.csv", index=False)
        assert run.epoch_to_show() == shown
    finally:
        for file in files:
            file.unlink()


def test_a_gain_counts_in_its_own_standard_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    first = torch.from_numpy(rng.normal(1.0, 0.1, 400))
    apart = torch.from_numpy(rng.normal(0.01, 0.05, 400))
    first[7] = torch.nan  # not compared
    stopping = EarlyStopping(first_look=first)
    expected = float(apart[first.isfinite()].mean() / apart[first.isfinite()].std()) * 399**0.5
    assert stopping.gain_over_first_look(first - apart) == pytest.approx(expected)
    later = stopping.updated(1, first - apart, has_checkpoint=True)
    later = later.updated(2, first - 2 * apart, has_checkpoint=True)
    assert later.best == 2 and torch.equal(later.first_look[:7], first[:7])
    later.save(tmp_path / "held-out.safetensors")
    read = EarlyStopping.read(tmp_path / "held-out.safetensors")
    assert read.gain_over_first_look(first - apart) == pytest.approx(expected)
    assert np.isnan(EarlyStopping().gain_over_first_look(first))


def test_it_is_there_at_its_first_radius_and_again_at_each_finer_one(
    star: Path, tmp_path: Path
) -> None:
    """Maps of a radius are told from those of the next by the run's key."""
    keys, verdicts = [], []
    for event in train(read_particles(star), CONFIG, tmp_path / "run"):
        if isinstance(event, Started):
            break
        if isinstance(event, LatentsReady):
            run = Run.open(tmp_path / "run")
            keys.append(run.maps_key)
            verdicts.append(bool(run.quality()))
            assert len(run.latents()) == 24 and run.decoder() is not None
    assert len(keys) >= 3 and verdicts == [False] * (len(keys) - 2) + [True, True]
    assert len(set(keys)) == len(keys) - 1, "the verdict changes no map, each radius does, the end"
    assert keys[-1] not in keys[:-1] and keys[-1].endswith(" 12"), "at full resolution"
