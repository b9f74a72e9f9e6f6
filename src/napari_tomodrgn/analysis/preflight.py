"""Are the physics of a particle set right? Asked of its images before an hour is spent on them.

A sample of at most 150 particles is read at low resolution. Power spectra say whether the images
carry the CTF that the star file describes; half maps and how well they foresee each other's images
say whether contrast, poses and tilt geometry hold. Every check has a number and a threshold (in
`_Thresholds`); what the sample cannot decide is said to be undecided and alarms nobody.

A wrong pre-multiplication or pixel size is corrected for the checks after it, so that each fault
is told by its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from napari_tomodrgn.analysis.preflight_kind import Kind, contrasts, kind_of
from napari_tomodrgn.analysis.preflight_maps import (
    NO_PREFERENCE,
    Agreement,
    Preference,
    agreement,
    paired_z,
    preference,
    split_shells,
)
from napari_tomodrgn.analysis.preflight_power import ODD, PowerFit, PowerModel, odd_images
from napari_tomodrgn.analysis.preflight_sample import (
    Sample,
    flipped_heights,
    flipped_tilts,
    heights_angstrom,
    read_sample,
    scaled_pixels,
    shuffled_poses,
)
from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.checks import Check, Verdict, check_stacks
from napari_tomodrgn.data.particles import ParticleSet

Contrast = Literal["keep", "invert"]


@dataclass(frozen=True)
class _Thresholds:
    particles: int = 6  # fewer have no halves and no errors to speak of
    sure: float = 4.0  # z from which a difference between particles is taken for real
    multiplied: float = 0.7  # μ from which noise is taken to carry the CTF
    fits: float = 0.3  # μ from which a CTF shows in power spectra at all
    gain: float = 0.1  # how much better another description has to foresee, poses
    gain_ctf: float = 0.5  # the same, CTFs over the shells that tell them apart
    information: float = 0.3  # poses that add surely less than this are of no use
    contrast: float = 0.3  # density of the middle over its surroundings, in SD of the map
    spread_angstrom: float = 100.0  # of heights, below which their sign cannot matter
    odd: float = 0.02  # share of odd images that deserves a look


_LIMIT = _Thresholds()
# Factors that pixel sizes are wrong by: binning that was not, or was twice, accounted for.
PIXEL_FACTORS = (0.5, 2 / 3, 1.5, 2.0)


@dataclass(frozen=True)
class PreflightProgress:
    """``stage`` is under way: ``done`` of ``total`` steps of the whole preflight are over."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class CheckDone:
    """One check is answered."""

    check: Check


@dataclass(frozen=True)
class PreflightDone:
    """All checks are answered.

    Attributes
    ----------
    checks
        In the order asked, those that passed as well.
    contrast
        What makes the particles' density positive; None where that could not be decided.
    odd_images
        ``"<particle>, tilt <index>"`` of the images of the sample with odd power spectra.
    """

    checks: tuple[Check, ...]
    contrast: Contrast | None
    odd_images: tuple[str, ...] = ()


PreflightEvent = PreflightProgress | CheckDone | PreflightDone


@dataclass
class _State:
    """What the checks have found so far and the next ones build on."""

    sample: Sample  # as corrected so far
    config: DataConfig
    power: PowerModel | None = None
    given: Agreement | None = None
    kind: Kind | None = None
    contrast: Contrast | None = None
    odd: list[str] = field(default_factory=list)

    def spectra(self) -> PowerModel:
        if self.power is None:
            self.power = PowerModel(self.sample)
        return self.power

    def maps(self) -> Agreement:
        if self.given is None:
            self.given = agreement(self.sample)
        return self.given


def preflight(
    particles: ParticleSet, config: DataConfig | None = None
) -> Generator[PreflightEvent, None, PreflightDone]:
    """Ask the physics of a set, yielding progress and each check; the last event is also returned.

    Parameters
    ----------
    particles
        The set; at most 150 of its particles are read.
    config
        Window, contrast and overrides of what the star file says; the defaults if None.

    Raises
    ------
    BadInputError
        If the images cannot be read.
    """
    config = config or DataConfig()
    particles = particles.as_said(config)
    check_stacks(particles)
    total = len(_STAGES) + 1
    yield PreflightProgress("Reading a sample of the images", 0, total)
    reading = read_sample(particles, config)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            state = _State(end.value, config)
            break
        yield PreflightProgress("Reading a sample of the images", 0, total)
    checks: list[Check] = []
    enough = len(state.sample.particles) >= _LIMIT.particles
    stages = _STAGES if enough else _STAGES[:1]
    for done, (stage, ask) in enumerate(stages, start=1):
        yield PreflightProgress(stage, done, total)
        for check in ask(state):
            checks.append(check)
            yield CheckDone(check)
    if not enough:
        message = f"Undecided: {len(state.sample.particles)} particles are too few for the physics."
        checks.append(Check("sample", "info", message, float(len(state.sample.particles))))
        yield CheckDone(checks[-1])
    last = PreflightDone(tuple(checks), state.contrast, tuple(state.odd))
    yield last
    return last


def _pixel_and_multiplied(state: _State) -> Iterator[Check]:
    """Whose CTF do the power spectra carry, and in the noise or only in the particles?"""
    given = state.spectra().fit(state.sample.particles)
    factor, fit, z = _best_scale(state, given)
    if factor != 1.0:
        state.sample = state.sample.over(scaled_pixels(state.sample.particles, factor))
    multiplied = _multiplied(state, fit)
    if factor == 1.0 and fit.share < _LIMIT.fits:
        yield multiplied
        yield _pixel_by_maps(state)
    else:
        yield _pixel_check(state, factor, z)
        yield multiplied


def _best_scale(state: _State, given: PowerFit) -> tuple[float, PowerFit, float]:
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
    if z >= _LIMIT.sure and others[factor].share >= _LIMIT.fits:
        return factor, others[factor], z
    return 1.0, given, -z


def _multiplied(state: _State, fit: PowerFit) -> Check:
    said = state.sample.particles.optics.ctf_premultiplied
    why = "Treated wrongly, shells of frequency cancel each other and the contrast turns around."
    sure_yes = paired_z(fit.likelihood - fit.constant) >= _LIMIT.sure
    sure_no = paired_z(fit.constant - fit.multiplied) >= _LIMIT.sure
    yes, no = sure_yes and fit.share >= _LIMIT.multiplied, sure_no and fit.share <= 0.5
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
    remedy = f"Set CTF pre-multiplied to {'yes' if yes else 'no'}."
    if no:
        remedy += " If they are, the pixel size, the voltage or the defoci are wrong."
    return Check("ctf-premultiplied", "warning", message, fit.share, why, remedy)


_PIXEL_WHY = "The zeros of the CTF lie elsewhere, and all sizes and resolutions are wrong."


def _pixel_check(state: _State, factor: float, z: float) -> Check:
    """The pixel size by power spectra; ``z`` is that of the chosen factor against the others."""
    if factor != 1.0:
        return _wrong_pixel(state, factor, f"z = {z:.1f}, power spectra")
    if z >= _LIMIT.sure:
        message = f"The zeros of the CTF lie where the pixel size puts them (z = {z:.1f})."
        return Check("pixel-size-ctf", "ok", message, 1.0, _PIXEL_WHY)
    return _pixel_by_maps(state)


def _wrong_pixel(state: _State, factor: float, evidence: str) -> Check:
    optics = state.sample.particles.optics
    message = (
        f"The zeros of the CTF fit pixels of {factor:.2f} times the size that is said ({evidence})."
    )
    remedy = (
        "Correct the pixel size: multiply what the star file says "
        f"({optics.pixel_size_angstrom:.3g} Å at a box of {optics.box_size_px} px) by "
        f"{factor:.2f}; or check voltage and defoci."
    )
    return Check("pixel-size-ctf", "warning", message, factor, _PIXEL_WHY, remedy)


def _pixel_by_maps(state: _State) -> Check:
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
        factor: _prefers_ctf(state, scaled_pixels(state.sample.particles, factor))
        for factor in PIXEL_FACTORS
    }
    factor = max(found, key=lambda name: found[name].z)
    best = found[factor]
    if best.z >= _LIMIT.sure and best.relative >= _LIMIT.gain_ctf:
        check = _wrong_pixel(state, factor, f"z = {best.z:.1f}, half maps")
        state.sample = state.sample.over(scaled_pixels(state.sample.particles, factor))
        state.given = None
        return check
    if all(found[near].z <= -3 for near in (2 / 3, 1.5)):
        message = f"Other pixel sizes foresee images less well (z = {-best.z:.1f} or more)."
        return Check("pixel-size-ctf", "ok", message, 1.0, _PIXEL_WHY)
    return undecided


def _prefers_ctf(state: _State, other: ParticleSet) -> Preference:
    """Whether images are better foreseen by other CTFs, over the shells that tell them apart."""
    sample = state.sample.over(other)
    shells = split_shells(state.sample, sample)
    if not shells[2:].any():
        return NO_PREFERENCE
    return preference(state.maps(), agreement(sample), shells)


def _heights(state: _State) -> Iterator[Check]:
    """Does a particle's height in the tomogram raise or lower its defocus?"""
    why = "The defocus of particles far from the tilt axis is wrong by up to a micrometre."
    particles = state.sample.particles
    spread = float(heights_angstrom(particles).std())
    undecided = f"Undecided whether the defocus hand is right (heights vary by {spread:.0f} Å)."
    check = Check("defocus-hand", "info", undecided, None, why)
    if spread < _LIMIT.spread_angstrom:
        yield check
        return
    other = flipped_heights(particles)
    fit = state.spectra().fit(particles)
    flipped = state.spectra().fit(other)
    if max(fit.share, flipped.share) >= _LIMIT.fits:
        z = paired_z(flipped.likelihood - fit.likelihood)
        better = z >= _LIMIT.sure and flipped.share >= fit.share
    elif particles.optics.ctf_premultiplied:
        z, better = 0.0, False
    else:
        found = _prefers_ctf(state, other)
        z, better = found.z, found.z >= _LIMIT.sure and found.relative >= _LIMIT.gain
    if better:
        message = f"The opposite sign of the particles' heights fits better (z = {z:.1f})."
        remedy = "Check rlnTomoHand and the order of the z coordinates."
        check = replace(check, verdict="warning", message=message, number=z, remedy=remedy)
    elif z <= -_LIMIT.sure:
        message = f"Defocus follows the particles' heights with the right sign (z = {-z:.1f})."
        check = replace(check, verdict="ok", message=message, number=-z)
    yield check


def _pixels(state: _State) -> Iterator[Check]:
    """Are all pixels numbers?"""
    why = "One pixel that is no number makes every weight of the network one."
    broken = state.sample.broken
    if not len(broken):
        message = "All pixels of the sample are numbers."
        yield Check("pixels", "ok", message, 0.0, why)
        return
    row = state.sample.particles.images.iloc[int(broken[0])]
    message = (
        f"{len(broken)} of {len(state.sample.owner)} images hold pixels that are no numbers, "
        f"first {row['particle_id']}, tilt {row['tilt_index']}."
    )
    remedy = "Extract these images again, or leave their particles out."
    yield Check("pixels", "error", message, float(len(broken)), why, remedy)


def _odd(state: _State) -> Iterator[Check]:
    """Images whose power spectrum is unlike that of the others of the same tilt."""
    rows, _ = odd_images(state.sample)
    table = state.sample.particles.images.iloc[rows]
    state.odd = [
        f"{name}, tilt {tilt}"
        for name, tilt in zip(table["particle_id"], table["tilt_index"], strict=True)
    ]
    share = len(rows) / len(state.sample.owner)
    why = "Blank, contaminated or lost frames mislead the latents of their particles."
    if not len(rows):
        message = "No image of the sample has an odd power spectrum."
        yield Check("odd-images", "ok", message, 0.0, why)
        return
    verdict: Verdict = "warning" if share > _LIMIT.odd else "info"
    message = (
        f"{len(rows)} of {len(state.sample.owner)} images ({share:.1%}) have a power spectrum "
        f"unlike that of their tilt (beyond {ODD:g} deviations): {'; '.join(state.odd[:3])}"
        f"{'; …' if len(rows) > 3 else ''}."
    )
    yield Check("odd-images", verdict, message, share, why, "Look at them; leave out bad tilts.")


def _maps(state: _State) -> Iterator[Check]:
    """Half maps: resolution, what they show, and the sign of the contrast."""
    halves = state.maps().halves
    one, two = contrasts(halves)
    state.kind = kind_of(halves, 1 if one + two >= 0 else -1)
    yield _half_map_check(state, state.kind)
    yield _kind_check(state, state.kind)
    yield _contrast_check(state, one, two)


def _half_map_check(state: _State, kind: Kind) -> Check:
    curve = state.maps().halves.fsc
    count = len(state.sample.particles)
    why = "If halves of the data show different things, there is nothing to compare particles by."
    if kind.word == "noise":
        verdict: Verdict = "warning" if count >= 100 else "info"
        message = (
            f"Two halves of {count} particles agree on nothing "
            f"(mean FSC {kind.agreement:.2f} at low resolution)."
        )
        remedy = "Check poses and images; with few or small particles, it may be the noise alone."
        return Check("half-maps", verdict, message, kind.agreement, why, remedy)
    resolution = curve.resolution_angstrom(0.143)
    message = (
        f"Half maps of {count} particles agree to {resolution:.1f} Å "
        f"(mean FSC {kind.agreement:.2f} at low resolution)."
    )
    return Check("half-maps", "ok", message, resolution if np.isfinite(resolution) else None, why)


def _kind_check(state: _State, kind: Kind) -> Check:
    why = "A structure without features shows that signs, CTF or poses are wrong."
    figures = (
        f"{kind.structure:.0%} of the density varies with direction, centre at {kind.centre:.0%} "
        "of the densest radius"
    )
    message = f"The quick map looks like a {kind.word} ({figures})."
    if kind.word == "particle":
        return Check("map-kind", "ok", message, kind.structure, why)
    if kind.word == "noise":
        message = "Undecided what the map shows: half maps do not agree."
        return Check("map-kind", "info", message, kind.agreement, why)
    if kind.word == "hollow":
        message = f"The quick map is hollow ({figures})."
        remedy = "Right for a shell; else check the contrast and the CTF at low resolution."
        return Check("map-kind", "info", message, kind.centre, why, remedy)
    remedy = "Check that poses belong to these particles, and the direction of the tilts."
    return Check("map-kind", "warning", message, kind.structure, why, remedy)


def _contrast_check(state: _State, one: float, two: float) -> Check:
    why = "With the wrong sign, holes are learned as density."
    sure = one * two > 0 and min(abs(one), abs(two)) >= _LIMIT.contrast
    number = (one + two) / 2
    if not sure or (state.kind and state.kind.word == "noise"):
        message = "Undecided whether particles are light or dark: too little signal."
        return Check("contrast", "info", message, number, why, "Set the contrast by hand.")
    state.contrast = "keep" if number > 0 else "invert"
    figure = f"centre {number:+.1f} SD from its surroundings, in both half maps"
    if state.config.contrast in ("auto", state.contrast):
        word = "light: images are kept" if number > 0 else "dark: images are inverted"
        return Check("contrast", "ok", f"Particles are {word} ({figure}).", number, why)
    message = (
        f"The contrast is set to {state.config.contrast}, which makes density negative ({figure})."
    )
    remedy = f"Set the contrast to {state.contrast}, or to auto."
    return Check("contrast", "warning", message, number, why, remedy)


def _poses(state: _State) -> Iterator[Check]:
    """Do poses say more than those of other particles would?"""
    why = "Without the particles' own poses every map is the same featureless average."
    shuffled = agreement(state.sample.over(shuffled_poses(state.sample.particles)))
    # How much better the given poses are than shuffled ones.
    found = preference(shuffled, state.maps())
    number = found.relative
    if found.z >= _LIMIT.sure:
        message = (
            f"Poses foresee images {number:.0%} better than poses shuffled between particles "
            f"(z = {found.z:.1f})."
        )
        yield Check("poses", "ok", message, number, why)
    elif shuffled.z >= _LIMIT.sure and number + 2 * found.error < _LIMIT.information:
        message = (
            "Poses carry no information: poses shuffled between particles foresee the images as "
            f"well ({number:+.0%}, z = {found.z:.1f})."
        )
        remedy = (
            "Check that the angles stand in the rows of their own particles and follow RELION's "
            "convention; or refine them."
        )
        yield Check("poses", "warning", message, number, why, remedy)
    else:
        message = f"Undecided whether poses carry information (z = {found.z:.1f})."
        yield Check("poses", "info", message, number, why, "Ask again with more particles.")


def _tilt_hand(state: _State) -> Iterator[Check]:
    """Do the tilts go the way that the poses say?"""
    why = "Tilts that go the other way blur every map and mix up the hand."
    other = state.sample.over(flipped_tilts(state.sample.particles))
    found = preference(state.maps(), agreement(other))
    if found.z >= _LIMIT.sure and found.relative >= _LIMIT.gain:
        message = (
            f"Tilts of the opposite direction foresee images {found.relative:.0%} better "
            f"(z = {found.z:.1f})."
        )
        remedy = "Turn the sign of the tilt angles, or the hand of the tilt geometry, around."
        yield Check("tilt-hand", "warning", message, found.relative, why, remedy)
    elif found.z <= -_LIMIT.sure:
        message = f"Tilts go the way that the poses say (z = {-found.z:.1f})."
        yield Check("tilt-hand", "ok", message, -found.relative, why)
    else:
        message = f"Undecided whether the tilts go the right way (z = {found.z:.1f})."
        yield Check("tilt-hand", "info", message, found.relative, why)


def _dose_order(state: _State) -> Iterator[Check]:
    """Does what the map foresees of the images fade with the dose?

    For each particle, the slope of N (`preflight_maps`, unweighted, over the upper half of the
    shells on which half maps agree) against the rank of the dose; z of the slopes over particles.
    """
    why = "Images are weighted by dose: a wrong order keeps the damaged and loses the best."
    plain = state.sample.particles.with_optics(dose_weighted=False)  # nor may the filter weigh
    found = agreement(state.sample.over(plain), weighted=False)
    good = np.flatnonzero(found.halves.fsc.correlation < 0.3)
    last = int(good[0]) if len(good) else found.numerator.shape[1]
    signal = found.numerator[:, max(2, last // 2) : max(4, last)].sum(axis=1)
    dose = state.sample.particles.arrays().dose_e_per_angstrom2
    slopes = [
        _slope(dose[found.owner == row], signal[found.owner == row])
        for row in range(len(state.sample.particles))
    ]
    z = paired_z(np.array(slopes))
    if z >= _LIMIT.sure:
        message = f"Detail grows with the dose instead of fading (z = {z:.1f})."
        remedy = "Check the order of the doses; the first image taken has the lowest."
        yield Check("dose-decay", "warning", message, z, why, remedy)
    elif z <= -_LIMIT.sure:
        message = f"Detail fades as the dose grows (z = {z:.1f})."
        yield Check("dose-decay", "ok", message, z, why)
    else:
        message = f"Undecided whether detail fades with the dose (z = {z:.1f})."
        yield Check("dose-decay", "info", message, z, why)


def _slope(dose: np.ndarray, signal: np.ndarray) -> float:
    rank = np.argsort(np.argsort(dose)).astype(float)
    rank -= rank.mean()
    scale = float((rank**2).sum())
    return float((rank * signal).sum()) / scale if scale > 0 and np.ptp(dose) > 0 else 0.0


_STAGES: tuple[tuple[str, Callable[[_State], Iterator[Check]]], ...] = (
    ("Looking for pixels that are no numbers", _pixels),
    ("Comparing power spectra with the CTF", _pixel_and_multiplied),
    ("Comparing images with each other", _odd),
    ("Reconstructing half maps", _maps),
    ("Shuffling poses", _poses),
    ("Tilting the other way", _tilt_hand),
    ("Turning heights around", _heights),
    ("Comparing tilts by dose", _dose_order),
)
