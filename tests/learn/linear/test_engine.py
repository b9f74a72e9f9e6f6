"""The linear engine: statistics of its EM, what it finds, what it leaves on disk."""

from __future__ import annotations

from collections.abc import Callable
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
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder
from napari_tomodrgn.learn.linear import engine as engine_module
from napari_tomodrgn.learn.linear.cross_validation import cross_validate
from napari_tomodrgn.learn.linear.decoder import LinearDecoder, read_linear_model
from napari_tomodrgn.learn.linear.engine import Fit, LinearEngine
from napari_tomodrgn.learn.linear.expectation_maximization import (
    Blocks,
    e_step,
    estimate_noise,
    m_step,
    posteriors,
)
from napari_tomodrgn.learn.linear.fourier_ball import make_ball, sphere
from napari_tomodrgn.learn.linear.image_samples import LinearSamples
from napari_tomodrgn.learn.linear.initial_model import (
    leading_latents,
    mean_model,
    residual_maps,
    with_components,
)
from napari_tomodrgn.learn.linear.linear_model import LinearModel
from napari_tomodrgn.learn.linear.principal_axes import (
    like_signs,
    rotate_to_principal_axes,
    with_signs,
)
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.events import EpochDone, Finished, LatentsReady, Notice, Started
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.embed import embed_set
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.physics.lattice import half_plane
from napari_tomodrgn.physics.shells import shell_correlation
from napari_tomodrgn.synthetic import SimulationConfig, simulate

RADIUS = 6


@pytest.fixture(scope="module")
def two_states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two like states (maps correlate 0.92), same dose and noise for both."""
    out = tmp_path_factory.mktemp("two_states")
    settings = SimulationConfig(
        particles=96,
        tilts=10,
        box_size_px=32,
        snr=0.05,
        structures=("motion_00.0_deg", "motion_16.0_deg"),
    )
    for _ in simulate(out, settings):
        pass
    return out


def samples_of(folder: Path, dialect: str = "warptools") -> LinearSamples:
    name = {"warptools": "particles_optimisation_set.star", "warp": "particles.star"}[dialect]
    particles = read_particles(folder / dialect / name)
    lattice = half_plane(particles.optics.box_size_px)
    sign = 1 if dialect == "warptools" else -1
    data = load_all(particles, DataConfig(), WeightConfig(), sign=sign, lattice=lattice)
    return LinearSamples(data, DataConfig(), radius_px=8)


@pytest.fixture(scope="module")
def fitted(two_states: Path) -> tuple[LinearModel, Blocks, torch.Tensor]:
    samples = samples_of(two_states)
    ball = make_ball(RADIUS, support=sphere(0.85))
    rows = torch.arange(samples.data.particle_count)
    kept = list(samples.blocks(ball, rows, torch.ones_like(samples.data.training)))

    def blocks() -> list:
        return kept

    shells = samples.shells(RADIUS)
    model = mean_model(ball, blocks, shells, samples.independent_share)
    maps = torch.cat(list(residual_maps(model, blocks, shells)))
    latents = leading_latents(maps, (1 / model.prior[:, 0])[ball.shells], 2)
    return with_components(model, blocks, shells, latents), blocks, shells


def objective(model: LinearModel, gain: torch.Tensor) -> float:
    half = torch.where(model.ball.on_plane, 0.5, 1.0)[:, None, None]
    penalty = model.prior[model.ball.shells][:, None, :] * model.free.square() * half
    return float(gain.sum() - penalty.double().sum())


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_em_never_lowers_the_penalised_likelihood(fitted: tuple, steps: int) -> None:
    model, blocks, shells = fitted
    seen = []
    for _ in range(8):
        found = e_step(model, blocks, shells)
        seen.append(objective(model, found.gain))
        model = m_step(model, blocks, shells, found, steps)
    rises = np.diff(seen)
    assert (rises > -1e-6 * abs(seen[0])).all(), rises
    assert seen[-1] > seen[0] + 10


def test_principal_axes_change_no_likelihood_when_not_rescaled(fitted: tuple) -> None:
    model, blocks, shells = fitted
    found = e_step(model, blocks, shells)
    turned, matrix, centre = rotate_to_principal_axes(model, found, rescale=False)
    again = e_step(turned, blocks, shells)
    assert torch.allclose(again.gain, found.gain, rtol=1e-4, atol=1e-2)
    assert torch.allclose(again.mu, (found.mu - centre) @ matrix.T, atol=1e-3)


def test_axes_point_as_they_did_at_the_radius_before(fitted: tuple) -> None:
    """No point changes sides; the images are as likely as they were."""
    model, blocks, shells = fitted
    mu, covariance, _ = posteriors(model, blocks, shells)
    signs = torch.ones(mu.shape[1])
    signs[::2] = -1
    noise = torch.randn(mu.shape, generator=torch.Generator().manual_seed(0)).to(mu)
    others = (mu * signs.to(mu) + 0.2 * mu.std(0) * noise).flip(1)  # in another order, too
    assert torch.equal(like_signs(mu, others).cpu(), signs.to(mu))
    turned = with_signs(model, signs.to(mu))
    found, wide, _ = posteriors(turned, blocks, shells)
    assert torch.allclose(found, mu * signs.to(mu), atol=1e-5)
    assert torch.allclose(torch.diagonal(wide, dim1=1, dim2=2), covariance.diagonal(dim1=1, dim2=2))
    before, after = (e_step(one, blocks, shells).gain for one in (model, turned))
    assert torch.allclose(before, after, rtol=1e-5)
    one = Fit(model, mu, covariance, mu, covariance, torch.ones(mu.shape[1]))
    other = Fit(turned, found, wide, found, wide, one.gains)
    again = other.pointing_as(one)
    assert torch.allclose(again.mu, mu, atol=1e-5) and torch.equal(again.model.basis, model.basis)


def test_posteriors_are_as_wide_as_they_say(fitted: tuple) -> None:
    """Data drawn from the model: (z − μ)ᵀ Λ (z − μ) has the mean J, and noise is found again."""
    model, blocks, shells = fitted
    model = replace(model, share=1.0)
    generator = torch.Generator().manual_seed(1)
    drawn, latents = [], []
    for block in blocks():
        z = torch.randn((len(block.particles), model.components), generator=generator)
        extended = torch.cat([torch.ones_like(z[:, :1]), z], dim=1)[block.particle_index]
        shape = block.strength.shape
        values = (block.forward @ model.basis.flatten(1)).reshape(*shape, 2, -1)
        clean = (values * extended[:, None, None, :]).sum(-1)
        noise = (
            torch.randn(clean.shape, generator=generator)
            * (model.noise[shells] / 2).sqrt()[:, None]
        )
        strength = block.strength[..., None]
        matched = strength * clean + strength.sqrt() * noise
        drawn.append(replace(block, matched=matched))
        latents.append(z)
    mu, covariance, _ = posteriors(model, lambda: drawn, shells)
    error = torch.cat(latents).double() - mu
    scores = (error[:, None] @ torch.linalg.inv(covariance) @ error[..., None]).flatten()
    count = len(scores) * model.components
    assert abs(float(scores.sum()) / count - 1) < 4 * np.sqrt(2 / count)


def test_noise_is_that_of_the_simulation(two_states: Path) -> None:
    """Both exports hold the same noise: white in Warp's, filtered in that of WarpTools."""
    for dialect in ("warp", "warptools"):
        samples = samples_of(two_states, dialect)
        ball = make_ball(RADIUS, support=sphere(0.85))
        rows = torch.arange(samples.data.particle_count)
        kept = list(samples.blocks(ball, rows, torch.ones_like(samples.data.training)))
        shells = samples.shells(RADIUS)
        model = mean_model(ball, lambda kept=kept: kept, shells, samples.independent_share)
        found = e_step(model, lambda kept=kept: kept, shells)
        noise = (
            estimate_noise(found.errors, shells, len(model.prior)) * samples.data.images.scale**2
        )
        box = samples.data.lattice.box_size_px
        # White noise of variance 1 in each pixel, as far as the window leaves it.
        expected = box**2 * samples.independent_share
        assert np.allclose(noise[4 : RADIUS + 1] / expected, 1, atol=0.25), dialect


def test_an_axis_of_noise_has_no_variance_in_particles_not_fitted(fitted: tuple) -> None:
    model, blocks, shells = fitted
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(model.free.shape[:2], generator=generator)
    free = torch.stack([model.free[..., 0], noise * model.free[..., 1].std()], dim=-1)
    judged = cross_validate(model.first(1).with_free(free), blocks, shells)
    assert float(judged.gains[0]) < 4


def events_of(folder: Path, out: Path, **settings: object) -> list:
    particles = read_particles(folder / "warptools" / "particles_optimisation_set.star")
    given = {"method": "linear", "train": {"device": "cpu"}, **settings}
    return list(train(particles, RunConfig.model_validate(given), out))


@pytest.fixture(scope="module")
def run(two_states: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list]:
    out = tmp_path_factory.mktemp("linear") / "run"
    events = events_of(two_states, out, linear={"radius_px": 10})
    return Run.open(out), events


def latents_of(run: Run) -> np.ndarray:
    table = run.latents()
    return table[[name for name in table if name.startswith("mu_")]].to_numpy()


def test_two_like_states_come_apart_and_need_one_axis(run: tuple, two_states: Path) -> None:
    table = run[0].latents()
    truth = pd.read_csv(two_states / "truth.csv").set_index("particle_id").loc[table.index]
    latents = latents_of(run[0])
    assert latents.shape[1] == 1
    assert agreement(k_means(latents, 2), truth["state"]) >= 0.9


def test_events_and_files_are_those_of_any_run(run: tuple) -> None:
    opened, events = run
    kinds = [type(event) for event in events]
    assert Started in kinds
    assert kinds.count(EpochDone) == len(opened.epochs())
    assert kinds.count(LatentsReady) == len(opened.epochs()) + 1, "with its maps at the end"
    assert events[-1] == Finished("completed", opened.epochs()[-1])
    assert Run.open(opened.path).info.chosen_epoch == opened.epochs()[-1], "the run is over"
    metrics = opened.metrics()
    assert list(metrics["epoch"]) == opened.epochs()
    assert metrics[["reconstruction", "kl", "held_out"]].notna().all(axis=None)
    assert metrics["held_out"].is_monotonic_decreasing
    table = opened.latents()
    assert np.allclose(np.exp(table["logvar_0"]), table["cov_0_0"], rtol=1e-5)


def test_decoded_difference_is_that_of_the_states(run: tuple, two_states: Path) -> None:
    from napari_tomodrgn.data.volume import read_volume

    table = run[0].latents()
    truth = pd.read_csv(two_states / "truth.csv").set_index("particle_id").loc[table.index]
    latents, decoder = latents_of(run[0]), run[0].decoder()
    assert decoder.latent_dim == latents.shape[1]
    ends = [latents[(truth["state"] == state).to_numpy()].mean(0) for state in (0, 1)]
    first, second = (decoder.decode(end).data for end in ends)
    names = ("motion_00.0_deg", "motion_16.0_deg")
    maps = [read_volume(two_states / "truth_maps" / f"{name}.mrc").data for name in names]
    assert np.corrcoef(first.ravel(), maps[0].ravel())[0, 1] > 0.85
    difference = np.corrcoef((second - first).ravel(), (maps[1] - maps[0]).ravel())[0, 1]
    assert difference > 0.7


def test_maps_are_finished_beyond_the_radius_of_the_latents(run: tuple, two_states: Path) -> None:
    from napari_tomodrgn.data.volume import read_volume

    opened, name = run[0], "motion_00.0_deg"
    model = read_linear_model(opened.weights_file(opened.last_epoch()))
    assert model.ball.radius_px == 10, "what latents are inferred from stays as it was"
    table = opened.latents()
    truth = pd.read_csv(two_states / "truth.csv").set_index("particle_id").loc[table.index]
    end = latents_of(opened)[(truth["state_name"] == name).to_numpy()].mean(0)
    true = torch.from_numpy(read_volume(two_states / "truth_maps" / f"{name}.mrc").data)
    coarse = VolumeDecoder(
        LinearDecoder.from_model(model, 32),
        box_size_px=32,
        pixel_size_angstrom=8.0,
        latent_dim=model.components,
    )
    before, now = (
        shell_correlation(torch.from_numpy(decoder.decode(end).data), true).numpy()
        for decoder in (coarse, opened.decoder())
    )
    assert np.abs(before[11:]).max() < 0.1, "nothing beyond the radius"
    assert now[10] > before[10] + 0.15 and now[11] > 0.6 and now[13] > 0.35
    assert now[:10].min() > 0.85 and (now[:10] > before[:10] - 0.05).all()


def test_a_run_says_in_seconds_whether_particles_differ(run: tuple) -> None:
    """Two states that held-out images tell apart; maps differ by no more than these ask for."""
    opened, events = run
    quality = opened.quality()
    assert quality["told_apart_standard_errors"] > 3
    gain = quality["better_than_one_map"]
    assert gain["mean"] > 2 * gain["standard_error"] > 0
    lasting = [event.text for event in events if isinstance(event, Notice) and event.lasting]
    assert len(lasting) == 1 and lasting[0].startswith("Heterogeneity is supported")


def test_a_map_is_the_weighted_sum_of_the_basis(run: tuple) -> None:
    opened = run[0]
    decoder = LinearDecoder.read(opened.weights_file(opened.last_epoch()))
    z = np.full(decoder.components, 0.7, dtype=np.float32)
    for box in (16, 32, 48):
        basis = decoder.basis_volumes(box).numpy() * opened.info.scale
        summed = basis[0] + np.tensordot(z, basis[1:], 1)
        decoded = opened.with_shell_filter(on=False).decoder().decode(z, box).data
        summed, decoded = summed - summed.mean(), decoded - decoded.mean()
        assert np.linalg.norm(summed - decoded) < 1e-5 * np.linalg.norm(decoded)


def test_the_decoder_says_what_the_samples_were_fitted_with(fitted: tuple) -> None:
    model = fitted[0]
    decoder = LinearDecoder.from_model(model, 32)
    generator = torch.Generator().manual_seed(3)
    points = torch.nn.functional.normalize(torch.randn((500, 3), generator=generator), dim=1)
    points = points * (0.5 + (RADIUS - 1) * torch.rand((500, 1), generator=generator))
    points[:, 0] = points[:, 0].abs()
    z = torch.tensor([[0.5, -1.0]])
    low = torch.floor(points)
    fitted_values = torch.zeros(500, dtype=torch.complex64)
    basis = torch.view_as_complex(model.basis.movedim(1, -1).contiguous())
    weights = torch.cat([torch.ones((1, 1)), z], dim=1)[0].to(basis.dtype)
    for corner in np.ndindex(2, 2, 2):
        offset = torch.tensor(corner)
        part = points - low
        share = torch.where(offset.bool(), part, 1 - part).prod(dim=-1)
        numbers = model.ball.numbers(low.to(torch.int64) + offset)
        fitted_values += share * (basis[numbers] @ weights)
    particle_index = torch.zeros(500, dtype=torch.int64)
    decoded = decoder(points / 32, z, particle_index)
    scale = fitted_values.abs().square().mean().sqrt()
    assert (decoded - fitted_values).abs().square().mean().sqrt() < 0.15 * scale
    mirrored = decoder(-points / 32, z, particle_index)
    assert torch.allclose(mirrored, decoded.conj(), atol=1e-3 * float(scale))


def test_a_run_embeds_any_particles_as_it_embedded_its_own(
    run: tuple, two_states: Path, tmp_path: Path
) -> None:
    opened = run[0]
    stored = opened.latents()
    again = run_to_end(embed_set(opened, opened.particles()))
    columns = [name for name in stored if name.startswith(("mu_", "logvar_", "cov_"))]
    assert columns == [name for name in again if name.startswith(("mu_", "logvar_", "cov_"))]
    assert np.allclose(again[columns], stored[columns], rtol=1e-3, atol=1e-4)
    few = opened.particles().select(stored.index[[40, 3]])
    alone = run_to_end(embed_set(opened, few))
    assert np.allclose(alone[columns], stored.loc[alone.index, columns], rtol=1e-3, atol=1e-4)


@pytest.fixture
def wide(two_states: Path) -> ParticleSet:
    """Pre-multiplied images said to be twice as wide: their CTF begins at twice the shell."""
    whole = read_particles(two_states / "warptools" / "particles_optimisation_set.star")
    return whole.with_optics(pixel_size_angstrom=2 * whole.optics.pixel_size_angstrom)


def test_noise_is_measured_where_the_ctf_leaves_any(two_states: Path, wide: ParticleSet) -> None:
    lattice = half_plane(32)

    def radius(particles: ParticleSet) -> int:
        data = load_all(particles, DataConfig(), WeightConfig(), sign=1, lattice=lattice)
        return LinearSamples(data, DataConfig(), radius_px=15).noise_radius()

    folder = two_states / "warptools"
    whole = read_particles(folder / "particles_optimisation_set.star")
    assert (radius(whole), radius(wide)) == (5, 9)
    recorded = whole.with_optics(ctf_premultiplied=False)
    assert radius(recorded) == 1


def test_a_wide_box_begins_where_noise_is_seen(wide: ParticleSet, tmp_path: Path) -> None:
    """Its first six shells hold nothing: what is divided by their noise was not a number."""
    given = {"method": "linear", "train": {"device": "cpu"}}
    for radius, code in ((6, "bad-radius"), (10, "")):
        config = RunConfig.model_validate({**given, "linear": {"radius_px": radius}})
        out = tmp_path / f"{radius}"
        if code:
            with pytest.raises(BadInputError, match="9 or more") as caught:
                list(train(wide, config, out))
            assert caught.value.code == code
            continue
        list(train(wide, config, out))
        table = Run.open(out).latents()
        assert np.isfinite(table.filter(regex="mu_|logvar_").to_numpy()).all()
        decoder = LinearDecoder.read(Run.open(out).weights_file(1))
        assert int(decoder.limits[0]) >= 9


def test_same_seed_same_latents(two_states: Path, run: tuple, tmp_path: Path) -> None:
    events_of(two_states, tmp_path / "again", linear={"radius_px": 10})
    again = Run.open(tmp_path / "again").latents()
    pd.testing.assert_frame_equal(again, run[0].latents(), check_exact=True)


def test_components_may_be_set(two_states: Path, tmp_path: Path) -> None:
    settings = {"linear": {"components": 3, "radius_px": 6}, "data": {"held_out_fraction": 0.0}}
    events_of(two_states, tmp_path / "run", **settings)
    table = Run.open(tmp_path / "run").latents()
    assert {"mu_2", "logvar_2", "cov_0_2", "cov_1_2"} <= set(table.columns)


def test_stops_when_asked(two_states: Path, tmp_path: Path) -> None:
    particles = read_particles(two_states / "warptools" / "particles_optimisation_set.star")
    calls: list[int] = []

    def asked() -> bool:
        calls.append(1)
        return len(calls) > 12

    config = RunConfig.model_validate({"method": "linear", "train": {"device": "cpu"}})
    stop: Callable[[], bool] = asked
    events = list(train(particles, config, tmp_path / "run", stop=stop))
    assert events[-1] == Finished("stopped", 0)


def test_what_was_complete_when_it_is_stopped_is_said(two_states: Path, tmp_path: Path) -> None:
    particles = read_particles(two_states / "warptools" / "particles_optimisation_set.star")
    config = RunConfig.model_validate({"method": "linear", "train": {"device": "cpu"}})
    done: list[int] = []
    seen = []
    for event in train(particles, config, tmp_path / "run", stop=lambda: bool(done)):
        seen.append(event)
        if isinstance(event, EpochDone):
            done.append(event.epoch)
    assert done == [1] and seen[-1] == Finished("stopped", 2), "in the second, the first is whole"


def test_another_file_is_no_basis(tmp_path: Path) -> None:
    file = tmp_path / "epoch-0001.safetensors"
    file.write_bytes(b"nothing of use")
    with pytest.raises(BadInputError, match="cannot be read"):
        LinearDecoder.read(file)


def test_odd_halves_little_memory_and_too_few_particles(two_states: Path, tmp_path: Path) -> None:
    """Nine particles make halves of five and four; memory for none still learns from some."""
    particles = read_particles(two_states / "warptools" / "particles_optimisation_set.star")
    some = particles.take(np.arange(len(particles)) < 9)
    little = {"data": {"memory_gb": 1e-6}, "method": "linear", "train": {"device": "cpu"}}
    for _ in train(some, RunConfig.model_validate(little), tmp_path / "nine"):
        pass
    latents = Run.open(tmp_path / "nine").latents().filter(like="mu_")
    assert latents.shape[0] == 9 and np.isfinite(latents.to_numpy()).all()
    few = particles.take(np.arange(len(particles)) < 7)
    with pytest.raises(BadInputError, match=r"7 particles.*at least 8"):
        list(train(few, RunConfig.model_validate(little), tmp_path / "seven"))
    assert not (tmp_path / "seven").exists()


def test_a_large_set_is_learnt_from_a_sample_and_embedded_whole(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As sets beyond 2,000 particles are; the sample is the seed's, halves grow with the set."""
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    lattice = half_plane(particles.optics.box_size_px)
    data = load_all(particles, DataConfig(), WeightConfig(), sign=1, lattice=lattice)
    monkeypatch.setattr(engine_module, "TRAINING_PARTICLES", 16)
    engine = LinearEngine.of(data, RunConfig(), RunContext())
    radius = engine.radii()[0]
    rows = engine.training_rows(radius)
    assert len(rows) == 16 and torch.equal(rows, rows.sort().values)
    assert engine.work(radius) == 16 * 11 * len(engine.samples.points(radius))
    one, two = engine.halves(rows)
    assert torch.equal(torch.cat([one, two]).sort().values, rows)
    monkeypatch.setattr(engine_module, "_MIN_IN_HALF", 2)
    assert [len(half) for half in engine.halves(rows)] == [3, 3], "an eighth of the set"
    monkeypatch.undo()
    monkeypatch.setattr(engine_module, "TRAINING_PARTICLES", 16)
    for fit in engine.fits([radius]):
        assert fit.mu.shape[0] == 24 and bool(fit.mu.isfinite().all())
