"""Training on a small simulated set: what it leaves, stopping, resuming, identity."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from images_in_memory import load_all

from napari_tomodrgn.analysis.fsc import correlation, low_pass
from napari_tomodrgn.analysis.latents.clusters import agreement, k_means
from napari_tomodrgn.config import DataConfig, RunConfig, WeightConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.volume import Volume, read_volume, write_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.network.loss import choose_points, squared_errors, uniforms
from napari_tomodrgn.learn.reconstruction.contrast import decide_sign
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.events import (
    EpochDone,
    Finished,
    LatentsReady,
    Progress,
    Started,
)
from napari_tomodrgn.learn.training.train import train

SMALL = {
    "model": {
        "latent_dim": 2,
        "decoder_dim": 64,
        "image_encoder_dim": 64,
        "linear_start": False,
    },
    "train": {"epochs": 3, "points_per_particle": 256, "batch_size": 4, "device": "cpu"},
}


@pytest.fixture
def particles(simulated: Path) -> ParticleSet:
    return read_particles(simulated / "warptools" / "particles_optimisation_set.star")


def config(**changes: dict[str, object]) -> RunConfig:
    merged = {name: {**SMALL.get(name, {}), **changes.get(name, {})} for name in SMALL | changes}
    return RunConfig.model_validate(merged)


def weights(run: Path, epoch: int) -> bytes:
    return (run / "checkpoints" / f"epoch-{epoch:04d}.safetensors").read_bytes()


def test_events_tell_of_what_is_on_disk(particles: ParticleSet, tmp_path: Path) -> None:
    seen: list[type] = []
    for event in train(particles, config(), tmp_path / "run"):
        seen.append(type(event))
        if isinstance(event, EpochDone):
            assert event.checkpoint is not None and event.checkpoint.exists()
            assert Run.open(tmp_path / "run").metrics()["epoch"].iloc[-1] == event.epoch
        if isinstance(event, LatentsReady):
            assert len(Run.open(tmp_path / "run").latents(event.epoch)) == len(particles)
    assert seen.count(EpochDone) == 3
    assert seen.count(LatentsReady) == 4  # those of the last epoch again, refined
    assert seen.index(Started) < seen.index(EpochDone)
    assert seen[-1] is Finished


def test_loss_falls_and_held_out_images_agree(particles: ParticleSet, tmp_path: Path) -> None:
    bare = config(train={"epochs": 12}, model={"mean_map": False})
    for _ in train(particles, bare, tmp_path / "bare"):
        pass
    metrics = Run.open(tmp_path / "bare").metrics()
    assert metrics["reconstruction"].iloc[-1] < 0.9 * metrics["reconstruction"].iloc[0]
    assert metrics["held_out"].iloc[-1] < metrics["held_out"].iloc[0]
    for _ in train(particles, config(train={"epochs": 1}), tmp_path / "from-mean"):
        pass
    # What the network needs twelve epochs for, the mean map gives before the first is over.
    from_mean = Run.open(tmp_path / "from-mean").metrics()
    assert from_mean["held_out"].iloc[0] < metrics["held_out"].iloc[-1]


def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one(
    particles: ParticleSet, tmp_path: Path
) -> None:
    """Bit for bit, stopped in the middle of an epoch and again between two."""
    for _ in train(particles, config(), tmp_path / "whole"):
        pass
    for asked in (6, 13, 30):  # in the first step's epoch, in its latents, in the second epoch
        count = iter(range(10**6))
        pieces = tmp_path / f"pieces-{asked}"

        def stop(count: object = count, limit: int = asked) -> bool:
            return next(count) > limit  # type: ignore[call-overload]

        first = list(train(particles, config(), pieces, stop=stop))
        assert first[-1].reason == "stopped"  # type: ignore[union-attr]
        last = list(train(particles, config(), pieces, resume=True))[-1]
        assert isinstance(last, Finished) and last.reason == "completed"
        assert weights(pieces, 3) == weights(tmp_path / "whole", 3)
        one, other = Run.open(pieces), Run.open(tmp_path / "whole")
        pd.testing.assert_frame_equal(one.latents(), other.latents(), check_exact=True)
        losses = ["epoch", "reconstruction", "kl", "total", "held_out"]
        pd.testing.assert_frame_equal(
            one.metrics()[losses], other.metrics()[losses], check_exact=True
        )


@pytest.mark.slow
def test_the_linear_start_is_there_from_the_first_epoch_and_resumes(
    particles: ParticleSet, tmp_path: Path
) -> None:
    """Two compositions apart after one epoch; a resumed run equals an uninterrupted one."""
    settings = config(train={"epochs": 2}, model={"linear_start": True})
    for _ in train(particles, settings, tmp_path / "whole"):
        pass
    run = Run.open(tmp_path / "whole")
    assert run.has_first_look
    truth = pd.read_csv(particles.source.path.parents[1] / "truth.csv").set_index("particle_id")
    table = run.latents(1)
    states = truth.loc[table.index, "state"].to_numpy()
    found = k_means(table.filter(like="mu_").to_numpy(), 2)
    assert agreement(found, states) > 0.8
    for _ in train(
        particles, config(train={"epochs": 1}, model={"linear_start": True}), tmp_path / "two"
    ):
        pass
    for _ in train(particles, settings, tmp_path / "two", resume=True):
        pass
    assert weights(tmp_path / "two", 2) == weights(tmp_path / "whole", 2)


def test_the_reference_way_is_a_setting(particles: ParticleSet, tmp_path: Path) -> None:
    """Every sample, one particle a step, nothing known before; the run says so."""
    settings = config(train={"epochs": 1, "reference": True}, model={"linear_start": True})
    for event in train(particles, settings, tmp_path / "run"):
        if isinstance(event, EpochDone):
            assert np.isfinite(event.losses.held_out)
    run = Run.open(tmp_path / "run")
    assert (run.config.train.batch_size, run.config.train.points_per_particle) == (1, 0)
    assert run.config.model.pooling == "concatenate" and run.model().decoder.mean is None
    assert run.linear_components("cpu") is None
    assert RunConfig().as_trained() == RunConfig()


def test_stop_is_heeded_within_a_second(particles: ParticleSet, tmp_path: Path) -> None:
    asked_at: list[float] = []
    events = train(
        particles, config(train={"epochs": 1000}), tmp_path / "run", stop=lambda: bool(asked_at)
    )
    for event in events:
        # Not `Progress`: where an epoch takes less than a tenth of a second none is sent.
        if isinstance(event, EpochDone) and event.epoch >= 2 and not asked_at:
            asked_at.append(time.process_time())  # others may have the processor meanwhile
    assert isinstance(event, Finished) and event.reason == "stopped"
    assert time.process_time() - asked_at[0] < 1.0
    assert Run.open(tmp_path / "run").resume_file.exists()


def test_closing_the_generator_saves(particles: ParticleSet, tmp_path: Path) -> None:
    events = train(particles, config(train={"epochs": 1000}), tmp_path / "run")
    for event in events:
        if isinstance(event, Progress):
            break
    events.close()  # type: ignore[attr-defined]
    assert (tmp_path / "run" / "checkpoints" / "resume.safetensors").exists()


def test_interleaved_tomograms_change_no_latent(simulated: Path, tmp_path: Path) -> None:
    """Rows of the star in another order: the same latent for the same particle."""
    source = simulated / "warptools" / "particles.star"
    original = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    lines = source.read_text().splitlines()
    rows = [i for i, line in enumerate(lines) if ".mrcs" in line]
    shuffled = list(np.random.default_rng(0).permutation(rows))
    mixed_lines = list(lines)
    for place, row in zip(rows, shuffled, strict=True):
        mixed_lines[place] = lines[row]
    mixed_star = simulated / "warptools" / "mixed.star"
    mixed_star.write_text("\n".join(mixed_lines) + "\n")
    optimisation = (simulated / "warptools" / "particles_optimisation_set.star").read_text()
    mixed_set = simulated / "warptools" / "mixed_optimisation_set.star"
    mixed_set.write_text(optimisation.replace("particles.star", "mixed.star"))
    mixed = read_particles(mixed_set)
    assert mixed.ids != original.ids and set(mixed.ids) == set(original.ids)

    guessed = config(train={"epochs": 1, "refine": False})
    for _ in train(original, guessed, tmp_path / "run"):
        pass
    run = Run.open(tmp_path / "run")
    from napari_tomodrgn.learn.runtime.steps import run_to_end
    from napari_tomodrgn.learn.training.embed import embed_set

    straight = run_to_end(embed_set(run, original))
    crossed = run_to_end(embed_set(run, mixed)).loc[straight.index]
    axes = [name for name in straight if name.startswith("mu_")]
    assert np.allclose(straight[axes], crossed[axes], atol=1e-6)
    assert np.allclose(straight[axes], run.latents().loc[straight.index, axes], atol=1e-6)


def test_random_points_estimate_the_whole_loss(particles: ParticleSet) -> None:
    """The mean over drawn points agrees with the mean over all, within its standard error."""
    data = load_all(particles, DataConfig(), WeightConfig(), sign=1)
    batch = data.batch(torch.arange(8))
    generator = torch.Generator().manual_seed(0)

    def loss(per_particle: int) -> float:
        points = choose_points(batch, uniforms(batch.size, per_particle, generator))
        zero = torch.zeros(len(points.image), dtype=torch.complex64)
        return float(squared_errors(batch, points, zero).sum() / points.drawn)

    draws = np.array([loss(500) for _ in range(200)])
    error = draws.std() / np.sqrt(len(draws))
    assert abs(draws.mean() - loss(0)) < 4 * error


def test_weights_have_mean_one_and_held_out_images_stay_out(particles: ParticleSet) -> None:
    data = load_all(particles, DataConfig(), WeightConfig(), sign=1)
    batch = data.batch(torch.arange(len(particles)))
    assert float(batch.weights.mean()) == pytest.approx(1.0, rel=1e-3)
    data.hold_out(0.2, seed=3)
    held = ~data.training.numpy()
    owners = particles.arrays().particle
    assert (np.bincount(owners[held], minlength=len(particles)) == 2).all()  # rint(11 · 0.2)
    batch = data.batch(torch.arange(len(particles)))
    points = choose_points(batch, uniforms(batch.size, 100, torch.Generator().manual_seed(0)))
    assert batch.training[points.image].all()


def test_contrast_is_decided_from_the_data(simulated: Path) -> None:
    """WarpTools images are light on dark, Warp's hold −CTF · density: each needs its own sign."""
    tools = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    warp = read_particles(simulated / "warp" / "particles.star")
    assert decide_sign(tools, DataConfig()) == 1
    assert decide_sign(warp, DataConfig()) == -1
    assert decide_sign(warp, DataConfig(contrast="keep")) == 1


def test_images_larger_than_memory_go_to_a_file(particles: ParticleSet, tmp_path: Path) -> None:
    """Half precision on disk, the same latents to its accuracy."""
    guessed = {"epochs": 1, "refine": False}
    one = config(train=guessed)
    two = config(train=guessed, data={"memory_gb": 1e-6})
    for name, settings in (("ram", one), ("disk", two)):
        for _ in train(particles, settings, tmp_path / name):
            pass
    assert not (tmp_path / "ram" / "cache").exists()
    assert (tmp_path / "disk" / "cache" / "samples.npy").stat().st_size > 0
    ram = Run.open(tmp_path / "ram").latents().filter(like="mu_")
    disk = Run.open(tmp_path / "disk").latents().filter(like="mu_")
    assert np.abs(ram.to_numpy() - disk.to_numpy()).max() < 0.05


def test_decoded_maps_are_finite_and_carry_their_pixel_size(
    tiny_run: Path, particles: ParticleSet, tmp_path: Path
) -> None:
    run = Run.open(tiny_run)
    z = run.latents().filter(like="mu_").to_numpy()[0]
    volume = run.decoder().decode(z)
    write_volume(tmp_path / "map.mrc", volume)
    again = read_volume(tmp_path / "map.mrc")
    assert np.isfinite(again.data).all() and again.data.std() > 0
    assert again.voxel_size_angstrom == pytest.approx(
        particles.optics.pixel_size_angstrom, rel=1e-5
    )


def test_a_run_can_be_read_without_executing_anything(tiny_run: Path) -> None:
    names = {path.suffix for path in tiny_run.rglob("*") if path.is_file()}
    assert names <= {".json", ".star", ".csv", ".safetensors", ".parquet", ".mrcs"}


def test_broken_runs_say_what_is_wrong(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no readable run\.json"):
        Run.open(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(BadInputError, match="damaged"):
        Run.open(tmp_path)
    run = Run.open(tiny_run)
    with pytest.raises(BadInputError, match="no epoch 9"):
        run.latents(9)
    broken = tmp_path / "copy"
    (broken / "checkpoints").mkdir(parents=True)
    (broken / "latents").mkdir()
    (broken / "run.json").write_text((tiny_run / "run.json").read_text())
    with pytest.raises(BadInputError, match="no epoch is finished"):
        Run.open(broken).latents()
    table = run.latents_file(2)
    (broken / "latents" / table.name).write_bytes(table.read_bytes())
    (broken / "checkpoints" / run.weights_file(2).name).write_bytes(b"cut")
    with pytest.raises(BadInputError, match="cannot be read as a checkpoint"):
        Run.open(broken).decoder()


def test_a_folder_with_a_run_is_not_overwritten(tiny_run: Path, particles: ParticleSet) -> None:
    with pytest.raises(BadInputError, match="holds a run already"):
        list(train(particles, config(), tiny_run))


@pytest.fixture(scope="module")
def ribosomes(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Volume]:
    """Twenty epochs on 40 real particles, and the average of the full set at 60 Å."""
    folder = real_data / "warptools"
    name = "warptools_test_4-tomos_10-ptcls_box-32_angpix-12_optimisation_set.star"
    average = read_volume(folder / "warptools_test_box-32_angpix-12_reconstruct.mrc").flipped_z()
    out = tmp_path_factory.mktemp("ribosomes") / "run"
    defaults = RunConfig.model_validate({"train": {"epochs": 20, "device": "cpu"}})
    for _ in train(read_particles(folder / name), defaults, out):
        pass
    return Run.open(out), low_pass(average, 60)


@pytest.mark.slow
def test_real_ribosomes_decode_no_worse_than_back_projection(
    ribosomes: tuple[Run, Volume],
) -> None:
    """The map in the middle of the latents. The reference's back-projection has 0.46, ours 0.87."""
    run, coarse = ribosomes
    latents, decoder = run.latents().filter(like="mu_").to_numpy(), run.decoder()
    assert all(np.isfinite(decoder.decode(latents[row]).data).all() for row in (0, 15, 39))
    middle = decoder.decode(latents.mean(0))
    assert middle.voxel_size_angstrom == pytest.approx(12.0)
    assert correlation(low_pass(middle, 60), coarse) > 0.8
    gain = run.quality()["better_than_linear"]
    assert gain["mean"] > -2 * gain["standard_error"], "held-out images, against the linear engine"
    # Nine trainings gave 0.4 to 2.9: whether 40 ribosomes and what is beside them differ is not
    # known, but what is said of it follows the figure.
    quality = run.quality()
    shown = quality["told_apart_standard_errors"] > 3
    assert quality["verdict"].startswith("Heterogeneity is supported") == shown


@pytest.mark.slow
def test_single_real_ribosomes_are_like_the_average(ribosomes: tuple[Run, Volume]) -> None:
    run, coarse = ribosomes
    latents, decoder = run.latents().filter(like="mu_").to_numpy(), run.decoder()
    single = [decoder.decode(latents[row]) for row in (0, 15, 39)]
    assert min(correlation(low_pass(volume, 60), coarse) for volume in single) > 0.8
