"""Memory that runs out, losses that are no numbers: what is said, and what stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.inference import refinement
from napari_tomodrgn.learn.network.model import Decoder
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.events import Event, Finished, Notice, Progress
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.learn.training.trainer import Trainer


@pytest.fixture
def particles(simulated: Path) -> ParticleSet:
    return read_particles(simulated / "warptools" / "particles_optimisation_set.star")


def config(**of_training: object) -> RunConfig:
    return RunConfig.model_validate(
        {
            "model": {
                "latent_dim": 2,
                "decoder_dim": 32,
                "image_encoder_dim": 32,
                "linear_start": False,
                # Smooth: at the kink of ReLU, rounding becomes differences that grow by the step.
                "activation": "silu",
            },
            "train": {"epochs": 2, "points_per_particle": 1024, "device": "cpu", **of_training},
        }
    )


def faulty(monkeypatch: pytest.MonkeyPatch, before: Callable[[int], None]) -> list[int]:
    """Let something happen before the decoder is asked in training; sizes of what it was asked."""
    whole, asked = Decoder.forward, []

    def forward(
        self: Decoder, frequencies: torch.Tensor, z: torch.Tensor, particle_index: torch.Tensor
    ) -> torch.Tensor:
        if torch.is_grad_enabled():
            before(len(frequencies))
            asked.append(len(frequencies))
        return whole(self, frequencies, z, particle_index)

    monkeypatch.setattr(Decoder, "forward", forward)
    return asked


@pytest.mark.parametrize("capacity", [None, 1.0])
def test_out_of_gpu_memory_computes_less_at_a_time_and_says_so(
    particles: ParticleSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capacity: float | None,
) -> None:
    """The same run, but for rounding: also where the penalty is not linear in the mean KL."""
    settings = config(capacity=capacity)
    for _ in train(particles, settings, tmp_path / "roomy"):
        pass

    def full(points: int) -> None:
        if points > 3000:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    asked = faulty(monkeypatch, full)
    events: list[Event] = list(train(particles, settings, tmp_path / "cramped"))
    said = [event.text for event in events if isinstance(event, Notice)]
    memory = [text for text in said if "Out of GPU memory" in text]
    # What is said then: how far the latents can be trusted, and whether particles differ.
    assert memory and said[: len(memory)] == memory
    assert events[-1] == Finished("completed", 2)
    assert max(asked) <= 3000
    roomy, cramped = Run.open(tmp_path / "roomy"), Run.open(tmp_path / "cramped")
    names = ["reconstruction", "kl", "total", "held_out"]
    np.testing.assert_allclose(roomy.metrics()[names], cramped.metrics()[names], rtol=1e-4)
    axes = ["mu_0", "mu_1"]
    apart = (roomy.latents()[axes] - cramped.latents()[axes]).abs().to_numpy()
    assert np.quantile(apart, 0.9) < 1e-4
    # Refinement stops at steps shorter than this: rounding may decide whether one is still made.
    assert apart.max() < refinement._CONVERGED_STEP


def test_memory_that_cannot_be_spared_is_one_sentence(
    particles: ParticleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(points: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    faulty(monkeypatch, never)
    with pytest.raises(BadInputError, match=r"GPU is not enough \(2.00 GiB more") as caught:
        list(train(particles, config(), tmp_path / "gpu"))
    assert caught.value.code == "out-of-memory"

    def host(points: int) -> None:
        raise MemoryError

    faulty(monkeypatch, host)
    with pytest.raises(BadInputError, match="memory of this computer is not enough"):
        list(train(particles, config(), tmp_path / "host"))


def test_a_loss_that_is_no_number_leaves_the_last_good_state(
    particles: ParticleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted in the second epoch: the first is whole, and resuming without it ends as it would."""
    for _ in train(particles, config(), tmp_path / "whole"):
        pass
    whole, calls = Decoder.forward, iter(range(10**6))

    def forward(self: Decoder, *given: torch.Tensor) -> torch.Tensor:
        spoilt = torch.is_grad_enabled() and next(calls) == 8
        return whole(self, *given) * (float("nan") if spoilt else 1.0)

    monkeypatch.setattr(Decoder, "forward", forward)
    with pytest.raises(BadInputError, match="loss is not finite in epoch 2, step 3") as caught:
        list(train(particles, config(), tmp_path / "run"))
    assert caught.value.code == "diverged"
    run = Run.open(tmp_path / "run")
    assert run.epochs() == [1] and np.isfinite(run.latents().filter(like="mu_")).all(axis=None)
    monkeypatch.undo()
    assert list(train(particles, config(), run.path, resume=True))[-1].reason == "completed"  # type: ignore[union-attr]
    assert (
        run.weights_file(2).read_bytes()
        == Run.open(tmp_path / "whole").weights_file(2).read_bytes()
    )


def test_training_that_diverges_by_itself_says_so(particles: ParticleSet, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"loss is not finite in epoch 1.*learning rate"):
        list(train(particles, config(learning_rate=1.0), tmp_path / "run"))
    assert_finite(Run.open(tmp_path / "run").resume_file)


def test_a_gradient_that_is_no_number_does_not_touch_the_weights(
    particles: ParticleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Trainer._gradients

    def spoilt(self: Trainer, work: Any) -> torch.Tensor:
        sums = real(self, work)
        next(self.model.parameters()).grad.fill_(float("inf"))  # type: ignore[union-attr]
        return sums

    events = train(particles, config(epochs=500), tmp_path / "run")
    with pytest.raises(BadInputError, match="gradient is not finite"):
        for event in events:
            if isinstance(event, Progress):
                monkeypatch.setattr(Trainer, "_gradients", spoilt)
    assert_finite(Run.open(tmp_path / "run").resume_file)


def assert_finite(file: Path) -> None:
    assert all(bool(value.isfinite().all()) for value in load_file(file).values())


def test_a_batch_larger_than_the_set_is_said(particles: ParticleSet, tmp_path: Path) -> None:
    count = len(particles)
    for size, told in ((count, False), (count + 1, True)):
        events = train(particles, config(batch_size=size, epochs=1), tmp_path / str(size))
        words = [event.text for event in events if isinstance(event, Notice)]
        assert any(text.startswith(f"A batch of {size} is more than") for text in words) == told
