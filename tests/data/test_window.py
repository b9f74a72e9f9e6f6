"""The window of images: about the particle, wherever the image has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

from napari_tomodrgn.config import DataConfig, RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.fourier_images import ImageReader, soft_window, soft_windows
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.learn.run.run_info import RunInfo
from napari_tomodrgn.physics.lattice import half_plane

SHIFT = (3, -2)  # pixels, x and y, that bring the particle to the middle
RADII = 0.5, 0.6  # of 12 px, so that nothing wraps around
WINDOW = dict(zip(("window_inner", "window_outer"), RADII, strict=True))


@pytest.fixture
def moved(simulated: Path, tmp_path: Path) -> tuple[ParticleSet, ParticleSet]:
    """The first image of a set as it is, and rolled out of the middle, which its shift says."""
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    row = particles.images.iloc[[0]]
    with mrcfile.mmap(row["stack"].iloc[0], mode="r") as stack:
        image = np.array(stack.data[row["stack_index"].iloc[0]])
    outside = 1 - soft_window(len(image), *RADII).numpy()
    image = image - (image * outside).sum() / outside.sum()  # nothing around the particle
    sets = []
    for name, shift in (("middle", (0, 0)), ("moved", SHIFT)):
        file = tmp_path / f"{name}.mrcs"
        with mrcfile.new(file) as stack:
            stack.set_data(np.roll(image, (-shift[1], -shift[0]), axis=(0, 1))[None])
            stack.set_image_stack()
        table = row.assign(stack=str(file), stack_index=0, shift_x_px=shift[0], shift_y_px=shift[1])
        table["stack"] = table["stack"].astype("category")
        sets.append(replace(particles, images=table))
    return sets[0], sets[1]


def _read(particles: ParticleSet, **config: object) -> torch.Tensor:
    lattice = half_plane(particles.optics.box_size_px)
    reader = ImageReader(particles, lattice, DataConfig.model_validate(config))
    return reader.read(np.array([0]))


def test_a_shifted_particle_is_read_as_if_it_stood_in_the_middle(
    moved: tuple[ParticleSet, ParticleSet],
) -> None:
    middle, away = moved
    expected = _read(middle, **WINDOW)
    power = expected.abs().square().mean()
    found = _read(away, **WINDOW)
    assert float((found - expected).abs().square().mean() / power) < 1e-10
    of_box = _read(away, window_center="box", **WINDOW)
    assert float((of_box - expected).abs().square().mean() / power) > 0.05


def test_what_is_around_a_shifted_particle_is_taken_off(
    moved: tuple[ParticleSet, ParticleSet],
) -> None:
    """A window that moves would leave it as a disc around each particle, the same in all."""
    before = _read(moved[1], **WINDOW)
    file = Path(moved[1].images["stack"].iloc[0])
    with mrcfile.open(file, mode="r+") as stack:
        stack.data[:] += 5.0
    after = _read(moved[1], **WINDOW)
    assert float((after - before).abs().max() / before.abs().max()) < 1e-4
    of_box = _read(moved[1], window_center="box", **WINDOW)
    assert float(of_box.abs().max() / before.abs().max()) > 5


def test_an_unshifted_set_is_read_to_the_same_bits(moved: tuple[ParticleSet, ParticleSet]) -> None:
    assert torch.equal(_read(moved[0]), _read(moved[0], window_center="box"))


def test_a_window_that_reaches_the_corners_is_none(moved: tuple[ParticleSet, ParticleSet]) -> None:
    """Else it would cut what it is moved away from, and take off the mean of a few pixels."""
    whole = {"window_inner": 1.5, "window_outer": 1.5}
    found = _read(moved[1], **whole)
    assert torch.equal(found, _read(moved[1], window_center="box", **whole))


def test_what_was_read_with_another_window_is_not_taken_from_the_cache(
    moved: tuple[ParticleSet, ParticleSet],
) -> None:
    lattice = half_plane(moved[1].optics.box_size_px)
    digests = {
        ImageReader(moved[1], lattice, DataConfig(window_center=center)).digest(len(lattice))
        for center in ("particle", "box")
    }
    assert len(digests) == 2


def test_windows_about_other_middles_are_the_window_moved() -> None:
    window = soft_window(32, 0.5, 0.7)
    moved = soft_windows(torch.tensor([[3.0, -2.0]]), 32, 0.5, 0.7)[0]
    assert torch.allclose(moved, torch.roll(window, (-2, 3), (0, 1)), atol=1e-6)
    hard = soft_windows(torch.tensor([[0.0, 0.0]]), 32, 0.5, 0.5)[0]
    assert set(hard.unique().tolist()) == {0.0, 1.0}


def test_the_reference_and_runs_of_before_have_it_in_the_middle_of_the_box() -> None:
    settings = RunConfig.model_validate({"train": {"reference": True}})
    assert settings.as_trained().data.window_center == "box"
    before = RunConfig().model_dump(mode="json")
    del before["data"]["window_center"]
    read = RunInfo._as_it_was_trained({"config": before})
    assert isinstance(read, dict) and read["config"]["data"]["window_center"] == "box"
