"""Sets whose images have several pixel sizes and boxes, brought to one as they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from exports import WRITERS
from exports.mixed import imaged_at, write_mixed
from numpy.typing import NDArray

from napari_tomodrgn.analysis.fsc import fsc, fsc_sphere
from napari_tomodrgn.analysis.reconstruct import reconstruct
from napari_tomodrgn.config import DataConfig, Overrides
from napari_tomodrgn.data.checks import check_stacks, file_checks
from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.data.fourier_images import ImageReader
from napari_tomodrgn.data.optics import Sampling, binned_sampling
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import image_parameters
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.physics.binning import bin_images, bin_weights
from napari_tomodrgn.physics.lattice import half_plane

if TYPE_CHECKING:
    from exports.world import World

TARGET = DataConfig(pixel_size_target_angstrom=12.0)


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[int, World]:
    """The same particles in boxes of 64 px of 6 Å, 48 px of 8 Å, 32 px of 12 Å; 80 px of 6 Å."""
    folder = tmp_path_factory.mktemp("worlds")
    return {box: imaged_at(folder, box) for box in (80, 64, 48, 32)}


@pytest.fixture(scope="session")
def mixed(
    worlds: dict[int, World], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, int], Path]:
    """A set in a dialect whose first tomogram has that box, the second 48 px of 8 Å."""
    done: dict[tuple[str, int], Path] = {}

    def write(name: str, box: int) -> Path:
        if (name, box) not in done:
            folder = tmp_path_factory.mktemp(f"{name}-{box}")
            done[name, box] = write_mixed([worlds[box], worlds[48]], name, folder)
        return done[name, box]

    return write


def shells(one: torch.Tensor, other: torch.Tensor, box: int) -> NDArray[np.float64]:
    """Correlation of samples ``(image, point)`` in each shell."""
    shell = half_plane(box, include_dc=True).shells
    product = (one * other.conj()).real
    sums = [
        torch.zeros(int(shell.max()) + 1).index_add_(0, shell, values.sum(dim=0))
        for values in (product, one.abs().square(), other.abs().square())
    ]
    return (sums[0] / (sums[1] * sums[2]).sqrt()).numpy()


def samples(particles: ParticleSet, **config: float) -> torch.Tensor:
    lattice = half_plane(particles.optics.box_size_px, include_dc=True)
    reader = ImageReader(particles, lattice, DataConfig(**config))
    return reader.read(np.arange(len(particles.images)))


def least_correlation(one: torch.Tensor, other: torch.Tensor, groups: NDArray[np.int64]) -> float:
    """The smallest FSC of the images of any group up to 0.9 of Nyquist, in a box of 32 px."""
    kinds = [groups == number for number in np.unique(groups)]
    assert len(kinds) == 2
    curves = [shells(one[kind], other[kind], 32)[: int(0.9 * 16) + 1] for kind in kinds]
    return min(float(curve.min()) for curve in curves)


@pytest.mark.parametrize("box", [64, 80])
@pytest.mark.parametrize("name", ["relion5", "warptools", "warp"])
def test_images_of_two_samplings_are_those_of_the_one(
    name: str, box: int, worlds: dict[int, World], mixed: Callable, tmp_path: Path
) -> None:
    both = read_particles(mixed(name, box)).with_overrides(TARGET)
    plain = read_particles(WRITERS[name][1](worlds[32], tmp_path).star)
    assert both.ids == plain.ids
    assert both.optics.pixel_size_angstrom == pytest.approx(12.0, rel=1e-12)
    assert both.optics.box_size_px == 32
    check_stacks(both)
    for column in plain.images.select_dtypes("float").columns:
        tolerance = {"rtol": 1e-6, "atol": 2e-4}  # star files have six decimals
        np.testing.assert_allclose(both.images[column], plain.images[column], **tolerance)
    positions = [f"position_{axis}_angstrom" for axis in "xyz"]
    np.testing.assert_allclose(both.particles[positions], plain.particles[positions], atol=1e-3)
    assert image_parameters(both).ctf.pixel_size_angstrom == pytest.approx(12.0)
    groups = both.images["optics_group"].to_numpy()
    if box == 64:
        # Without the soft window: it brings into the last shells what lies beyond the Nyquist
        # circle, in the corners, and images simulated at the coarser pixel size have nothing there.
        window = {"window_inner": 1.5, "window_outer": 1.5}
        least = least_correlation(samples(both, **window), samples(plain, **window), groups)

        assert least > 0.999
    else:
        # With it, as the larger images hold what the CTF spreads beyond the smaller; against the
        # set of the other box, binned for itself.
        same = read_particles(mixed(name, 64)).with_overrides(TARGET)
        least = least_correlation(samples(both), samples(same), groups)

        assert least > 0.99


def test_a_map_of_two_samplings_is_that_of_the_one(
    worlds: dict[int, World], mixed: Callable, tmp_path: Path
) -> None:
    """With and without the soft window as above; values also against the map of 12 Å."""
    plain = read_particles(WRITERS["relion5"][1](worlds[32], tmp_path).star)
    window = {"window_inner": 1.5, "window_outer": 1.5}
    found = {
        (box, bool(data)): reconstruct(
            read_particles(mixed("relion5", box)),
            data=DataConfig(pixel_size_target_angstrom=12.0, **data),
        ).map
        for box, data in ((64, window), (64, {}), (80, {}))
    }
    one, windowed = reconstruct(plain, data=DataConfig(**window)).map, reconstruct(plain).map
    pairs = [(found[64, True], one), (found[64, False], windowed), (found[80, False], windowed)]
    for (made, wanted), least in zip(pairs, (0.9999, 0.998, 0.998), strict=True):
        assert made.voxel_size_angstrom == pytest.approx(12.0)
        alike = np.corrcoef(made.data.ravel(), wanted.data.ravel())[0, 1]

        assert alike > least
    for made, wanted in (pairs[0], (found[80, False], found[64, False])):
        curve = fsc(made, wanted, fsc_sphere(32)).correlation[1 : int(0.9 * 16) + 1]

        assert curve.min() > 0.99


@pytest.mark.parametrize("ratio", [1.0, 1.25, 4 / 3, 1.5, 1.7231, 2.0, 3.0])
@pytest.mark.parametrize("box", [24, 50])
def test_waves_are_looked_up_exactly_where_the_new_pixels_are(box: int, ratio: float) -> None:
    """A sum of waves below the new Nyquist frequency and one above it, at any ratio of pixels."""
    rng = np.random.default_rng(box)
    new = 2 * int(box / ratio / 2)
    limit = int(np.ceil(box / (2 * ratio) - 1e-9))
    waves = rng.integers(-limit + 1, limit, (6, 2))
    phases = rng.uniform(0, 2 * np.pi, 6)

    def image(size: int, pixel: float) -> NDArray[np.float64]:
        axis = (np.arange(size) - size // 2) * pixel / box
        terms = [
            np.cos(2 * np.pi * (y * axis[:, None] + x * axis[None]) + phase)
            for (y, x), phase in zip(waves, phases, strict=True)
        ]
        return np.sum(terms, axis=0)

    stored = torch.from_numpy(image(box, 1.0).astype(np.float32))[None]
    if ratio > 1.0 and limit < box // 2:
        axis = torch.arange(box) - box // 2
        stored = stored + torch.cos(2 * torch.pi * limit * axis / box)
    found = bin_images(stored, bin_weights(box, new, ratio))[0].double().numpy()
    assert np.abs(found - image(new, ratio)).max() < 2e-5


@pytest.mark.parametrize(
    ("stored", "target", "kept", "expected"),
    [
        ([(64, 3.0), (48, 4.0)], 6.0, None, (32, 6.0)),
        ([(64, 3.0), (48, 4.0)], 6.0, 24, (24, 6.0)),
        ([(64, 3.0), (48, 4.0)], 4.0, None, (48, 4.0)),
        ([(80, 3.0), (48, 4.0)], 6.0, None, (32, 6.0)),  # the smallest field of view, 192 Å
        ([(64, 3.0), (80, 4.0)], 6.0, None, (32, 6.0)),
        ([(64, 3.0), (48, 4.0)], 4.5, None, (42, 192 / 42)),  # the nearest even box
        ([(50, 3.8), (64, 4.0)], 4.0, None, (46, 190 / 46)),  # 48 px would be finer than 4 Å
        ([(64, 3.0), (48, 3.0)], None, 40, (40, 3.0)),
    ],
)
def test_what_groups_are_brought_to(
    stored: list[tuple[int, float]],
    target: float | None,
    kept: int | None,
    expected: tuple[int, float],
) -> None:
    groups = {Sampling(*one): f"group {number}" for number, one in enumerate(stored)}
    found = binned_sampling(groups, target, kept)
    assert found.box_size_px == expected[0]
    assert found.pixel_size_angstrom == pytest.approx(expected[1], rel=1e-12)
    for one in groups:
        assert found.field_of_view_angstrom <= one.field_of_view_angstrom * (1 + 1e-12)
        assert found.pixel_size_angstrom >= one.pixel_size_angstrom


def test_what_groups_cannot_be_brought_to(mixed: Callable) -> None:
    particles = read_particles(mixed("warptools", 80))
    for settings, code, words in [
        ({}, "mixed-optics", "6 Å, 80 px in optics group opticsGroup1; 8 Å, 48 px in optics"),
        ({"box_target_px": 32}, "mixed-optics", "differ between images"),
        ({"pixel_size_target_angstrom": 7.0}, "bad-binning", "finer than that of optics group op"),
        (
            {"pixel_size_target_angstrom": 8.0, "box_target_px": 60},
            "bad-binning",
            "A box of 60 px of 8 Å is larger than that of optics group opticsGroup2, 48 px",
        ),
        ({"pixel_size_target_angstrom": 100.0}, "bad-binning", "only 4 px"),
    ]:
        with pytest.raises(BadInputError, match=words) as caught:
            particles.with_overrides(DataConfig(**settings))
        assert caught.value.code == code
        assert ". " not in caught.value.message
    for use in (image_parameters, samples, lambda some: some.binned(None, None)):
        with pytest.raises(BadInputError, match="differ between images"):
            use(particles)


def test_binning_again_counts_from_the_files(mixed: Callable) -> None:
    particles = read_particles(mixed("relion5", 64))
    coarse = particles.with_overrides(TARGET)
    assert coarse.with_overrides(TARGET) is coarse
    fine = coarse.binned(8.0, None)
    assert fine.optics.samplings[0] == Sampling(48, 8.0)
    assert fine.optics.stored == particles.optics.stored
    columns = ["shift_x_px", "shift_y_px"]
    np.testing.assert_allclose(fine.images[columns] * 8, coarse.images[columns] * 12)
    # A part with one sampling is a set like any other, of the same images.
    second = coarse.take((coarse.particles["tomogram"] == "TS_002").to_numpy())
    assert second.optics.stored == (Sampling(48, 8.0),)
    number = coarse.optics.stored.index(Sampling(48, 8.0))
    rows = np.flatnonzero(coarse.images["optics_group"] == number)
    torch.testing.assert_close(samples(second), samples(coarse)[torch.from_numpy(rows)])


def test_a_subset_keeps_the_rows_of_both_groups(mixed: Callable, tmp_path: Path) -> None:
    for name in ("relion5", "warptools", "warp"):
        particles = read_particles(mixed(name, 80))
        some = [particles.ids[0], particles.ids[-1]]
        for number, chosen in enumerate((particles, particles.with_overrides(TARGET))):
            out = tmp_path / f"{name}_{number}.star"
            again = read_particles(write_subset(chosen.select(some), out))
            assert again.ids == some
            assert set(again.optics.stored) == {Sampling(80, 6.0), Sampling(48, 8.0)}
            np.testing.assert_array_equal(
                again.images["shift_x_px"], particles.select(some).images["shift_x_px"]
            )


def test_checks_know_the_sampling_of_each_file(mixed: Callable) -> None:
    particles = read_particles(mixed("warptools", 80))
    found = {check.code: check for check in file_checks(particles)}
    assert found["mixed-optics"].verdict == "error"
    assert "--pixel-size-target 8 or more" in found["mixed-optics"].remedy
    good = particles.with_overrides(TARGET)
    codes = {check.code for check in file_checks(good) if check.verdict != "ok"}
    assert not codes & {"mixed-optics", "wrong-box", "pixel-size-header", "large-shifts"}
    # The second group's files are as its row says, and not as the first's does.
    swapped = good.images.assign(optics_group=1 - good.images["optics_group"])
    with pytest.raises(BadInputError, match="px, but the set has") as caught:
        check_stacks(replace(good, images=swapped))
    assert caught.value.code == "wrong-box"


def test_a_pixel_size_that_the_user_gives_holds_for_all(mixed: Callable) -> None:
    said = read_particles(mixed("relion5", 64), overrides=Overrides(pixel_size_angstrom=6.0))
    assert set(said.optics.stored) == {Sampling(64, 6.0), Sampling(48, 6.0)}
    with pytest.raises(BadInputError, match="differ between images") as caught:
        said.with_overrides(DataConfig())
    assert "--box-target 48 or less" in caught.value.remedy
    assert said.with_overrides(DataConfig(box_target_px=40)).optics.box_size_px == 40
