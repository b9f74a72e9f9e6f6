"""Image formation against formulas and properties that do not share its code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_tomodrgn.geometry import (
    euler_to_matrix,
    matrix_to_euler,
    random_rotations,
    tilt_matrix,
)
from napari_tomodrgn.physics.ctf import CtfParameters, ctf, electron_wavelength_angstrom
from napari_tomodrgn.physics.exposure import critical_dose, dose_mask, dose_weights
from napari_tomodrgn.physics.fourier import (
    FourierAccumulator,
    cropped,
    gridding,
    images_from_samples,
    padded,
    sample_transform,
    shift_phases,
    transform_images,
    transform_volume,
    volume_from_transform,
)
from napari_tomodrgn.physics.lattice import half_plane, into_half_space, slice_frequencies

BOX = 32
CENTRES = np.array([[5.0, 2.0, -3.0], [-4.0, 6.0, 1.0], [0.0, -5.0, 6.0]])  # xyz, no symmetry
SIGMA = 2.0


def blobs(centres: np.ndarray) -> torch.Tensor:
    """Three Gaussians of heights 1, 2, 3 in a volume zyx."""
    axis = np.arange(BOX) - BOX // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    volume = np.zeros((BOX, BOX, BOX))
    for height, (cx, cy, cz) in enumerate(centres, start=1):
        r2 = (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2
        volume += height * np.exp(-r2 / (2 * SIGMA**2))
    return torch.from_numpy(volume.astype(np.float32))


def projected_blobs(rotation: np.ndarray) -> np.ndarray:
    """The projection of `blobs` by formula: centres rotated, summed along z."""
    axis = np.arange(BOX) - BOX // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    image = np.zeros((BOX, BOX))
    for height, centre in enumerate(CENTRES, start=1):
        cx, cy, _ = rotation @ centre
        r2 = (x - cx) ** 2 + (y - cy) ** 2
        image += height * np.exp(-r2 / (2 * SIGMA**2)) * SIGMA * math.sqrt(2 * math.pi)
    return image


def test_every_frequency_inside_nyquist_once() -> None:
    lattice = half_plane(BOX, include_dc=True)
    full = {
        (kx, ky)
        for kx in range(-BOX // 2, BOX // 2)
        for ky in range(-BOX // 2, BOX // 2)
        if kx**2 + ky**2 < (BOX // 2) ** 2
    }
    found = [tuple(k) for k in torch.round(lattice.frequencies * BOX).int().tolist()]
    assert len(found) == len(set(found)) == (len(full) + 1) // 2
    assert full == set(found) | {(-kx, -ky) for kx, ky in found}


def test_images_survive_the_transform() -> None:
    lattice = half_plane(BOX, include_dc=True)
    images = torch.randn(3, BOX, BOX, generator=torch.Generator().manual_seed(1))
    limited = images_from_samples(transform_images(images, lattice), lattice)
    again = images_from_samples(transform_images(limited, lattice), lattice)
    assert torch.allclose(again, limited, atol=1e-5)


def test_shift_by_phase_is_roll() -> None:
    lattice = half_plane(BOX, include_dc=True)
    images = torch.randn(2, BOX, BOX, generator=torch.Generator().manual_seed(2))
    limited = images_from_samples(transform_images(images, lattice), lattice)
    shifts = torch.tensor([[3.0, 2.0], [-4.0, 1.0]])  # xy
    samples = transform_images(limited, lattice) * shift_phases(lattice, shifts)
    moved = images_from_samples(samples, lattice)
    for image, result, (x, y) in zip(limited, moved, shifts.int().tolist(), strict=True):
        assert torch.allclose(result, torch.roll(image, (y, x), (0, 1)), atol=1e-5)


def test_central_slice_is_projection_of_rotated_object() -> None:
    """Axis order, hand and direction of rotation at once: the object has no symmetry."""
    rotations = random_rotations(6, np.random.default_rng(0))
    lattice = half_plane(BOX, include_dc=True)
    k = slice_frequencies(lattice.frequencies, torch.from_numpy(rotations))
    transform = transform_volume(padded(blobs(CENTRES) / gridding(BOX, 3), 3))
    images = images_from_samples(sample_transform(transform, k), lattice).numpy()
    expected = np.stack([projected_blobs(rotation) for rotation in rotations])
    error = np.linalg.norm(images - expected) / np.linalg.norm(expected)
    assert error < 0.015  # what trilinear interpolation leaves at three-fold padding: 0.011
    mirrored = np.stack([projected_blobs(np.diag([1, 1, -1.0]) @ r.T) for r in rotations])
    assert np.linalg.norm(images - mirrored) / np.linalg.norm(expected) > 0.5


def test_slice_of_a_real_volume_has_friedel_symmetry() -> None:
    transform = transform_volume(blobs(CENTRES))
    k = torch.rand(100, 3, generator=torch.Generator().manual_seed(3)) * 0.5 - 0.25
    there = sample_transform(transform, k)
    assert torch.allclose(sample_transform(transform, -k), there.conj(), atol=1e-3)
    inside, _ = into_half_space(k)
    assert (inside[:, 0] >= 0).all()


def test_back_projection_of_many_slices_gives_the_object_back() -> None:
    volume = blobs(CENTRES)
    rotations = torch.from_numpy(random_rotations(300, np.random.default_rng(4))).float()
    lattice = half_plane(BOX, include_dc=True)
    k = slice_frequencies(lattice.frequencies, rotations)
    samples = sample_transform(transform_volume(padded(volume, 3)), k)
    accumulator = FourierAccumulator(2 * BOX)
    accumulator.add(k, samples, torch.ones(samples.shape))
    numerator, denominator = accumulator.sums()
    result = cropped(volume_from_transform(numerator / (denominator + 1e-3)), BOX)
    both = torch.stack([result.flatten(), volume.flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.995


def test_colliding_samples_accumulate() -> None:
    accumulator = FourierAccumulator(8)
    k = torch.tensor([[0.25, 0.0, 0.125]]).expand(5, 3)
    accumulator.add(k, torch.full((5,), 2 + 1j), torch.ones(5))
    numerator, denominator = accumulator.sums()
    assert numerator[1, 0, 2] == 10 + 5j
    assert denominator[1, 0, 2] == 5
    assert denominator.sum() == 5


def test_euler_matrix_is_relions() -> None:
    """Against RELION's formula written out, and back again, gimbal rows included."""
    rng = np.random.default_rng(5)
    angles = np.column_stack(
        [rng.uniform(-180, 180, 50), rng.uniform(0, 180, 50), rng.uniform(-180, 180, 50)]
    )
    angles[:3] = [[90, 0, 30], [-90, 180, 10], [0, 90, 0]]
    for (rot, tilt, psi), matrix in zip(np.deg2rad(angles), euler_to_matrix(angles), strict=True):
        ca, sa, cb, sb = np.cos(rot), np.sin(rot), np.cos(tilt), np.sin(tilt)
        cg, sg = np.cos(psi), np.sin(psi)
        expected = [
            [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
            [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
            [sb * ca, sb * sa, cb],
        ]
        assert np.allclose(matrix, expected, atol=1e-12)
    again = euler_to_matrix(matrix_to_euler(euler_to_matrix(angles)))
    assert np.allclose(again, euler_to_matrix(angles), atol=1e-12)


def test_tilt_turns_about_y() -> None:
    assert np.allclose(
        tilt_matrix(30.0), Rotation.from_euler("y", 30, degrees=True).as_matrix(), atol=1e-12
    )


def ctf_by_formula(
    kx: float, ky: float, u: float, v: float, angle: float, phase: float, pixel: float
) -> float:
    """The CTF in float64 from scratch: 300 kV, Cs 2.7 mm, amplitude contrast 0.1."""
    volts = 300e3
    wavelength = 12.2639 / math.sqrt(volts + 0.97845e-6 * volts**2)
    s2 = (kx**2 + ky**2) / pixel**2
    defocus = (u + v) / 2 + (u - v) / 2 * math.cos(2 * (math.atan2(ky, kx) - math.radians(angle)))
    gamma = -math.pi * defocus * wavelength * s2
    gamma += math.pi / 2 * 2.7e7 * wavelength**3 * s2**2
    return math.sin(gamma - math.radians(phase) - math.asin(0.1))


@pytest.mark.parametrize(
    ("u", "v", "angle", "phase", "pixel"),
    [(25000, 25000, 0, 0, 3.7), (31000, 28000, 37, 0, 3.7), (9000, 8000, -60, 90, 1.5)],
)
def test_ctf_against_float64(u: float, v: float, angle: float, phase: float, pixel: float) -> None:
    lattice = half_plane(64, include_dc=True)
    parameters = CtfParameters(
        *(torch.tensor([float(value)]) for value in (u, v, angle, phase)), 300.0, 2.7, 0.1, pixel
    )
    found = ctf(lattice.frequencies, parameters)[0].numpy()
    k = lattice.frequencies.double().numpy()
    expected = [ctf_by_formula(kx, ky, u, v, angle, phase, pixel) for kx, ky in k]
    assert np.abs(found - expected).max() < 2e-4
    if phase == 0:
        assert found[0] == pytest.approx(-0.1, abs=1e-6)  # negative at the origin


def test_wavelength_at_300_kv() -> None:
    assert electron_wavelength_angstrom(300) == pytest.approx(0.0196874, abs=1e-6)


def test_dose_cut_offs() -> None:
    """Doses beyond which a resolution no longer helps, at 300 kV."""
    expected = {4: 13.3, 5: 16.0, 7.42: 24.4, 10: 35.5, 15: 63, 20: 97, 30: 184, 40: 293}
    s = torch.tensor([1 / angstrom for angstrom in expected])
    cut = 2.51284 * critical_dose(s, 300).numpy()
    assert np.allclose(cut, list(expected.values()), rtol=6e-3)
    assert torch.allclose(critical_dose(s, 200), 0.8 * critical_dose(s, 300))
    below, above = torch.from_numpy(cut * 0.999).float(), torch.from_numpy(cut * 1.001).float()
    assert dose_mask(s, below, 300).diagonal().all()
    assert not dose_mask(s, above, 300).diagonal().any()


def test_dose_weight_is_half_the_exponent() -> None:
    s = torch.tensor([0.0, 0.1])
    weights = dose_weights(s, torch.tensor([10.0]), 300)[0]
    expected = math.exp(-10 / (2 * (0.24499 * 0.1**-1.6649 + 2.8141)))
    assert weights[0] == 1.0
    assert weights[1] == pytest.approx(expected, rel=1e-5)
