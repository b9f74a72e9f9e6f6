"""Fourier samples in a file: the same numbers, only of the same set, and the rest after a kill."""

from __future__ import annotations

import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data import fourier_cache as cache_module
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.fourier_images import Cache, FourierImages, ImageReader, prepare
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.physics.lattice import half_plane

OPTIMISATION_SET = "particles_optimisation_set.star"


@pytest.fixture
def particles(simulated: Path) -> ParticleSet:
    return read_particles(simulated / "warptools" / OPTIMISATION_SET)


def steps(
    particles: ParticleSet, cache: Cache | None, memory_gb: float = 1e-6, **window: float
) -> tuple[list[int], FourierImages]:
    """How many images were read after each step, and the images."""
    lattice = half_plane(particles.optics.box_size_px)
    reader = ImageReader(particles, lattice, DataConfig(**window))
    running, done = prepare(reader, len(lattice), memory_gb, cache), []
    while True:
        try:
            done.append(next(running))
        except StopIteration as finished:
            return done, finished.value


def test_files_hold_what_memory_holds(particles: ParticleSet, tmp_path: Path) -> None:
    """Half precision to three digits; in full, bit for bit, where other processes read it."""
    _, memory = steps(particles, None)
    _, half = steps(particles, Cache(tmp_path / "half" / "samples.npy"))
    shared = Cache(tmp_path / "full" / "samples.npy", shared=True)
    _, full = steps(particles, shared, memory_gb=1)
    rows = torch.tensor([5, 6, 7, 200, 3, 3, 263])
    full.prefetch(rows)
    memory.prefetch(rows)
    assert torch.equal(full.take(rows), memory.take(rows))
    error = (half.take(rows) - memory.take(rows)).abs().square().mean().sqrt()
    assert 0 < float(error) < 5e-4  # of samples with a mean square of 1
    assert half.take(torch.tensor([], dtype=torch.int64)).shape == (0, memory.samples.shape[1])
    size = (tmp_path / "half" / "samples.npy").stat().st_size
    assert size == 128 + np.prod(memory.samples.shape) * 4


def test_a_finished_cache_is_read_not_made(particles: ParticleSet, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "samples.npy")
    done, first = steps(particles, cache)
    assert done[-1] == 264
    again, second = steps(particles, cache)
    assert again == [] and second.scale == first.scale


@pytest.mark.parametrize("other", ["window", "order", "dates", "memory"])
def test_a_cache_of_another_set_is_made_anew(
    particles: ParticleSet, tmp_path: Path, simulated: Path, other: str
) -> None:
    """Never read: another window, other particles, images exported anew, another precision."""
    cache = Cache(tmp_path / "samples.npy")
    steps(particles, cache)
    window, memory_gb = {}, 1e-6
    if other == "window":
        window = {"window_outer": 0.95}
    elif other == "order":
        particles = particles.take(np.arange(24) > 0)
    elif other == "dates":
        folder = tmp_path / "exported anew"
        shutil.copytree(simulated / "warptools", folder)
        particles = read_particles(folder / OPTIMISATION_SET)
        first = Path(str(particles.images["stack"].cat.categories[0]))
        steps(particles, cache)
        os.utime(first, (0, 0))
    else:
        cache, memory_gb = Cache(cache.file, shared=True), 1
    with pytest.raises(BadInputError, match="not what the first process"):
        steps(particles, Cache(cache.file, shared=cache.shared, writes=False), memory_gb, **window)
    done, found = steps(particles, cache, memory_gb, **window)
    assert done[-1] == len(particles.images)
    rows = torch.arange(10)
    _, wanted = steps(particles, None, **window)
    assert torch.allclose(found.take(rows), wanted.take(rows), atol=0.02)


def test_what_a_killed_process_had_saved_is_not_read_again(
    particles: ParticleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_tomodrgn.data.fourier_images._CHUNK", 50)
    _, whole = steps(particles, Cache(tmp_path / "whole.npy"))
    cache = Cache(tmp_path / "samples.npy", save_seconds=0.0)
    lattice = half_plane(particles.optics.box_size_px)
    running = prepare(ImageReader(particles, lattice, DataConfig()), len(lattice), 1e-6, cache)
    assert next(done for done in running if done == 150)
    running.close()
    assert json.loads((tmp_path / "samples.json").read_text())["done"] == 150
    done, found = steps(particles, cache)
    assert done == [200, 250, 264]
    assert (tmp_path / "samples.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert found.scale == whole.scale


def test_a_damaged_cache_is_made_anew_and_a_cut_one_is_said(
    particles: ParticleSet, tmp_path: Path
) -> None:
    cache = Cache(tmp_path / "samples.npy")
    _, found = steps(particles, cache)
    with open(cache.file, "r+b") as stream:
        stream.truncate(1000)
    with pytest.raises(BadInputError, match="ends before its last image"):
        found.take(torch.tensor([200]))
    assert steps(particles, cache)[0][-1] == 264
    (tmp_path / "samples.json").write_text("{")
    assert steps(particles, cache)[0][-1] == 264


def test_a_full_disk_and_a_broken_image_are_said_before_training(
    particles: ParticleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda path: usage(1, 1, 1000))
    with pytest.raises(BadInputError, match="GB are free"):
        steps(particles, Cache(tmp_path / "samples.npy"))
    lattice = half_plane(particles.optics.box_size_px)
    reader = ImageReader(particles, lattice, DataConfig())
    real = reader.read

    def spoilt(rows: np.ndarray) -> torch.Tensor:
        samples = real(rows)
        samples[rows == 120] = float("nan")
        return samples

    monkeypatch.setattr(reader, "read", spoilt)
    with pytest.raises(BadInputError, match=r"\.mrcs: image \d+ holds values that are not numb"):
        list(prepare(reader, len(lattice), 1.0, None))


def test_a_scale_that_is_given_is_taken(particles: ParticleSet, tmp_path: Path) -> None:
    _, measured = steps(particles, None)
    twice = 2 * measured.scale
    _, given = steps(particles, None, image_scale=twice)
    assert given.scale == twice
    rows = torch.arange(7)
    torch.testing.assert_close(2 * given.take(rows), measured.take(rows))
    file = tmp_path / "samples.npy"
    steps(particles, Cache(file))
    _, anew = steps(particles, Cache(file), image_scale=twice)
    assert anew.scale == twice, "a file of another scale is made anew"
