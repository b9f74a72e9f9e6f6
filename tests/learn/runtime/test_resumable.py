"""Long pieces of work before and after training go on where they were kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from images_in_memory import load_all

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.learn.inference.methods import infer_in_chunks
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.reconstruction.backprojection import back_project
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.events import Finished, WorkProgress
from napari_tomodrgn.learn.runtime.resumable import ResumableWork
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.train import train


def test_sums_go_on_to_the_same_bits(simulated: Path, tmp_path: Path) -> None:
    star = simulated / "warptools" / "particles_optimisation_set.star"
    config = RunConfig()
    data = load_all(read_particles(star), config.data, config.weight, sign=1)
    rows = torch.arange(data.particle_count)
    whole = run_to_end(back_project(data, rows))
    resumable = ResumableWork(tmp_path / "sums.safetensors", "sums", 0.0)
    steps = back_project(data, rows, resumable=resumable)
    assert next(steps) == 16  # of 24
    steps.close()
    again = back_project(data, rows, resumable=ResumableWork(resumable.path, "sums", 1000.0))
    assert next(again) == 24, "what was kept is not done again"
    rest = run_to_end(again)
    assert torch.equal(rest.numerator, whole.numerator)
    assert torch.equal(rest.denominator, whole.denominator)
    assert ResumableWork(resumable.path, "sums", 1.0).load()[0] == 24
    assert ResumableWork(resumable.path, "other sums", 1.0).load() == (0, {})
    resumable.path.write_bytes(b"half a file")
    assert ResumableWork(resumable.path, "sums", 1.0).load() == (0, {})


@pytest.mark.parametrize("covariance", [False, True])
def test_posteriors_go_on_in_the_same_parts(tmp_path: Path, covariance: bool) -> None:
    asked: list[int] = []

    def inference(rows: torch.Tensor, images: torch.Tensor) -> Posterior:
        asked.extend(rows.tolist())
        mu = torch.stack([rows, rows + len(rows)], dim=1).float()
        if covariance:
            return Posterior.of(mu, torch.diag_embed(mu + 1))
        return Posterior(mu, -mu)

    rows, images = torch.arange(70), torch.ones(1)
    whole = run_to_end(infer_in_chunks(inference, rows, images, 16))
    asked.clear()
    path = tmp_path / "kept.safetensors"
    steps = infer_in_chunks(inference, rows, images, 16, ResumableWork(path, "latents 3", 0.0))
    assert [next(steps), next(steps)] == [16, 32]
    steps.close()
    for _ in range(2):  # the second time all is there
        rest = run_to_end(
            infer_in_chunks(inference, rows, images, 16, ResumableWork(path, "latents 3", 0.0))
        )
        assert torch.equal(rest.mu, whole.mu) and torch.equal(rest.logvar, whole.logvar)
        assert (rest.covariance is not None) == covariance
        if covariance:
            assert torch.equal(rest.covariance, whole.covariance)
    assert asked == list(range(70)), "each particle once"


@pytest.mark.slow
def test_a_run_stopped_before_and_after_training_does_not_begin_anew(
    simulated: Path, tmp_path: Path
) -> None:
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    settings = RunConfig.model_validate(
        {
            "model": {"latent_dim": 2, "decoder_dim": 32, "image_encoder_dim": 32},
            "train": {
                "epochs": 1,
                "points_per_particle": 64,
                "save_seconds": 1e-9,
                "device": "cpu",
            },
        }
    )
    whole = tmp_path / "whole"
    assert isinstance(list(train(particles, settings, whole))[-1], Finished)
    assert not list(whole.glob("checkpoints/kept-*")), "nothing is left of what is over"

    def stopped_at(what: str, resume: bool) -> list[str]:
        seen: list[str] = []
        steps = train(
            particles,
            settings,
            tmp_path / "run",
            resume=resume,
            stop=lambda: bool(seen) and seen[-1] == what,
        )
        for event in steps:
            seen.append(event.what if isinstance(event, WorkProgress) else "")
        return seen

    stopped_at("Refining components", resume=False)
    resumable = sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("kept-*"))
    assert resumable == [f"kept-{piece}.safetensors" for piece in ("mean-one", "mean-two")]
    stopped_at("Comparing held-out images", resume=True)
    stopped_at("nothing", resume=True)
    for file in ("checkpoints/epoch-0001.safetensors", "latents/epoch-0001.parquet"):
        assert (tmp_path / "run" / file).read_bytes() == (whole / file).read_bytes(), file
    assert Run.open(tmp_path / "run").info.chosen_epoch == 1
