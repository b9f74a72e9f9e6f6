"""Do poses, tilts and places say what the images show? Asked as a choice between hypotheses.

Each description of the same images is reconstructed in halves, and what it foresees of the images
of the other half is compared with what poses shuffled between particles foresee. Right geometry
foresees tens of times as much; one that is half wrong (tilts of the other sign, poses inverted)
still beats the shuffled ones surely, by its untilted images, so that the ratio has to decide and
not the certainty alone.

Where images were cut at wrong places no other description mends it: the particle leaves the box as
the specimen tilts. Untilted images then foresee each other and tilted ones do not. If the places
were mirrored in z, a particle is 2 z sin t beside the middle of its box in the image of tilt t, and
images that still hold it become better when they are shifted back. If places counted from 0 were
read as counting from 1, all particles are beside their middles by one step of the tomogram, which
each image sees from another side; a step of a pixel along x, y and z tells that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.preflight.cross_validation import (
    Agreement,
    half_set_agreement,
    paired_z,
    preference,
)
from napari_tomodrgn.analysis.preflight.hypotheses import (
    flipped_tilts,
    inverted_poses,
    moved_origin,
    shuffled_poses,
    unmirrored_places,
)
from napari_tomodrgn.analysis.preflight.state import LIMIT, State
from napari_tomodrgn.data.checks import Check

WHY = "With a wrong geometry every map is blurred, or the same featureless average."
_REMEDIES = {
    "tilts of the opposite sign": "Turn the sign of the tilt angles, or the hand of the tilt "
    "geometry, around.",
    "inverse poses": "The angles say specimen to reference: write the inverse rotations "
    "(rot, tilt, psi become −psi, −tilt, −rot).",
}


@dataclass(frozen=True)
class _Hypothesis:
    """A description of the images, and how it does beside shuffled poses and the given one."""

    name: str
    found: Agreement
    ratio: float  # what it foresees over what shuffled poses do
    z: float  # of that difference

    def words(self) -> str:
        """The figures as a person reads them."""
        return f"{self.name} {self.ratio:.1f} times (z = {self.z:.1f})"


def geometry_checks(state: State) -> Iterator[Check]:
    """Which description of poses and tilts do the images prefer, and were they cut in place?"""
    particles = state.sample.particles
    shuffled = half_set_agreement(state.sample.over(shuffled_poses(particles)))
    given = _hypothesis("as given", state.maps(), shuffled)
    others = [
        _hypothesis(name, half_set_agreement(state.sample.over(other)), shuffled)
        for name, other in (
            ("tilts of the opposite sign", flipped_tilts(particles)),
            ("inverse poses", inverted_poses(particles)),
        )
    ]
    figures = "; ".join(each.words() for each in (given, *others))
    best = max(others, key=lambda each: float(each.found.gain().mean()))
    better = preference(given.found, best.found)
    if better.z >= LIMIT.sure and better.relative >= LIMIT.gain and best.z >= LIMIT.sure:
        message = (
            f"The images fit {best.name}. They are foreseen, against shuffled poses: {figures}."
        )
        yield Check("geometry", "warning", message, best.ratio, WHY, _REMEDIES[best.name])
        return
    wrong = _misplaced(state, given.found)
    if wrong is None or "z is mirrored" not in wrong.message:
        wrong = _other_origin(state, given.found) or wrong
    if wrong is not None:
        yield wrong
        return
    yield _verdict(state, given, better.z, shuffled, figures)


def _hypothesis(name: str, found: Agreement, shuffled: Agreement) -> _Hypothesis:
    difference = preference(shuffled, found)
    return _Hypothesis(name, found, difference.relative + 1.0, difference.z)


def _verdict(
    state: State, given: _Hypothesis, other_z: float, shuffled: Agreement, figures: str
) -> Check:
    """As given, no information, or undecided."""
    gain = preference(shuffled, given.found)
    told = f"Foreseen against shuffled poses: {figures}."
    if given.z >= LIMIT.sure and other_z <= -LIMIT.sure:
        message = f"Poses and tilts fit the images. {told}"
        return Check("geometry", "ok", message, given.ratio, WHY)
    if shuffled.z >= LIMIT.sure and gain.relative + 2 * gain.error < LIMIT.information:
        remedy = (
            "Check that the angles stand in the rows of their own particles and follow RELION's "
            "convention; or refine them."
        )
        message = f"Poses carry no information. {told}"
        return Check("geometry", "warning", message, given.ratio, WHY, remedy)
    message = f"Undecided whether poses and tilts fit the images. {told}"
    remedy = "Ask again with more particles."
    return Check("geometry", "info", message, given.ratio, WHY, remedy)


def _misplaced(state: State, given: Agreement) -> Check | None:
    """The warning about images that were cut at wrong places; None unless that is sure."""
    tilt = np.abs(state.sample.particles.arrays().stage_tilt_deg)
    low = tilt <= max(LIMIT.untilted_deg, float(tilt.min()) + 0.5)
    high = (tilt > LIMIT.tilted_deg[0]) & (tilt <= LIMIT.tilted_deg[1])
    count = len(state.sample.particles)
    if low.sum() < count or high.sum() < count:
        return None  # a series that hardly tilts, or not from 0
    untilted, tilted = _signal(given, low), _signal(given, high)
    share = float(tilted.mean() / untilted.mean()) if untilted.mean() > 0 else 1.0
    sure = paired_z(untilted) >= LIMIT.sure
    if not sure or paired_z(tilted - LIMIT.tilted_share * untilted) > -LIMIT.sure:
        return None
    z = _mirrored(state)
    message = (
        "Particles are not where the images were cut (z mirrored, or another origin?): tilted "
        f"images hold {share:.0%} of what untilted ones foresee."
    )
    remedy = "Check origin, unit and order of the coordinates, and extract the images again."
    if z is not None and z >= LIMIT.sure:
        message = (
            f"Particles are not where the images were cut: z is mirrored (shifted back by "
            f"2 z sin t, images fit better, z = {z:.1f})."
        )
        remedy = "Turn the sign of z about the middle of the tomogram, and extract again."
    return Check("geometry", "warning", message, share, WHY, remedy)


def _other_origin(state: State, given: Agreement) -> Check | None:
    """The warning about places that counted from another corner; None unless that is sure."""
    best, found, steps = given, 0.0, 0.0
    for sign in (1.0, -1.0):
        step = sign
        while abs(step) <= LIMIT.farthest_origin_px:
            moved = moved_origin(state.sample, step)
            if moved is None:
                return None
            other = half_set_agreement(moved)
            better = preference(best, other)
            if better.z < LIMIT.sure or better.relative < LIMIT.gain:
                break
            best, found, steps = other, preference(given, other).z, step
            step *= 2
        if steps:
            break
    if not steps:
        return None
    pixel = state.sample.particles.optics.pixel_size_angstrom
    counted, read = (1, 0) if steps > 0 else (0, 1)
    message = (
        "Particles are not where the images were cut: all are the same step beside (moved back by "
        f"about {abs(steps) * pixel:.0f} Å along x, y and z, images fit better, z = {found:.1f})."
    )
    remedy = (
        f"The coordinates count from {counted}, and were read as counting from {read}: extract the "
        "images again with the other origin."
    )
    return Check("geometry", "warning", message, abs(steps), WHY, remedy)


def _signal(found: Agreement, images: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Amplitude of what is foreseen in some images of each particle, as a share of all."""
    shells = slice(2, None)
    numerator = found.numerator[:, shells].sum(axis=1) * images
    denominator = float((found.denominator[:, shells].sum(axis=1) * images).sum())
    count = int(found.particle_index.max()) + 1
    total = np.bincount(found.particle_index, weights=numerator, minlength=count)
    return np.asarray(total * count / max(denominator, 1e-30))


def _mirrored(state: State) -> float | None:
    """z of how much better images are foreseen once shifted as if z had been mirrored."""
    pair = unmirrored_places(state.sample)
    if pair is None:
        return None
    before, after = pair
    return preference(half_set_agreement(before), half_set_agreement(after)).z
