"""Values that a command cannot mean, and latents by the names of their columns."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from terminal import done, refused

from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.learn.run.directory import Run


@pytest.fixture
def star(simulated: Path) -> Path:
    return simulated / "warptools" / "particles_optimisation_set.star"


def test_reconstructions_are_cut_within_nyquist(
    star: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("reconstruct", star, "--out", tmp_path / "r", "--lowpass", "5")
    assert "--lowpass 5 Å lies beyond Nyquist" in refused(capsys, *command)
    assert not (tmp_path / "r").exists()


def test_latents_are_taken_by_the_names_of_their_columns(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latents = Run.open(tiny_run).latents().filter(like="mu_").iloc[:2]
    maps = {}
    for name, table in {
        "ordered": latents,
        "turned": latents[["mu_1", "mu_0"]].assign(note="x"),
        "z": latents.set_axis(["z_0", "z_1"], axis=1)[["z_1", "z_0"]],
        "bare": latents,
    }.items():
        file, out = tmp_path / f"{name}.csv", tmp_path / name
        table.to_csv(file, index=False, header=name != "bare")
        done("decode", tiny_run, "--latents", file, "--box", "12", "--out", out)
        maps[name] = read_volume(out / "latent_00001.mrc").data
    assert maps["ordered"].std() > 0
    for other in ("turned", "z", "bare"):
        np.testing.assert_allclose(maps[other], maps["ordered"], atol=1e-5)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("mu_0,mu_2", "has no column mu_1, of mu_0 to mu_2"),
        ("mu_0,mu_0,mu_1", "has 2 columns mu_0, of mu_0 to mu_1"),
        ("z_1,z_2", "has no column z_0, of z_0 to z_2"),
        ("a,b", "cannot be read as a table of latents"),
        ("mu_0,mu_1,mu_2", "rows have 3 numbers, the run has 2"),
    ],
)
def test_latents_that_lack_a_column(
    header: str, said: str, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "z.csv"
    file.write_text(f"{header}\n{','.join('0' for _ in header.split(','))}\n")
    assert said in refused(
        capsys, "decode", tiny_run, "--latents", file, "--out", tmp_path / "maps"
    )


def test_choices_that_leave_no_particle_to_decode(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latents = Run.open(tiny_run).latents()
    first, out = str(latents["mu_0"].idxmin()), tmp_path / "maps"
    command = ("decode", tiny_run, "--particle", first, "--out", out, "--where")
    middle = f"mu_0 > {latents['mu_0'].median()}"
    assert "none of the 1 particles of --particle is among the 12" in refused(
        capsys, *command, middle
    )
    assert not out.exists()


def test_the_corners_of_a_cuboid_have_no_order(simulated: Path, tmp_path: Path) -> None:
    one = next(simulated.rglob("*80S*.mrc"))
    for name, corners in {
        "a": (60, 60, 60, 160, 140, 120),
        "b": (160, 60, 120, 60, 140, 60),
    }.items():
        done("mask", one, "--cuboid", *corners, "--out", tmp_path / f"{name}.mrc")
    masks = [read_volume(tmp_path / f"{name}.mrc").data for name in "ab"]
    assert masks[0].any() and (masks[0] == masks[1]).all()


@pytest.mark.parametrize("clusters", ["1-99999999", "3-1", "1-99999999999"])
def test_a_range_that_no_clusters_have_is_refused_at_once(
    clusters: str, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    command = ("compare", tiny_run, "--a", clusters, "--complement", "--out", tmp_path / "c")
    assert f"{clusters} is no list of clusters" in refused(capsys, *command)
    assert time.monotonic() - began < 10


def test_rows_of_another_star_have_the_tilts_that_were_asked_for(
    star: Path, tmp_path: Path
) -> None:
    done("select", star, "--max-tilts", 4, "--star", star, "--out", tmp_path / "few.star")
    found = read_particles(tmp_path / "few_optimisation_set.star")
    assert set(found.particles["tilts"]) == {4}


@pytest.mark.parametrize(("value", "code"), [("1e30", 2), ("-400", 2), ("4.5", 0)])
def test_latents_that_lie_where_no_particle_of_the_run_does(
    value: str, code: int, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten times too far is of another run; a little farther than the particles is said."""
    file, out = tmp_path / "z.csv", tmp_path / "maps"
    file.write_text(f"mu_0,mu_1\n0,0\n0,{value}\n")
    command = ("decode", tiny_run, "--latents", file, "--box", "12", "--out", out)
    if code:
        assert f"row 2 has {float(value):g}; no latent of" in refused(capsys, *command)
        assert not out.exists()
    else:
        done(*command)
        assert "1 of 2 latents lie farther out than any particle" in capsys.readouterr().err
