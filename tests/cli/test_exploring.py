"""`analyze --volumes`, `--mixture`, `--tsne`, `traverse` and `convergence`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from terminal import done, refused

from napari_tomodrgn.analysis.convergence import common_variance
from napari_tomodrgn.analysis.latents.clusters import agreement, clusters_of
from napari_tomodrgn.analysis.latents.components import axes_of_table, latent_matrix
from napari_tomodrgn.analysis.volume_space import VolumeAnalysisConfig, analyze_volumes
from napari_tomodrgn.data.volume import Volume, read_volume, write_volume
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.runtime.steps import run_to_end


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def test_volumes_are_analysed_under_a_mask(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done("analyze", run, "--volumes", "--no-umap", "--clusters", "3", "--box", "16")
    said = capsys.readouterr().out
    assert "24 volumes" in said
    extras = Run.open(run).extras()
    assert {"v-PC 1", "v-PC 2", "v-cluster"} <= set(extras)
    assert extras["v-cluster"].nunique() == 3
    folder = run / "analysis" / "volumes"
    assert {"mean.mrc", "component-01.mrc", "cluster-03.mrc"} <= {p.name for p in folder.iterdir()}
    shares = pd.read_csv(folder / "components.csv")["explained_variance"]
    assert shares.is_monotonic_decreasing
    assert shares.sum() <= 1 + 1e-6
    assert not (run / "analysis" / "clusters.csv").exists(), "latents are another matter"
    done("analyze", run, "--volumes", "--no-umap", "--clusters", "2", "--box", "16")
    assert not (folder / "cluster-03.mrc").exists(), "there is no such cluster any more"
    assert (folder / "cluster-02.mrc").exists()


def test_scores_are_projections_of_the_masked_maps(run: Path) -> None:
    opened = Run.open(run)
    config = VolumeAnalysisConfig(mask="sphere", box_size_px=12, components=4, umap=False)
    found = run_to_end(analyze_volumes(opened, None, config))
    component = read_volume(opened.analysis.volume_map("component-01"))
    mean = read_volume(opened.analysis.volume_map("mean"))
    decoder, latents = opened.decoder(), latent_matrix(opened.latents())
    from napari_tomodrgn.analysis.fsc import fsc_sphere

    weights = fsc_sphere(12)
    scores = [
        float(((decoder.decode(z, 12).data * weights - mean.data) * component.data).sum())
        for z in latents
    ]
    np.testing.assert_allclose(found.columns["v-PC 1"], scores, rtol=1e-3, atol=1e-3)
    assert float((component.data**2).sum()) == pytest.approx(1, abs=1e-4)
    assert 0.5 < found.share_inside <= 1


def test_a_mask_from_a_file_confines_what_is_compared(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = np.zeros((16, 16, 16), np.float32)
    mask[6:10, 6:10, 6:10] = 1
    write_volume(tmp_path / "mask.mrc", Volume(mask, 15.0))
    arguments = ["analyze", run, "--volumes", "--no-umap", "--box", "16", "--sample", "10"]
    done(*arguments, "--mask", tmp_path / "mask.mrc")
    component = read_volume(run / "analysis" / "volumes" / "component-01.mrc").data
    assert (component[mask == 0] == 0).all()
    assert Run.open(run).extras()["v-PC 1"].notna().sum() == 10
    assert "a mask of 16" in refused(
        capsys, "analyze", run, "--volumes", "--box", "12", "--mask", tmp_path / "mask.mrc"
    )
    optics = Run.open(run).info.to_optics()
    voxel = optics.box_size_px * optics.pixel_size_angstrom / 16
    write_volume(tmp_path / "mask.mrc", Volume(mask, voxel))
    done("analyze", run, "--volumes", "--no-umap", "--box", "12", "--mask", tmp_path / "mask.mrc")
    component = read_volume(run / "analysis" / "volumes" / "component-01.mrc").data
    assert component.shape == (12, 12, 12), "a mask of the same field of view is welcome"
    assert (component[:3] == 0).all()
    assert "--sample is of --volumes" in refused(capsys, "analyze", run, "--sample", "3")
    assert "must be even" in refused(capsys, "analyze", run, "--volumes", "--box", "13")


def test_a_mixture_tells_long_clusters_that_k_means_cuts() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(400, 2)) * [8.0, 0.3]
    points[200:, 1] += 4
    truth = np.repeat([0, 1], 200)
    assert agreement(clusters_of(points, 2, method="mixture").labels, truth) > 0.99
    assert agreement(clusters_of(points, 2).labels, truth) < 0.5


def test_mixture_and_tsne_from_the_terminal(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_tomodrgn.analysis.latents import analyze

    monkeypatch.setattr(analyze, "is_worth_it", lambda _points: False)
    done("analyze", run, "--clusters", "2", "--mixture", "--tsne")
    extras = Run.open(run).extras()
    assert extras["cluster"].nunique() == 2
    places = extras[["t-SNE 1", "t-SNE 2"]].to_numpy()
    assert np.isfinite(places).all()
    done("analyze", run, "--clusters", "2", "--mixture", "--tsne")
    np.testing.assert_array_equal(Run.open(run).extras()[["t-SNE 1", "t-SNE 2"]], places)


def test_states_from_the_terminal(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many as are told apart, or so many at most; not together with a mixture."""
    from napari_tomodrgn.analysis.latents import analyze

    monkeypatch.setattr(analyze, "is_worth_it", lambda _points: False)
    done("analyze", run, "--states")
    opened = Run.open(run)
    found = opened.extras()["cluster"].nunique()
    assert opened.analysis.info().clusters == found >= 1
    done("analyze", run, "--states", "--clusters", "1")
    assert Run.open(run).extras()["cluster"].nunique() == 1
    with pytest.raises(SystemExit):
        done("analyze", run, "--states", "--mixture")
    assert "not allowed with argument" in capsys.readouterr().err


def test_analyze_refuses_before_it_replaces_anything(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for more in (["--images", "nope"], ["--images", "nope", "--class-images"]):
        refused(capsys, "analyze", run, "--clusters", "3", *more)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_traversals_of_a_component(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "t"
    done("traverse", run, "--component", "2", "--frames", "4", "--box", "12", "--out", out)
    frames = pd.read_csv(out / "latents.csv")
    latents = Run.open(run).latents()
    axes = axes_of_table(latents)
    scores = (latent_matrix(latents) - axes.mean) @ axes.vectors
    low, high = np.percentile(scores[:, 1], [5, 95])
    np.testing.assert_allclose(frames["score"], np.linspace(low, high, 4), atol=1e-5)
    assert len(list(out.glob("frame-*.mrc"))) == 4
    done("traverse", run, "--component", "1", "--on-data", "--frames", "3", "--box", "12",
         "--out", tmp_path / "d")  # fmt: skip
    on_data = pd.read_csv(tmp_path / "d" / "latents.csv")
    latents = Run.open(run).latents().loc[on_data["particle_id"]]
    np.testing.assert_allclose(on_data["mu_0"], latents["mu_0"], atol=1e-6)
    assert on_data["score"].is_monotonic_increasing
    assert "--component is 1 to 2" in refused(
        capsys, "traverse", run, "--component", "3", "--out", tmp_path / "x"
    )


def test_a_way_through_given_particles(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Run.open(run).latents()
    ends = [table["mu_0"].idxmin(), table["mu_0"].idxmax()]
    out = tmp_path / "way"
    done("traverse", run, "--through", *ends, "--neighbors", "4", "--box", "12", "--out", out)
    frames = pd.read_csv(out / "latents.csv")
    assert [frames["particle_id"].iloc[0], frames["particle_id"].iloc[-1]] == ends
    assert len(frames) == len(list(out.glob("*.mrc"))) > 2
    assert "exists already" in refused(
        capsys, "traverse", run, "--through", *ends, "--neighbors", "4", "--out", out
    )
    assert "no particle is called" in refused(
        capsys, "traverse", run, "--through", "a", ends[0], "--out", tmp_path / "x"
    )


def test_convergence_compares_epochs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done("convergence", run, "--maps", "3", "--box", "12")
    said = capsys.readouterr().out
    table = pd.read_csv(run / "analysis" / "convergence.csv")
    assert table["epoch"].tolist() == [2]
    assert 0 < table["latents"].iloc[0] <= 1
    assert -1 <= table["map_correlation"].iloc[0] <= 1
    assert "reconstruction" in table, "the losses stand beside"
    assert ("converged" in said) != ("still changing" in said)
    for file in (run / "latents").glob("epoch-0001*"):
        file.unlink()
    assert "1 epoch is kept" in refused(capsys, "convergence", run)


def test_turned_latents_are_the_same_latents() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(50, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    assert common_variance(points, 3 * points @ turn + 5) == pytest.approx(1)
    assert common_variance(points, rng.normal(size=(50, 3))) < 0.3
    assert common_variance(points, np.ones((50, 3))) == 0
