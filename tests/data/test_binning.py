"""Images binned as they are read: as images that were binned before, and as coarser ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_tomodrgn.analysis.fsc import fsc, fsc_sphere
from napari_tomodrgn.analysis.reconstruct import reconstruct
from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.fourier_images import ImageReader
from napari_tomodrgn.data.mrc import mapped, read_mrc_header, write_mrc
from napari_tomodrgn.data.optics import Sampling, binned_sampling
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.physics.binning import bin_images, bin_weights
from napari_tomodrgn.physics.lattice import half_plane


@pytest.mark.parametrize(
    ("box", "pixel", "target", "kept", "expected"),
    [
        (64, 6.0, 12.0, None, (32, 12.0)),
        (96, 6.0, None, 64, (64, 6.0)),
        (200, 1.35, 4.0, None, (68, 200 * 1.35 / 68)),  # the nearest even box
        (200, 1.35, 4.0, 64, (64, 200 * 1.35 / 68)),
        (64, 6.0, 6.0, 64, (64, 6.0)),
        (64, 6.0, 5.999, None, (64, 6.0)),  # the same but for rounding
    ],
)
def test_box_and_pixel_size(
    box: int, pixel: float, target: float | None, kept: int | None, expected: tuple[int, float]
) -> None:
    found = binned_sampling({Sampling(box, pixel): "the images"}, target, kept)
    assert found.box_size_px == expected[0]
    assert found.pixel_size_angstrom == pytest.approx(expected[1])


@pytest.mark.parametrize(
    ("target", "kept", "said"),
    [(3.0, None, "finer"), (None, 66, "larger"), (12.0, 34, "larger"), (200.0, None, "only 2 px")],
)
def test_what_cannot_be_done(target: float | None, kept: int | None, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        binned_sampling({Sampling(64, 6.0): "the images"}, target, kept)


def test_values_and_centre_stay() -> None:
    """A wide Gaussian blob at a known place: height and place in Å are the same afterwards."""
    axis = torch.arange(64.0) - 32
    blob = torch.exp(-((axis[:, None] - 4) ** 2 + (axis[None, :] + 8) ** 2) / (2 * 6.0**2))
    small = bin_images(blob[None], bin_weights(64, 24, 2.0))[0]
    assert small.shape == (24, 24)
    row, column = divmod(int(small.argmax()), 24)
    assert (row - 12, column - 12) == (2, -4)
    assert float(small.max()) == pytest.approx(1.0, abs=1e-4)


def cropped_in_fourier_space(image: NDArray[np.float32], box: int) -> NDArray[np.float64]:
    """By the textbook, with another library: centred transform, its middle, back."""
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image.astype(np.float64))))
    start = len(image) // 2 - box // 2
    small = spectrum[start : start + box, start : start + box] * (box / len(image)) ** 2
    if box < len(image):
        small[0], small[:, 0] = 0, 0  # the new Nyquist line
    return np.asarray(np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(small)).real))


def binned_before(particles: ParticleSet, folder: Path, box: int, kept: int) -> ParticleSet:
    """The set with stacks that were binned and cropped by other means, as a star of them says."""
    stacks, names = {}, particles.images["stack"].cat.categories
    for name in names:
        images = np.asarray(mapped(read_mrc_header(name)), np.float32)
        small = np.stack([cropped_in_fourier_space(image, box) for image in images])
        middle = slice(box // 2 - kept // 2, box // 2 + kept // 2)
        stacks[name] = str(folder / Path(name).name)
        write_mrc(stacks[name], small[:, middle, middle], (1, 1, 1), stack=True)
    scale = box / particles.optics.box_size_px
    images = particles.images.assign(
        stack=particles.images["stack"].cat.rename_categories(stacks),
        shift_x_px=particles.images["shift_x_px"] * scale,
        shift_y_px=particles.images["shift_y_px"] * scale,
    )
    pixel = particles.optics.pixel_size_angstrom / scale
    return replace(particles, images=images).with_optics(
        box_size_px=kept, pixel_size_angstrom=pixel
    )


@pytest.mark.parametrize(("target", "kept"), [(1.5, None), (1.0, 16), (1.2, 16)])
def test_noisy_images_binned_at_reading_equal_images_binned_before(
    simulated: Path, tmp_path: Path, target: float, kept: int | None
) -> None:
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    particles = particles.take(np.arange(len(particles)) < 2)
    shifted = particles.images.assign(shift_x_px=1.25, shift_y_px=-0.5)
    particles = replace(particles, images=shifted)
    pixel = particles.optics.pixel_size_angstrom
    binned = particles.binned(target * pixel, kept)
    box = round(particles.optics.box_size_px / target)
    before = binned_before(particles, tmp_path, box, kept or box)
    assert binned.optics.pixel_size_angstrom == pytest.approx(before.optics.pixel_size_angstrom)
    lattice = half_plane(kept or box, include_dc=True)
    rows = np.arange(len(particles.images))
    one = ImageReader(binned, lattice, DataConfig()).read(rows)
    other = ImageReader(before, lattice, DataConfig()).read(rows)
    assert float((one - other).abs().max() / other.abs().max()) < 1e-5


def test_binning_is_undone_and_repeated_from_the_files(simulated: Path) -> None:
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    pixel = particles.optics.pixel_size_angstrom
    half = particles.binned(1.5 * pixel, None)
    assert half.optics.box_size_px == 16
    assert half.optics.stored[0].box_size_px == 24
    again = half.binned(1.5 * pixel, None)
    assert again is half
    assert half.binned(None, None).optics == particles.optics
    assert half.with_overrides(DataConfig()) is half  # nothing said, nothing changed
    shifts = ["shift_x_px", "shift_y_px"]
    np.testing.assert_allclose(half.images[shifts] * 1.5, particles.images[shifts])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("box", "coarse", "settings"),
    [(64, 32, {"pixel_size_target_angstrom": 12.0}), (96, 64, {"box_target_px": 64})],
)
def test_maps_of_binned_images_are_those_of_coarser_images(
    tmp_path: Path, box: int, coarse: int, settings: dict[str, float]
) -> None:
    """The same particles simulated at either sampling, without noise: FSC > 0.99 to 0.9 Nyquist.

    Of coarser pixels without the soft window: the simulator draws shifts in pixels, so that at
    another pixel size it would cut the particles elsewhere. Of a smaller box with it, as else what
    the CTF spreads beyond the smaller box comes back in at its other side.
    """
    from napari_tomodrgn.synthetic import SimulationConfig, simulate

    maps = []
    for size in (box, coarse):
        config = SimulationConfig(particles=20, tilts=21, box_size_px=size, states=1, snr=1e6)
        for _ in simulate(tmp_path / str(size), config):
            pass
        star = tmp_path / str(size) / "warptools" / "particles_optimisation_set.star"
        window = {} if "box_target_px" in settings else {"window_inner": 1.5, "window_outer": 1.5}
        data = DataConfig.model_validate(window | (settings if size == box else {}))
        maps.append(reconstruct(read_particles(star), data=data).map)
    assert maps[0].voxel_size_angstrom == pytest.approx(maps[1].voxel_size_angstrom)
    curve = fsc(maps[0], maps[1], fsc_sphere(coarse)).correlation
    within = curve[1 : int(0.9 * coarse / 2) + 1]
    assert within.min() > 0.99, np.round(curve, 4)
