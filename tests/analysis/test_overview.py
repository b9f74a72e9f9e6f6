"""Distributions of a set and pictures of its images, against what is known of the set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_tomodrgn.analysis.overview import montage, overview
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.geometry import matrix_to_euler, random_rotations
from napari_tomodrgn.synthetic import Simulated, SimulationConfig, simulate


@pytest.fixture(scope="module")
def particles(tmp_path_factory: pytest.TempPathFactory) -> ParticleSet:
    config = SimulationConfig(particles=12, tilts=5, box_size_px=48, states=1, snr=5.0, tomograms=2)
    *_, last = simulate(tmp_path_factory.mktemp("overview") / "set", config)
    assert isinstance(last, Simulated)
    return read_particles(last.warptools)


def test_the_scheme_is_in_the_order_of_exposure(particles: ParticleSet) -> None:
    found = overview(particles)
    np.testing.assert_allclose(found.dose_e_per_angstrom2, np.arange(5) * 3.0, atol=1e-3)
    first = particles.images[particles.images["tilt_index"] == 0]
    assert set(np.round(found.stage_tilt_deg, 2)) == set(
        np.round(particles.images["stage_tilt_deg"].unique(), 2)
    )
    assert len(first) == 12


def test_even_views_fill_the_map_evenly_and_a_pole_only_one_row(particles: ParticleSet) -> None:
    """Uniform rotations must give the same density in every cell: that is what equal area means."""
    count = 100_000
    rng = np.random.default_rng(0)
    angles = matrix_to_euler(random_rotations(count, rng))
    rows = particles.images.iloc[np.zeros(count, int)].reset_index(drop=True)
    even = rows.assign(rot_deg=angles[:, 0], tilt_deg=angles[:, 1])
    found = overview(_with(particles, even))
    expected = count / found.views.size  # images a cell, so their scatter is known
    assert found.views.mean() == pytest.approx(1.0)
    assert found.views.std() == pytest.approx(1 / np.sqrt(expected), rel=0.1)
    assert found.views_seen == 1.0
    poles = overview(_with(particles, even.assign(tilt_deg=np.abs(angles[:, 1]) / 30)))
    assert (poles.views[:-1] == 0).all()


def _with(particles: ParticleSet, images: object) -> ParticleSet:
    from dataclasses import replace

    return replace(particles, images=images)  # type: ignore[arg-type]


def test_defocus_is_counted_in_micrometres(particles: ParticleSet) -> None:
    found = overview(particles)
    columns = ["defocus_u_angstrom", "defocus_v_angstrom"]
    values = particles.images[columns].to_numpy().mean(axis=1) * 1e-4
    assert found.defocus_counts.sum() == len(particles.images)
    assert found.defocus_micrometre[0] == pytest.approx(values.min())
    assert found.defocus_micrometre[-1] == pytest.approx(values.max())


def test_a_montage_holds_the_images_themselves(particles: ParticleSet) -> None:
    import mrcfile

    found = montage(particles, (3, 4))
    box, step = 48, 50
    assert found.picture.shape == (3 * step - 2, 4 * step - 2)
    assert found.particle_ids == tuple(particles.ids[row] for row in (0, 6, 11))
    assert (np.diff(found.stage_tilt_deg) > 0).all()
    images = particles.images[particles.images["particle_id"] == particles.ids[6]]
    lowest = images.loc[images["stage_tilt_deg"].idxmin()]
    with mrcfile.open(Path(lowest["stack"]), permissive=True) as stack:
        expected = stack.data[lowest["stack_index"]].astype(np.float32)
    tile = found.picture[step : step + box, :box]
    np.testing.assert_array_equal(tile, expected)
    inverted = montage(particles, (3, 4), invert=True).picture
    np.testing.assert_array_equal(inverted[step : step + box, :box], -expected)


def test_a_low_pass_keeps_what_is_coarse_and_cuts_what_is_fine(particles: ParticleSet) -> None:
    pixel = particles.optics.pixel_size_angstrom
    plain = montage(particles, (1, 1)).picture
    soft = montage(particles, (1, 1), lowpass_angstrom=8 * pixel).picture
    power = [np.abs(np.fft.fft2(one)) ** 2 for one in (plain, soft)]
    frequency = np.hypot(np.fft.fftfreq(48)[:, None], np.fft.fftfreq(48)[None])
    coarse, fine = frequency < 0.08, frequency > 0.17
    np.testing.assert_allclose(power[1][coarse], power[0][coarse], rtol=1e-3)
    assert power[1][fine].sum() < 1e-6 * power[0][fine].sum()
