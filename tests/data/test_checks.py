"""Each check: a set that triggers it, and (the good sets) ones that do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.data.checks import (
    Check,
    Problem,
    check_stacks,
    file_checks,
    inspect_particles,
    problems_of,
    summary,
)
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError


@pytest.fixture
def good(warptools_set) -> ParticleSet:
    return read_particles(warptools_set.star)


def codes(particles: ParticleSet) -> dict[str, str]:
    """Severity of each finding by its code."""
    problems = inspect_particles(particles)
    for problem in problems:
        assert problem.message.endswith(".")
        assert problem.severity == "info" or problem.remedy
    return {problem.code: problem.severity for problem in problems}


def filter_images(particles: ParticleSet, **columns: object) -> ParticleSet:
    return replace(particles, images=particles.images.assign(**columns))


EXPECTED_OF_GOOD = {"few-tilts": "warning", "unequal-tilts": "info"}


def test_the_small_set_is_only_short_of_tilts(good: ParticleSet) -> None:
    assert codes(good) == EXPECTED_OF_GOOD


@pytest.mark.parametrize(
    ("star", "expected"),
    [
        (
            "warptools/warptools_test_4-tomos_10-ptcls_box-32_angpix-12_optimisation_set.star",
            {"unequal-tilts": "info"},
        ),
        ("cryosrpnt/10076_classD_32_sim.star", {}),
    ],
)
def test_real_sets_have_no_false_alarm(
    real_data: Path, star: str, expected: dict[str, str]
) -> None:
    particles = read_particles(real_data / star)
    check_stacks(particles)
    assert codes(particles) == expected


# Beside what `test_every_check` has one set of each.
COLUMNS = [
    ({"dose_e_per_angstrom2": np.arange(11) * 1000.0}, "dose-range", "warning"),
    ({"defocus_u_angstrom": -9e4}, "defocus-range", "warning"),
]


@pytest.mark.parametrize(("change", "code", "severity"), COLUMNS)
def test_columns_of_images(
    good: ParticleSet, change: dict[str, object], code: str, severity: str
) -> None:
    assert codes(filter_images(good, **change))[code] == severity


def test_angles_all_zero_of_image_series(image_series) -> None:
    zero = {"rot_deg": 0.0, "tilt_deg": 0.0, "psi_deg": 0.0}
    series = read_particles(image_series.star)
    assert "no-poses" not in codes(series)
    assert codes(filter_images(series, **zero))["no-poses"] == "error"


def test_positions(good: ParticleSet) -> None:
    together = {f"position_{axis}_angstrom": 100.0 for axis in "xyz"}
    assert codes(replace(good, particles=good.particles.assign(**together))) == {
        **EXPECTED_OF_GOOD,
        "duplicate-positions": "warning",
    }


def test_pixel_size_of_the_header(warptools_set, mrc: Callable[..., bytes]) -> None:
    images = np.zeros((3, 8, 8), np.float16)
    warptools_set.stacks[0].write_bytes(mrc(images, pixel=6.5))
    assert codes(read_particles(warptools_set.star))["pixel-size-header"] == "warning"
    warptools_set.stacks[0].write_bytes(mrc(images, pixel=1.0))
    assert codes(read_particles(warptools_set.star)) == EXPECTED_OF_GOOD


def test_files(good: ParticleSet, warptools_set, mrc: Callable[..., bytes]) -> None:
    one, two, three, four = warptools_set.stacks
    one.unlink()
    two.write_bytes(two.read_bytes()[:-1])
    three.write_bytes(mrc(np.zeros((4, 6, 6), np.float16)))
    four.write_bytes(mrc(np.zeros((2, 8, 8), np.float16)))
    found = codes(good)
    for code in ("unreadable-stack", "truncated-stack", "wrong-box", "short-stack"):
        assert found[code] == "error"
    for keep in range(4):
        with pytest.raises(BadInputError):
            check_stacks(good.take(np.arange(4) == keep))


def test_files_of_particles_not_chosen_do_not_matter(good: ParticleSet, warptools_set) -> None:
    warptools_set.stacks[0].unlink()
    check_stacks(good.take(np.arange(4) > 0))


def test_odd_box(good: ParticleSet) -> None:
    odd = good.with_optics(box_size_px=7)
    assert codes(odd)["odd-box"] == "error"
    with pytest.raises(BadInputError, match="even"):
        check_stacks(odd)


def test_worst_first(good: ParticleSet) -> None:
    worse = filter_images(good.with_optics(voltage_kv=3e5), shift_x_px=40.0)
    order = [problem.severity for problem in inspect_particles(worse)]
    assert order == sorted(order, key=["error", "warning", "info"].index)


def test_checks_that_passed_are_listed_too(good: ParticleSet) -> None:
    checks = file_checks(good)
    verdicts = {check.code: check.verdict for check in checks}
    assert {code for code, verdict in verdicts.items() if verdict != "ok"} == set(EXPECTED_OF_GOOD)
    assert {"files", "box", "numbers", "optics", "defocus", "dose"} <= verdicts.keys()
    assert all(check.message.endswith(".") and check.why.endswith(".") for check in checks)
    assert problems_of(checks) == inspect_particles(good)
    assert Check("a", "ok", "Fine.").problem is None
    assert Check("a", "error", "Bad.", 3.0, "Why.", "Do.").problem == Problem(
        "error", "a", "Bad.", "Do."
    )
    broken = {check.code: check for check in file_checks(good.with_optics(voltage_kv=3e5))}
    assert broken["voltage"].verdict == "error" and "optics" not in broken


def test_summary_is_plain_json_with_the_agreed_keys(good: ParticleSet) -> None:
    report = summary(good, inspect_particles(good))
    assert list(report) == [
        "dialect",
        "particles",
        "images",
        "tilts_per_particle",
        "box_px",
        "pixel_size_angstrom",
        "tomograms",
        "tilt_deg",
        "dose_e_per_angstrom2",
        "voltage_kv",
        "spherical_aberration_mm",
        "amplitude_contrast",
        "defocus_angstrom",
        "ctf_premultiplied",
        "dose_weighted",
        "contrast",
        "problems",
        "forecast",
    ]
    again = json.loads(json.dumps(report, allow_nan=False))
    assert again == report
    assert again["tilts_per_particle"] == {"min": 2, "max": 4}
    assert again["tomograms"] == ["TS_1.tomostar", "TS_2.tomostar"]
    assert again["contrast"] == "auto"
    assert set(again["problems"][0]) == {"severity", "code", "message", "remedy"}
    assert set(again["forecast"]) == {
        "ram_gb",
        "gpu_gb",
        "first_look_seconds",
        "seconds_per_epoch",
        "refining_seconds",
    }
    assert summary(good, [], contrast="keep")["contrast"] == "keep"
    assert isinstance(good.images, pd.DataFrame)
