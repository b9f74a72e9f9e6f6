"""The same numbers on every device: losses, latents, maps, resuming, the linear engine.

What the CPU gives is the reference; on the CPU itself these tests say that a seed decides all.
"""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from napari_tomodrgn.analysis.fsc import fsc
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.fourier_images import FourierImages
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.decoding.preview_basis import fit_preview
from napari_tomodrgn.learn.run.checkpoint import Position
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.training.train import prepare_trainer, train
from napari_tomodrgn.learn.training.trainer import Trainer

LOSSES = ["reconstruction", "kl", "held_out"]


@pytest.fixture(scope="module")
def particles(simulated: Path) -> ParticleSet:
    return read_particles(simulated / "warptools" / "particles_optimisation_set.star")


def config(device: str, method: str = "vae") -> RunConfig:
    model: dict[str, object] = {"latent_dim": 2, "decoder_dim": 64, "image_encoder_dim": 64}
    # Smooth, or rounding grows at kinks; and the linear engine has a test of its own.
    model |= {"activation": "silu", "linear_start": False}
    training = {"epochs": 2, "points_per_particle": 512, "batch_size": 5, "device": device}
    settings = {"method": method, "model": model, "train": {**training, "precision": "float32"}}
    return RunConfig.model_validate(settings)


def trained(particles: ParticleSet, out: Path, device: str, method: str = "vae") -> Run:
    for _ in train(particles, config(device, method), out):
        pass
    return Run.open(out)


@pytest.fixture(scope="module")
def reference(particles: ParticleSet, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(particles, tmp_path_factory.mktemp("reference") / "run", "cpu")


@pytest.fixture(scope="module")
def run(particles: ParticleSet, device: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(particles, tmp_path_factory.mktemp(device) / "run", device)


def axes_and_widths(run: Run) -> tuple[np.ndarray, np.ndarray]:
    table = run.latents()
    return (
        table.filter(like="mu_").to_numpy(),
        np.exp(table.filter(like="logvar_").to_numpy() / 2),
    )


def test_losses_latents_and_maps_are_those_of_the_cpu(run: Run, reference: Run) -> None:
    np.testing.assert_allclose(run.metrics()[LOSSES], reference.metrics()[LOSSES], rtol=1e-4)
    (mu, width), (expected, _) = axes_and_widths(run), axes_and_widths(reference)
    assert float(np.abs((mu - expected) / width).max()) < 0.05
    device = "cpu" if run.info.device.startswith("cpu") else run.info.device.split(":")[0]
    maps = [
        one.decoder(device=where).decode(expected[0])
        for one, where in ((run, device), (reference, "cpu"))
    ]
    assert float(fsc(*maps).correlation[1:12].min()) > 0.999


def test_a_seed_decides_all(particles: ParticleSet, run: Run, device: str, tmp_path: Path) -> None:
    """On one device to the bit; where sums are atomic, to rounding."""
    again = trained(particles, tmp_path / "again", device)
    if device == "cpu":
        assert again.weights_file(2).read_bytes() == run.weights_file(2).read_bytes()
        pd.testing.assert_frame_equal(again.latents(), run.latents(), check_exact=True)
    np.testing.assert_allclose(again.metrics()[LOSSES], run.metrics()[LOSSES], rtol=1e-4)


def test_a_stopped_run_goes_on_to_the_same_end(
    particles: ParticleSet, run: Run, device: str, tmp_path: Path
) -> None:
    first = config(device)
    short = first.model_copy(update={"train": first.train.model_copy(update={"epochs": 1})})
    for _ in train(particles, short, tmp_path / "run"):
        pass
    for _ in train(particles, first, tmp_path / "run", resume=True):
        pass
    resumed = Run.open(tmp_path / "run")
    np.testing.assert_allclose(resumed.metrics()[LOSSES], run.metrics()[LOSSES], rtol=1e-4)


def test_the_linear_engine_finds_the_same_axes(
    particles: ParticleSet, device: str, tmp_path: Path
) -> None:
    here = trained(particles, tmp_path / "here", device, "linear")
    cpu = trained(particles, tmp_path / "cpu", "cpu", "linear")
    one, other = (found.latents().filter(like="mu_").to_numpy() for found in (here, cpu))
    assert one.shape == other.shape
    assert abs(float(np.corrcoef(one[:, 0], other[:, 0])[0, 1])) > 0.999


def test_previews_are_made_anywhere(run: Run, device: str) -> None:
    latents = run.latents().filter(like="mu_").to_numpy()
    volume = run.decoder(device=device).decode(latents[0], 16)
    assert np.isfinite(volume.data).all()
    *_, preview = fit_preview(run.decoder(device=device), latents, maps=8)
    assert preview is not None


def losses_of_steps(
    particles: ParticleSet, out: Path, *, records: bool, on_device: bool = True, **train: object
) -> tuple[Trainer, list[float]]:
    """Losses after each of the steps of two epochs on a card, recorded or launched one by one."""
    settings = config("cuda")
    changed = settings.train.model_copy(update=train)
    trainer, position = prepare_trainer(
        particles, settings.model_copy(update={"train": changed}), out
    )
    object.__setattr__(trainer, "records_steps", records)
    if not on_device:
        images = trainer.data.images
        assert isinstance(images.samples, torch.Tensor)
        trainer.data.images = FourierImages(images.samples.cpu(), images.scale)
    found = []
    for epoch in (1, 2):
        order, position = trainer.order(epoch), Position(epoch=epoch, step=0)
        while position.step < trainer.steps:
            position = trainer.read_losses(trainer.step(position, order))
            found.append(position.total)
    return trainer, found


@pytest.mark.gpu
@pytest.mark.parametrize(
    "settings",
    [{}, {"on_device": False}, {"capacity": 0.1, "beta": 5.0}, {"precision": "bfloat16"}],
    ids=str,
)
def test_recorded_steps_are_those_launched_one_by_one(
    particles: ParticleSet, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """The last batch of an epoch too, which is filled up; and where samples lie on the host."""
    plain, expected = losses_of_steps(particles, tmp_path / "plain", records=False, **settings)
    trainer, found = losses_of_steps(particles, tmp_path / "recorded", records=True, **settings)
    assert trainer.recorded_step is not None and trainer.recorded_step.is_recorded
    assert plain.recorded_step is None and trainer.chunk_sizes.messages == []
    rounding = 1e-2 if settings.get("precision") else 1e-4
    np.testing.assert_allclose(found, expected, rtol=rounding)


@pytest.mark.gpu
def test_a_recorded_step_that_is_not_finite_changes_nothing(
    particles: ParticleSet, tmp_path: Path
) -> None:
    trainer, _ = losses_of_steps(particles, tmp_path / "run", records=True)
    images = trainer.data.images.samples
    assert isinstance(images, torch.Tensor)
    images.fill_(float("nan"))
    before = [p.detach().clone() for p in trainer.model.parameters()]
    position = trainer.step(Position(epoch=3, step=0), trainer.order(3))
    with pytest.raises(BadInputError, match="not finite in epoch 3, step 1"):
        trainer.read_losses(position)
    for one, other in zip(before, trainer.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.gpu
def test_a_map_is_decoded_in_a_thread_while_steps_are_recorded(
    particles: ParticleSet, run: Run, tmp_path: Path
) -> None:
    """As in the window: what another thread asks of the card does not break the recording."""
    decoder, over, maps = run.decoder(device="cuda"), threading.Event(), list[float]()

    def decode() -> None:
        while not over.is_set():
            maps.append(float(np.std(decoder.decode(np.zeros(2, np.float32)).data)))

    thread = threading.Thread(target=decode)
    thread.start()
    try:
        trainer, _ = losses_of_steps(particles, tmp_path / "run", records=True)
    finally:
        over.set()
        thread.join()
    assert trainer.recorded_step is not None and trainer.recorded_step.is_recorded
    assert len(maps) > 1 and np.ptp(maps) < 1e-3 * max(maps)


@pytest.mark.gpu
def test_a_step_reads_nothing_back_on_the_card(particles: ParticleSet, tmp_path: Path) -> None:
    trainer, _ = losses_of_steps(particles, tmp_path / "run", records=False)
    order = trainer.order(3)
    position = trainer.step(Position(epoch=3, step=0), order)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
        try:
            trainer.step(position, order)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_less_memory_than_a_step_wants_is_enough(particles: ParticleSet, tmp_path: Path) -> None:
    """A real limit of the allocator: the step is made in smaller pieces, to the same losses."""
    _, roomy = losses_of_steps(particles, tmp_path / "roomy", records=True, batch_size=24)
    trainer, _ = losses_of_steps(particles, tmp_path / "small", records=False, batch_size=1)
    del trainer
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (32 << 20)) / total)
    try:
        _, cramped = losses_of_steps(particles, tmp_path / "cramped", records=True, batch_size=24)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    np.testing.assert_allclose(cramped, roomy, rtol=1e-3)
