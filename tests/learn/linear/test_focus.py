"""The engine on a region: what is confined stays there, nuisance is marginalised, latents tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_tomodrgn.cli import main
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.volume import Volume, read_volume, write_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.linear.cross_validation import _without_nuisance
from napari_tomodrgn.learn.linear.expectation_maximization import e_step, m_step, posteriors
from napari_tomodrgn.learn.linear.focus import make_engine
from napari_tomodrgn.learn.linear.principal_axes import rotate_to_principal_axes
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.embed import embed_set
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.synthetic import SimulationConfig
from napari_tomodrgn.synthetic.simulation import simulate_structures
from napari_tomodrgn.synthetic.structures import load_structures, prepare_structures

BOX = 24
INSIDE, OUTSIDE = np.array([0.13, 0.0, 0.0]), np.array([-0.2, 0.05, 0.0])


def _distance(centre: np.ndarray) -> np.ndarray:
    axis = (np.arange(BOX) - BOX // 2) / BOX
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.asarray(np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two independent blobs, one in a mask and a stronger one elsewhere; 120 particles."""
    out = tmp_path_factory.mktemp("focus")
    config = SimulationConfig(particles=120, tilts=15, box_size_px=BOX, snr=0.3, states=1)
    (base,) = load_structures(config).volumes
    level = float(np.quantile(base.data, 0.98))
    inner = 1.0 * level * np.exp(-(_distance(INSIDE) ** 2) / (2 * 0.07**2))
    outer = 2.0 * level * np.exp(-(_distance(OUTSIDE) ** 2) / (2 * 0.07**2))
    voxel = base.voxel_size_angstrom
    sources = {
        name: Volume((base.data + there * inner + elsewhere * outer).astype(np.float32), voxel)
        for name, there, elsewhere in (("a", 0, 0), ("b", 1, 0), ("c", 0, 1), ("d", 1, 1))
    }
    for _ in simulate_structures(out / "data", config, prepare_structures(sources, config)):
        pass
    mask = np.clip((0.2 - _distance(INSIDE)) / 0.06, 0, 1)
    write_volume(out / "mask.mrc", Volume(mask.astype(np.float32), voxel))
    return out


def _config(scene: Path, **linear: object) -> RunConfig:
    settings = {"focus_mask": str(scene / "mask.mrc"), "radius_px": 6, **linear}
    return RunConfig.model_validate({"method": "linear", "linear": settings})


@pytest.fixture(scope="module")
def run(scene: Path) -> Run:
    star = scene / "data" / "warptools" / "particles_optimisation_set.star"
    for _ in train(read_particles(star), _config(scene, outside_components=2), scene / "run"):
        pass
    return Run.open(scene / "run")


@pytest.fixture(scope="module")
def fitted(scene: Path, run: Run):
    """A focused model half-way, its blocks and shells."""
    from images_in_memory import load_all

    from napari_tomodrgn.config import DataConfig, WeightConfig
    from napari_tomodrgn.physics.lattice import half_plane

    data = load_all(
        run.particles(), DataConfig(), WeightConfig(), sign=run.info.sign, lattice=half_plane(BOX)
    )
    engine = make_engine(data, _config(scene, outside_components=2), RunContext())
    ball = engine.ball(6)
    shells = engine.samples.shells(6)
    blocks = engine.blocks(ball, torch.arange(data.particle_count))
    return engine._fit_components(ball, blocks, shells, 2), blocks, shells


def test_em_never_lowers_the_likelihood_and_columns_stay_in_their_regions(fitted) -> None:
    model, blocks, shells = fitted
    half = torch.where(model.ball.on_plane, 0.5, 1.0)[:, None, None]
    seen = []
    for _ in range(5):
        found = e_step(model, blocks, shells)
        penalty = model.prior[model.ball.shells][:, None, :] * model.free.square() * half
        seen.append(float(found.gain.sum() - penalty.double().sum()))
        model = m_step(model, blocks, shells, found)
    assert (np.diff(seen) > -1e-6 * abs(seen[0])).all()
    maps = torch.fft.irfftn(
        model.ball.on_grid(model.basis), s=model.ball.support.shape, dim=(1, 2, 3)
    )
    energy = maps.square()
    for column in range(1, 5):
        elsewhere = energy[column][model.factors[column] == 0].sum() / energy[column].sum()
        # The ball cuts the transform of what is confined, so a little of it spreads.
        assert elsewhere < 0.1, column


def test_turning_onto_principal_axes_mixes_no_regions_and_changes_no_likelihood(fitted) -> None:
    model, blocks, shells = fitted
    found = e_step(model, blocks, shells)
    turned, matrix, centre = rotate_to_principal_axes(model, found, rescale=False)
    assert (matrix[:2, 2:] == 0).all()
    assert (matrix[2:, :2] == 0).all()
    again = e_step(turned, blocks, shells)
    torch.testing.assert_close(again.gain, found.gain, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(again.mu, (found.mu - centre) @ matrix.T, rtol=0, atol=1e-3)
    rescaled, _, centre = rotate_to_principal_axes(model, found)
    assert float(centre.abs().max()) > 0
    made = rescaled.apply_support(rescaled.free)
    torch.testing.assert_close(made, rescaled.basis, rtol=1e-3, atol=1e-3 * float(made.abs().max()))


def test_the_marginal_is_that_of_the_joint_posterior(fitted) -> None:
    model, blocks, shells = fitted
    mu, covariance, _ = posteriors(model, blocks, shells)
    kept, _ = model.marginal(mu, covariance)
    assert kept.shape[1] == 2
    rng = torch.Generator().manual_seed(0)
    root = torch.randn((3, 4, 4), generator=rng, dtype=torch.float64)
    strength, right = root @ root.transpose(1, 2), torch.randn((3, 4), generator=rng).double()
    whole = torch.linalg.inv(strength + torch.eye(4))
    inner, pulled = _without_nuisance(strength, right, 2)
    part = torch.linalg.inv(inner + torch.eye(2))
    torch.testing.assert_close(part, whole[:, :2, :2])
    torch.testing.assert_close(
        (part @ pulled[..., None])[..., 0], (whole @ right[..., None])[:, :2, 0]
    )


def test_latents_tell_the_inside_and_not_the_outside(scene: Path, run: Run) -> None:
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    table = run.latents()
    truth = pd.read_csv(scene / "data" / "truth.csv").set_index("particle_id")
    states = truth.loc[table.index, "state"]
    latents = table.filter(like="mu_").to_numpy()
    auc = {}
    for side, members in (("inside", (1, 3)), ("outside", (2, 3))):
        present = states.isin(members).to_numpy()
        split = StratifiedKFold(5, shuffle=True, random_state=0)
        scores = cross_val_predict(
            LogisticRegression(), latents, present, cv=split, method="decision_function"
        )
        auc[side] = roc_auc_score(present, scores)
    assert auc["inside"] > 0.9, auc
    assert auc["outside"] < 0.65, auc


def test_a_focused_run_decodes_embeds_and_keeps_its_mask(run: Run, scene: Path) -> None:
    decoder = run.decoder()
    latents = run.latents().filter(like="mu_").to_numpy()
    assert decoder.latent_dim == latents.shape[1]
    low, high = (np.quantile(latents[:, 0], q) for q in (0.05, 0.95))
    ends = [decoder.decode([value, *[0] * (latents.shape[1] - 1)]).data for value in (low, high)]
    difference = np.abs(ends[1] - ends[0])
    mask = read_volume(run.focus_mask_file).data
    assert difference[mask > 0.5].mean() > 5 * difference[mask == 0].mean()
    again = run_to_end(embed_set(run, run.particles()))
    np.testing.assert_allclose(
        again.filter(like="mu_"), run.latents().filter(like="mu_"), atol=0.02
    )


def test_masks_that_do_not_do_are_one_sentence(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    star = scene / "data" / "warptools" / "particles_optimisation_set.star"

    def said(data: np.ndarray, *more: str) -> str:
        mask = tmp_path / "mask.mrc"
        write_volume(mask, Volume(data.astype(np.float32), 3.0))
        arguments = ["train", star, "--out", tmp_path / "run", "--focus", mask, *more]
        assert main([str(one) for one in arguments]) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    assert "a mask of 12" in said(np.ones((12, 12, 12)))
    assert "a mask has 0 to 1" in said(np.full((BOX,) * 3, 5))
    assert "the mask is empty" in said(np.zeros((BOX,) * 3))
    assert "inside the mask" in said(np.ones((BOX,) * 3))
    assert "the linear method" in said(np.ones((BOX,) * 3), "--method", "vae")
    with pytest.raises(BadInputError, match=r"gone\.mrc"):
        for _ in train(
            read_particles(star),
            RunConfig.model_validate({"method": "linear", "linear": {"focus_mask": "gone.mrc"}}),
            tmp_path / "other",
        ):
            pass
