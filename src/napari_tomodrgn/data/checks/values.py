"""Are optics, defocus, dose and tilts numbers that a microscope can have?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.data.checks.check import CheckResult, CheckSpec
from napari_tomodrgn.data.dialects.common import MICROMETRES, defocus_in_micrometres
from napari_tomodrgn.data.dialects.tilts import hidden_rows
from napari_tomodrgn.data.optics import OpticsGroup
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.star import as_loop
from napari_tomodrgn.data.star_table import StarTable, meant
from napari_tomodrgn.errors import BadInputError

# Outside of these, or beyond, a value is more likely a wrong unit than an unusual microscope.
_DEFOCUS_ANGSTROM = (0.0, 100_000.0)
_IN_FOCUS_ANGSTROM = 1000.0  # all defoci below it: in focus, or in another unit
_VOLTAGE_KV = (60.0, 1300.0)
_DOSE_E_PER_ANGSTROM2 = (0.0, 400.0)
_STAGE_TILT_DEG = 80.0
_FEW_TILTS = 5  # images of a particle; the order of doses is asked of series of twice as many
# Tilts of a scheme are neighbours of those taken one before; two before, where the series goes to
# either side in turn; or four or six, where it does so in groups of two or three.
_LAGS = (1, 2, 4, 6)
_STEPS_APART = 4.0  # median distance of such neighbours, in tilt steps; beyond, there is no order
_BACKWARDS = 0.9  # rank correlation of dose and steepness, of a series that is turned around


def _finite(particles: ParticleSet) -> Iterator[CheckResult]:
    numbers = particles.images.select_dtypes("number")
    for name in numbers.columns:
        count = int((~np.isfinite(numbers[name].to_numpy(np.float64))).sum())
        if count:
            yield CheckResult(
                "error",
                "not-a-number",
                f"{name} is not a number for {count} images.",
                "Repair or remove these rows of the star file.",
                count,
            )


def _optics(particles: ParticleSet) -> Iterator[CheckResult]:
    groups = particles.optics.groups
    for group in groups:
        yield from _microscope(group)
    if len(groups) > 1:
        stored = particles.optics.stored
        parts = [
            f"{group.voltage_kv:g} kV, Cs {group.spherical_aberration_mm:g} mm, amplitude contrast "
            f"{group.amplitude_contrast:g}"
            + (f", {own} in the files" if len(set(stored)) > 1 else "")
            for group, own in zip(groups, stored, strict=True)
        ]
        message = f"Images were taken with {len(groups)} different optics: {'; '.join(parts)}."
        yield CheckResult(
            "info", "several-optics", message, "Each image is used with its own.", len(groups)
        )
    try:
        particles.refuse_mixed()
    except BadInputError as error:
        yield CheckResult.of_error(error, len(set(particles.optics.stored)))
    for pixel in {one.pixel_size_angstrom for one in particles.optics.samplings}:
        yield from _pixel_size(pixel)


def _pixel_size(pixel: float) -> Iterator[CheckResult]:
    if not 0.1 <= pixel <= 50.0:
        message = f"The pixel size is {pixel:g} Å."
        remedy = "It has to be that of the images, in Å; override it with --pixel-size."
        yield CheckResult("error", "pixel-size", message, remedy, pixel)


def _microscope(group: OpticsGroup) -> Iterator[CheckResult]:
    """Voltage, amplitude contrast and spherical aberration of one group."""
    kv, contrast, cs = group.voltage_kv, group.amplitude_contrast, group.spherical_aberration_mm
    low, high = _VOLTAGE_KV
    if not low <= kv <= high:
        message = f"The voltage is {kv:g} kV."
        remedy = "It has to be given in kV, usually 300 or 200."
        yield CheckResult("error", "voltage", message, remedy, kv)
    if not 0.0 <= contrast <= 1.0:
        message = f"The amplitude contrast is {contrast:g}, not between 0 and 1."
        remedy = "Usual values are 0.07 to 0.1."
        yield CheckResult("error", "amplitude-contrast", message, remedy, contrast)
    if not 0.0 <= cs <= 10.0:
        message = f"The spherical aberration is {cs:g} mm."
        remedy = "Usual values are 0.01 to 2.7."
        yield CheckResult("warning", "spherical-aberration", message, remedy, cs)


def _mean_defocus(particles: ParticleSet) -> NDArray[np.float64]:
    columns = ["defocus_u_angstrom", "defocus_v_angstrom"]
    return np.asarray(particles.images[columns].to_numpy(np.float64).mean(axis=1))


def _defocus(particles: ParticleSet) -> Iterator[CheckResult]:
    values = _mean_defocus(particles)
    most = float(np.abs(values).max())
    if not np.any(values):
        message = "The defocus is 0 for all images."
        yield CheckResult("error", "no-defocus", message, "Estimate the CTF before exporting.", 0.0)
        return
    if most < MICROMETRES:
        said = defocus_in_micrometres(most)
        yield CheckResult(said.severity, said.code, said.message, said.remedy, most)
        return
    if most < _IN_FOCUS_ANGSTROM:
        message = f"All defoci are within {most:.0f} Å of focus."
        remedy = "Right for in-focus images with a phase plate; else check the unit (Å)."
        yield CheckResult("warning", "near-focus", message, remedy, most)
        return
    low, high = _DEFOCUS_ANGSTROM
    outside = int(((values <= low) | (values > high)).sum())
    if outside:
        yield CheckResult(
            "warning",
            "defocus-range",
            f"The defocus of {outside} images is not between {low:g} and {high:g} Å "
            f"(found {values.min():.0f} to {values.max():.0f}).",
            "Underfocus is positive and in Å; look at the CTF fits of these tilts.",
            outside,
        )


def _dose(particles: ParticleSet) -> Iterator[CheckResult]:
    dose = particles.images["dose_e_per_angstrom2"]
    low, high = _DOSE_E_PER_ANGSTROM2
    if not dose.any():
        message = "The dose is 0 for all images, so images cannot be weighted by it."
        remedy = "Give the dose of one tilt with --dose-per-tilt."
        yield CheckResult("warning", "no-dose", message, remedy, 0.0)
        return
    if dose.min() < low or dose.max() > high:
        yield CheckResult(
            "error" if dose.min() < low else "warning",
            "dose-range",
            f"The dose goes from {dose.min():g} to {dose.max():g} e/Å².",
            "It is the exposure accumulated so far, 0 to about 200 e/Å²; --dose-per-tilt builds it "
            "up anew.",
            float(dose.min() if dose.min() < low else dose.max()),
        )
    different = dose.groupby(particles.images["particle_id"], observed=True).nunique()
    repeated = int((different.to_numpy() < particles.particles["tilts"].to_numpy()).sum())
    if repeated > len(particles) // 2:
        yield CheckResult(
            "warning",
            "dose-repeated",
            f"In {repeated} particles several tilts have the same dose.",
            "Each tilt should have the exposure accumulated before it; see --dose-per-tilt.",
            repeated,
        )
    else:
        yield from _dose_order(particles)


def _dose_order(particles: ParticleSet) -> Iterator[CheckResult]:
    """Does the dose follow the tilts as any scheme of acquisition would have it?"""
    series = _series(particles)
    told = [_order_of(rows) for _, rows in series if len(rows) >= 2 * _FEW_TILTS]
    backwards, scrambled = told.count("backwards"), told.count("scrambled")
    if 2 * backwards > len(told):
        yield CheckResult(
            "warning",
            "dose-order",
            f"In {backwards} of {len(told)} tilt series the steepest tilts have the lowest dose.",
            "Check the direction of the order: the first tilt taken has the lowest dose.",
            backwards,
        )
    elif 2 * scrambled > len(told):
        yield CheckResult(
            "warning",
            "dose-order",
            f"In {scrambled} of {len(told)} tilt series the dose follows no order of tilts.",
            "Check that doses stand in the rows of their own tilts.",
            scrambled,
        )


def _series(particles: ParticleSet) -> Iterator[tuple[object, pd.DataFrame]]:
    """Dose and tilt of each tilt of each tomogram, by dose."""
    images = particles.images
    tomogram = particles.particles["tomogram"].to_numpy()[images["particle_id"].cat.codes]
    frame = pd.DataFrame(
        {
            "tomogram": tomogram,
            "dose": images["dose_e_per_angstrom2"].round(3).to_numpy(),
            "tilt": images["stage_tilt_deg"].to_numpy(),
        }
    )
    tilts = frame.groupby(["tomogram", "dose"], sort=True)["tilt"].median().reset_index()
    return iter(tilts.groupby("tomogram"))


def _order_of(series: pd.DataFrame) -> str:
    """``""`` if tilts in the order of dose are a scheme, else what is wrong with them."""
    tilt = series["tilt"].to_numpy(np.float64)
    if np.ptp(np.abs(tilt)) == 0.0:
        return ""
    steepness = pd.Series(np.abs(tilt)).rank()
    if float(steepness.corr(pd.Series(np.arange(len(tilt), dtype=np.float64)))) < -_BACKWARDS:
        return "backwards"
    step = float(np.median(np.diff(np.unique(np.round(tilt, 1)))))
    apart = min(float(np.median(np.abs(tilt[lag:] - tilt[:-lag]))) for lag in _LAGS)
    return "scrambled" if apart > _STEPS_APART * step else ""


def _tilts(particles: ParticleSet) -> Iterator[CheckResult]:
    steepest = _steepest(particles)
    if steepest == 0.0:
        message = "The stage tilt is 0 for all images."
        remedy = "Check the tilt column of the star file."
        yield CheckResult("warning", "no-tilts", message, remedy, 0.0)
    elif steepest > _STAGE_TILT_DEG:
        message = f"The steepest stage tilt is {steepest:.1f}°."
        remedy = "Check the tilt angles of the series."
        yield CheckResult("warning", "tilt-range", message, remedy, steepest)
    tilts = particles.particles["tilts"]
    few = int((tilts < _FEW_TILTS).sum())
    if few:
        message = f"{few} particles have fewer than {_FEW_TILTS} tilt images."
        yield CheckResult("warning", "few-tilts", message, "Leave them out if they are poor.", few)
    if tilts.nunique() > 1:
        message = f"Particles have {tilts.min()} to {tilts.max()} tilt images; all are used."
        yield CheckResult("info", "unequal-tilts", message, number=int(tilts.max() - tilts.min()))


def _steepest(particles: ParticleSet) -> float:
    return float(particles.images["stage_tilt_deg"].abs().max())


def _hidden(particles: ParticleSet) -> Iterator[CheckResult]:
    source = particles.source
    if source.rows_are_images:
        return
    rows = as_loop(source.blocks[source.particle_block])
    frame = meant(rows, source.overrides.columns)
    hidden = hidden_rows(StarTable(source.path, source.particle_block, frame))
    if hidden:
        message = f"{hidden} particles have no visible frame and are left out."
        remedy = "Nothing to do if this is meant."
        yield CheckResult("warning", "no-visible-frames", message, remedy, hidden)


VALUE_QUESTIONS = (
    CheckSpec(
        _finite,
        "numbers",
        "All values are numbers.",
        lambda particles: 0.0,
        "One value that is none spoils all results.",
    ),
    CheckSpec(
        _optics,
        "optics",
        "Voltage, aberration, amplitude contrast and pixel size are plausible.",
        lambda particles: particles.optics.voltage_kv,
        "They set where the CTF changes sign.",
    ),
    CheckSpec(
        _defocus,
        "defocus",
        "All defoci are plausible.",
        lambda particles: float(np.median(_mean_defocus(particles))),
        "A wrong defocus turns the contrast of whole shells of frequency around.",
    ),
    CheckSpec(
        _dose,
        "dose",
        "Each tilt has a dose of its own, in a plausible range and order.",
        lambda particles: float(particles.images["dose_e_per_angstrom2"].max()),
        "Images are weighted by what the dose has left of them.",
    ),
    CheckSpec(
        _tilts,
        "tilts",
        "All particles have as many tilts, at plausible angles.",
        _steepest,
        "Few tilts leave a particle's structure undetermined.",
    ),
    CheckSpec(
        _hidden,
        "visible-frames",
        "Every particle has visible frames.",
        lambda particles: 0.0,
        "A particle without frames cannot be embedded.",
    ),
)
