"""Every check of files and numbers, every refusal: a set that triggers it, one that does not.

The set that triggers none of the checks is a simulated one; the sets that are not refused are those
of the fixtures before they are changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from every_code import codes_documented, codes_refused, codes_told
from exports import small
from images_in_memory import load_all

from napari_tomodrgn.config import DataConfig, Overrides, WeightConfig
from napari_tomodrgn.data.checks import Check, check_stacks, file_checks
from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.errors import BadInputError


@dataclass
class Sets:
    """Sets to damage: a small one of each kind, files and all, and a simulated one."""

    warptools: object
    series: object
    mrc: Callable[..., bytes]
    simulated: Path
    folder: Path

    @property
    def small(self) -> ParticleSet:
        return read_particles(self.warptools.star)

    @property
    def sound(self) -> ParticleSet:
        return read_particles(self.simulated / "warptools" / "particles_optimisation_set.star")

    def stack(self, images: np.ndarray, **header: object) -> None:
        """Put another stack in the place of the first one."""
        self.warptools.stacks[0].write_bytes(self.mrc(images, **header))


@pytest.fixture
def sets(warptools_set, image_series, mrc, simulated: Path, tmp_path: Path) -> Sets:
    return Sets(warptools_set, image_series, mrc, simulated, tmp_path)


def images_with(**columns: object) -> Callable[[Sets], ParticleSet]:
    def change(sets: Sets) -> ParticleSet:
        small = sets.small
        return replace(small, images=small.images.assign(**columns))

    return change


def particles_with(**columns: object) -> Callable[[Sets], ParticleSet]:
    def change(sets: Sets) -> ParticleSet:
        return replace(sets.small, particles=sets.small.particles.assign(**columns))

    return change


def optics_with(**fields: float) -> Callable[[Sets], ParticleSet]:
    return lambda sets: sets.small.with_optics(**fields)


def text_with(old: str, new: str) -> Callable[[Sets], ParticleSet]:
    return lambda sets: read_particles(sets.warptools.change(old, new).star)


def first_stack(images: np.ndarray, **header: object) -> Callable[[Sets], ParticleSet]:
    def change(sets: Sets) -> ParticleSet:
        small = sets.small  # read before, as the files change under it
        sets.stack(images, **header)
        return small

    return change


def cut_off(sets: Sets) -> ParticleSet:
    small, stack = sets.small, sets.warptools.stacks[0]
    stack.write_bytes(stack.read_bytes()[:-1])
    return small


def of_bytes(sets: Sets) -> ParticleSet:
    """A stack whose header says that its numbers are bytes."""
    small, stack = sets.small, sets.warptools.stacks[0]
    content = bytearray(stack.read_bytes())
    content[12] = 0
    stack.write_bytes(bytes(content))
    return small


def no_stack(sets: Sets) -> ParticleSet:
    small = sets.small
    sets.warptools.stacks[0].unlink()
    return small


def backwards(sets: Sets) -> ParticleSet:
    sound = sets.sound
    dose = sound.images["dose_e_per_angstrom2"]
    images = sound.images.assign(dose_e_per_angstrom2=dose.max() - dose)
    return replace(sound, images=images)


def trajectories(sets: Sets) -> ParticleSet:
    with open(sets.warptools.star, "a") as stream:
        stream.write("_rlnTomoTrajectoriesFile motion.star\n")
    return sets.small


def without_hand(folder: Path) -> Path:
    tomograms = small.without(small.overview("tomo200528_107"), "rlnTomoHand")
    return small.relion5(folder, tomograms=tomograms)


def of_small(write: Callable[[Path], Path]) -> Callable[[Sets], ParticleSet]:
    """A set that is written on the spot in one of the forms of `exports.small`."""
    return lambda sets: read_particles(write(sets.folder / "small"))


SQUARE = np.zeros((3, 8, 8), np.float16)
TOGETHER = {f"position_{axis}_angstrom": 100.0 for axis in "xyz"}
IN_MICROMETRES = {"defocus_u_angstrom": 2.5, "defocus_v_angstrom": 2.4}
UNALIGNED = {f"{name}_deg": 0.0 for name in ("rot", "tilt", "psi")}
Fault = Callable[[Sets], ParticleSet]
FAULTS: dict[str, tuple[str, Fault]] = {
    "unreadable-stack": ("error", no_stack),
    "truncated-stack": ("error", cut_off),
    "wrong-box": ("error", first_stack(SQUARE[:, :6, :6])),
    "short-stack": ("error", images_with(stack_index=9)),
    "odd-box": ("error", optics_with(box_size_px=7)),
    "small-box": ("error", optics_with(box_size_px=4)),
    "pixel-size-header": ("warning", first_stack(SQUARE, pixel=6.5)),
    "duplicate-images": ("warning", images_with(stack_index=0)),
    "not-a-number": ("error", images_with(rot_deg=np.nan)),
    "voltage": ("error", optics_with(voltage_kv=300_000.0)),
    "amplitude-contrast": ("error", optics_with(amplitude_contrast=7.0)),
    "spherical-aberration": ("warning", optics_with(spherical_aberration_mm=2.7e7)),
    "pixel-size": ("error", optics_with(pixel_size_angstrom=1.2e-9)),
    "no-defocus": ("error", images_with(defocus_u_angstrom=0.0, defocus_v_angstrom=0.0)),
    "defocus-range": ("warning", images_with(defocus_u_angstrom=9e5)),
    "no-dose": ("warning", images_with(dose_e_per_angstrom2=0.0)),
    "dose-range": ("error", images_with(dose_e_per_angstrom2=-4.0)),
    "dose-repeated": ("warning", images_with(dose_e_per_angstrom2=5.0)),
    "dose-order": ("warning", backwards),
    "no-tilts": ("warning", images_with(stage_tilt_deg=0.0)),
    "tilt-range": ("warning", images_with(stage_tilt_deg=88.0)),
    "few-tilts": ("warning", lambda sets: sets.small),
    "unequal-tilts": ("info", lambda sets: sets.small),
    "no-visible-frames": ("warning", text_with("[0,1,1]", "[0,0,0]")),
    "no-poses": ("error", particles_with(**UNALIGNED)),
    "large-shifts": ("warning", images_with(shift_x_px=40.0)),
    "outside-tomogram": ("warning", particles_with(position_x_angstrom=-1.0)),
    "duplicate-positions": ("warning", particles_with(**TOGETHER)),
    "trajectories": ("info", trajectories),
    "defocus-in-micrometres": (
        "error",
        images_with(defocus_u_angstrom=2.5, defocus_v_angstrom=2.4),
    ),
    "near-focus": ("warning", images_with(defocus_u_angstrom=300.0, defocus_v_angstrom=250.0)),
    "identical-poses": ("error", particles_with(rot_deg=20.0, tilt_deg=90.0, psi_deg=-5.0)),
    "several-optics": ("info", text_with("2  300.0", "2  200.0")),
    "mixed-optics": ("error", text_with("2  300.0  2.7  0.07  10.0", "2  300.0  2.7  0.07  9.0")),
    "no-hand": ("info", of_small(without_hand)),
    "not-applied": (
        "info",
        of_small(lambda folder: small.relion5(folder, groups=small.optics(rlnBeamTiltX=0.2))),
    ),
    "said-twice": (
        "warning",
        of_small(lambda folder: small.relion5(folder, groups=small.optics(rlnPixelSize=9.0))),
    ),
    "angles-beyond-a-turn": (
        "warning",
        of_small(lambda folder: small.relion_matrices(folder, angle_factor=57.3)),
    ),
    "symmetry-expanded": (
        "info",
        of_small(lambda folder: small.relion5(folder, expanded=True)),
    ),
    "inactive-images": (
        "info",
        of_small(lambda folder: small.cistem(folder, cisTEMOccupancy=[0] + [100] * 14)),
    ),
}
PASSED = {
    "files": 24,
    "box": 24,
    "images": 24 * 11,
    "numbers": 0,
    "optics": 300,
    "defocus": None,
    "dose": 30,
    "tilts": 60,
    "visible-frames": 0,
    "angles-and-shifts": None,
    "positions": 24,
    "motion": 0,
    "reading": 24 * 11,
}


def told(particles: ParticleSet) -> dict[str, Check]:
    checks = file_checks(particles)
    for check in checks:
        assert check.message.endswith(".") and check.why.endswith(".")
        assert check.verdict in ("ok", "info") or check.remedy.endswith(".")
        assert check.number is not None or check.code == "trajectories"
    return {check.code: check for check in checks}


@pytest.mark.parametrize("code", FAULTS)
def test_a_set_that_triggers_the_check(sets: Sets, code: str) -> None:
    verdict, fault = FAULTS[code]
    assert told(fault(sets))[code].verdict == verdict


SCHEMES = {
    "dose-symmetric": (lambda tilt: np.argsort(np.abs(tilt), kind="stable"), False),
    "dose-symmetric on a lamella": (
        lambda tilt: np.argsort(np.abs(tilt - 21.0), kind="stable"),
        False,
    ),
    "one way": (lambda tilt: np.arange(len(tilt)), False),
    "from 0 out, then the other half": (
        lambda tilt: np.concatenate([np.flatnonzero(tilt >= 0), np.flatnonzero(tilt < 0)[::-1]]),
        False,
    ),
    "steepest first": (lambda tilt: np.argsort(-np.abs(tilt), kind="stable"), True),
    "shuffled": (lambda tilt: np.random.default_rng(0).permutation(len(tilt)), True),
}


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes_of_acquisition(sets: Sets, scheme: str, signed: bool) -> None:
    """Tilts of 3 degrees in any order in use pass; also where their sign is lost."""
    order, wrong = SCHEMES[scheme]
    tilt = np.arange(-60.0, 61.0, 3.0)
    dose = np.empty(len(tilt))
    dose[order(tilt)] = 3.0 * np.arange(len(tilt))
    table = sets.small.images.iloc[np.zeros(len(tilt), dtype=int)].assign(
        stack_index=np.arange(len(tilt)),
        stage_tilt_deg=tilt if signed else np.abs(tilt),
        dose_e_per_angstrom2=dose,
    )
    one = replace(sets.small, images=table, particles=sets.small.particles.iloc[:1])
    assert ("dose-order" in told(one)) == wrong


def test_a_set_that_triggers_none(sets: Sets) -> None:
    checks = told(sets.sound)
    assert {code: check.verdict for code, check in checks.items()} == dict.fromkeys(PASSED, "ok")
    for code, number in PASSED.items():
        if number is not None:
            assert checks[code].number == pytest.approx(number)


def change_star(old: str, new: str, which: str = "particles") -> Callable[[Sets], object]:
    def read(sets: Sets) -> object:
        sets.warptools.change(old, new, getattr(sets.warptools, which))
        return sets.small

    return read


def star_of(text: bytes) -> Callable[[Sets], object]:
    def read(sets: Sets) -> object:
        sets.series.star.write_bytes(text)
        return read_particles(sets.series.star)

    return read


def removed(which: str) -> Callable[[Sets], object]:
    def read(sets: Sets) -> object:
        getattr(sets.warptools, which).unlink()
        return read_particles(
            sets.warptools.particles if which == "tomograms" else sets.warptools.star
        )

    return read


def lonely_tomograms(sets: Sets) -> object:
    sets.warptools.star.unlink()
    sets.warptools.tomograms.unlink()
    return read_particles(sets.warptools.particles)


def hidden_in_visible_only(sets: Sets) -> object:
    """The stack holds the two visible frames only, and one of them is to be hidden."""
    second = sets.warptools.stacks[1]
    second.write_bytes(sets.mrc(SQUARE[:2]))
    small = sets.small
    row = np.flatnonzero(small.images["particle_id"] == small.ids[1])[0]
    return write_subset(
        small.filter_images(np.arange(len(small.images)) != row), sets.folder / "few.star"
    )


def single_particles(sets: Sets) -> object:
    columns = (
        "PositionInStack AnglePhi AngleTheta AnglePsi XShift YShift Defocus1 Defocus2 "
        "DefocusAngle ParticleGroup PreExposure PixelSize"
    ).split()
    text = "\ndata_\n\nloop_\n" + "".join(f"_cisTEM{name}\n" for name in columns)
    rows = "".join(f"{i} 0 0 0 0 0 20000 20000 0 1 0.0 10.0\n" for i in (1, 2, 3))
    sets.series.star.write_text(text + rows)
    return read_particles(sets.series.star)


def not_a_number(sets: Sets) -> object:
    images = np.array(SQUARE)
    images[0, 2, 3] = np.nan
    sets.stack(images)
    data, weight = DataConfig(), WeightConfig()
    return load_all(read_particles(sets.warptools.star), data, weight, sign=1)


def a_stack_as_map(sets: Sets) -> object:
    path = sets.folder / "map.mrc"
    path.write_bytes(b"\1" * 2000)
    return read_volume(path)


def of_another(**options: object) -> Callable[[Sets], object]:
    return lambda sets: read_particles(sets.warptools.star, **options)


REFUSALS: dict[str, Callable[[Sets], object]] = {
    "no-file": lambda sets: read_particles(sets.folder / "no.star"),
    "empty-file": star_of(b"\n"),
    "not-star": star_of(b"MAP \0\0"),
    "bad-star": star_of(b"data_\nloop_\n_a\n_b\n1 2 3\n"),
    "duplicate-block": star_of(b"data_a\n_x 1\ndata_a\n_x 1\n"),
    "missing-block": star_of(b"data_x\n_rlnA 1\n"),
    "no-particles": star_of(b"data_\nloop_\n_rlnImageName #1\n"),
    "missing-column": change_star("_rlnAngleRot ", "_gone "),
    "bad-value": change_star("  40.25  ", "  nan  "),
    "mixed-optics": lambda sets: change_star(
        "2  300.0  2.7  0.07  10.0", "2  300.0  2.7  0.07  9.0"
    )(sets).with_overrides(DataConfig()),
    "unsupported-file": star_of(b"data_stopgap_motivelist\nloop_\n_motl_idx\n1\n"),
    "one-image-each": of_small(
        lambda folder: small.write_series(
            folder, {**small.image_rows(3), "rlnGroupName": list(range(15))}
        )
    ),
    "duplicate-particle": change_star("TS_1/8", "TS_1/7"),
    "unsupported-dialect": change_star("2DStacks  1", "2DStacks  0"),
    "missing-tomogram": change_star("data_TS_2.tomostar", "data_TS_3.tomostar", "tomograms"),
    "missing-tomograms": lonely_tomograms,
    "no-visible-frames": lambda sets: [
        change_star(shown, "[" + ",".join("0" * (len(shown) // 2)) + "]")(sets)
        for shown in ("[1,1,1]", "[0,1,1]", "[1,1,1,1]", "[1,0,1,0]")
    ],
    "missing-images": lambda sets: (no_stack(sets), sets.small),
    "no-images-folder": of_another(images="gone"),
    "unknown-dialect": of_another(dialect="dynamo"),
    "unused-override": of_another(overrides=Overrides(columns={"rlnAngleRot": "mine"})),
    "unknown-particle": lambda sets: sets.small.select(["TS_1/8"]),
    "cannot-hide-frames": hidden_in_visible_only,
    "no-particle-groups": single_particles,
    "short-stack": lambda sets: (sets.stack(SQUARE[:1]), check_stacks(sets.small)),
    "wrong-box": lambda sets: (sets.stack(SQUARE[:, :6, :6]), check_stacks(sets.small)),
    "odd-box": lambda sets: check_stacks(sets.small.with_optics(box_size_px=7)),
    "small-box": lambda sets: check_stacks(sets.small.with_optics(box_size_px=4)),
    "unreadable-": lambda sets: check_stacks(no_stack(sets)),
    "truncated-": lambda sets: check_stacks(cut_off(sets)),
    "longer-": lambda sets: check_stacks(of_bytes(sets)),
    "unreadable-map": a_stack_as_map,
    "not-finite": not_a_number,
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_set_that_is_refused(sets: Sets, code: str) -> None:
    check_stacks(sets.small)
    check_stacks(read_particles(sets.series.star))
    with pytest.raises(BadInputError) as caught:
        REFUSALS[code](sets)
    assert caught.value.code.startswith(code)
    assert "\n" not in str(caught.value)


def test_no_code_is_without_a_set() -> None:
    assert (
        codes_told("data") | codes_refused("data/checks")
        == (FAULTS.keys() - {"unreadable-stack", "truncated-stack", "wrong-box", "short-stack"})
        - {"mixed-optics"}
        | PASSED.keys()
    )
    # Pickles, tomograms and the cache are no particle sets: they have tests of their own.
    elsewhere = {"bad-pickle", "unreadable-pickle", "bad-pattern", "not-a-tomogram"}
    elsewhere |= {"bad-cache", "bad-launch", "disk-full"}
    # So have the choice of particles and tilts, binning, and masks.
    elsewhere |= {"no-tomogram", "no-tilt", "no-images", "no-dose", "bad-binning", "bad-mask"}
    elsewhere |= {"other-particles"}
    assert codes_refused("data") - elsewhere == REFUSALS.keys()


def test_every_code_is_documented() -> None:
    assert FAULTS.keys() | PASSED.keys() <= codes_documented()
