"""Do the images carry the CTF that the star file describes? And in which way?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from napari_tomodrgn.analysis.preflight.cross_validation import paired_z
from napari_tomodrgn.analysis.preflight.hypotheses import (
    flipped_heights,
    heights_angstrom,
    scaled_pixels,
)
from napari_tomodrgn.analysis.preflight.power_spectrum import PowerFit
from napari_tomodrgn.analysis.preflight.state import LIMIT, State
from napari_tomodrgn.data.checks import Check

# Factors that pixel sizes are wrong by: binning that was not, or was twice, accounted for.
PIXEL_FACTORS = (0.5, 2 / 3, 1.5, 2.0)


def ctf_checks(state: State) -> Iterator[Check]:
    """Whose CTF do the power spectra carry, and in the noise or only in the particles?"""
    given = state.spectra().fit(state.sample.particles)
    factor, fit, z = _best_scale(state, given)
    if factor != 1.0:
        state.sample = state.sample.over(scaled_pixels(state.sample.particles, factor))
    multiplied = _multiplied(state, fit)
    if factor == 1.0 and fit.share < LIMIT.fits:
        yield multiplied
        yield _pixel_by_maps(state)
    else:
        yield _pixel_check(state, factor, z)
        yield multiplied


def _best_scale(state: State, given: PowerFit) -> tuple[float, PowerFit, float]:
    """The pixel factor that fits best, its fit, and z against the next best of the others.

    1 if no other is surely better than what the star file says; z is then that of the given size
    against the best of the others.
    """
    particles = state.sample.particles
    others = {
        factor: state.spectra().fit(scaled_pixels(particles, factor)) for factor in PIXEL_FACTORS
    }
    factor = max(others, key=lambda name: float(others[name].likelihood.sum()))
    z = paired_z(others[factor].likelihood - given.likelihood)
    if z >= LIMIT.sure and others[factor].share >= LIMIT.fits:
        return factor, others[factor], z
    return 1.0, given, -z


def _multiplied(state: State, fit: PowerFit) -> Check:
    said = state.sample.particles.optics.ctf_premultiplied
    why = "Treated wrongly, shells of frequency cancel each other and the contrast turns around."
    sure_yes = paired_z(fit.likelihood - fit.constant) >= LIMIT.sure
    sure_no = paired_z(fit.constant - fit.multiplied) >= LIMIT.sure
    yes, no = sure_yes and fit.share >= LIMIT.multiplied, sure_no and fit.share <= 0.5
    about = f"the noise follows {fit.share:.0%} of CTF²"
    if not (yes or no):
        message = f"Undecided whether the images are CTF pre-multiplied ({about})."
        return Check("ctf-premultiplied", "info", message, fit.share, why)
    words = f"The images are {'' if yes else 'not '}CTF pre-multiplied"
    if yes == said:
        return Check("ctf-premultiplied", "ok", f"{words}, as said ({about}).", fit.share, why)
    optics = state.sample.particles
    state.sample = state.sample.over(optics.with_optics(ctf_premultiplied=yes))
    message = f"{words}, but the settings say the contrary ({about})."
    remedy = f"Set CTF pre-multiplied (--ctf-premultiplied) to {'yes' if yes else 'no'}."
    if no:
        remedy += " If they are, the pixel size, the voltage or the defoci are wrong."
    return Check("ctf-premultiplied", "warning", message, fit.share, why, remedy)


_PIXEL_WHY = "The zeros of the CTF lie elsewhere, and all sizes and resolutions are wrong."


def _pixel_check(state: State, factor: float, z: float) -> Check:
    """The pixel size by power spectra; ``z`` is that of the chosen factor against the others."""
    if factor != 1.0:
        return _wrong_pixel(state, factor, f"z = {z:.1f}, power spectra")
    if z >= LIMIT.sure:
        message = f"The zeros of the CTF lie where the pixel size puts them (z = {z:.1f})."
        return Check("pixel-size-ctf", "ok", message, 1.0, _PIXEL_WHY)
    return _pixel_by_maps(state)


def _wrong_pixel(state: State, factor: float, evidence: str) -> Check:
    optics = state.sample.particles.optics
    said = optics.pixel_size_angstrom
    message = f"CTF zeros fit {factor * said:.3g} Å/px; the star file says {said:.3g} ({evidence})."
    remedy = (
        "Correct the pixel size: multiply what the star file says "
        f"({optics.pixel_size_angstrom:.3g} Å at a box of {optics.box_size_px} px) by "
        f"{factor:.2f} (--pixel-size); or check voltage and defoci."
    )
    return Check("pixel-size-ctf", "warning", message, factor, _PIXEL_WHY, remedy)


def _pixel_by_maps(state: State) -> Check:
    """The pixel size by how well half maps foresee the images under the CTF of each."""
    undecided = Check(
        "pixel-size-ctf",
        "info",
        "Undecided whether the pixel size is right: the sample shows too little of the CTF.",
        None,
        _PIXEL_WHY,
    )
    if state.sample.particles.optics.ctf_premultiplied:
        return undecided  # the sign of the CTF is gone from such images
    found = {
        factor: state.prefers_ctf(scaled_pixels(state.sample.particles, factor))
        for factor in PIXEL_FACTORS
    }
    factor = max(found, key=lambda name: found[name].z)
    best = found[factor]
    if best.z >= LIMIT.sure and best.relative >= LIMIT.gain_ctf:
        check = _wrong_pixel(state, factor, f"z = {best.z:.1f}, half maps")
        state.sample = state.sample.over(scaled_pixels(state.sample.particles, factor))
        state.given = None
        return check
    if all(found[near].z <= -3 for near in (2 / 3, 1.5)):
        message = f"Other pixel sizes foresee images less well (z = {-best.z:.1f} or more)."
        return Check("pixel-size-ctf", "ok", message, 1.0, _PIXEL_WHY)
    return undecided


def height_checks(state: State) -> Iterator[Check]:
    """Does a particle's height in the tomogram raise or lower its defocus?"""
    why = "The defocus of particles far from the tilt axis is wrong by up to a micrometre."
    particles = state.sample.particles
    spread = float(heights_angstrom(particles).std())
    undecided = f"Undecided whether the defocus hand is right (heights vary by {spread:.0f} Å)."
    check = Check("defocus-hand", "info", undecided, None, why)
    if spread < LIMIT.spread_angstrom:
        yield check
        return
    other = flipped_heights(particles)
    fit = state.spectra().fit(particles)
    flipped = state.spectra().fit(other)
    if max(fit.share, flipped.share) >= LIMIT.fits:
        z = paired_z(flipped.likelihood - fit.likelihood)
        better = z >= LIMIT.sure and flipped.share >= fit.share
    elif particles.optics.ctf_premultiplied:
        z, better = 0.0, False
    else:
        found = state.prefers_ctf(other)
        z, better = found.z, found.z >= LIMIT.sure and found.relative >= LIMIT.gain
    if better:
        message = f"The opposite sign of the particles' heights fits better (z = {z:.1f})."
        remedy = "Give the other hand (--hand), or check the order of the z coordinates."
        if particles.source.rows_are_images:
            remedy = "Check the hand where the star file was written, and write it again."
        check = replace(check, verdict="warning", message=message, number=z, remedy=remedy)
    elif z <= -LIMIT.sure:
        message = f"Defocus follows the particles' heights with the right sign (z = {-z:.1f})."
        check = replace(check, verdict="ok", message=message, number=-z)
    yield check
