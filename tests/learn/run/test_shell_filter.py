"""What a run knows of how far its maps may differ, and runs from before it did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_tomodrgn.cli import main
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.particle_columns import latent_matrix


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    """A run whose maps differ a tenth from shell 4 on, and not at all from shell 8."""
    path = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    shells = Run.open(path).info.to_optics().box_size_px // 2 + 1
    factors = np.where(np.arange(shells) < 4, 1.0, 0.1) * (np.arange(shells) < 8)
    return _rewritten(path, {"shell_filter": factors.tolist()})


def _rewritten(path: Path, values: dict[str, object]) -> Run:
    kept = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**kept, **values}))
    return Run.open(path)


def _spectrum(run: Run, z: np.ndarray) -> np.ndarray:
    return np.fft.rfftn(run.decoder().decode(z).data)


def test_a_training_leaves_the_filter_that_was_measured(tiny_run: Path) -> None:
    opened = Run.open(tiny_run)
    factors = opened.info.shell_filter
    assert factors is not None
    assert len(factors) == opened.info.to_optics().box_size_px // 2 + 1
    assert 1 >= factors[0] and factors[-1] >= 0 and (np.diff(factors) <= 0).all()
    assert opened.quality()["shell_filter"] == factors
    assert opened.info.shrinkage == 1.0, "latents are as they were inferred"


def test_maps_differ_from_the_middle_as_the_filter_says(run: Run) -> None:
    z = 3 * latent_matrix(run.latents())[0].astype(np.float32)
    plain = run.with_shell_filter(on=False)
    middle = _spectrum(plain, 0 * z)
    filtered, whole = _spectrum(run, z) - middle, _spectrum(plain, z) - middle
    box = run.info.to_optics().box_size_px
    k = np.fft.fftfreq(box, 1 / box)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + np.arange(box // 2 + 1) ** 2)
    for inside, factor in (
        ((radius > 0) & (radius <= 3), 1.0),
        ((radius >= 4) & (radius <= 7), 0.1),
        ((radius >= 8) & (radius < box / 2), 0.0),
    ):
        power = np.linalg.norm(whole[inside])
        left = np.linalg.norm(filtered[inside] - factor * whole[inside])
        assert left < 1e-3 * power + 1e-3 * np.linalg.norm(middle) / box


def test_only_the_epoch_that_a_run_ended_with_is_filtered(run: Run) -> None:
    ended = run.info.chosen_epoch
    other = next(epoch for epoch in run.epochs() if epoch != ended)
    assert run.shell_filter() == run.shell_filter(ended) == run.info.shell_filter
    assert run.shell_filter(other) is None
    assert run.with_shell_filter(on=False).shell_filter() is None
    assert run.maps_key != run.with_shell_filter(on=False).maps_key


def test_a_run_from_before_opens_and_decodes_as_it_did(run: Run) -> None:
    """With the one factor that its latents were multiplied with, and no filter."""
    z = latent_matrix(run.latents())[0].astype(np.float32)
    expected = run.with_shell_filter(on=False).decoder().decode(z).data
    kept = json.loads((run.path / "run.json").read_text())
    del kept["shell_filter"]
    (run.path / "run.json").write_text(json.dumps({**kept, "shrinkage": 0.5}))
    old = Run.open(run.path)
    assert (old.info.shrinkage, old.info.shell_filter, old.shell_filter()) == (0.5, None, None)
    assert np.array_equal(old.decoder().decode(z).data, expected)


def test_decode_writes_what_is_supported_or_all(run: Run, tmp_path: Path) -> None:
    name = str(run.latents().index[0])
    z = latent_matrix(run.latents())[0].astype(np.float32)
    for options, expected in (
        ([], run),
        (["--no-shell-filter"], run.with_shell_filter(on=False)),
    ):
        out = tmp_path / f"maps{len(options)}"
        command = ["decode", str(run.path), "--particle", name, "--out", str(out)]
        assert main([*command, "--device", "cpu", *options]) == 0
        (file,) = out.glob("*.mrc")
        assert np.allclose(read_volume(file).data, expected.decoder().decode(z).data, atol=1e-5)
