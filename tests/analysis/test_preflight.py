"""Each physics check: a data set that triggers it, and one that does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest
import torch
from every_code import codes_documented, codes_told

from napari_tomodrgn.analysis.fsc import fsc
from napari_tomodrgn.analysis.preflight import (
    CheckDone,
    PreflightDone,
    PreflightProgress,
    preflight,
)
from napari_tomodrgn.analysis.preflight.cross_validation import Halves
from napari_tomodrgn.analysis.preflight.hypotheses import (
    flipped_heights,
    flipped_tilts,
    inverted_poses,
    scaled_pixels,
    shuffled_poses,
    split_rotations,
)
from napari_tomodrgn.analysis.preflight.map_character import contrasts, kind_of
from napari_tomodrgn.analysis.preflight.power_spectrum import odd_images
from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.checks import Check
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.learn.reconstruction.contrast import decide_sign
from napari_tomodrgn.learn.reconstruction.subsample import Sample, read_sample
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.synthetic import SimulationConfig, simulate

# Codes of errors that `data.checks` passes on from reading a stack.
FILE_ERRORS = {"unreadable-stack", "truncated-stack", "short-stack", "wrong-box", "odd-box"}
FILE_ERRORS |= {"small-box", "mixed-optics", "longer-stack"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small products gain nothing from threads, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty particles of one structure in two tomograms: enough for each decision."""
    out = tmp_path_factory.mktemp("preflight")
    config = SimulationConfig(
        particles=50,
        tilts=15,
        box_size_px=32,
        states=1,
        snr=0.3,
        tomograms=2,
        defocus_min_um=2.0,
        defocus_max_um=6.0,
        dose_per_tilt=6.0,
        seed=2,
    )
    for _ in simulate(out, config):
        pass
    return out


@pytest.fixture(scope="module")
def multiplied(scene: Path) -> ParticleSet:
    """The WarpTools export: pre-multiplied, dose-weighted, light."""
    return read_particles(scene / "warptools" / "particles_optimisation_set.star")


@pytest.fixture(scope="module")
def recorded(scene: Path) -> ParticleSet:
    """The Warp export: as recorded, dark (light in the file's own sign is inverted)."""
    return read_particles(scene / "warp" / "particles.star")


def found(particles: ParticleSet, config: DataConfig | None = None) -> dict[str, Check]:
    """The checks by code; every one is worded as people need it."""
    done = run_to_end(preflight(particles, config))
    for check in done.checks:
        assert check.message.endswith(".")
        assert check.why.endswith(".")
        assert check.verdict in ("ok", "info") or check.remedy.endswith(".")
    return {check.code: check for check in done.checks}


def warned(checks: dict[str, Check]) -> set[str]:
    return {code for code, check in checks.items() if check.verdict in ("warning", "error")}


def test_good_sets_pass_every_check(multiplied: ParticleSet, recorded: ParticleSet) -> None:
    checks = found(multiplied)
    assert {check.verdict for check in checks.values()} == {"ok"}, checks
    assert checks.keys() == FAULTS.keys() | {"noise-by-tilt"}
    assert not warned(found(multiplied, DataConfig(contrast="keep")))
    assert checks["contrast"].number > 1
    checks = found(recorded)
    assert not warned(checks)
    decided = {code for code, check in checks.items() if check.verdict == "ok"}
    assert decided >= {"contrast", "geometry", "ctf-premultiplied", "half-maps"}
    assert checks["contrast"].number < -1
    assert decide_sign(recorded, DataConfig()) == -1 and decide_sign(multiplied, DataConfig()) == 1


def wrong_multiplied(particles: ParticleSet) -> ParticleSet:
    return particles.with_optics(ctf_premultiplied=not particles.optics.ctf_premultiplied)


def wrong_pixels(particles: ParticleSet) -> ParticleSet:
    size = particles.optics.pixel_size_angstrom
    return particles.with_optics(pixel_size_angstrom=size * 1.5)


def wrong_doses(particles: ParticleSet) -> ParticleSet:
    dose = particles.images["dose_e_per_angstrom2"]
    return replace(
        particles, images=particles.images.assign(dose_e_per_angstrom2=dose.max() - dose)
    )


def halves_of_noise(particles: ParticleSet, folder: Path) -> ParticleSet:
    """A hundred particles of nothing: those of the set twice, under two names."""
    box, count = particles.optics.box_size_px, len(particles.images)
    with mrcfile.new(folder / "noise.mrcs") as stack:
        shape = (2 * count, box, box)
        stack.set_data(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    others = particles.particles.rename(index=lambda name: f"{name}b")
    names = particles.images["particle_id"].astype(str)
    table = pd.concat([particles.images, particles.images.assign(particle_id=names + "b")])
    both = pd.concat([particles.particles, others])
    table = table.assign(
        stack=str(folder / "noise.mrcs"),
        stack_index=np.arange(2 * count),
        particle_id=pd.Categorical(table["particle_id"].astype(str), both.index),
    ).reset_index(drop=True)
    noise = replace(particles, particles=both, images=table.astype({"stack": "category"}))
    return noise.with_optics(ctf_premultiplied=False, dose_weighted=False)


def with_images_changed(
    particles: ParticleSet, folder: Path, change: Callable[[np.ndarray], object]
) -> ParticleSet:
    """The set with pixels of its images changed."""
    images = np.concatenate(
        [
            mrcfile.read(name)[rows["stack_index"]]
            for name, rows in particles.images.groupby("stack", observed=True, sort=False)
        ]
    ).astype(np.float32)
    with mrcfile.new(folder / "changed.mrcs") as stack:
        stack.set_data(images)
        change(stack.data)
    return replace(particles, images=rows_of(particles, folder / "changed.mrcs"))


def blank_some(images: np.ndarray) -> None:
    images[::20] = 0


def spoil_one(images: np.ndarray) -> None:
    images[200, 10, 10] = np.nan


# What is told, and how, of each fault; by the code that the fault is there for.
FAULTS: dict[str, tuple[Callable[[ParticleSet, Path], ParticleSet], dict[str, str]]] = {
    "ctf-premultiplied": (
        lambda good, _: wrong_multiplied(good),
        {"ctf-premultiplied": "warning"},
    ),
    "pixel-size-ctf": (lambda good, _: wrong_pixels(good), {"pixel-size-ctf": "warning"}),
    "geometry": (lambda good, _: flipped_tilts(good), {"geometry": "warning"}),
    "map-kind": (
        lambda good, _: shuffled_poses(good),
        {"geometry": "warning", "map-kind": "warning"},
    ),
    "noise-by-dose": (
        lambda good, _: good.with_optics(dose_weighted=False),
        {"noise-by-dose": "warning"},
    ),
    "defocus-hand": (lambda good, _: flipped_heights(good), {"defocus-hand": "warning"}),
    "dose-decay": (lambda good, _: wrong_doses(good), {"dose-decay": "warning"}),
    "half-maps": (halves_of_noise, {"half-maps": "warning"}),
    "odd-images": (
        lambda good, folder: with_images_changed(good, folder, blank_some),
        {"odd-images": "warning"},
    ),
    "pixels": (
        lambda good, folder: with_images_changed(good, folder, spoil_one),
        {"pixels": "error"},
    ),
    "contrast": (lambda good, _: good, {"contrast": "warning"}),
}


@pytest.mark.parametrize("code", FAULTS)
def test_a_set_that_triggers_the_check(multiplied: ParticleSet, tmp_path: Path, code: str) -> None:
    """Each planted fault is told by its own name, and by no other."""
    fault, expected = FAULTS[code]
    config = DataConfig(contrast="invert") if code == "contrast" else None
    checks = found(fault(multiplied, tmp_path), config)
    bad = {name: check.verdict for name, check in checks.items()}
    assert {name: v for name, v in bad.items() if v in ("warning", "error")} == expected


def test_no_code_is_without_a_set(multiplied: ParticleSet) -> None:
    """All codes of the source; the good set passes them all (`test_good_sets_pass_every_check`)."""
    too_few = multiplied.take(np.arange(len(multiplied)) < 4)
    assert found(too_few)["sample"].verdict == "info"
    # tests/analysis/tomogram/test_position_check.py
    asked_of_tomograms = {"positions-density", "positions-elsewhere"}
    # tests/analysis/test_group_scale.py
    elsewhere = asked_of_tomograms | {"group-scale"}
    assert codes_told("analysis") - elsewhere == FAULTS.keys() | {"sample", "noise-by-tilt"}
    assert codes_told("analysis") <= codes_documented()
    assert codes_documented() == codes_told("analysis") | codes_told("data") | FILE_ERRORS


def test_planted_faults_of_recorded_images(recorded: ParticleSet) -> None:
    assert warned(found(wrong_multiplied(recorded))) == {"ctf-premultiplied"}
    assert warned(found(shuffled_poses(recorded))) == {"geometry", "map-kind"}
    checks = found(wrong_pixels(recorded))
    assert warned(checks) == {"pixel-size-ctf"}
    assert checks["pixel-size-ctf"].number == pytest.approx(2 / 3)


def test_noise_alarms_nobody(multiplied: ParticleSet, tmp_path: Path) -> None:
    """Of noise alone, nothing about particles is decided, and little sets get no warning."""
    few = multiplied.take(np.arange(len(multiplied)) < 12)
    box = few.optics.box_size_px
    with mrcfile.new(tmp_path / "noise.mrcs") as stack:
        shape = (len(few.images), box, box)
        stack.set_data(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    noise = replace(few, images=rows_of(few, tmp_path / "noise.mrcs"))
    checks = found(noise.with_optics(ctf_premultiplied=False, dose_weighted=False))
    assert not warned(checks)
    for code in ("half-maps", "map-kind", "contrast", "geometry", "dose-decay"):
        assert checks[code].verdict == "info", code


def rows_of(particles: ParticleSet, stack: Path) -> object:
    """The image table with its images one after the other in one stack."""
    table = particles.images.assign(stack=str(stack), stack_index=np.arange(len(particles.images)))
    return table.astype({"stack": "category"})


def test_odd_and_broken_images(multiplied: ParticleSet, tmp_path: Path) -> None:
    few = multiplied.take(np.arange(len(multiplied)) < 24)
    sample = run_to_end(read_sample(few, DataConfig()))
    assert not len(odd_images(sample)[0])
    images = np.concatenate(
        [
            mrcfile.read(name)[rows["stack_index"]]
            for name, rows in few.images.groupby("stack", observed=True, sort=False)
        ]
    ).astype(np.float32)
    images[7] = 0
    images[100] += 30 * np.random.default_rng(0).normal(size=images[0].shape)
    with mrcfile.new(tmp_path / "odd.mrcs") as stack:
        stack.set_data(images)
        stack.data[200, 10, 10] = np.nan
    bad = replace(few, images=rows_of(few, tmp_path / "odd.mrcs"))
    done = run_to_end(preflight(bad))
    checks = {check.code: check for check in done.checks}
    assert checks["odd-images"].verdict == "info"
    assert checks["pixels"].verdict == "error" and checks["pixels"].number == 1
    table = bad.images.iloc[[7, 100, 200]]
    names = {
        f"{name}, tilt {tilt}"
        for name, tilt in zip(table.particle_id, table.tilt_index, strict=True)
    }
    assert set(done.odd_images) == names


def test_geometry_says_which_description_fits(
    multiplied: ParticleSet, recorded: ParticleSet
) -> None:
    """The ratio tells right from half right, where z alone would not."""
    words = found(multiplied)["geometry"]
    assert words.verdict == "ok" and words.number > 3
    for wrong, name in ((flipped_tilts, "tilts of the opposite sign"), (inverted_poses, "inverse")):
        for particles in (multiplied, recorded):
            check = found(wrong(particles))["geometry"]
            assert check.verdict == "warning", (name, check.message)
            assert check.message.startswith(f"The images fit {name}"), check.message


@pytest.mark.parametrize("scale", [0.0, np.nan, 1e-30, 1e30])
def test_images_of_any_scale(multiplied: ParticleSet, tmp_path: Path, scale: float) -> None:
    """Blank ones are told; others are what they are in any unit."""

    def rescale(images: np.ndarray) -> None:
        images *= np.float32(scale)

    few = multiplied.take(np.arange(len(multiplied)) < 24)
    changed = with_images_changed(few, tmp_path, rescale)
    checks = found(changed)
    if not scale > 0:
        assert {code: check.verdict for code, check in checks.items()} == {"pixels": "error"}
        return
    expected = found(few)
    assert checks.keys() == expected.keys()
    for code, check in checks.items():
        assert check.verdict == expected[code].verdict
        assert check.number == pytest.approx(expected[code].number, rel=0.02), code


def test_events(multiplied: ParticleSet) -> None:
    few = multiplied.take(np.arange(len(multiplied)) < 4)
    events = list(preflight(few))
    assert isinstance(events[0], PreflightProgress) and isinstance(events[-1], PreflightDone)
    checks = tuple(event.check for event in events if isinstance(event, CheckDone))
    assert checks == events[-1].checks
    assert checks[-1].code == "sample" and checks[-1].verdict == "info"
    assert list(preflight(few)) == events


def halves(density: np.ndarray) -> Halves:
    rng = np.random.default_rng(0)
    pair = [
        Volume((density + 0.01 * rng.normal(size=density.shape)).astype(np.float32), 10.0)
        for _ in range(2)
    ]
    return Halves(pair[0], pair[1], fsc(pair[0], pair[1]))


def test_kinds_of_maps() -> None:
    axis = np.arange(32) - 16
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    ball = np.exp(-((radius / 7) ** 4))
    assert kind_of(halves(ball), 1).word == "featureless ball"
    lobes = np.exp(-(((x - 5) ** 2 + y**2 + z**2) / 20)) + np.exp(
        -((x + 4) ** 2 + y**2 + (z - 5) ** 2) / 12
    )
    assert kind_of(halves(lobes), 1).word == "particle"
    assert kind_of(halves(-lobes), -1).word == "particle"
    dented = np.exp(-(((radius - 9) / 2) ** 2)) * (1 + 0.9 * np.sign(x * y * z))
    assert kind_of(halves(dented), 1).word == "hollow"
    assert kind_of(halves(0 * ball), 1).word == "noise"
    assert min(contrasts(halves(ball))) > 1
    assert max(contrasts(halves(-ball))) < -1


def test_hypotheses_undo_themselves(multiplied: ParticleSet, recorded: ParticleSet) -> None:
    for particles in (multiplied, recorded):
        rotations = particles.arrays().rotations
        again = flipped_tilts(flipped_tilts(particles)).arrays().rotations
        np.testing.assert_allclose(again, rotations, atol=1e-4)
        whole, tilts = split_rotations(particles)
        np.testing.assert_allclose(tilts @ whole[particles.arrays().particle], rotations, atol=1e-9)
        back = flipped_heights(flipped_heights(particles)).images["defocus_u_angstrom"]
        np.testing.assert_allclose(back, particles.images["defocus_u_angstrom"])
    larger = scaled_pixels(multiplied, 2.0)
    assert larger.optics.pixel_size_angstrom == multiplied.optics.pixel_size_angstrom
    four = multiplied.images["defocus_u_angstrom"] / 4
    np.testing.assert_allclose(larger.images["defocus_u_angstrom"], four)


def test_large_boxes_are_cropped(tmp_path: Path, multiplied: ParticleSet) -> None:
    few = multiplied.take(np.arange(len(multiplied)) < 3)
    small = run_to_end(read_sample(few, DataConfig()))
    wide = np.zeros((len(few.images), 64, 64), np.float32)
    wide[:, 16:48, 16:48] = np.random.default_rng(0).normal(size=(len(few.images), 32, 32))
    with mrcfile.new(tmp_path / "wide.mrcs") as stack:
        stack.set_data(wide)
    large = replace(few, images=rows_of(few, tmp_path / "wide.mrcs")).with_optics(box_size_px=64)
    sample: Sample = run_to_end(read_sample(large, DataConfig()))
    optics, before = sample.particles.optics, multiplied.optics.pixel_size_angstrom
    assert optics.box_size_px == 48
    assert optics.pixel_size_angstrom == pytest.approx(before * 64 / 48)
    assert len(sample.lattice) == sample.images.samples.shape[1] > len(small.lattice)
    shift = sample.particles.images["shift_x_px"] / few.images["shift_x_px"]
    np.testing.assert_allclose(shift, 0.75)


@pytest.mark.parametrize(
    "star",
    [
        "warptools/warptools_test_4-tomos_10-ptcls_box-32_angpix-12_optimisation_set.star",
        "cryosrpnt/10076_classD_32_sim.star",
    ],
)
def test_real_sets_have_no_false_alarm(real_data: Path, star: str) -> None:
    particles = read_particles(real_data / star)
    checks = found(particles)
    assert not warned(checks)
    assert decide_sign(particles, DataConfig()) == np.sign(checks["contrast"].number)
    assert {checks[code].verdict for code in ("contrast", "geometry")} == {"ok"}
