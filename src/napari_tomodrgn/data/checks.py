"""What is wrong with a set of particles, told before any time is spent on it.

Errors make a result meaningless or impossible, warnings deserve a look, infos are good to know.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from napari_tomodrgn.data.dialects.tilts import hidden_rows
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.stack import StackHeader, read_header, too_short, wrong_box
from napari_tomodrgn.data.star_table import StarTable, meant
from napari_tomodrgn.errors import BadInputError

# Beyond these, a value is more likely a wrong unit than an unusual microscope.
_DEFOCUS_ANGSTROM = (0.0, 100_000.0)
_VOLTAGE_KV = (60.0, 1300.0)
_DOSE_E_PER_ANGSTROM2 = (0.0, 400.0)
_STAGE_TILT_DEG = 80.0
_FEW_TILTS = 5


Severity = Literal["error", "warning", "info"]
Verdict = Literal["ok", "info", "warning", "error"]


@dataclass(frozen=True)
class Problem:
    """One finding: how bad, a short stable code, what was found, and what to do about it."""

    severity: Severity
    code: str
    message: str
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """One question that was asked of the data, and the answer, also where all is well.

    Attributes
    ----------
    code
        Short and stable; that of the problem where there is one.
    verdict
        ``ok``, or how bad it is. What so little data cannot decide is ``info``, never an alarm.
    message
        What was found, a sentence.
    number
        The figure behind the verdict, where there is one.
    why
        What goes wrong if this is wrong.
    remedy
        What to do about it.
    """

    code: str
    verdict: Verdict
    message: str
    number: float | None = None
    why: str = ""
    remedy: str = ""

    @property
    def problem(self) -> Problem | None:
        """The check as a problem; None if all is well."""
        if self.verdict == "ok":
            return None
        return Problem(self.verdict, self.code, self.message, self.remedy)


def check_stacks(particles: ParticleSet) -> None:
    """Raise what must stop any work on the images; reads headers only.

    Raises
    ------
    BadInputError
        If a stack is missing, unreadable, cut off, shorter than the star file says or of another
        box, or the box is odd.
    """
    box = particles.optics.box_size_px
    if box % 2 or box < 2:
        raise _odd_box(particles)
    for _, error in _headers(particles):
        if error is not None:
            raise error


def inspect_particles(particles: ParticleSet) -> list[Problem]:
    """All that the files and the numbers of a set give to say, worst first."""
    return problems_of(file_checks(particles))


def file_checks(particles: ParticleSet) -> list[Check]:
    """Every question about the files and the numbers with its answer, in the order asked."""
    done = []
    for question in _CHECKS:
        problems = list(question.ask(particles))
        done += [
            Check(each.code, each.severity, each.message, None, question.why, each.remedy)
            for each in problems
        ]
        if not problems:
            done.append(Check(question.code, "ok", question.passed, None, question.why))
    return done


def problems_of(checks: Iterable[Check]) -> list[Problem]:
    """What of the checks is not well, worst first."""
    problems = [check.problem for check in checks if check.problem is not None]
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(problems, key=lambda problem: order[problem.severity])


def summary(
    particles: ParticleSet, problems: list[Problem], contrast: str = "auto"
) -> dict[str, Any]:
    """What was understood of a set, in plain numbers and words for people and scripts.

    Parameters
    ----------
    particles
        The set.
    problems
        What `inspect_particles` found.
    contrast
        What is known of the sign of the images.
    """
    images, optics = particles.images, particles.optics
    defocus = images[["defocus_u_angstrom", "defocus_v_angstrom"]].to_numpy()
    return {
        "dialect": particles.source.dialect,
        "particles": len(particles),
        "images": len(images),
        "tilts_per_particle": {
            "min": int(particles.particles["tilts"].min()),
            "max": int(particles.particles["tilts"].max()),
        },
        "box_px": optics.box_size_px,
        "pixel_size_angstrom": optics.pixel_size_angstrom,
        "tomograms": [str(name) for name in particles.particles["tomogram"].unique()],
        "tilt_deg": _range(images["stage_tilt_deg"].to_numpy()),
        "dose_e_per_angstrom2": _range(images["dose_e_per_angstrom2"].to_numpy()),
        "voltage_kv": optics.voltage_kv,
        "spherical_aberration_mm": optics.spherical_aberration_mm,
        "amplitude_contrast": optics.amplitude_contrast,
        "defocus_angstrom": _range(defocus),
        "ctf_premultiplied": optics.ctf_premultiplied,
        "dose_weighted": optics.dose_weighted,
        "contrast": contrast,
        "problems": [asdict(problem) for problem in problems],
        "forecast": {"ram_gb": ram_gb(particles), "gpu_gb": None, "seconds_per_epoch": None},
    }


def ram_gb(particles: ParticleSet) -> float:
    """Memory in GB for the Fourier samples of all images, if they are kept in memory."""
    # Half of the Nyquist disc, one complex64 a point.
    points = math.pi * particles.optics.box_size_px**2 / 8
    return round(len(particles.images) * points * 8 / 1e9, 3)


def _range(values: NDArray[np.float64]) -> dict[str, float]:
    return {"min": float(np.min(values)), "max": float(np.max(values))}


def _headers(
    particles: ParticleSet,
) -> Iterator[tuple[StackHeader | None, BadInputError | None]]:
    """Header of each stack that is in use, and what is wrong with it."""
    images = particles.images
    codes = images["stack"].cat.codes.to_numpy(np.int64)
    files = images["stack"].cat.categories.to_list()
    needed = np.zeros(len(files), np.int64)
    np.maximum.at(needed, codes, images["stack_index"].to_numpy(np.int64) + 1)
    for file, count in zip(files, needed.tolist(), strict=True):
        if count:
            try:
                header = read_header(file)
            except BadInputError as error:
                yield None, error
            else:
                yield header, _mismatch(header, particles.optics.box_size_px, count)


def _mismatch(header: StackHeader, box_size_px: int, needed: int) -> BadInputError | None:
    if header.box_size_px != box_size_px:
        return wrong_box(header, box_size_px)
    return too_short(header.path, header.count, needed) if header.count < needed else None


def _files(particles: ParticleSet) -> Iterator[Problem]:
    errors: dict[str, list[BadInputError]] = defaultdict(list)
    other_pixel: list[StackHeader] = []
    star = particles.optics.pixel_size_angstrom
    for header, error in _headers(particles):
        if error is not None:
            errors[error.code].append(error)
        # 0 and 1 stand where a program did not care.
        elif header and header.pixel_size_angstrom not in (0.0, 1.0):
            if not math.isclose(header.pixel_size_angstrom, star, rel_tol=0.01):
                other_pixel.append(header)
    for code, found in errors.items():
        more = f" ({len(found)} such files)." if len(found) > 1 else "."
        yield Problem("error", code, found[0].message.removesuffix(".") + more, found[0].remedy)
    if other_pixel:
        first = other_pixel[0]
        yield Problem(
            "warning",
            "pixel-size-header",
            f"The header of {first.path.name} gives {first.pixel_size_angstrom:.3f} Å/px, the star "
            f"file {star:.3f} Å/px ({len(other_pixel)} files).",
            "The star file is used; if it is wrong, correct its pixel size.",
        )


def _box(particles: ParticleSet) -> Iterator[Problem]:
    if particles.optics.box_size_px % 2:
        error = _odd_box(particles)
        yield Problem("error", error.code, error.message, error.remedy)


def _odd_box(particles: ParticleSet) -> BadInputError:
    return BadInputError(
        f"{particles.source.path}: the box is {particles.optics.box_size_px} px; "
        "it has to be an even number.",
        remedy="Extract the images with an even box.",
        code="odd-box",
    )


def _finite(particles: ParticleSet) -> Iterator[Problem]:
    numbers = particles.images.select_dtypes("number")
    bad = ~np.isfinite(numbers.to_numpy(np.float64)).all(axis=0)
    for name in numbers.columns[bad]:
        count = int((~np.isfinite(numbers[name].to_numpy(np.float64))).sum())
        yield Problem(
            "error",
            "not-a-number",
            f"{name} is not a number for {count} images.",
            "Repair or remove these rows of the star file.",
        )


def _optics(particles: ParticleSet) -> Iterator[Problem]:
    optics = particles.optics
    low, high = _VOLTAGE_KV
    if not low <= optics.voltage_kv <= high:
        message = f"The voltage is {optics.voltage_kv:g} kV."
        yield Problem("error", "voltage", message, "It has to be given in kV, usually 300 or 200.")
    if not 0.0 <= optics.amplitude_contrast <= 1.0:
        message = f"The amplitude contrast is {optics.amplitude_contrast:g}, not between 0 and 1."
        yield Problem("error", "amplitude-contrast", message, "Usual values are 0.07 to 0.1.")
    if not 0.0 <= optics.spherical_aberration_mm <= 10.0:
        message = f"The spherical aberration is {optics.spherical_aberration_mm:g} mm."
        yield Problem("warning", "spherical-aberration", message, "Usual values are 0.01 to 2.7.")
    if not 0.1 <= optics.pixel_size_angstrom <= 50.0:
        message = f"The pixel size is {optics.pixel_size_angstrom:g} Å."
        yield Problem("error", "pixel-size", message, "It has to be that of the images, in Å.")


def _defocus(particles: ParticleSet) -> Iterator[Problem]:
    values = particles.images[["defocus_u_angstrom", "defocus_v_angstrom"]].to_numpy().mean(axis=1)
    if not np.any(values):
        message = "The defocus is 0 for all images."
        yield Problem("error", "no-defocus", message, "Estimate the CTF before exporting.")
        return
    low, high = _DEFOCUS_ANGSTROM
    outside = int(((values <= low) | (values > high)).sum())
    if outside:
        yield Problem(
            "warning",
            "defocus-range",
            f"The defocus of {outside} images is not between {low:g} and {high:g} Å "
            f"(found {values.min():.0f} to {values.max():.0f}).",
            "Underfocus is positive and in Å; look at the CTF fits of these tilts.",
        )


def _dose(particles: ParticleSet) -> Iterator[Problem]:
    dose = particles.images["dose_e_per_angstrom2"]
    low, high = _DOSE_E_PER_ANGSTROM2
    if not dose.any():
        message = "The dose is 0 for all images, so images cannot be weighted by it."
        yield Problem("warning", "no-dose", message, "Import the tilt series with their dose.")
        return
    if dose.min() < low or dose.max() > high:
        yield Problem(
            "error" if dose.min() < low else "warning",
            "dose-range",
            f"The dose goes from {dose.min():g} to {dose.max():g} e/Å².",
            "It is the exposure accumulated so far: 0 to about 200 e/Å².",
        )
    different = dose.groupby(particles.images["particle_id"], observed=True).nunique()
    repeated = int((different.to_numpy() < particles.particles["tilts"].to_numpy()).sum())
    if repeated > len(particles) // 2:
        yield Problem(
            "warning",
            "dose-order",
            f"In {repeated} particles several tilts have the same dose.",
            "Each tilt should have the exposure accumulated before it.",
        )


def _tilts(particles: ParticleSet) -> Iterator[Problem]:
    steepest = float(particles.images["stage_tilt_deg"].abs().max())
    if steepest == 0.0:
        message = "The stage tilt is 0 for all images."
        yield Problem("warning", "no-tilts", message, "Check the tilt column of the star file.")
    elif steepest > _STAGE_TILT_DEG:
        message = f"The steepest stage tilt is {steepest:.1f}°."
        yield Problem("warning", "tilt-range", message, "Check the tilt angles of the series.")
    tilts = particles.particles["tilts"]
    few = int((tilts < _FEW_TILTS).sum())
    if few:
        message = f"{few} particles have fewer than {_FEW_TILTS} tilt images."
        yield Problem("warning", "few-tilts", message, "Leave them out if they are poor.")
    if tilts.nunique() > 1:
        message = f"Particles have {tilts.min()} to {tilts.max()} tilt images; all are used."
        yield Problem("info", "unequal-tilts", message)


def _hidden(particles: ParticleSet) -> Iterator[Problem]:
    source = particles.source
    if source.rows_are_images:
        return
    frame = meant(source.blocks[source.particle_block], source.overrides.columns)
    table = StarTable(source.path, source.particle_block, frame)
    hidden = hidden_rows(table)
    if hidden:
        message = f"{hidden} particles have no visible frame and are left out."
        yield Problem("warning", "no-visible-frames", message, "Nothing to do if this is meant.")


def _poses(particles: ParticleSet) -> Iterator[Problem]:
    whole = particles.particles[["rot_deg", "tilt_deg", "psi_deg"]].to_numpy(np.float64)
    if np.isnan(whole).all():
        whole = particles.images[["rot_deg", "tilt_deg", "psi_deg"]].to_numpy(np.float64)
    if not np.any(whole):
        message = "All angles are 0: the particles have not been aligned."
        yield Problem("error", "no-poses", message, "Refine them before looking for differences.")
    shifts = particles.images[["shift_x_px", "shift_y_px"]].to_numpy(np.float64)
    far = int((np.abs(shifts).max(axis=1) > particles.optics.box_size_px / 2).sum())
    if far:
        yield Problem(
            "warning",
            "large-shifts",
            f"The shift of {far} images is larger than half the box.",
            "Check the unit of the origins, or extract the particles again at their new centres.",
        )


def _positions(particles: ParticleSet) -> Iterator[Problem]:
    columns = [f"position_{axis}_angstrom" for axis in "xyz"]
    extents = {known.name: known.extent_xyz_angstrom for known in particles.source.tomograms}
    outside = near = 0
    for name, rows in particles.particles.groupby("tomogram", sort=False):
        at = rows[columns].to_numpy(np.float64)
        at = at[np.isfinite(at).all(axis=1)]
        extent = extents.get(str(name))
        if extent is not None:
            outside += int(((at < 0) | (at > np.array(extent))).any(axis=1).sum())
        near += len(KDTree(at).query_pairs(particles.optics.pixel_size_angstrom)) if len(at) else 0
    if outside:
        message = f"{outside} particles lie outside their tomogram."
        yield Problem("warning", "outside-tomogram", message, "Check the unit of the coordinates.")
    if near:
        message = f"{near} pairs of particles lie within one pixel of each other."
        yield Problem(
            "warning", "duplicate-positions", message, "Remove duplicates before training."
        )


def _repeats(particles: ParticleSet) -> Iterator[Problem]:
    repeated = int(particles.images.duplicated(["stack", "stack_index"]).sum())
    if repeated:
        yield Problem(
            "warning",
            "duplicate-images",
            f"{repeated} rows refer to an image that another row refers to as well.",
            "Each image should belong to one particle.",
        )


def _trajectories(particles: ParticleSet) -> Iterator[Problem]:
    name = particles.source.optimisation_set.get("rlnTomoTrajectoriesFile", "")
    if name and Path(name).name != "None":
        message = f"The motion trajectories ({Path(name).name}) are not applied."
        yield Problem(
            "info", "trajectories", message, "Extract 2-D stacks after motion refinement."
        )


@dataclass(frozen=True)
class _Question:
    """A check, its code and words if all is well, and why it is asked."""

    ask: Callable[[ParticleSet], Iterator[Problem]]
    code: str
    passed: str
    why: str


_CHECKS: tuple[_Question, ...] = (
    _Question(
        _files,
        "files",
        "All image files are there, whole and of the right box.",
        "A missing or cut file stops a run, or gives particles the images of others.",
    ),
    _Question(_box, "box", "The box is even.", "The centre of an odd box lies elsewhere."),
    _Question(
        _finite, "numbers", "All values are numbers.", "One value that is none spoils all results."
    ),
    _Question(
        _optics,
        "optics",
        "Voltage, aberration, amplitude contrast and pixel size are plausible.",
        "They set where the CTF changes sign.",
    ),
    _Question(
        _defocus,
        "defocus",
        "All defoci are plausible.",
        "A wrong defocus turns the contrast of whole shells of frequency around.",
    ),
    _Question(
        _dose,
        "dose",
        "Each tilt has a dose of its own, in a plausible range.",
        "Images are weighted by what the dose has left of them.",
    ),
    _Question(
        _tilts,
        "tilts",
        "All particles have as many tilts, at plausible angles.",
        "Few tilts leave a particle's structure undetermined.",
    ),
    _Question(
        _hidden,
        "visible-frames",
        "Every particle has visible frames.",
        "A particle without frames cannot be embedded.",
    ),
    _Question(
        _poses,
        "angles-and-shifts",
        "The particles are aligned, and their shifts stay in the box.",
        "Without poses there is no structure to compare.",
    ),
    _Question(
        _positions,
        "positions",
        "Positions lie inside their tomograms and are different ones.",
        "Duplicates are taken for independent particles; a wrong unit for another defocus.",
    ),
    _Question(
        _repeats,
        "images",
        "Every image belongs to one particle.",
        "An image used twice makes halves of the data agree that are not independent.",
    ),
    _Question(
        _trajectories,
        "motion",
        "There are no motion trajectories that would have to be applied.",
        "Particles that moved during the series are blurred otherwise.",
    ),
)
