"""FSC, filters and reconstruction: on formulas, on simulated particles, on real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_tomodrgn.analysis.fsc import (
    correlation,
    filter_shells,
    fsc,
    fsc_sphere,
    low_pass,
)
from napari_tomodrgn.analysis.reconstruct import reconstruct
from napari_tomodrgn.config import DataConfig, WeightConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.volume import Volume, read_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.reconstruction.backprojection import OVERSAMPLING, BackProjection
from napari_tomodrgn.physics.fourier import (
    cropped,
    gridding,
    padded,
    transform_volume,
    volume_from_transform,
)
from napari_tomodrgn.physics.shells import figure_of_merit, shell_indices


def noise(seed: int, box: int = 32) -> Volume:
    data = np.random.default_rng(seed).normal(size=(box, box, box)).astype(np.float32)
    return Volume(data, 3.0)


def test_fsc_of_signal_in_noise_is_snr_over_one_plus_snr() -> None:
    """Independent noise of a third of the signal's variance: FSC = 3 / 4 in every shell."""
    signal = noise(0, 48)
    one, two = (Volume(signal.data + noise(seed, 48).data * np.sqrt(1 / 3), 3.0) for seed in (1, 2))
    curve = fsc(one, two)
    assert np.abs(curve.correlation[8:] - 0.75).max() < 0.06
    assert curve.frequency_per_angstrom[-1] == pytest.approx(1 / 6)
    assert fsc(signal, signal).correlation == pytest.approx(1.0)


def test_fsc_against_the_full_transform() -> None:
    """Against a sum over the whole, not the half, Fourier cube, voxel by voxel."""
    one, two = noise(3, 16), noise(4, 16)
    a, b = np.fft.fftn(one.data), np.fft.fftn(two.data)
    k = np.fft.fftfreq(16, 1 / 16)
    shells = np.rint(np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + k**2)).astype(int)
    for shell in range(9):
        here = shells == shell
        expected = (a * b.conj())[here].sum().real
        expected /= np.sqrt((abs(a[here]) ** 2).sum() * (abs(b[here]) ** 2).sum())
        assert fsc(one, two).correlation[shell] == pytest.approx(expected, abs=1e-6)


def test_resolution_is_interpolated() -> None:
    curve = fsc(noise(0), noise(0))
    falling = type(curve)(np.linspace(1, -0.6, 17), curve.frequency_per_angstrom)
    shell = (1 - 0.143) / 0.1
    assert falling.resolution_angstrom() == pytest.approx(32 * 3.0 / shell)
    assert curve.resolution_angstrom() == pytest.approx(6.0)


def test_filters() -> None:
    volume = noise(5)
    assert np.allclose(filter_shells(volume, np.ones(40)).data, volume.data, atol=1e-5)
    assert low_pass(volume, 24.0).data.std() < 0.2 * volume.data.std()


@pytest.fixture(scope="module")
def truth(simulated: Path) -> dict[str, Volume]:
    return {path.stem: read_volume(path) for path in (simulated / "truth_maps").glob("*.mrc")}


@pytest.mark.parametrize(
    "star", ["warptools/particles_optimisation_set.star", "warp/particles.star"]
)
def test_simulated_particles_give_their_map_back(
    simulated: Path, truth: dict[str, Volume], star: str
) -> None:
    """Sign, hand, axis order and centre at once: the right map, not its mirror image."""
    particles = read_particles(simulated / star)
    result = reconstruct(particles)
    state = {name: correlation(result.filtered, map_) for name, map_ in truth.items()}
    mirrored = {
        name: correlation(result.filtered, map_.flipped_z()) for name, map_ in truth.items()
    }
    assert max(state.values()) > 0.9
    assert max(mirrored.values()) < 0.75
    assert result.particles == len(particles)
    assert result.map.voxel_size_angstrom == particles.optics.pixel_size_angstrom


def test_halves_share_no_particle_and_blocks_add_up(
    simulated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one block or in many, the same map."""
    from napari_tomodrgn.analysis import reconstruct as module

    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    whole = reconstruct(particles)
    monkeypatch.setattr(module, "_BLOCK", 5)
    pieces = reconstruct(particles)
    for name in ("map", "half1", "half2"):
        a, b = getattr(whole, name), getattr(pieces, name)
        assert correlation(a, b) > 0.9999, name


def test_sums_of_disjoint_sets_add() -> None:
    one = BackProjection(torch.ones(2, 2, 2, dtype=torch.complex64), torch.ones(2, 2, 2), 1)
    both = one + one
    assert torch.equal(both.numerator, 2 * one.numerator)
    assert torch.equal(both.denominator, 2 * one.denominator)


def test_one_particle_cannot_be_halved(simulated: Path) -> None:
    particles = read_particles(simulated / "warptools" / "particles_optimisation_set.star")
    with pytest.raises(BadInputError, match="at least 2 particles"):
        reconstruct(particles, particles.ids[:1])


def test_figure_of_merit_ends_at_0143() -> None:
    factors = figure_of_merit(torch.tensor([1, 1, 0.5, 0.1, 0.6] + [0.0] * 12))
    assert factors[1] == 1.0
    assert factors[2] == pytest.approx(np.sqrt(2 * 0.5 / 1.5))
    assert not factors[3:].any()


def test_wiener_filter_shrinks_empty_voxels_most() -> None:
    """Each voxel by D / (D + mean D · (1 − s) / s), s = 2 FSC / (1 + FSC) of its shell."""
    rng = np.random.default_rng(0)
    density = torch.from_numpy(rng.normal(size=(16, 16, 16)).astype(np.float32))
    transform = transform_volume(padded(density, OVERSAMPLING))
    denominator = torch.from_numpy(rng.uniform(0.2, 2.0, transform.shape).astype(np.float32))
    sums = BackProjection(transform * denominator, denominator, 16)
    filtered = sums.filtered(torch.full((9,), 0.5))
    shells = shell_indices(32)
    # Half shells of the finer grid; the origin is always kept.
    share = np.interp(np.arange(30) / 2, np.arange(9), [1] + [2 / 3] * 8, right=1e-9)
    noise = (
        sums.shell_mean() * torch.from_numpy((1 - share) / share).float()[: int(shells.max()) + 1]
    )
    factor = denominator / (denominator + noise[shells])
    expected = cropped(volume_from_transform(transform * factor), 16) / gridding(16, OVERSAMPLING)
    torch.testing.assert_close(filtered, expected, rtol=1e-3, atol=1e-3)
    assert not sums.filtered(torch.tensor([1.0, 0.1] + [0.9] * 7)).abs().max() > 0.2


@pytest.mark.parametrize(
    ("star", "map_name", "turned", "least"),
    [
        (
            "warptools/warptools_test_4-tomos_10-ptcls_box-32_angpix-12_optimisation_set.star",
            "warptools/warptools_test_box-32_angpix-12_reconstruct.mrc",
            True,
            0.8295,
        ),
        ("cryosrpnt/10076_classD_32_sim.star", "cryosrpnt/10076_classD_32.mrc", False, 0.8215),
    ],
)
def test_wiener_filter_beats_shells(
    real_data: Path, star: str, map_name: str, turned: bool, least: float
) -> None:
    """Correlation with the truth, mean of three splits: shells by √s give 0.8273 and 0.8210."""
    particles = read_particles(real_data / star)
    true = read_volume(real_data / map_name)
    true = Volume((true.flipped_z() if turned else true).data, particles.optics.pixel_size_angstrom)
    maps = [reconstruct(particles, seed=seed).filtered for seed in range(3)]
    assert np.mean([correlation(each, true, fsc_sphere(32)) for each in maps]) > least


def test_real_ribosomes(real_data: Path) -> None:
    """FSC with the average of the whole set, shells 1 to 5, not below the reference's figures."""
    folder = real_data / "warptools"
    star = folder / "warptools_test_4-tomos_10-ptcls_box-32_angpix-12_optimisation_set.star"
    average = read_volume(folder / "warptools_test_box-32_angpix-12_reconstruct.mrc").flipped_z()
    result = reconstruct(read_particles(star))
    shells = fsc(result.map, average, fsc_sphere(32)).correlation[1:6]
    assert (shells >= [0.95, 0.88, 0.78, 0.74, 0.63]).all(), shells
    coarse = correlation(low_pass(result.map, 60), low_pass(average, 60))
    assert coarse > 0.46  # what the reference's back-projection reaches


def test_simulated_class_of_the_field(real_data: Path) -> None:
    """Correlation with the true map inside a sphere: the reference reaches 0.77."""
    folder = real_data / "cryosrpnt"
    true = Volume(read_volume(folder / "10076_classD_32.mrc").data, 13.1)
    particles = read_particles(folder / "10076_classD_32_sim.star")
    keep = DataConfig(contrast="keep")
    weighted = reconstruct(particles, data=keep)
    unweighted = reconstruct(
        particles, data=keep, weight=WeightConfig(dose=False, tilt=False, dose_mask=False)
    )
    sphere = fsc_sphere(32)
    assert correlation(weighted.filtered, true, sphere) >= 0.77
    without = correlation(unweighted.filtered, true, sphere)
    assert correlation(weighted.filtered, true, sphere) >= without
